package appliance_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
)

// last is the digits of the newest code that was sent for an account; empty: none was.
func (h *hook) last(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	digits := ""
	for _, p := range h.got {
		if p.account == name {
			digits = regexp.MustCompile(`"(?:text|digits)":"([0-9 ]+)`).FindStringSubmatch(p.body)[1]
		}
	}
	return strings.ReplaceAll(strings.TrimSpace(digits), " ", "")
}

// On a real module: taken over, proved by the code that the gateway gets, a recovery key that is shown once, and moved.
func TestTwoStep(t *testing.T) {
	var ahead atomic.Int64 // of the clock, so that cool-downs and locks pass
	n, c := newNodeAt(t, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }), tenant(t)
	gateway := connect(t, n, c, "gateway")
	wait := func(d time.Duration) { ahead.Add(int64(d)) }
	if _, _, err := n.PutAccount(t.Context(), c, "", "ann", ""); err != nil {
		t.Fatal(err)
	}
	phones := []appliance.TwoStepPhone{{Number: "+14155550161", Label: "mine"}, {Number: "+14155550162"}}
	if _, _, err := n.ImportTwoStep(t.Context(), c, "", "ann", phones); !errors.Is(err, appliance.ErrPolicy) {
		t.Fatalf("without a policy: %v, want ErrPolicy", err)
	}
	if _, _, err := n.EnrolTwoStep(t.Context(), c, "", "ann", appliance.TwoStepRequest{Number: "+14155550161"}); !errors.Is(err, appliance.ErrTwoFactorFirst) {
		t.Fatalf("for somebody who can have two factors: %v, want ErrTwoFactorFirst", err)
	}
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, appliance.Policy{AllowTwoStepImport: true}); err != nil {
		t.Fatal(err)
	}
	info, created, err := n.ImportTwoStep(t.Context(), c, "once", "ann", phones)
	if err != nil || !created || !info.On || len(info.Phones) != 2 || info.Phones[1].Masked != "•••• •• 62" || !info.RecoveryKey.IsZero() {
		t.Fatalf("imported: %+v, %v, %v", info, created, err)
	}
	if _, created, err := n.ImportTwoStep(t.Context(), c, "", "ann", phones); err != nil || created {
		t.Errorf("imported again: %v, %v", created, err)
	}
	if _, err := n.MakeRecoveryKey(t.Context(), c, "", "ann"); !errors.Is(err, appliance.ErrStepUp) {
		t.Errorf("a key without a proof: %v, want ErrStepUp", err)
	}

	send := func(name string, voice bool) (digits string) {
		t.Helper()
		before := gateway.last(name)
		s, err := n.SendTwoStepCode(t.Context(), c, "", name, appliance.SendRequest{Voice: voice})
		if err != nil || s.Outcome != account.Done || len(s.Phones) == 0 || s.Phone != s.Phones[0].ID {
			t.Fatalf("sending: %+v, %v", s, err)
		}
		if name != "ann" {
			return ""
		}
		eventually(t, func() error {
			if digits = gateway.last(name); digits == before {
				return errors.New("no code came")
			}
			return nil
		})
		return digits
	}
	verify := func(name string, a appliance.TwoStepAttempt) appliance.Verification {
		t.Helper()
		v, err := n.VerifyTwoStep(t.Context(), c, "", name, a)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	short := func(digits string) appliance.TwoStepAttempt {
		t.Helper()
		code, err := otp.ParseShort(digits)
		if err != nil {
			t.Fatalf("a code of %d digits: %v", len(digits), err)
		}
		return appliance.TwoStepAttempt{Code: code}
	}
	digits := send("ann", true)
	v := verify("ann", short(digits))
	if v.Outcome != account.Accepted || v.Assurance != account.TwoStepLevel || v.Credential != "" {
		t.Fatalf("the code that was sent: %+v", v)
	}
	entries, err := n.LogEntries(t.Context(), v.Entry, 1)
	if err != nil || !strings.Contains(string(entries[0]), `"operation":"verify-two-step","key":"code","subject":"`+info.Phones[0].ID+`","key_version":1,"macs":1,"outcome":"accepted"`) {
		t.Errorf("the entry is %s, %v", entries, err)
	}
	if v := verify("ann", short(digits)); v.Outcome != account.Ended {
		t.Errorf("the same code again: %+v", v)
	}

	made, err := n.MakeRecoveryKey(t.Context(), c, "key", "ann")
	if err != nil || made.Key.Secret == nil {
		t.Fatalf("making a key: %+v, %v", made, err)
	}
	key := string(made.Key.Grouped().Reveal())
	if again, err := n.MakeRecoveryKey(t.Context(), c, "key", "ann"); err != nil || again.Key.Secret != nil || again.Entry != made.Entry {
		t.Errorf("the same request again: %+v, %v; want the same without the key", again, err)
	}
	parsed, err := appliance.ParseRecoveryKey(strings.ToLower(key))
	if err != nil {
		t.Fatal(err)
	}
	// Who has none, or is none, is answered like whoever has one and mistypes it.
	if _, _, err := n.PutAccount(t.Context(), c, "", "bob", ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bob", "nobody"} {
		send(name, false)
		if v := verify(name, short("1234")); v.Outcome != account.Wrong {
			t.Errorf("%s's code: %+v", name, v)
		}
		if v := verify(name, appliance.TwoStepAttempt{Key: parsed}); v.Outcome != account.Locked {
			t.Errorf("%s after a wrong code: %+v", name, v)
		}
	}
	wait(time.Minute)
	for _, name := range []string{"bob", "nobody"} {
		v := verify(name, appliance.TwoStepAttempt{Key: parsed})
		entries, err := n.LogEntries(t.Context(), v.Entry, 1)
		if v.Outcome != account.Wrong || err != nil || !strings.Contains(string(entries[0]), `"macs":1,"outcome":"wrong"`) {
			t.Errorf("%s's: %+v, %s, %v", name, v, entries, err)
		}
	}
	if v := verify("ann", appliance.TwoStepAttempt{Key: parsed}); v.Outcome != account.Accepted || v.Assurance != account.TwoStepLevel {
		t.Errorf("the recovery key: %+v", v)
	}

	// A wrong code locks for a minute, and the code is dead.
	wait(time.Minute)
	digits = send("ann", false)
	if v := verify("ann", short(otherThan(digits))); v.Outcome != account.Wrong {
		t.Errorf("a wrong code: %+v", v)
	}
	if v := verify("ann", short(digits)); v.Outcome != account.Locked || v.RetryAt.IsZero() {
		t.Errorf("after a wrong code: %+v", v)
	}
	wait(time.Minute)
	if v := verify("ann", short(digits)); v.Outcome != account.Ended {
		t.Errorf("the code that was guessed at: %+v", v)
	}
	_, public := newDeviceKey(t)
	request := appliance.ProtectRequest{Register: &appliance.DeviceRequest{PublicKey: public, Name: "phone"}}
	if _, err := n.Protect(t.Context(), c, "", "ann", request); !errors.Is(err, appliance.ErrTwoStepOn) {
		t.Errorf("P26: protection is answered %v, want ErrTwoStepOn", err)
	}
	request.Move = true
	if _, err := n.Protect(t.Context(), c, "", "ann", request); !errors.Is(err, appliance.ErrPhoneNeeded) {
		t.Errorf("moving without a phone: %v, want ErrPhoneNeeded", err)
	}
	if v := verify("ann", short(send("ann", false))); v.Outcome != account.Accepted {
		t.Fatalf("a right code: %+v", v)
	}
	if err := n.EndTwoStep(t.Context(), c, "", "ann"); err != nil {
		t.Errorf("turning it off: %v", err)
	}
	if got, err := n.TwoStep(t.Context(), c, "ann"); err != nil || got.On || len(got.Phones) != 0 {
		t.Errorf("turned off: %+v, %v", got, err)
	}
	if v := verify("ann", appliance.TwoStepAttempt{Key: parsed}); v.Outcome != account.Wrong {
		t.Errorf("the key of before: %+v", v)
	}
}

// otherThan is a code that is not this one.
func otherThan(digits string) string {
	if digits == "0000" {
		return "0001"
	}
	return fmt.Sprintf("%04d", 0)
}
