package appliance_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// clock is a clock that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time        { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) move(by time.Duration) { c.ahead.Add(int64(by)) }

// verifyPhone gives an account a verified phone.
func (n *node) verifyPhone(t *testing.T, c appliance.Caller, name string) {
	t.Helper()
	texts := make(chan string, 8)
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var job struct{ Data struct{ Text string } }
		b, _ := io.ReadAll(r.Body)
		if json.Unmarshal(b, &job) == nil {
			texts <- job.Data.Text
		}
	}))
	t.Cleanup(gateway.Close)
	if _, err := n.SetWebhook(t.Context(), operator, c.Tenant, "gateway", gateway.URL, nil); err != nil {
		t.Fatal(err)
	}
	p, err := n.AddPhone(t.Context(), c, "", name, appliance.PhoneRequest{Number: "+14155550101"})
	if err == nil {
		_, err = n.SendPhoneCode(t.Context(), c, "", name, p.ID, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-texts:
		code, err := otp.ParseCode(text[:6])
		if err != nil {
			t.Fatal(err)
		}
		if v, err := n.VerifyPhone(t.Context(), c, "", name, p.ID, code); err != nil || v.Outcome != account.Accepted {
			t.Fatalf("verifying the phone: %+v, %v", v, err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no text comes")
	}
}

// kept is a backup's copy of what is kept of earlier settings, by key.
func (n *node) kept(t *testing.T) map[string][]byte {
	t.Helper()
	records := map[string][]byte{}
	err := n.raft.View(func(r cluster.Reader) error {
		return r.Scan([]byte("h/prior/"), nil, func(key, value []byte) bool {
			records[string(key)] = bytes.Clone(value)
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// TestE4_EarlierSettingsDieOnTime: given back within 14 days, whole and again to a request that is repeated; after that the
// key is destroyed in the module, with an entry, and a backup's copy opens nowhere.
func TestE4_EarlierSettingsDieOnTime(t *testing.T) {
	clock := &clock{}
	n := newNodeAt(t, clock.now)
	c := tenant(t)
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	n.verifyPhone(t, c, "alice")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	settings := bytes.Repeat([]byte("mother's maiden name?"), account.MaxSettings/21)
	request := appliance.ProtectRequest{Register: &appliance.DeviceRequest{PublicKey: public}, Settings: hsm.NewSecret(bytes.Clone(settings))}
	for what, bad := range map[string][]byte{"too long": make([]byte, account.MaxSettings+1), "empty": {}} {
		r := request
		r.Settings = hsm.NewSecret(bad)
		var invalid *appliance.InvalidError
		if _, err := n.Protect(t.Context(), c, "", "alice", r); !errors.As(err, &invalid) {
			t.Errorf("settings that are %s: %v", what, err)
		}
	}
	var on appliance.Protected
	eventually(t, func() error { on, err = n.Protect(t.Context(), c, "on", "alice", request); return err })
	for key, record := range n.kept(t) {
		if bytes.Contains(record, settings[:20]) || !strings.HasSuffix(key, c.Tenant+"\x00alice") {
			t.Errorf("the record %q holds them in clear, or is another's", key)
		}
	}
	token := on.Link.Token
	if _, err := n.Unprotect(t.Context(), c, "wrong", "alice", hsm.NewSecret([]byte("wrong"))); !errors.Is(err, appliance.ErrLink) {
		t.Errorf("a wrong token: %v", err)
	}
	clock.move(14*24*time.Hour - time.Minute)
	for range 2 {
		off, err := n.Unprotect(t.Context(), c, "off", "alice", token)
		if err != nil || off.Settings == nil || !bytes.Equal(off.Settings.Reveal(), settings) {
			t.Fatalf("the way back: %v", err)
		}
	}
	if _, err := n.Unprotect(t.Context(), c, "off", "alice", hsm.NewSecret([]byte("another"))); !errors.Is(err, appliance.ErrConflict) {
		t.Errorf("the request repeated with another token: %v", err)
	}

	// Once more, and too late this time.
	device := on.Device.ID
	eventually(t, func() error {
		on, err = n.Protect(t.Context(), c, "again", "alice", appliance.ProtectRequest{Own: device, Settings: hsm.NewSecret(bytes.Clone(settings))})
		return err
	})
	backup := n.kept(t)
	day := account.DayOf(account.Time(clock.now().UnixMilli()))
	clock.move(14*24*time.Hour + time.Second)
	if _, err := n.Unprotect(t.Context(), c, "late", "alice", on.Link.Token); !errors.Is(err, appliance.ErrPermanent) {
		t.Errorf("after 14 days: %v", err)
	}
	clock.move(24*time.Hour + 2*time.Minute)
	eventually(t, func() error {
		days, err := n.pool.DayKeys(t.Context())
		if err == nil && slices.ContainsFunc(days, func(d uint32) bool { return d <= day }) {
			err = fmt.Errorf("the keys of %v are still there", days)
		}
		return err
	})
	if left := n.kept(t); len(left) != 0 {
		t.Errorf("%d records are left", len(left))
	}
	opened := 0
	for key, raw := range backup {
		var record struct {
			Box   []byte `cbor:"1,keyasint"`
			Slots []struct {
				Node   string `cbor:"1,keyasint"`
				Sealed []byte `cbor:"2,keyasint"`
			} `cbor:"2,keyasint"`
		}
		if err := cbor.Unmarshal(raw, &record); err != nil || len(record.Slots) != 1 {
			t.Fatalf("the backup's %q: %v", key, err)
		}
		for d := day - 20; d <= day+20; d++ {
			if _, err := n.pool.OpenDay(t.Context(), d, record.Slots[0].Sealed); err == nil {
				opened++
			}
		}
	}
	if opened != 0 || len(backup) == 0 {
		t.Errorf("%d of a backup's %d records open after the end", opened, len(backup))
	}
	entries, err := n.LogEntries(t.Context(), 0, 512)
	if err != nil {
		t.Fatal(err)
	}
	log := string(bytes.Join(entries, []byte("\n")))
	for _, want := range []string{"create-prior-key", "destroy-prior-key", "open-earlier-settings", "turn-off-protection"} {
		if !strings.Contains(log, `"operation":"`+want+`"`) {
			t.Errorf("no entry says %s", want)
		}
	}
}
