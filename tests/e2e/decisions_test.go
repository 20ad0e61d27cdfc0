package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// TestS3_DontAllowIsFinal: on every node and after the leader's death, with the right code of every channel.
func TestS3_DontAllowIsFinal(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	second := r.another(t, account)
	s := r.begin(t, 0, account)
	told := o.frontend.awaitType(t, account, wire.NoticeBegun)
	if place := told.data.Place; place == nil || place.Label != "Zürich, Switzerland" || !place.Approximate || place.AccuracyKM != 20 ||
		place.Latitude != 47.4 || place.Longitude != 8.5 {
		t.Errorf("the place is %+v", place)
	}
	code := p.read(t, s, r.decide(t, 0, account, s, p.decision(t, s, true)).Code)
	if d := r.decide(t, 1, account, s, second.decision(t, s, false)); d.SignIn.State != "denied" || d.Code != nil {
		t.Fatalf("denied: %+v", d)
	}
	o.frontend.awaitType(t, account, wire.NoticeDenied)
	dead := func(when string, nodes ...int) {
		t.Helper()
		for _, node := range nodes {
			shown, _ := second.seed.Code(time.Now())
			for name, c := range map[string]string{"pushed": code, "settings": shown} {
				if e := r.enter(t, node, account, s, c); e.Outcome != wire.Ended {
					t.Errorf("%s, node %d, %s code: %+v, want ended", when, node, name, e)
				}
			}
			if status := r.status(t, node, http.MethodPost, signInPath(account, s, "decisions"), p.decision(t, s, true)); status != http.StatusConflict {
				t.Errorf("%s, node %d: Allow after Don't Allow is answered %d", when, node, status)
			}
		}
	}
	dead("at once", r.nodes()...)
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	dead("after the leader was killed", (leader+1)%3, (leader+2)%3)
	r.powerOn(t, leader)
	r.ready(t)
	dead("after the leader came back", r.nodes()...)
}

// TestS3_NotMe: P68: Don't Allow with a signed reason ends the sign-in and alerts the front-end by a notice of its own; after
// three the devices are left in peace on every node, however many sign-ins are begun then.
func TestS3_NotMe(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	second := r.another(t, account)
	deny := func(by phone, s wire.SignIn, reason string) wire.DecisionRequest {
		d, err := by.key.Deny(by.about(s), reason, time.Now())
		check(t, err)
		return wire.DecisionRequest{Device: by.signIn.Device, Decision: "deny", Reason: d.Reason, TimeMS: d.TimeMS, Signature: d.Signature}
	}
	s := r.begin(t, 0, account)
	code := p.read(t, s, r.decide(t, 1, account, s, p.decision(t, s, true)).Code)
	forged := second.decision(t, s, false)
	forged.Reason = "not_me"
	taken := deny(second, s, "not_me")
	taken.Reason = "mistake"
	for node := range r.nodes() {
		for what, q := range map[string]wire.DecisionRequest{"given": forged, "changed": taken} {
			if status := r.status(t, node, http.MethodPost, signInPath(account, s, "decisions"), q); status != http.StatusForbidden {
				t.Errorf("node %d: a reason that the front-end has %s is answered %d", node, what, status)
			}
		}
	}
	if d := r.decide(t, 2, account, s, deny(second, s, "not_me")); d.SignIn.State != "denied" || d.SignIn.Reason != "not_me" {
		t.Fatalf("denied: %+v", d)
	}
	alert := o.frontend.awaitType(t, account, wire.NoticeNotMe)
	if alert.data.SignIn != s.ID || alert.data.Reason != "not_me" || alert.data.Credential != second.signIn.Device || alert.data.Place == nil ||
		!slices.Equal(alert.data.Devices, []string{p.signIn.Device, second.signIn.Device}) {
		t.Errorf("the alert is %+v", alert.data)
	}
	for node := range r.nodes() {
		if e := r.enter(t, node, account, s, code); e.Outcome != wire.Ended {
			t.Errorf("node %d: its code after: %+v", node, e)
		}
	}

	// The second one is asked why after it said no; the third says nothing.
	s = r.begin(t, 1, account)
	r.decide(t, 2, account, s, p.decision(t, s, false))
	if d := r.decide(t, 0, account, s, deny(p, s, "not_me")); d.SignIn.Reason != "not_me" {
		t.Errorf("asked after: %+v", d)
	}
	o.frontend.await(t, account, func(g received) bool { return g.notice.Type == wire.NoticeNotMe && g.data.SignIn == s.ID })
	s = r.begin(t, 2, account)
	r.decide(t, 0, account, s, p.decision(t, s, false))
	for n := range 9 {
		x := r.begin(t, n%3, account)
		told := o.frontend.await(t, account, func(g received) bool { return g.notice.Type == wire.NoticeBegun && g.data.SignIn == x.ID })
		if len(told.data.Devices) != 0 {
			t.Fatalf("%d sign-ins after three denials the devices are asked again", n+1)
		}
		r.do(t, (n+1)%3, http.MethodDelete, signInPath(account, x), nil, nil)
	}
}

// TestS3_DecisionsAreTheDevices: a front-end can't decide for a device, and no decision counts twice or elsewhere.
func TestS3_DecisionsAreTheDevices(t *testing.T) {
	r := power(t)
	withOutside(t, r)
	account, p := r.person(t)
	removed := r.another(t, account)
	s, other := r.begin(t, 0, account), r.begin(t, 0, account)
	refused := func(what string, want int, at wire.SignIn, q wire.DecisionRequest) {
		t.Helper()
		for node := range r.nodes() {
			if status := r.status(t, node, http.MethodPost, signInPath(account, at, "decisions"), q); status != want {
				t.Errorf("%s, node %d: %d, want %d", what, node, status, want)
			}
		}
	}
	forger, err := kit.NewKey()
	check(t, err)
	forged := phone{key: forger, signIn: p.signIn}
	refused("a front-end's own signature", http.StatusForbidden, s, forged.decision(t, s, true))
	turned := p.decision(t, s, false)
	turned.Decision = "allow"
	refused("Don't Allow turned into Allow", http.StatusForbidden, s, turned)
	refused("another sign-in's decision", http.StatusForbidden, other, p.decision(t, s, true))
	signed := removed.decision(t, s, true)
	r.do(t, 1, http.MethodDelete, "/v1/accounts/"+account+"/devices/"+removed.signIn.Device, nil, nil)
	refused("a removed device's decision", http.StatusNotFound, s, signed)

	// Its own sign-in is not a device's to decide.
	var own wire.SignIn
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+account+"/sign-ins", wire.SignInRequest{Own: p.signIn.Device}, &own)
	refused("its own sign-in", http.StatusForbidden, own, p.decision(t, own, true))
	shown, _ := p.seed.Code(time.Now())
	if e := r.enter(t, 0, account, own, shown); e.Outcome != wire.Wrong {
		t.Errorf("a device's code for its own sign-in: %+v", e)
	}

	// A replay changes nothing: the same code, once.
	allow := p.decision(t, s, true)
	code := p.read(t, s, r.decide(t, 0, account, s, allow).Code)
	for node := range r.nodes() {
		if again := p.read(t, s, r.decide(t, node, account, s, allow).Code); again != code {
			t.Error("a replayed decision made another code")
		}
	}
	if e := r.enter(t, 1, account, s, code); e.Outcome != wire.Accepted {
		t.Errorf("the code: %+v", e)
	}
	refused("a replay after the end", http.StatusConflict, s, allow)
}

// TestS2_TheCodeCanBeHadAgain by the device that allowed, and by nobody else.
func TestS2_TheCodeCanBeHadAgain(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	second := r.another(t, account)
	s := r.begin(t, 0, account)
	code := p.read(t, s, r.decide(t, 0, account, s, p.decision(t, s, true)).Code)
	fetch := func(who phone) wire.FetchCodeRequest {
		at, signature, err := who.key.Fetch(who.about(s), time.Now())
		check(t, err)
		return wire.FetchCodeRequest{TimeMS: at, Signature: signature}
	}
	for node := range r.nodes() {
		var again wire.SealedCode
		r.do(t, node, http.MethodPost, signInPath(account, s, "codes", p.signIn.Device), fetch(p), &again)
		if p.read(t, s, &again) != code {
			t.Error("it is another code")
		}
		for what, status := range map[string]int{
			"a device that has not allowed": r.status(t, node, http.MethodPost, signInPath(account, s, "codes", second.signIn.Device), fetch(second)),
			"another device's signature":    r.status(t, node, http.MethodPost, signInPath(account, s, "codes", p.signIn.Device), fetch(second)),
		} {
			if status < 400 {
				t.Errorf("%s, node %d: %d", what, node, status)
			}
		}
	}
	r.do(t, 0, http.MethodDelete, "/v1/accounts/"+account+"/devices/"+p.signIn.Device, nil, nil)
	for node := range r.nodes() {
		// PEERS.md 22.
		if status := r.status(t, node, http.MethodPost, signInPath(account, s, "codes", p.signIn.Device), fetch(p)); status != http.StatusNotFound {
			t.Errorf("node %d: a removed device is answered %d", node, status)
		}
		if e := r.enter(t, node, account, s, code); e.Outcome != wire.Wrong {
			t.Errorf("node %d: the code of a removed device: %+v", node, e)
		}
	}
}
