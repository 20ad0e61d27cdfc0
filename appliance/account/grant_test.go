package account

import "testing"

// TestPasswordReset: P46, P48: a trusted device signs for it, and its front-end may do it once.
func TestPasswordReset(t *testing.T) {
	w := holder(t, "phone", "mac")
	w.policy.AllowAppPasswords = true
	w.want(Done, w.createAppPassword("mail", "mail"))
	w.want(NotFound, w.reset("s1", "phone", true))
	w.want(Done, w.begin("s0"))
	w.want(NotFound, w.reset("s0", "phone", true)) // it is for something else
	w.want(Done, w.beginReset("s1", "phone"))
	if told := w.last(); told.Kind != NoticeBegun || len(told.Devices) != 1 || told.Devices[0] != "mac" {
		t.Errorf("the other devices are told %+v", told)
	}
	w.want(NotFound, w.reset("s1", "none", true))
	w.want(NotEligible, w.reset("s1", "mac", true)) // it isn't at hand
	forged := w.reset("s1", "phone", true)
	forged.ResetPassword.Signature = w.sign("mac", ResetMessage("acme", "ann", w.state.SignIn("s1"), forged.ResetPassword))
	w.want(BadSignature, forged)
	turned := w.reset("s1", "phone", false)
	turned.ResetPassword.Present = true
	w.want(BadSignature, turned)
	w.policy.Reset.LocalPresence = true
	w.want(RefusedByPolicy, w.reset("s1", "phone", false))
	asked := w.reset("s1", "phone", true)
	w.want(Done, w.with(requestID(1), asked))
	w.is("s1", SignInVerified)
	if w.state.Fresh("s1", hour, w.now) {
		t.Error("the device vouched for itself: phones could be changed with that sign-in")
	}
	if !w.logged(opReset, `"key":"phone"`, `"subject":"s1"`) || !w.logged(opMakeGrant, `"key":"pepper"`) {
		t.Error("an entry is missing")
	}
	if r := w.want(Done, w.with(requestID(1), w.reset("s1", "phone", true))); !r.Replayed {
		t.Errorf("repeated: %+v", r)
	}
	replayed := *asked
	replayed.Request = RequestID{}
	w.want(Ended, &replayed)
	w.want(Wrong, w.redeem(GrantReset, false))
	right := w.redeem(GrantReset, true)
	if r := w.want(Done, w.with(requestID(2), w.redeem(GrantReset, true))); r.Credential != "phone" {
		t.Errorf("redeemed: %+v", r)
	}
	if len(w.state.AppPasswords.List) != 0 || !w.logged(opRedeemReset, "mail") {
		t.Error("app passwords outlive the password")
	}
	w.is("s0", SignInCancelled) // it was begun with the old one
	if told := w.last(); told.Kind != NoticePasswordReset || len(told.Devices) != 2 {
		t.Errorf("the devices are told %+v", told)
	}
	w.want(Done, w.with(requestID(2), w.redeem(GrantReset, true))) // repeated
	w.want(Wrong, right)                                           // used

	// Late, of a device that was removed, of a newer one's predecessor.
	again := func(signIn string) {
		w.want(Done, w.beginReset(signIn, "phone"))
		w.want(Done, w.reset(signIn, "phone", true))
	}
	again("s2")
	w.now += GrantLife - 1
	first := w.redeem(GrantReset, true)
	again("s3")
	w.want(Stale, first)
	last := w.redeem(GrantReset, true)
	w.now += GrantLife
	last.Time = w.now
	w.want(Expired, last)
	again("s4")
	last = w.redeem(GrantReset, true)
	w.want(Done, w.lose("phone", false))
	w.want(Wrong, last)
	w.want(NotFound, w.reset("s4", "phone", true))
}

// TestPasswordResetDenied: another device's no comes first; and a reset cancels a recovery, for its owner was seen.
func TestPasswordResetDenied(t *testing.T) {
	w := recovering(t, "phone", "mac")
	w.want(Done, w.beginReset("s1", "phone"))
	w.want(Done, w.decide("s1", "mac", false))
	w.want(Ended, w.reset("s1", "phone", true))
	w.recovery(RecoveryWaiting)
	w.want(Done, w.beginReset("s2", "phone"))
	w.want(Done, w.reset("s2", "phone", true))
	w.recovery(RecoveryCancelled)

	w = holder(t)
	w.policy.Platforms = []Platform{{Name: "tvOS", NoCodes: true}}
	tv := w.device("tv")
	tv.Enrol.Credential.Platform = "tvOS"
	w.want(Done, tv)
	w.want(Done, w.beginReset("s1", "tv"))
	w.want(NotEligible, w.reset("s1", "tv", true))
}

// TestPasswordResetByCode: P47, where policy lets it: a sign-in for a reset that was verified by a code, once, and soon.
func TestPasswordResetByCode(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101")
	byCode := func(id string) {
		w.now += hour
		w.want(Done, w.beginReset(id, ""))
		w.want(Done, w.send(id, "p1"))
		w.want(Accepted, w.enter(id, w.live(id, "phone/p1")))
	}
	byCode("s1")
	w.want(RefusedByPolicy, w.reset("s1", "", false))
	w.policy.Reset.ByCode = true
	w.want(Done, w.beginReset("s0", ""))
	w.want(StepUp, w.reset("s0", "", false))
	w.want(Done, w.reset("s1", "", false))
	w.want(Ended, w.reset("s1", "", false)) // once
	if r := w.want(Done, w.redeem(GrantReset, true)); r.Credential != "phone/p1" {
		t.Errorf("redeemed: %+v", r)
	}
	byCode("s2")
	w.now += GrantLife
	w.want(StepUp, w.reset("s2", "", false)) // long ago
	w.phone("p2", "+14155550102")
	byCode("s3")
	w.want(Done, w.reset("s3", "", false))
	right := w.redeem(GrantReset, true)
	w.want(Done, w.removePhone("p1"))
	w.want(Wrong, right)
	if (&ResetPassword{SignIn: "s", Random: make([]byte, GrantSize), Present: true}).wrong() == nil {
		t.Error("presence that nobody signed is taken")
	}
}

// TestGrantMessage: what the pepper MACs, byte by byte: tokens that are out there are over it.
func TestGrantMessage(t *testing.T) {
	g := &Grant{Purpose: GrantRecovery, By: "r1", Random: []byte("0123456789abcdef")}
	want := "\x00\x00\x00\x13strongroom/grant/v1\x00\x00\x00\x04acme\x00\x00\x00\x03ann\x00\x00\x00\x08recovery\x00\x00\x00\x02r1" +
		"\x00\x00\x00\x100123456789abcdef"
	if got := string(GrantMessage("acme", "ann", g)); got != want {
		t.Errorf("it is\n%q, not\n%q", got, want)
	}
	if got := g.Handle(); got != "a56281f1fde72f8a" {
		t.Errorf("its handle is %s", got)
	}
}

// wrong is what is wrong with it.
func (q *ResetPassword) wrong() error {
	return (&Command{Time: start, Tenant: "acme", Account: "ann", ResetPassword: q}).Validate()
}
