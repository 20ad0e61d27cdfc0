package appliance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/device"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

const days = 24 * time.Hour

// allowRecovery sets a tenant's policy: two weeks, three days at least.
func (n *node) allowRecovery(t *testing.T, c appliance.Caller) {
	t.Helper()
	err := n.SetPolicy(t.Context(), operator, c.Tenant, appliance.Policy{
		Recovery: account.RecoveryPolicy{Allow: true, WaitDays: 14, FloorDays: 3, Shorten: account.Weights{PhoneCode: 24 * 5, Email: 24 * 8}},
		Reset:    account.ResetPolicy{LocalPresence: true}, AllowAppPasswords: true,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// newest is the newest notice of a kind that was posted; it waits for one.
func (h *hook) newest(t *testing.T, kind string) (body string) {
	t.Helper()
	eventually(t, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, p := range h.got {
			if p.kind == kind {
				body = p.body
			}
		}
		if body == "" {
			return fmt.Errorf("no %s came", kind)
		}
		return nil
	})
	return body
}

// TestA3_TheWholeWay: from the start, over evidence that shortens the wait to its floor, to a new device, with the days that
// a real rack can't wait. Nothing that can be redeemed is on a disk or in a backup.
func TestA3_TheWholeWay(t *testing.T) {
	clock := &clock{}
	n := newNodeAt(t, clock.now)
	c := tenant(t)
	n.allowRecovery(t, c)
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	n.verifyPhone(t, c, "alice")
	key, public := newDeviceKey(t)
	old, err := n.EnrolDevice(t.Context(), c, "", "alice", "", appliance.DeviceRequest{PublicKey: public, Name: "lost"})
	if err != nil {
		t.Fatal(err)
	}
	mail, err := n.CreateAppPassword(t.Context(), c, "", "alice", appliance.AppPasswordRequest{Label: "Mail"})
	if err != nil {
		t.Fatal(err)
	}
	gateway, frontend := connect(t, n, c, "gateway"), connect(t, n, c, "frontend")

	started, err := n.StartRecovery(t.Context(), c, "start", "alice")
	if err != nil || started.Outcome != account.Done {
		t.Fatalf("started: %+v, %v", started, err)
	}
	r := started.Recovery
	if r.State != account.RecoveryWaiting || r.Ready.Sub(r.Started) != 14*days || r.Floor.Sub(r.Started) != 3*days || len(r.Helps) != 4 || len(r.Phones) != 1 {
		t.Errorf("it is %+v", r)
	}
	if body := frontend.newest(t, "recovery.started"); !strings.Contains(body, `"devices":["`+old.ID+`"]`) || !strings.Contains(body, r.Phones[0].ID) {
		t.Errorf("the front-end is told %s", body)
	}
	if body := gateway.newest(t, "phone.tell"); !strings.Contains(body, `"to":"+14155550101"`) || !strings.Contains(body, "can be completed from "+r.Ready.Format("2 January 2006")) {
		t.Errorf("the phone is told %s", body)
	}
	for range 2 { // a second start, and the first one's repetition
		again, err := n.StartRecovery(t.Context(), c, "", "alice")
		if err != nil || again.Outcome != account.Exists || again.Recovery.ID != r.ID || !again.Recovery.Ready.Equal(r.Ready) {
			t.Errorf("started again: %+v, %v", again, err)
		}
	}

	claim := func(want account.Outcome) appliance.ClaimedRecovery {
		t.Helper()
		got, err := n.ClaimRecovery(t.Context(), c, "", "alice", r.ID)
		if err != nil || got.Outcome != want {
			t.Fatalf("claimed: %+v, %v; want %v", got, err, want)
		}
		return got
	}
	claim(account.NotYet)
	clock.move(time.Minute) // between two codes to one number
	if s, err := n.SendRecoveryCode(t.Context(), c, "", "alice", r.ID, appliance.SendRequest{Phone: r.Phones[0].ID}); err != nil || s.Outcome != account.Done {
		t.Fatalf("sending: %+v, %v", s, err)
	}
	var job struct{ Data struct{ Text string } }
	if err := json.Unmarshal([]byte(gateway.newest(t, "code.send")), &job); err != nil || !strings.Contains(job.Data.Text, "recovery") {
		t.Fatalf("sent is %+v, %v", job, err)
	}
	right, err := otp.ParseCode(job.Data.Text[:6])
	if err != nil {
		t.Fatal(err)
	}
	wrong, _ := otp.ParseCode(fmt.Sprintf("%06d", (int(job.Data.Text[0]-'0')+1)%10*100_000+int(job.Data.Text[5]-'0')))
	prove := func(p appliance.RecoveryProof, want account.Outcome, ready time.Duration) {
		t.Helper()
		got, err := n.GiveEvidence(t.Context(), c, "", "alice", r.ID, p)
		if err != nil || got.Outcome != want || got.Recovery.Ready.Sub(got.Recovery.Started) != ready {
			t.Fatalf("proved: %+v, %v", got, err)
		}
	}
	prove(appliance.RecoveryProof{Kind: account.PhoneCodeEvidence, Code: wrong}, account.Wrong, 14*days)
	prove(appliance.RecoveryProof{Kind: account.PhoneCodeEvidence, Code: right}, account.Accepted, 9*days)
	prove(appliance.RecoveryProof{Kind: account.PhoneCodeEvidence, Code: right}, account.Ended, 9*days)
	prove(appliance.RecoveryProof{Kind: account.EmailEvidence}, account.Accepted, 3*days)
	frontend.newest(t, "recovery.shortened")

	clock.move(r.Floor.Sub(clock.now()) - time.Minute)
	claim(account.NotYet)
	clock.move(2 * time.Minute)
	first := claim(account.Done)
	grant := claim(account.Done).Granted // the answer was lost
	frontend.newest(t, "recovery.granted")
	_, newPublic := newDeviceKey(t)
	complete := func(key, id string, token *hsm.Secret, public []byte) (appliance.EnrolledDevice, error) {
		return n.CompleteRecovery(t.Context(), c, key, "alice", id, token, appliance.DeviceRequest{PublicKey: public, Name: "new"})
	}
	for what, token := range map[string]*hsm.Secret{"the first grant": first.Granted.Token, "no grant": hsm.NewSecret([]byte("x"))} {
		if _, err := complete("", r.ID, token, newPublic); !errors.Is(err, appliance.ErrGrant) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := complete("", "another", grant.Token, newPublic); !errors.Is(err, appliance.ErrGrant) {
		t.Errorf("another recovery's: %v", err)
	}
	n.neverKept(t, grant.Token.Reveal(), []byte(job.Data.Text[:6]+" speaks"))
	for range 2 {
		bound, err := complete("complete", r.ID, grant.Token, newPublic)
		if err != nil || len(bound.Envelope.Wrapped) == 0 {
			t.Fatalf("completed: %v", err)
		}
	}
	if _, err := complete("", r.ID, grant.Token, newPublic); !errors.Is(err, appliance.ErrGrant) {
		t.Errorf("a second time: %v", err)
	}
	info, err := n.Account(t.Context(), c, "alice")
	if err != nil || len(info.Credentials) != 1 || info.Credentials[0].Name != "new" {
		t.Errorf("the account is %+v, %v", info, err)
	}
	if v, err := n.VerifyAppPassword(t.Context(), c, "", "alice", appliance.AppPasswordAttempt{Password: mail.Password}); err != nil || v.Outcome != account.Wrong {
		t.Errorf("an app password outlives it: %+v, %v", v, err)
	}
	seed, err := hsm.OpenEnvelope(key, old.Binding, old.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := n.Verify(t.Context(), c, "", "alice", appliance.VerifyRequest{Code: code(t, seed.Reveal(), clock.now())}); err != nil || v.Outcome != account.Wrong {
		t.Errorf("the lost device's code: %+v, %v", v, err)
	}
	if got, err := n.Recovery(t.Context(), c, "alice"); err != nil || got.State != account.RecoveryCompleted {
		t.Errorf("it is %+v, %v", got, err)
	}
	n.acts(t, "start-recovery", "send-recovery-code", "give-recovery-evidence", "grant-recovery", "make-grant", "redeem-recovery", "enrol-device")
}

// neverKept looks for secrets in all that the state and the log hold.
func (n *node) neverKept(t *testing.T, secrets ...[]byte) {
	t.Helper()
	look := func(where string, b []byte) {
		for i, secret := range secrets {
			if bytes.Contains(b, secret) {
				t.Errorf("secret %d is in %s", i, where)
			}
		}
	}
	err := n.raft.View(func(r cluster.Reader) error {
		return r.Scan(nil, nil, func(key, value []byte) bool {
			look(string(key), value)
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := n.LogEntries(t.Context(), 0, 512)
	if err != nil {
		t.Fatal(err)
	}
	look("the log", bytes.Join(entries, []byte("\n")))
}

// acts checks that each has an entry.
func (n *node) acts(t *testing.T, operations ...string) {
	t.Helper()
	entries, err := n.LogEntries(t.Context(), 0, 512)
	if err != nil {
		t.Fatal(err)
	}
	log := string(bytes.Join(entries, []byte("\n")))
	for _, want := range operations {
		if !strings.Contains(log, `"operation":"`+want+`"`) {
			t.Errorf("no entry says %s", want)
		}
	}
}

// TestA3_CancelledInTheLastSecond of the wait, by a device; after that there is peace for as long as policy says.
func TestA3_CancelledInTheLastSecond(t *testing.T) {
	clock := &clock{}
	n := newNodeAt(t, clock.now)
	c := tenant(t)
	n.allowRecovery(t, c)
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	key, err := device.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	d, err := n.EnrolDevice(t.Context(), c, "", "alice", "", appliance.DeviceRequest{PublicKey: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	started, err := n.StartRecovery(t.Context(), c, "", "alice")
	if err != nil {
		t.Fatal(err)
	}
	r := started.Recovery
	clock.move(r.Ready.Sub(clock.now()) - 3*time.Second)
	no := func(cancel bool) appliance.RecoveryProof {
		x := device.Recovery{Tenant: c.Tenant, Account: "alice", ID: r.ID, Nonce: r.Nonce, Device: d.ID}
		sign := key.ConfirmRecovery
		if cancel {
			sign = key.CancelRecovery
		}
		at := time.Now()
		_, signature, err := sign(x, at)
		if err != nil {
			t.Fatal(err)
		}
		return appliance.RecoveryProof{Kind: account.DeviceEvidence, Device: d.ID, Time: at, Signature: signature}
	}
	if _, err := n.CancelRecovery(t.Context(), c, "", "alice", r.ID, no(false)); !errors.Is(err, appliance.ErrSignature) {
		t.Errorf("cancelled by a yes: %v", err)
	}
	got, err := n.CancelRecovery(t.Context(), c, "", "alice", r.ID, no(true))
	if err != nil || got.Outcome != account.Accepted || got.Recovery.State != account.RecoveryCancelled {
		t.Fatalf("cancelled: %+v, %v", got, err)
	}
	clock.move(time.Minute)
	if claimed, err := n.ClaimRecovery(t.Context(), c, "", "alice", r.ID); err != nil || claimed.Outcome != account.Ended {
		t.Errorf("claimed after it: %+v, %v", claimed, err)
	}
	again, err := n.StartRecovery(t.Context(), c, "", "alice")
	if err != nil || again.Outcome != account.TooSoon || again.RetryAt.Sub(got.Recovery.Ended) != 7*days {
		t.Errorf("started again: %+v, %v", again, err)
	}
	clock.move(7 * days)
	if again, err = n.StartRecovery(t.Context(), c, "", "alice"); err != nil || again.Outcome != account.Done {
		t.Errorf("started after the pause: %+v, %v", again, err)
	}
}

// TestA2_LateGrants: a grant is dead a moment after its time, and the front-end of another tenant never has one.
func TestA2_LateGrants(t *testing.T) {
	clock := &clock{}
	n := newNodeAt(t, clock.now)
	c, other := tenant(t), tenant(t)
	n.allowRecovery(t, c)
	key, err := device.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	var d appliance.EnrolledDevice
	for _, tenant := range []appliance.Caller{other, c} { // the same key and name, elsewhere too
		if _, _, err := n.PutAccount(t.Context(), tenant, "", "alice", ""); err != nil {
			t.Fatal(err)
		}
		if d, err = n.EnrolDevice(t.Context(), tenant, "", "alice", "", appliance.DeviceRequest{PublicKey: key.Public()}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() (*hsm.Secret, error) {
		t.Helper()
		s, err := n.BeginSignIn(t.Context(), c, "", "alice", appliance.BeginRequest{Purpose: account.ForPasswordReset, Own: d.ID})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		_, signature, err := key.AskReset(device.SignIn{Tenant: c.Tenant, Account: "alice", ID: s.ID, Nonce: s.Nonce, Device: d.ID}, true, at)
		if err != nil {
			t.Fatal(err)
		}
		g, err := n.GrantReset(t.Context(), c, s.ID, "alice", appliance.ResetRequest{SignIn: s.ID, Device: d.ID, Present: true, Time: at, Signature: signature})
		if err != nil {
			return nil, err
		}
		same, err := n.GrantReset(t.Context(), c, s.ID, "alice", appliance.ResetRequest{SignIn: s.ID, Device: d.ID, Present: true, Time: at, Signature: signature})
		if err != nil || !bytes.Equal(same.Token.Reveal(), g.Token.Reveal()) || len(g.Token.Reveal()) != 32 {
			t.Errorf("the request repeated: %v", err)
		}
		return g.Token, nil
	}
	token, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.RedeemReset(t.Context(), other, "", "alice", token); !errors.Is(err, appliance.ErrGrant) {
		t.Errorf("by another tenant: %v", err)
	}
	clock.move(15*time.Minute + time.Second)
	if _, err := n.RedeemReset(t.Context(), c, "", "alice", token); !errors.Is(err, appliance.ErrGrant) {
		t.Errorf("late: %v", err)
	}
	if token, err = ask(); err != nil {
		t.Fatal(err)
	}
	clock.move(14 * time.Minute)
	if r, err := n.RedeemReset(t.Context(), c, "", "alice", token); err != nil || r.Device != d.ID {
		t.Errorf("in time: %+v, %v", r, err)
	}
	if _, err := n.RedeemReset(t.Context(), c, "", "alice", token); !errors.Is(err, appliance.ErrGrant) {
		t.Errorf("twice: %v", err)
	}
	n.acts(t, "grant-password-reset", "make-grant", "redeem-password-reset")
}
