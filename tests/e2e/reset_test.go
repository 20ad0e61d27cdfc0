package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// reset is what the phone signs to reset the password.
func (p phone) reset(t *testing.T, s wire.SignIn, present bool) wire.ResetRequest {
	t.Helper()
	at, signature, err := p.key.AskReset(p.about(s), present, time.Now())
	check(t, err)
	q := wire.ResetRequest{SignIn: s.ID, Device: p.signIn.Device, Presence: wire.Absent, TimeMS: at, Signature: signature}
	if present {
		q.Presence = wire.Present
	}
	return q
}

func (r *rig) beginReset(t *testing.T, node int, account, own string) (s wire.SignIn) {
	t.Helper()
	r.do(t, node, http.MethodPost, "/v1/accounts/"+account+"/sign-ins", wire.SignInRequest{Purpose: wire.PurposePasswordReset, Own: own}, &s)
	return s
}

type resetGrant struct {
	Grant   string
	Expires time.Time
}

// TestA2_PasswordResetFromATrustedDevice: P46, P48: what the device signs gives its front-end one grant for one use, on every
// node; a front-end alone gets none.
func TestA2_PasswordResetFromATrustedDevice(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	withPolicy(t, r, recoveryPolicy)
	account, p := r.person(t)
	other, stranger := r.person(t)
	second := r.another(t, account)
	path := "/v1/accounts/" + account + "/password-resets"
	s := r.beginReset(t, 0, account, p.signIn.Device)
	if told := o.frontend.await(t, account, func(g received) bool { return g.data.SignIn == s.ID }); told.data.Purpose != wire.PurposePasswordReset ||
		!slices.Equal(told.data.Devices, []string{second.signIn.Device}) {
		t.Errorf("the other device is told %+v", told.data)
	}
	refused := func(what string, want int, q wire.ResetRequest) {
		t.Helper()
		for node := range r.nodes() {
			if status := r.status(t, node, http.MethodPost, path, q); status != want {
				t.Errorf("%s, node %d: %d, want %d", what, node, status, want)
			}
		}
	}
	forger, err := kit.NewKey()
	check(t, err)
	refused("a front-end's own signature", http.StatusForbidden, phone{key: forger, signIn: p.signIn}.reset(t, s, true))
	turned := p.reset(t, s, false)
	refused("a device that nobody unlocked", http.StatusForbidden, turned)
	turned.Presence = wire.Present
	refused("presence that it did not sign", http.StatusForbidden, turned)
	refused("a device that isn't at hand", http.StatusForbidden, second.reset(t, s, true))
	refused("another account's device", http.StatusNotFound, stranger.reset(t, s, true))
	refused("no device", http.StatusForbidden, wire.ResetRequest{SignIn: s.ID})
	plain := r.begin(t, 0, account)
	refused("a sign-in for something else", http.StatusNotFound, p.reset(t, plain, true))
	decision := p.decision(t, s, true)
	refused("another kind of signature", http.StatusForbidden, wire.ResetRequest{SignIn: s.ID, Device: p.signIn.Device, Presence: wire.Present, TimeMS: decision.TimeMS, Signature: decision.Signature})

	asked := p.reset(t, s, true)
	var grant, again resetGrant
	_, err = r.call(t.Context(), 0, http.MethodPost, path, "ask", asked, &grant)
	check(t, err)
	if len(grant.Grant) != 32 || time.Until(grant.Expires) > 15*time.Minute {
		t.Errorf("the grant has %d characters and lives until %v", len(grant.Grant), grant.Expires)
	}
	for node := range r.nodes() {
		_, err := r.call(t.Context(), node, http.MethodPost, path, "ask", asked, &again)
		check(t, err)
		if again != grant {
			t.Errorf("node %d gives another grant to the request repeated", node)
		}
	}
	refused("a replay", http.StatusConflict, asked)

	for what, ask := range map[string]struct{ path, grant string }{
		"a wrong grant": {path, strings.Repeat("a", 32)}, "another account's": {"/v1/accounts/" + other + "/password-resets", grant.Grant},
		"nobody's": {"/v1/accounts/nobody-" + account + "/password-resets", grant.Grant},
	} {
		if status := r.status(t, 1, http.MethodPost, ask.path+"/redemptions", map[string]string{"grant": ask.grant}); status != http.StatusForbidden {
			t.Errorf("%s is answered %d", what, status)
		}
	}
	var used wire.Redemption
	redeem := func(node int, key string) int {
		status, _ := r.call(t.Context(), node, http.MethodPost, path+"/redemptions", key, map[string]string{"grant": grant.Grant}, &used)
		return status
	}
	if status := redeem(1, "use"); status != http.StatusOK || used.Device != p.signIn.Device {
		t.Fatalf("redeemed: %d %+v", status, used)
	}
	for node := range r.nodes() {
		if status := redeem(node, "use"); status != http.StatusOK {
			t.Errorf("node %d: the request repeated is answered %d", node, status)
		}
		if status := redeem(node, ""); status != http.StatusForbidden {
			t.Errorf("node %d: its second use is answered %d", node, status)
		}
	}
	o.frontend.awaitType(t, account, wire.NoticePasswordReset)

	// P47: by any right code, only where policy lets it, and once.
	byCode := r.beginReset(t, 0, account, "")
	shown, _ := p.seed.Code(time.Now())
	ask := wire.ResetRequest{SignIn: byCode.ID}
	withPolicy(t, r, map[string]any{"password_reset": map[string]any{"by_code": true}})
	refused("before a code was typed", http.StatusForbidden, ask)
	r.enter(t, 1, account, byCode, shown)
	withPolicy(t, r, map[string]any{"password_reset": map[string]any{}})
	refused("where policy doesn't let it", http.StatusForbidden, ask)
	withPolicy(t, r, map[string]any{"password_reset": map[string]any{"by_code": true}})
	r.do(t, 2, http.MethodPost, path, ask, &again)
	refused("a second time", http.StatusConflict, ask)
	r.do(t, 0, http.MethodPost, path+"/redemptions", map[string]string{"grant": again.Grant}, &used)

	// Another device's no comes first.
	s = r.beginReset(t, 1, account, p.signIn.Device)
	r.decide(t, 2, account, s, second.decision(t, s, false))
	refused("denied by another device", http.StatusConflict, p.reset(t, s, true))
	for _, c := range r.rack.Chassis {
		searchTree(t, c.Dir(), map[string][]byte{"the grant": []byte(grant.Grant)})
	}
}

// TestA2_A3_TheLeaderDiesBetween asking and redeeming, and between a recovery's start, its evidence and its owner's no.
func TestA2_A3_TheLeaderDiesBetween(t *testing.T) {
	r := power(t)
	withOutside(t, r)
	withPolicy(t, r, recoveryPolicy)
	account, p := r.person(t)
	forgetful, q := r.person(t)
	s := r.startRecovery(t, 0, account)
	id := s.Recovery.ID
	path := "/v1/accounts/" + forgetful + "/password-resets"
	var grant resetGrant
	r.do(t, 0, http.MethodPost, path, q.reset(t, r.beginReset(t, 1, forgetful, q.signIn.Device), true), &grant)
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	alive := (leader + 1) % 3
	redeem := func(node int, key string) int {
		status, _ := r.call(t.Context(), node, http.MethodPost, path+"/redemptions", key, map[string]string{"grant": grant.Grant}, nil)
		return status
	}
	if status := redeem(alive, "use"); status != http.StatusOK {
		t.Errorf("the grant is answered %d", status)
	}
	if again := r.startRecovery(t, alive, account); again.Outcome != wire.Running || again.Recovery.ID != id || !again.Recovery.Ready.Equal(s.Recovery.Ready) {
		t.Errorf("started again: %+v", again)
	}
	confirmed := p.says(t, *s.Recovery, false)
	for range 2 {
		r.do(t, alive, http.MethodPost, recoveryPath(account, id, "evidence"), confirmed, nil)
	}
	r.powerOn(t, leader)
	r.ready(t)
	nearer := s.Recovery.Ready.Add(-120 * time.Hour)
	for node := range r.nodes() {
		if c := r.claim(t, node, account, id); c.Outcome != wire.NotYet || !c.RetryAt.Equal(nearer) {
			t.Errorf("node %d: claimed: %+v, want not-yet, at %v", node, c, nearer)
		}
		if status := redeem(node, "use"); status != http.StatusOK {
			t.Errorf("node %d: the redemption repeated is answered %d", node, status)
		}
		if status := redeem(node, ""); status != http.StatusForbidden {
			t.Errorf("node %d: the grant's second use is answered %d", node, status)
		}
	}
	r.do(t, leader, http.MethodPost, recoveryPath(account, id, "cancellations"), p.says(t, *s.Recovery, true), nil)
	for node := range r.nodes() {
		if x := r.recovery(t, node, account); x.State != wire.RecoveryCancelled {
			t.Errorf("node %d: %+v", node, x)
		}
	}
}

// accessActs does what there is to do about recoveries and password resets, and says which entries that must have left.
func (r *rig) accessActs(t *testing.T, act func(operation, key, subject, outcome string)) {
	t.Helper()
	withPolicy(t, r, recoveryPolicy)
	account, p := r.person(t)
	s := r.beginReset(t, 0, account, p.signIn.Device)
	path := "/v1/accounts/" + account + "/password-resets"
	var grant resetGrant
	r.do(t, 1, http.MethodPost, path, p.reset(t, s, true), &grant)
	act("grant-password-reset", p.signIn.Device, s.ID, "done")
	act("make-grant", "pepper", s.ID, "done")
	refused(t, r.as(r.clients[0], 0, http.MethodPost, path+"/redemptions", map[string]string{"grant": "x"}, nil))
	act("redeem-password-reset", "pepper", "", "wrong")
	r.do(t, 2, http.MethodPost, path+"/redemptions", map[string]string{"grant": grant.Grant}, nil)
	act("redeem-password-reset", "pepper", "", "done")

	x := *r.startRecovery(t, 0, account).Recovery
	act("start-recovery", "", x.ID, "done")
	r.do(t, 1, http.MethodPost, recoveryPath(account, x.ID, "evidence"), map[string]string{"kind": "email"}, nil)
	act("give-recovery-evidence", "", x.ID, "done")
	r.claim(t, 2, account, x.ID)
	act("grant-recovery", "", x.ID, "not-yet")
	refused(t, r.as(r.clients[0], 0, http.MethodPost, recoveryPath(account, x.ID, "completions"),
		map[string]any{"grant": "x", "new_device": wire.DeviceRequest{PublicKey: p.key.Public()}}, nil))
	act("redeem-recovery", "", x.ID, "wrong")
	refused(t, r.as(r.clients[0], 0, http.MethodPost, recoveryPath(account, x.ID, "codes"), wire.SendCodeRequest{Phone: "none", Channel: "text"}, nil))
	act("send-recovery-code", "", x.ID, "not-found")
	r.do(t, 0, http.MethodPost, recoveryPath(account, x.ID, "cancellations"), p.says(t, x, true), nil)
	act("cancel-recovery", p.signIn.Device, x.ID, "done")
	refused(t, r.as(r.clients[0], 0, http.MethodDelete, recoveryPath(account, x.ID), nil, nil))
	act("withdraw-recovery", "", x.ID, "ended")
}
