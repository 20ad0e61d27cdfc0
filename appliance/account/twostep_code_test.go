package account

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
)

// TestTwoStepGuesses: one guess is free, each code is compared once, and after five there are no more, but for whoever has
// the recovery key.
func TestTwoStepGuesses(t *testing.T) {
	w := stepper(t)
	w.proves()
	w.want(Done, w.makeKey("key"))
	for n := range Time(5) {
		w.now += hour
		w.want(Done, w.sendStep("t1"))
		w.want(Wrong, w.verifyStep(false))
		w.want(Locked, w.recoveryKey("key")) // the lock is the account's
		w.want(Locked, w.verify())
		if retryAt := w.attempts().RetryAt; retryAt != w.now+minute<<n {
			t.Errorf("after guess %d the account is locked for %d ms", n+1, retryAt-w.now)
		}
	}
	w.now += 2 * hour
	w.want(TooMany, w.sendStep("t1"))
	w.want(Ended, w.verifyStep(true))
	w.want(Wrong, w.recoveryKey("another"))
	w.now += 2 * hour
	w.want(Accepted, w.recoveryKey("key"))
	if w.last().Kind != NoticeRecoveryKeyUsed || w.attempts() != (Attempts{}) {
		t.Errorf("the recovery key: %+v, %+v", w.last(), w.attempts())
	}
	w.proves()

	// A code that is live when there were too many is dead.
	w.want(Done, w.enrol("phone", totp6))
	w.now += hour
	w.want(Done, w.sendStep(""))
	guess := w.verifyStep(true)
	w.state.TwoStep.Wrong = MaxStepGuesses
	w.want(Ended, guess)
	w.state.TwoStep.Wrong = 0

	// Whoever brings a device of their own has no more guesses for it: its codes end the delays, not the count.
	w.proves()
	for n := range 8 {
		w.now += hour
		want, guessed := Done, Wrong
		if n >= MaxStepGuesses {
			want, guessed = TooMany, Ended
		}
		w.want(want, w.sendStep(""))
		w.want(guessed, w.verifyStep(false))
		w.now += hour
		w.want(Accepted, w.verify(w.current("phone")))
	}
	w.want(Accepted, w.recoveryKey("key"))
	w.proves()

	// Failures at other credentials count: one of them, and the code is no free guess any more.
	w.state.Attempts = Attempts{}
	w.now += hour
	w.want(Wrong, w.verify())
	if _, is := w.state.LockedAt(w.now); is {
		t.Error("one wrong code of six digits locks")
	}
	w.want(Done, w.sendStep(""))
	if retryAt, is := w.state.LockedAt(w.now); !is || retryAt != w.now+minute {
		t.Error("the free guess is there although something was guessed")
	}
}

// TestTwoStepBesideMailPrograms: two programs that go on with dead passwords, while a code is sent and never typed, keep
// nobody out: they delay while the code is live, and not after.
func TestTwoStepBesideMailPrograms(t *testing.T) {
	w := stepper(t)
	w.policy.AllowAppPasswords = true
	w.want(Wrong, w.verifyAppPassword("dead"))
	w.now += hour
	w.want(Done, w.sendStep(""))
	w.want(Wrong, w.verifyAppPassword("buried"))
	if retryAt, is := w.state.LockedAt(w.now); !is || retryAt > w.now+2*minute {
		t.Errorf("while the code is live: locked until %d: %v", retryAt, is)
	}
	w.now += hour
	for range 20 {
		w.want(Wrong, w.verifyAppPassword("dead"))
		w.want(Wrong, w.verifyAppPassword("buried"))
		w.want(Wrong, w.recoveryKey("wrong"))
	}
	w.want(Done, w.sendStep(""))
	w.now += minute
	w.want(Accepted, w.verifyStep(true))
}

// TestTwoStepCodes: one at a time, for ten minutes, and few an hour.
func TestTwoStepCodes(t *testing.T) {
	w := stepper(t)
	w.want(Done, w.sendStep("t1"))
	old := w.verifyStep(true)
	if r := w.want(TooSoon, w.sendStep("t2")); r.RetryAt != w.now+30*second {
		t.Errorf("the cool-down ends at %d", r.RetryAt)
	}
	w.now += 30 * second
	w.want(Done, w.sendStep("t2"))
	w.want(Stale, old) // it is compared with the one that is live now
	w.now += 10 * minute
	w.want(Ended, w.verifyStep(true))
	for range 3 {
		w.now += minute
		w.want(Done, w.sendStep(""))
	}
	w.now += minute
	if r := w.want(TooSoon, w.sendStep("")); r.RetryAt != start+hour {
		t.Errorf("the sixth within an hour may be sent at %d, want %d", r.RetryAt, start+hour)
	}
	if w.attempts() != (Attempts{}) {
		t.Errorf("charged: %+v", w.attempts())
	}
	w.want(NotFound, w.sendStep("none"))
	w.now += hour
	w.policy.Gateway = false
	w.want(RefusedByPolicy, w.sendStep(""))
	w.policy.Gateway, w.policy.NoticesFull = true, true
	w.want(Full, w.sendStep(""))
	w.policy.NoticesFull = false
	// Turned off and on again, neither codes nor allowances come again.
	w.proves()
	made, sent := w.state.TwoStep.Made, len(w.state.TwoStep.Sent)
	w.want(Done, w.endSteps())
	w.policy.AllowTwoStepImport = true
	w.want(Done, w.enrolSteps(true, stepPhone("t1", "+14155550161")))
	if w.state.TwoStep.Made != made || len(w.state.TwoStep.Sent) != sent {
		t.Errorf("anew: %+v", w.state.TwoStep)
	}
}

// TestRecoveryKey: replaced at will, gone with two-step verification, and a wrong one is charged the smallest unit.
func TestRecoveryKey(t *testing.T) {
	w := stepper(t)
	w.want(Wrong, w.recoveryKey("none yet"))
	w.proves()
	unasked := w.makeKey("key")
	unasked.MakeRecoveryKey = &MakeRecoveryKey{}
	w.want(Stale, unasked)
	w.want(Done, w.makeKey("key"))
	if w.last().Kind != NoticeRecoveryKeyMade || !w.logged(`"operation":"make-recovery-key","key":"pepper"`, `"macs":1`) {
		t.Errorf("made: %+v, %q", w.last(), w.entries[len(w.entries)-1])
	}
	w.want(Accepted, w.recoveryKey("key"))
	w.want(Done, w.makeKey("newer"))
	w.want(Wrong, w.recoveryKey("key"))
	if a := w.attempts(); a.Charge != 1 || a.Failures != 0 || !w.logged(`"operation":"verify-recovery-key","key":"pepper"`, `"outcome":"wrong"`) {
		t.Errorf("a wrong one: %+v", a)
	}
	unasked = w.recoveryKey("newer")
	unasked.VerifyTwoStep.Key, unasked.VerifyTwoStep.MACs = nil, 0
	w.want(Stale, unasked)
	w.want(Accepted, w.recoveryKey("newer")) // it stays
	w.want(Accepted, w.recoveryKey("newer"))
	w.want(Done, w.endSteps())
	w.want(Wrong, w.recoveryKey("newer"))
	w.want(Wrong, w.recoveryKey("\x00")) // no decoy is a key
}

// TestTwoStepTellsNothing: a name that is no account, an account without two-step verification, and one that has it answer
// and are charged alike, whatever is tried.
func TestTwoStepTellsNothing(t *testing.T) {
	others := map[string]*world{"nobody": newWorld(t), "without": newWorld(t), "protected": holder(t, "phone")}
	others["without"].want(Done, others["without"].create())
	others["protected"].phone("p1", "+14155550101")
	others["protected"].want(Done, others["protected"].protect("phone"))
	others["protected"].now = start
	others["protected"].state.Time = start
	with := stepper(t)
	worlds := []*world{with, others["nobody"], others["without"], others["protected"]}
	each := func(what string, make func(w *world) *Command) {
		t.Helper()
		want := with.apply(make(with))
		for name, w := range others {
			got := w.apply(make(w))
			if got.Outcome != want.Outcome || got.RetryAt != want.RetryAt || (got.Credential == "") != (want.Credential == "") {
				t.Fatalf("%s: %s is answered %+v, one that has it %+v", what, name, got, want)
			}
			if w.attempts().Charge != with.attempts().Charge || w.attempts().RetryAt != with.attempts().RetryAt {
				t.Fatalf("%s: %s has %+v, one that has it %+v", what, name, w.attempts(), with.attempts())
			}
		}
	}
	wait := func(d Time) {
		for _, w := range worlds {
			w.now += d
		}
	}
	sends := 0
	for _, w := range worlds {
		sends += len(w.notices)
	}
	for range 6 {
		each("a code without one", func(w *world) *Command { return w.verifyStep(false) })
		each("sending", func(w *world) *Command { return w.sendStep("") })
		each("sending again", func(w *world) *Command { return w.sendStep("") })
		each("another phone", func(w *world) *Command { return w.sendStep("none") })
		each("a wrong code", func(w *world) *Command { return w.verifyStep(false) })
		each("while it is locked", func(w *world) *Command { return w.recoveryKey("wrong") })
		wait(hour)
		each("a wrong key", func(w *world) *Command { return w.recoveryKey("wrong") })
		wait(hour)
	}
	for name, w := range others {
		list := w.state.StepPhones()
		if len(list) != 1 || list[0].Masked == "" {
			t.Errorf("%s pretends to have %+v", name, list)
		}
		for _, n := range w.notices {
			if n.TwoStep {
				t.Errorf("%s had %+v sent", name, n)
			}
		}
		// Not even an evaluator that lies opens anything.
		w.state.Attempts, w.state.TwoStep.Wrong = Attempts{}, 0
		w.now += hour
		w.want(Done, w.sendStep(""))
		w.want(Wrong, w.verifyStep(true))
	}
}

// TestStepMessage: what codes are made of, byte by byte. It must never change: codes that are on their way would die.
func TestStepMessage(t *testing.T) {
	const want = "7374726f6e67726f6f6d2f74776f2d737465702f7631dbde0b28667807b4cd0aba764367d7fc9512549f8602a1bd9971d712cff71249"
	if got := hex.EncodeToString(StepMessage("acme", "ann", "t1", 9)); got != want {
		t.Errorf("it is %s, not %s", got, want)
	}
	seen := [][]byte{StepMessage("acme", "ann", "t1", 9)}
	for _, m := range [][]byte{
		StepMessage("acm", "eann", "t1", 9), StepMessage("acme", "annt", "1", 9), StepMessage("acme", "ann", "t1", 10),
		StepMessage("acme", "ann", "t2", 9), CodeMessage("acme", "ann", "", "t1", 9),
	} {
		if slices.ContainsFunc(seen, func(s []byte) bool { return bytes.Equal(s, m) }) {
			t.Errorf("%x is made twice", m)
		}
		seen = append(seen, m)
	}
}
