package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// vectors are api/device's, made by the server's side.
type vectors struct {
	Key    []byte `json:"key_pkcs8"`
	Public []byte `json:"public_pkix"`
	SignIn struct {
		Tenant, Account, ID, Device string
		Nonce                       []byte
	} `json:"sign_in"`
	Seed struct {
		Version            uint32
		Ephemeral, Wrapped []byte
	}
	Code struct {
		N      uint32
		Sealed []byte
		Digits string
	}
	Settings []struct {
		Unix int64
		Code string
	}
}

// enrolled is the vectors' device.
func enrolled(t *testing.T) (*Device, vectors) {
	t.Helper()
	raw, err := os.ReadFile("../../device/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	d, err := Restore(Record{About: wire.DeviceRequest{Name: "phone", Model: "iPhone"}, Private: v.Key})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Code(time.Now()); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("a code before the enrolment: %v", err)
	}
	if err := d.Enrolled(wire.EnrolledDevice{
		Envelope: wire.Envelope{Ephemeral: v.Seed.Ephemeral, Wrapped: v.Seed.Wrapped},
		Binding:  wire.Binding{Tenant: v.SignIn.Tenant, Account: v.SignIn.Account, Credential: v.SignIn.Device, Version: v.Seed.Version},
	}); err != nil {
		t.Fatal(err)
	}
	return d, v
}

func notice(t *testing.T, kind string, data wire.NoticeData) wire.Notice {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Notice{Type: kind, Timestamp: time.Unix(1767225600, 0).UTC(), Data: raw}
}

func push(t *testing.T, d *Device, n wire.Notice) (changed bool) {
	t.Helper()
	changed, err := d.Push(n)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func begun(t *testing.T, v vectors, devices ...string) wire.Notice {
	return notice(t, wire.NoticeBegun, wire.NoticeData{
		Account: v.SignIn.Account, SignIn: v.SignIn.ID, Nonce: v.SignIn.Nonce, Expires: time.Now().Add(time.Minute), Devices: devices,
	})
}

// scripted is a relay that brings the vectors' code.
type scripted struct {
	code    *wire.SealedCode
	asked   []wire.DecisionRequest
	stopped []wire.CancellationRequest
}

func (s *scripted) CancelRecovery(_ context.Context, _, _ string, r wire.CancellationRequest) error {
	s.stopped = append(s.stopped, r)
	return nil
}

func (s *scripted) Decide(_ context.Context, _, _ string, r wire.DecisionRequest) (wire.Decision, error) {
	s.asked = append(s.asked, r)
	if r.Decision == "deny" {
		return wire.Decision{}, nil
	}
	return wire.Decision{Code: s.code}, nil
}

func (s *scripted) FetchCode(context.Context, string, string, string, wire.FetchCodeRequest) (wire.SealedCode, error) {
	return *s.code, nil
}

func TestAllowShowsTheCode(t *testing.T) {
	d, v := enrolled(t)
	for _, c := range v.Settings {
		if code, left, err := d.Code(time.Unix(c.Unix, 0)); err != nil || code != c.Code || left <= 0 || left > 30*time.Second {
			t.Errorf("at %d: %s for %v, %v, want %s", c.Unix, code, left, err, c.Code)
		}
	}
	if push(t, d, begun(t, v, "another")) || len(d.Requests()) != 0 {
		t.Error("a notice for another device is shown")
	}
	if !push(t, d, begun(t, v, v.SignIn.Device)) || push(t, d, begun(t, v, v.SignIn.Device)) || len(d.Requests()) != 1 {
		t.Error("a notice that comes twice is two requests")
	}
	relay := &scripted{code: &wire.SealedCode{N: v.Code.N, Sealed: v.Code.Sealed}}
	if err := d.Decide(t.Context(), relay, v.SignIn.ID, true); err != nil {
		t.Fatal(err)
	}
	if r := d.Requests()[0]; r.State != Allowed || r.Code != v.Code.Digits || !r.Open(time.Now()) {
		t.Errorf("after Allow: %+v", r)
	}
	if err := d.FetchAgain(t.Context(), relay, v.SignIn.ID); err != nil || d.Requests()[0].Code != v.Code.Digits {
		t.Errorf("again: %v", err)
	}
	if err := d.Decide(t.Context(), relay, v.SignIn.ID, false); err != nil {
		t.Fatal(err)
	}
	// What is on its way still doesn't bring it back, and the code is gone.
	push(t, d, notice(t, wire.NoticeAllowed, wire.NoticeData{Account: v.SignIn.Account, SignIn: v.SignIn.ID}))
	if err := d.FetchAgain(t.Context(), relay, v.SignIn.ID); err != nil {
		t.Fatal(err)
	}
	if r := d.Requests()[0]; r.State != Denied || r.Code != "" || r.Open(time.Now()) {
		t.Errorf("after Don't Allow: %+v", r)
	}
	if len(relay.asked) != 2 || relay.asked[0].Decision != "allow" || relay.asked[1].Decision != "deny" {
		t.Errorf("it had carried: %+v", relay.asked)
	}
	if err := d.Decide(t.Context(), relay, "another", true); !errors.Is(err, ErrUnknownSignIn) {
		t.Errorf("a sign-in that it was not asked about: %v", err)
	}
}

func TestRemovedDeviceForgets(t *testing.T) {
	for _, kind := range []string{wire.NoticeDeviceRemoved, wire.NoticeDeviceLost} {
		t.Run(kind, func(t *testing.T) { removedDeviceForgets(t, kind) })
	}
}

func removedDeviceForgets(t *testing.T, kind string) {
	d, v := enrolled(t)
	push(t, d, begun(t, v, v.SignIn.Device))
	other := notice(t, kind, wire.NoticeData{Account: v.SignIn.Account, Credential: "another"})
	if push(t, d, other) || d.Removed() {
		t.Error("another's removal removed it")
	}
	if !push(t, d, notice(t, kind, wire.NoticeData{Account: v.SignIn.Account, Credential: v.SignIn.Device})) {
		t.Error("its removal changed nothing")
	}
	if _, _, err := d.Code(time.Now()); !errors.Is(err, ErrNotTrusted) || !d.Removed() || d.ID() != "" || len(d.Requests()) != 0 {
		t.Errorf("after its removal: %v, removed %v, id %q, requests %v", err, d.Removed(), d.ID(), d.Requests())
	}
	if cmp.Equal(d.About().PublicKey, v.Public) {
		t.Error("it keeps its key")
	}
	if _, _, err := d.ProveTrust(v.SignIn.Account, nil); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("it proves that it is trusted: %v", err)
	}
}

func TestTrustIsProvedForOneAccountAndChallenge(t *testing.T) {
	d, v := enrolled(t)
	at := time.Now().UnixMilli()
	id, proof, err := d.ProveTrust(v.SignIn.Account, []byte("challenge"))
	if err != nil || id != v.SignIn.Device || string(proof.Challenge) != "challenge" || proof.TimeMS < at {
		t.Fatal(id, proof, err)
	}
	parsed, err := x509.ParsePKIXPublicKey(v.Public)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*ecdsa.PublicKey)
	right := func(account, challenge string) bool {
		b := device.Binding{Tenant: v.SignIn.Tenant, Account: account, Credential: id}
		sum := sha256.Sum256(device.TrustMessage(b, []byte(challenge), proof.TimeMS))
		return ecdsa.VerifyASN1(key, sum[:], proof.Signature)
	}
	if !right(v.SignIn.Account, "challenge") {
		t.Error("the signature is not right")
	}
	if right("another", "challenge") || right(v.SignIn.Account, "another") {
		t.Error("it is right for another account or challenge")
	}
	if _, _, err := d.ProveTrust("another", []byte("challenge")); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("for another account: %v", err)
	}
}

func TestRecordIsRestored(t *testing.T) {
	d, v := enrolled(t)
	r, err := d.Record()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read Record
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	again, err := Restore(read)
	if err != nil {
		t.Fatal(err)
	}
	code, _, err := again.Code(time.Unix(59, 0))
	if err != nil || code != v.Settings[0].Code || again.ID() != d.ID() || again.NewDevice("phone") != d.NewDevice("phone") {
		t.Errorf("restored: %s, %v, %s", code, err, again.ID())
	}
	read.Binding = device.Binding{}
	if _, err := Restore(read); err == nil {
		t.Error("a device with a seed and no id was restored")
	}
}

// TestTooOldToShowCodes: it is trusted, and has no seed until it was updated.
func TestTooOldToShowCodes(t *testing.T) {
	d, v := enrolled(t)
	r, err := d.Record()
	if err != nil {
		t.Fatal(err)
	}
	given := wire.EnrolledDevice{Binding: wire.Binding(r.Binding)}
	if err := d.Enrolled(given); err != nil {
		t.Fatal(err)
	}
	if r, err = d.Record(); err != nil || r.Seed != nil {
		t.Fatalf("it has a seed: %v", err)
	}
	if d, err = Restore(r); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Code(time.Now()); !errors.Is(err, ErrNotTrusted) || d.ShowsCodes() {
		t.Errorf("it shows a code: %v", err)
	}
	if id, _, err := d.ProveTrust(v.SignIn.Account, nil); err != nil || id != v.SignIn.Device {
		t.Errorf("it doesn't prove that it is trusted: %v", err)
	}
	d.Updated("10.11")
	given.Envelope = wire.Envelope{Ephemeral: v.Seed.Ephemeral, Wrapped: v.Seed.Wrapped}
	if err := d.Enrolled(given); err != nil {
		t.Fatal(err)
	}
	if code, _, err := d.Code(time.Unix(59, 0)); err != nil || code != v.Settings[0].Code || d.About().SystemVersion != "10.11" {
		t.Errorf("updated it shows %s: %v", code, err)
	}
}

func FuzzPush(f *testing.F) {
	f.Add("sign-in.begun", []byte(`{"account":"a","devices":["d"]}`))
	f.Add("device.removed", []byte(`{"account":"älice@example.com","credential":"x"}`))
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		d, _ := enrolled(t)
		for range 2 * maxRequests {
			_, _ = d.Push(wire.Notice{Type: kind, Data: data})
		}
		if len(d.Requests()) > maxRequests {
			t.Errorf("%d requests are remembered", len(d.Requests()))
		}
	})
}
