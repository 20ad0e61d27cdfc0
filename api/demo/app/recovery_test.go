package app

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// TestStoppingARecovery: the device is told once, signs its owner's no, and hears of the start no more.
func TestStoppingARecovery(t *testing.T) {
	d, v := enrolled(t)
	ready := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	data := wire.NoticeData{
		Account: v.SignIn.Account, Recovery: "r1", Nonce: []byte("0123456789abcdef"), Ready: ready, Devices: []string{"another"},
	}
	if push(t, d, notice(t, wire.NoticeRecoveryStarted, data)) {
		t.Error("it takes what is another's to be told")
	}
	data.Devices = append(data.Devices, v.SignIn.Device)
	started := notice(t, wire.NoticeRecoveryStarted, data)
	if !push(t, d, started) || push(t, d, started) {
		t.Error("a notice that comes twice is two recoveries")
	}
	data.Ready = ready.Add(-time.Minute)
	if !push(t, d, notice(t, wire.NoticeRecoveryShortened, data)) {
		t.Error("that it takes less time is nothing new")
	}
	record, err := d.Record()
	if err != nil {
		t.Fatal(err)
	}
	if d, err = Restore(record); err != nil {
		t.Fatal(err)
	}
	if r, runs := d.Recovery(); !runs || r.ID != "r1" || !r.Ready.Equal(data.Ready) {
		t.Fatalf("written down and read: %+v, %v", r, runs)
	}

	relay := &scripted{}
	if err := d.StopRecovery(t.Context(), relay, "r2"); !errors.Is(err, ErrNoRecovery) || len(relay.stopped) != 0 {
		t.Errorf("one that it was not told of: %v", err)
	}
	if err := d.StopRecovery(t.Context(), relay, "r1"); err != nil || len(relay.stopped) != 1 {
		t.Fatalf("stopped: %v, %+v", err, relay.stopped)
	}
	parsed, err := x509.ParsePKIXPublicKey(d.About().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	q := relay.stopped[0]
	about := device.Recovery{
		Tenant: v.SignIn.Tenant, Account: v.SignIn.Account, ID: "r1", Nonce: data.Nonce, Device: v.SignIn.Device,
	}
	sum := sha256.Sum256(device.RecoveryMessage(about, true, q.TimeMS))
	if q.Device != v.SignIn.Device || !ecdsa.VerifyASN1(parsed.(*ecdsa.PublicKey), sum[:], q.Signature) {
		t.Errorf("its no is %+v", q)
	}
	if _, runs := d.Recovery(); runs || push(t, d, started) {
		t.Error("it is there still, or again")
	}
}

// TestRecoveredAccountForgetsItsDevices: completing a recovery ends the trust in the devices that it names.
func TestRecoveredAccountForgetsItsDevices(t *testing.T) {
	d, v := enrolled(t)
	over := wire.NoticeData{Account: v.SignIn.Account, Recovery: "r1", Devices: []string{"another"}}
	if push(t, d, notice(t, wire.NoticeRecoveryCompleted, over)) || d.ID() == "" {
		t.Error("another's end is its own")
	}
	over.Devices = []string{v.SignIn.Device}
	if !push(t, d, notice(t, wire.NoticeRecoveryCompleted, over)) || d.ID() != "" || !d.Removed() {
		t.Error("it is trusted still")
	}
	if _, err := d.AskReset(wire.SignIn{}); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("it asks for another password: %v", err)
	}
}
