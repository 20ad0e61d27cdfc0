package appliance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// texts are the jobs that came for an account, by type.
func (h *hook) texts(name, kind string) (jobs []struct{ Phone, To, Text string }) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.got {
		var job struct {
			Data struct{ Phone, To, Text string }
		}
		if p.account == name && p.kind == kind && json.Unmarshal([]byte(p.body), &job) == nil {
			jobs = append(jobs, job.Data)
		}
	}
	return jobs
}

// sendCode has a number's code sent, and reads it.
func (n *node) sendCode(t *testing.T, c appliance.Caller, h *hook, name, number string) (phone string, code otp.Code) {
	t.Helper()
	p, err := n.AddPhone(t.Context(), c, "", name, appliance.PhoneRequest{Number: number})
	if err == nil {
		_, err = n.SendPhoneCode(t.Context(), c, "", name, p.ID, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		for _, job := range h.texts(name, "code.send") {
			if job.Phone == p.ID {
				code, err = otp.ParseCode(job.Text[:6])
				return err
			}
		}
		return errors.New("no text comes")
	})
	return p.ID, code
}

// TestE5_TheCodeTurnsItOnWithSettings: P23: what the front-end wants back is kept in the same step too, and only then.
func TestE5_TheCodeTurnsItOnWithSettings(t *testing.T) {
	n, c := newNode(t), tenant(t)
	h := connect(t, n, c, "gateway")
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	phone, code := n.sendCode(t, c, h, "alice", "+14155550101")
	_, public := newDeviceKey(t)
	settings := []byte("Question: the first pet?")
	request := func() appliance.ProtectRequest {
		return appliance.ProtectRequest{Register: &appliance.DeviceRequest{PublicKey: public}, Settings: hsm.NewSecret(bytes.Clone(settings))}
	}
	wrong, err := otp.ParseCode(map[bool]string{true: "000000", false: "111111"}[code.Reveal() != "000000"])
	if err != nil {
		t.Fatal(err)
	}
	v, on, err := n.VerifyPhoneAndProtect(t.Context(), c, "", "alice", phone, wrong, request())
	if err != nil || v.Outcome != account.Wrong || on != nil || len(n.kept(t)) != 0 {
		t.Errorf("a wrong code: %+v %+v %v, and %d settings are kept", v, on, err, len(n.kept(t)))
	}
	var invalid *appliance.InvalidError
	bad := request()
	bad.Register.PublicKey = []byte("no key")
	if _, _, err := n.VerifyPhoneAndProtect(t.Context(), c, "", "alice", phone, code, bad); !errors.As(err, &invalid) {
		t.Errorf("a key that is none: %v", err)
	}
	for what, err := range map[string]error{
		"no such phone":   verifyAndProtect(n, t, c, "none", code, request()),
		"no such account": verifyAndProtect(n, t, appliance.Caller{Identity: c.Identity, Role: c.Role, Tenant: "other"}, phone, code, request()),
		"no such device":  verifyAndProtect(n, t, c, phone, code, appliance.ProtectRequest{Own: "none"}),
	} {
		if !errors.Is(err, appliance.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	second, later := n.sendCode(t, c, h, "alice", "+14155550102")
	eventually(t, func() error { // a new node makes its key of the day first
		v, on, err = n.VerifyPhoneAndProtect(t.Context(), c, "on", "alice", phone, code, request())
		return err
	})
	if v.Outcome != account.Accepted || on == nil || on.Link == nil || on.Device == nil || on.Mode != account.TwoFactor || v.Credential != "" {
		t.Fatalf("the code: %+v %+v", v, on)
	}
	if _, _, err := n.VerifyPhoneAndProtect(t.Context(), c, "", "alice", phone, code, request()); !errors.Is(err, appliance.ErrExists) {
		t.Errorf("once more: %v", err)
	}
	if _, err := n.VerifyPhone(t.Context(), c, "", "alice", phone, code); !errors.Is(err, appliance.ErrExists) {
		t.Errorf("a verified phone's code: %v", err)
	}
	if _, _, err := n.VerifyPhoneAndProtect(t.Context(), c, "", "alice", second, later, request()); !errors.Is(err, appliance.ErrProtected) {
		t.Errorf("where it is on: %v", err)
	}
	off, err := n.Unprotect(t.Context(), c, "", "alice", on.Link.Token)
	if err != nil || off.Settings == nil || !bytes.Equal(off.Settings.Reveal(), settings) {
		t.Errorf("back again: %+v %v", off, err)
	}
}

func verifyAndProtect(n *node, t *testing.T, c appliance.Caller, phone string, code otp.Code, r appliance.ProtectRequest) error {
	_, _, err := n.VerifyPhoneAndProtect(t.Context(), c, "", "alice", phone, code, r)
	return err
}

// TestE5_AnOldMessageIsNotSent: P36: a gateway that is back after a night still tells; after a day it is of no use.
func TestE5_AnOldMessageIsNotSent(t *testing.T) {
	clock := &clock{}
	n := newNodeAt(t, clock.now)
	c := tenant(t)
	h := connect(t, n, c, "gateway")
	policy := appliance.Policy{SignInPolicy: account.SignInPolicy{TellPhones: true}}
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, policy); err != nil {
		t.Fatal(err)
	}
	for name, away := range map[string]time.Duration{"alice": 23 * time.Hour, "bob": 25 * time.Hour} {
		if _, _, err := n.PutAccount(t.Context(), c, "", name, ""); err != nil {
			t.Fatal(err)
		}
		var phones []string
		for _, number := range []string{"+14155550101", "+14155550102"} {
			phone, code := n.sendCode(t, c, h, name, number)
			if v, err := n.VerifyPhone(t.Context(), c, "", name, phone, code); err != nil || v.Outcome != account.Accepted {
				t.Fatalf("%+v %v", v, err)
			}
			phones = append(phones, phone)
		}
		h.set(name, true)
		if err := n.RemovePhone(t.Context(), c, "", name, phones[0], ""); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if list, _, err := n.Outboxes(t.Context(), operator, c.Tenant); err != nil || list[1].Waiting != 2 || list[1].Failure == "" {
				return fmt.Errorf("the outbox is %+v, %w", list, err)
			}
			return nil
		})
		clock.move(away)
		h.set(name, false)
		eventually(t, func() error {
			if list, _, err := n.Outboxes(t.Context(), operator, c.Tenant); err != nil || list[1].Waiting != 0 {
				return fmt.Errorf("the outbox is %+v, %w", list, err)
			}
			return nil
		})
		var told []string
		for _, m := range h.texts(name, "phone.tell") {
			told = append(told, m.To)
			if strings.Contains(m.Text, "•••• •• 01") != (m.Phone == phones[1]) || strings.Contains(m.Text, name) {
				t.Errorf("%s is told %q", m.To, m.Text)
			}
		}
		want := []string{"+14155550101", "+14155550102"}
		if away > 24*time.Hour {
			want = nil
		}
		if !slices.Equal(told, want) {
			t.Errorf("after %v told are %q", away, told)
		}
	}
}

// TestE6_SeenOnceAnHour: P38: of a device that reports itself with every request there is an entry an hour.
func TestE6_SeenOnceAnHour(t *testing.T) {
	clock := &clock{}
	n := newNodeAt(t, clock.now)
	c := tenant(t)
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	_, public := newDeviceKey(t)
	d, err := n.EnrolDevice(t.Context(), c, "", "alice", "", appliance.DeviceRequest{PublicKey: public})
	if err != nil || d.Presence != account.PresenceUnknown || !d.LastSeen.IsZero() {
		t.Fatalf("%+v %v", d, err)
	}
	report := func(signedIn bool) appliance.CredentialInfo {
		t.Helper()
		i, err := n.ReportPresence(t.Context(), c, "", "alice", d.ID, signedIn)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	entries := func() (count int) {
		all, err := n.LogEntries(t.Context(), 0, 512)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if strings.Contains(string(e), "report-device-signed-") {
				count++
			}
		}
		return count
	}
	first := report(true)
	if first.Presence != account.SignedIn || first.Since.IsZero() || !first.LastSeen.Equal(first.Since) {
		t.Errorf("%+v", first)
	}
	for range 3 {
		for range 5 {
			clock.move(11 * time.Minute)
			report(true)
		}
		clock.move(6 * time.Minute)
		if i := report(true); !i.Since.Equal(first.Since) || i.LastSeen.Sub(first.LastSeen) < time.Hour {
			t.Errorf("after an hour: %+v", i)
		}
	}
	if got := entries(); got != 4 {
		t.Errorf("three hours have %d entries", got)
	}
	out := report(false)
	clock.move(time.Hour)
	if again := report(false); out.Presence != account.SignedOut || !again.Since.Equal(out.Since) || !again.LastSeen.Equal(out.LastSeen) {
		t.Errorf("signed out: %+v, and an hour after %+v", out, again)
	}
	for device, name := range map[string]string{"none": "alice", d.ID: "nobody"} {
		if _, err := n.ReportPresence(t.Context(), c, "", name, device, true); !errors.Is(err, appliance.ErrNotFound) {
			t.Errorf("%s of %s: %v", device, name, err)
		}
	}
	if got := entries(); got != 5 {
		t.Errorf("at the end there are %d entries", got)
	}
}
