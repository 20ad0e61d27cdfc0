package account

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestRecovery: from its start to a new device, with all that are told of it.
func TestRecovery(t *testing.T) {
	w := recovering(t, "phone", "mac")
	w.policy.AllowAppPasswords = true
	w.want(Done, w.createAppPassword("mail", "mail"))
	started := w.state.Access.Recovery.Started
	notice := w.told(0, NoticeRecoveryStarted)
	if len(notice) != 1 || !slices.Equal(notice[0].Devices, []string{"phone", "mac"}) || !slices.Equal(notice[0].Phones, []string{"p1", "p2"}) ||
		notice[0].Ready != started+14*day || notice[0].Recovery != "r1" {
		t.Errorf("at its start, devices are told %+v", notice)
	}
	texts := w.told(0, NoticeTell)
	if len(texts) != 2 || texts[0].Number == texts[1].Number || texts[0].ID == texts[1].ID || texts[0].About != NoticeRecoveryStarted {
		t.Errorf("at its start, phones are told %+v", texts)
	}
	if !w.logged(opStartRecovery, `"subject":"r1"`, fmt.Sprintf("ready %d", started+14*day)) {
		t.Error("its entry doesn't say when it is ready")
	}
	if r := w.want(NotYet, w.claim()); r.RetryAt != started+14*day {
		t.Errorf("claimed at once: %+v", r)
	}
	w.want(Done, w.says(PasswordEvidence))
	w.now = started + 13*day - second
	if r := w.want(NotYet, w.claim()); r.RetryAt != started+13*day {
		t.Errorf("claimed a second before: %+v", r)
	}
	w.now += second
	w.recovery(RecoveryReady)
	before := len(w.notices)
	w.want(Done, w.with(requestID(1), w.claim()))
	w.want(Done, w.with(requestID(1), w.claim())) // repeated
	if len(w.told(before, NoticeRecoveryGranted)) != 1 || len(w.told(before, NoticeTell)) != 2 {
		t.Errorf("at its end they are told %+v", w.notices[before:])
	}
	w.want(Wrong, w.rebind("new", false))
	unmade := w.rebind("new", true)
	unmade.RedeemGrant.Device = nil
	w.want(Stale, unmade)
	old := w.rebind("new", true)
	before = len(w.notices)
	if r := w.want(Done, w.with(requestID(2), w.rebind("new", true))); r.Credential != "new" {
		t.Errorf("the answer is %+v", r)
	}
	w.recovery(RecoveryCompleted)
	if len(w.state.Credentials) != 1 || w.state.Find("new") == nil || len(w.state.AppPasswords.List) != 0 || w.state.VerifiedPhones() != 2 {
		t.Errorf("the account has %+v", w.state)
	}
	if done := w.told(before, NoticeRecoveryCompleted); len(done) != 1 || !slices.Equal(done[0].Devices, []string{"phone", "mac"}) {
		t.Errorf("its completion is told to %+v", done)
	}
	for _, texts := range [][]string{{opRedeemRecovery, `"key":"pepper"`, "phone mac"}, {opSealed, `"key":"new"`}} {
		if !w.logged(texts...) {
			t.Errorf("no entry has %q", texts)
		}
	}
	w.want(Wrong, old) // a grant is used once
	w.want(Wrong, w.rebind("other", true))
	w.want(Ended, w.claim())
	if r := w.want(Done, w.with(requestID(2), w.rebind("other", true))); !r.Replayed || r.Credential != "new" {
		t.Errorf("repeated: %+v", r)
	}
	w.want(Accepted, w.verify(w.current("new")))
}

// TestRecoveryEndsBrowsersAndSignIns: what a stranger may have got by the old password and codes opens nothing afterwards.
func TestRecoveryEndsBrowsersAndSignIns(t *testing.T) {
	w := surfer(t)
	w.policy.Recovery = recoverable
	w.phone("p1", "+14155550101")
	w.want(Done, w.recover("r1"))
	token := w.checkBrowser("b1", "mac", w.number("b1"))
	w.want(Done, w.says(PasswordEvidence))
	w.now += 14 * day
	w.want(Done, w.begin("s2"))
	w.want(Done, w.claim())
	before := len(w.notices)
	w.want(Done, w.rebind("new", true))
	if told := w.told(before, NoticeCancelled); len(told) != 1 || told[0].SignIn != "s2" {
		t.Errorf("of the sign-in that was open they are told %+v", told)
	}
	w.is("s2", SignInCancelled)
	if w.state.SignIn("s1") != nil {
		t.Error("a sign-in of before still counts")
	}
	token.Time = w.now
	w.want(Wrong, token)
	if len(w.state.Browsers.List) != 0 || !w.logged(opRedeemRecovery, "browsers: b1") {
		t.Errorf("the browsers are %+v", w.state.Browsers.List)
	}
}

// TestRecoveryEndsTwoStep: who lost its phones and the recovery key could never turn it off, and who found them not be kept
// out.
func TestRecoveryEndsTwoStep(t *testing.T) {
	w := stepper(t)
	w.proves()
	w.want(Done, w.makeKey("found"))
	w.policy.Recovery = recoverable
	w.want(Done, w.recover("r1"))
	w.want(Done, w.says(PasswordEvidence))
	w.now += 14 * day
	w.want(Done, w.claim())
	before := len(w.notices)
	w.want(Done, w.rebind("new", true))
	w.mode(Unprotected, PasswordLevel)
	if !w.logged(opEndTwoStep) || len(w.told(before, NoticeTwoStepOff)) != 1 {
		t.Error("nobody is told that it ended")
	}
	w.want(Wrong, w.recoveryKey("found"))
	w.want(NotFound, w.endSteps())
}

// TestRecoveryEvidence: what each kind shortens, once, and never below the floor.
func TestRecoveryEvidence(t *testing.T) {
	w := recovering(t, "phone")
	started := w.state.Access.Recovery.Started
	ready := func(days float64) {
		t.Helper()
		if got := w.state.Access.Recovery.ReadyAt(); got != started+Time(days*float64(day)) {
			t.Errorf("it is ready after %v days, want %v", float64(got-started)/float64(day), days)
		}
	}
	ready(14)
	w.want(Done, w.says(PasswordEvidence))
	ready(13)
	w.want(Done, w.says(PasswordEvidence)) // said twice it is no more
	ready(13)
	w.want(Ended, w.recoveryCode(RecoveryEvidence, true)) // none was sent
	w.want(NotFound, w.recoverySend("none"))
	w.want(Done, w.recoverySend("p1"))
	sent := w.last()
	if sent.Kind != NoticeSend || sent.Recovery != "r1" || sent.N == 0 {
		t.Errorf("sent is %+v", sent)
	}
	w.want(Wrong, w.recoveryCode(RecoveryEvidence, false))
	if w.attempts().Charge != 100 {
		t.Errorf("a wrong code costs %d", w.attempts().Charge)
	}
	right := w.recoveryCode(RecoveryEvidence, true)
	w.want(Accepted, right)
	ready(9)
	if a := w.attempts(); a.Failures != 1 {
		t.Error("the code of a phone ended a series of failures")
	}
	w.want(Ended, right) // spent
	w.want(NotFound, w.signed(RecoveryEvidence, "none"))
	forged := w.signed(RecoveryEvidence, "phone")
	forged.RecoveryAct.Signed.Signature = []byte("forged")
	w.want(BadSignature, forged)
	turned := w.signed(RecoveryEvidence, "phone")
	turned.RecoveryAct.Act = RecoveryCancel // signed for the recovery, used against it
	w.want(BadSignature, turned)
	w.want(Done, w.signed(RecoveryEvidence, "phone"))
	ready(4)
	before := len(w.notices)
	w.want(Done, w.says(EmailEvidence))
	ready(3) // the floor
	if told := w.told(before, NoticeRecoveryShortened); len(told) != 1 || told[0].Ready != started+3*day {
		t.Errorf("devices are told %+v", told)
	}
	w.now = started + 3*day - second
	w.want(NotYet, w.claim())
	w.now += second
	w.want(Done, w.claim())

	// What came since speaks for nobody, and what is gone neither; to say no is for all.
	w = recovering(t, "phone")
	started = w.state.Access.Recovery.Started
	w.now += minute
	w.want(Done, w.device("new"))
	w.phone("p3", "+14155550103")
	w.want(NotEligible, w.signed(RecoveryEvidence, "new"))
	w.want(Done, w.recoverySend("p3"))
	w.want(NotEligible, w.recoveryCode(RecoveryEvidence, true))
	w.want(Done, w.recoverySend("p2"))
	gone := w.recoveryCode(RecoveryEvidence, true)
	w.want(Done, w.removePhone("p2"))
	w.want(Ended, gone)
	ready(14)
	w.want(Done, w.signed(RecoveryCancel, "new"))

	// No policy of later moves it, neither here nor there; only evidence does, by the terms of its start.
	w = recovering(t)
	started = w.state.Access.Recovery.Started
	w.policy.Recovery = RecoveryPolicy{Allow: true, WaitDays: 1, FloorDays: 1, Shorten: Weights{Password: 2000}}
	ready(14)
	w.want(Done, w.says(PasswordEvidence))
	ready(13)
	if len(w.state.Access.Recovery.Evidence) != 1 {
		t.Error("the evidence is not there")
	}

	// Evidence that makes it ready at once doesn't make it run out at once.
	w = recovering(t)
	w.now = w.state.Access.Recovery.Started + 13*day
	w.want(Done, w.says(EmailEvidence))
	w.recovery(RecoveryReady)
	w.now += RecoveryOpen
	w.recovery(RecoveryExpired)
	w.want(Ended, w.claim())
	w.want(Done, w.recover("r2"))
}

// TestRecoveryWithoutEvidence waits, and isn't given.
func TestRecoveryWithoutEvidence(t *testing.T) {
	w := recovering(t)
	w.now += 14 * day
	w.recovery(RecoveryReady)
	w.want(NoEvidence, w.claim())
	w.want(Done, w.says(EmailEvidence))
	w.policy.NoticesFull = true
	w.want(Full, w.claim())
	w.policy.NoticesFull, w.policy.Recovery.Allow = false, false
	w.want(RefusedByPolicy, w.claim())
	w.policy.Recovery.Allow = true
	w.want(Done, w.claim())
	w.policy.Recovery.Allow = false
	w.want(RefusedByPolicy, w.rebind("new", true))
	w.policy.Recovery.Allow = true

	// Whoever lost the answer asks again; only the newest grant works.
	first := w.rebind("new", true)
	w.want(Done, w.claim())
	w.want(Stale, first)
	w.now += GrantLife
	w.want(Wrong, w.rebind("new", true))
	w.want(Done, w.claim())
	w.want(Done, w.rebind("new", true))
}

// TestRecoveryCancelled: by a device in the last second, by a phone, by a sign-in; then there is peace.
func TestRecoveryCancelled(t *testing.T) {
	cancelled := func(w *world, by string, before int) {
		t.Helper()
		w.recovery(RecoveryCancelled)
		if r := w.state.Access.Recovery; r.By != by {
			t.Errorf("it was cancelled by %q, want %q", r.By, by)
		}
		if len(w.told(before, NoticeRecoveryCancelled)) != 1 || len(w.told(before, NoticeTell)) != 2 {
			t.Errorf("they are told %+v", w.notices[before:])
		}
		if !w.logged(opCancelRecovery, `"subject":"r1"`, `"outcome":"`) {
			t.Error("there is no entry that says so")
		}
		w.want(Ended, w.claim())
		w.want(Ended, w.says(EmailEvidence))
		if r := w.want(TooSoon, w.recover("r2")); r.RetryAt != w.state.Access.Recovery.Ended+7*day {
			t.Errorf("started again: %+v", r)
		}
		w.now = w.state.Access.Recovery.Ended + 7*day - second
		w.want(TooSoon, w.recover("r2"))
		w.now += second
		w.want(Done, w.recover("r2"))
		w.recovery(RecoveryWaiting)
	}
	w := recovering(t, "phone")
	w.want(Done, w.says(EmailEvidence))
	w.now = w.state.Access.Recovery.ReadyAt() - second
	before := len(w.notices)
	no := w.signed(RecoveryCancel, "phone")
	w.want(Done, no)
	w.want(Done, no) // the same once more has no effect
	cancelled(w, "phone", before)

	w = recovering(t)
	w.want(Done, w.recoverySend("p2"))
	before = len(w.notices)
	w.want(Accepted, w.recoveryCode(RecoveryCancel, true))
	cancelled(w, "p2", before)

	w = recovering(t, "phone")
	before = len(w.notices)
	w.want(Accepted, w.verify(w.current("phone")))
	cancelled(w, "phone", before)

	w = recovering(t, "phone")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.send("s1", "p1"))
	before = len(w.notices)
	w.want(Accepted, w.enter("s1", w.live("s1", "phone/p1")))
	cancelled(w, "phone/p1", before)

	// Somebody guesses until the account is locked: a phone's owner is heard all the same, if not for ever.
	w = recovering(t, "phone")
	for {
		if r := w.apply(w.verify()); r.Outcome == Locked {
			break
		}
	}
	w.want(Done, w.recoverySend("p1"))
	w.want(Locked, w.recoveryCode(RecoveryEvidence, true))
	charged := w.attempts()
	for range RecoveryTries {
		w.want(Wrong, w.recoveryCode(RecoveryCancel, false))
	}
	w.want(Ended, w.recoveryCode(RecoveryCancel, true)) // that code is dead
	if w.attempts() != charged {
		t.Errorf("wrong codes against it are charged: %+v", w.attempts())
	}
	w.now += minute
	w.want(Done, w.recoverySend("p1"))
	before = len(w.notices)
	w.want(Accepted, w.recoveryCode(RecoveryCancel, true))
	cancelled(w, "p1", before)

	// Ready, and granted already: the owner's no still comes in time.
	w = recovering(t, "phone")
	w.want(Done, w.says(EmailEvidence))
	w.now = w.state.Access.Recovery.ReadyAt()
	w.want(Done, w.claim())
	late := w.rebind("new", true)
	w.want(Done, w.signed(RecoveryCancel, "phone"))
	w.want(Wrong, late)
	if w.state.Find("phone") == nil {
		t.Error("its devices are gone")
	}

	// What isn't its owner's act doesn't cancel it: a wrong code, another's recovery, a program's password.
	w = recovering(t, "phone")
	w.policy.AllowAppPasswords = true
	w.want(Done, w.createAppPassword("mail", "mail"))
	w.want(Accepted, w.verifyAppPassword("mail"))
	w.want(Wrong, w.verify())
	other := w.signed(RecoveryCancel, "phone")
	other.RecoveryAct.Recovery = "other"
	w.want(NotFound, other)
	w.recovery(RecoveryWaiting)
}

// TestRecoveryTwice: a second start changes nothing; a withdrawn one can't be used to nag.
func TestRecoveryTwice(t *testing.T) {
	w := recovering(t, "phone")
	first := w.state.Access.Recovery
	w.now += 3 * day
	w.policy.Recovery.WaitDays = 4
	if r := w.want(Exists, w.recover("r2")); r.Credential != "r1" {
		t.Errorf("a second start is answered %+v", r)
	}
	if got := w.state.Access.Recovery; got.ID != first.ID || got.ReadyAt() != first.ReadyAt() {
		t.Errorf("a second start made it %+v", got)
	}
	w.want(Done, w.act(RecoveryWithdraw, InvalidEvidence))
	w.recovery(RecoveryWithdrawn)
	w.want(Done, w.recover("r2"))
	if got := w.state.Access.Recovery; got.Started != w.now || len(got.Evidence) != 0 {
		t.Errorf("after it was withdrawn: %+v", got)
	}
	w.want(Done, w.act(RecoveryWithdraw, InvalidEvidence))
	if r := w.want(TooSoon, w.recover("r3")); r.RetryAt != w.now+RecoveryGap {
		t.Errorf("a third start is answered %+v", r)
	}
	w.policy.Recovery.Allow = false
	w.now += day
	w.want(RefusedByPolicy, w.recover("r3"))
	w.policy.Recovery.Allow, w.policy.NoticesFull = true, true
	w.want(Full, w.recover("r3"))
}

// TestRecoveryOfNobody: a name that isn't an account is answered as one that has a phone and a device, step by step.
func TestRecoveryOfNobody(t *testing.T) {
	real, nobody := holder(t, "phone"), newWorld(t)
	real.phone("p1", "+14155550101")
	nobody.policy, nobody.now = real.policy, real.now
	phone := map[*world]string{real: "p1"}
	both := func(what string, command func(w *world) *Command) {
		t.Helper()
		a, b := real.apply(command(real)), nobody.apply(command(nobody))
		if a.Outcome != b.Outcome || a.RetryAt != b.RetryAt {
			t.Errorf("%s: an account is answered %+v, nobody %+v", what, a, b)
		}
		if real.attempts() != nobody.attempts() {
			t.Errorf("%s: an account is charged %+v, nobody %+v", what, real.attempts(), nobody.attempts())
		}
	}
	both("not allowed", func(w *world) *Command { return w.recover("r1") })
	if nobody.state != nil {
		t.Error("a refused recovery made a record")
	}
	real.policy.Recovery, nobody.policy.Recovery = recoverable, recoverable
	both("start", func(w *world) *Command { return w.recover("r1") })
	both("start again", func(w *world) *Command { return w.recover("r2") })
	if phones := nobody.state.RecoveryPhones(nobody.policy); len(phones) != 1 {
		t.Fatalf("nobody has the phones %+v", phones)
	} else {
		phone[nobody] = phones[0].ID
	}
	both("send", func(w *world) *Command { return w.recoverySend(phone[w]) })
	both("send again", func(w *world) *Command { return w.recoverySend(phone[w]) })
	both("a wrong code", func(w *world) *Command { return w.recoveryCode(RecoveryEvidence, false) })
	both("somebody's device", func(w *world) *Command { return w.signed(RecoveryEvidence, "other") })
	both("somebody's no", func(w *world) *Command { return w.signed(RecoveryCancel, "other") })
	both("a reset", func(w *world) *Command { return w.reset("s1", "other", true) })
	both("claim", func(w *world) *Command { return w.claim() })
	both("redeem", func(w *world) *Command { return w.rebind("new", false) })
	real.now, nobody.now = real.now+14*day, nobody.now+14*day
	both("claim without evidence", func(w *world) *Command { return w.claim() })
	both("withdraw", func(w *world) *Command { return w.act(RecoveryWithdraw, InvalidEvidence) })
	if len(nobody.notices) != 0 {
		t.Errorf("of nobody somebody is told: %+v", nobody.notices)
	}
	right := nobody.recoveryCode(RecoveryEvidence, true)
	nobody.want(Ended, right)

	// Made an account, it has nothing of what was started before.
	nobody.want(Done, nobody.recover("r9"))
	nobody.want(Done, nobody.create())
	nobody.recovery(NoRecovery)
}

// TestRecoveryBindsAnew also where the account was locked for good, and its limits were reached.
func TestRecoveryBindsAnew(t *testing.T) {
	w := recovering(t, "phone")
	w.want(Done, w.says(EmailEvidence))
	for range MaxFailures {
		w.apply(w.verify())
		w.state.RetryAt = 0
		if w.state.Failures >= MaxFailures {
			break
		}
	}
	if _, locked := w.state.LockedAt(w.now); !locked {
		t.Fatalf("it isn't locked: %+v", w.attempts())
	}
	w.want(Done, w.recoverySend("p1"))
	w.want(Locked, w.recoveryCode(RecoveryEvidence, true))
	w.now = w.state.Access.Recovery.ReadyAt()
	w.want(Done, w.claim())
	w.policy.MaxCredentials = 1
	w.want(Done, w.rebind("new", true))
	w.want(Accepted, w.verify(w.current("new")))

	// Protected accounts stay protected: a phone remains.
	w = holder(t, "phone")
	w.policy.Recovery = recoverable
	w.phone("p1", "+14155550101")
	w.want(Done, w.protect("phone"))
	w.want(Done, w.recover("r1"))
	w.want(Done, w.says(EmailEvidence))
	w.now = w.state.Access.Recovery.ReadyAt()
	w.want(Done, w.claim())
	w.want(Done, w.rebind("new", true))
	w.mode(TwoFactor, TwoFactorLevel)
}

// TestRecoveryTellsAllDevices, also those that are given no codes.
func TestRecoveryTellsAllDevices(t *testing.T) {
	w := holder(t, "phone", "old")
	w.policy.Recovery, w.policy.ListedOnly = recoverable, true
	w.want(Done, w.recover("r1"))
	if told := w.told(0, NoticeRecoveryStarted); len(told) != 1 || len(told[0].Devices) != 2 {
		t.Errorf("told are %+v", told)
	}
	w.want(Done, w.signed(RecoveryCancel, "old"))
}

func TestRecoveryPolicy(t *testing.T) {
	for name, bad := range map[string]RecoveryPolicy{
		"a floor above the wait":            {WaitDays: 2, FloorDays: 3},
		"the default floor above the wait":  {WaitDays: 2},
		"a wait of years":                   {WaitDays: 91},
		"a pause of years":                  {PauseDays: 91},
		"a weight of years":                 {Shorten: Weights{Email: 90*24 + 1}},
		"a floor above the default of wait": {FloorDays: 15},
	} {
		if (Policy{Recovery: bad}).Validate() == nil {
			t.Errorf("%s is allowed", name)
		}
	}
	for _, good := range []RecoveryPolicy{{}, recoverable, {WaitDays: 1, FloorDays: 1}, {WaitDays: 90, FloorDays: 90, PauseDays: 90}} {
		if err := (Policy{Recovery: good}).Validate(); err != nil {
			t.Error(err)
		}
		if terms := good.terms(); terms.Floor < MinRecoveryFloor || terms.Wait < terms.Floor {
			t.Errorf("%+v makes %+v", good, terms)
		}
	}
	if (&Policy{}).Recovery.Allow || strings.Contains(EmailEvidence.String(), "question") {
		t.Error("the zero policy allows recoveries")
	}
}
