package account

import (
	"testing"

	"pgregory.net/rapid"
)

// hurrying is how each kind of command comes about that somebody might hurry a recovery with. TestNothingHurriesARecovery
// fails for a kind that isn't here.
var hurrying = map[string]func(rt *rapid.T, w *world) *Command{
	"Create": func(rt *rapid.T, w *world) *Command {
		c := w.create()
		c.Create.Class = rapid.SampledFrom([]string{"", "child"}).Draw(rt, "class")
		return c
	},
	"Delete": func(_ *rapid.T, w *world) *Command {
		c := w.command()
		c.Delete = &Delete{}
		return c
	},
	"Enrol":  func(rt *rapid.T, w *world) *Command { return w.device(someDevice(rt)) },
	"Remove": func(rt *rapid.T, w *world) *Command { return w.remove(someDevice(rt)) },
	"Verify": func(rt *rapid.T, w *world) *Command {
		if rapid.IntRange(0, 9).Draw(rt, "right") == 0 {
			return w.verify(w.current(someDevice(rt)))
		}
		return w.verify()
	},
	"Resync": func(rt *rapid.T, w *world) *Command {
		if w.state == nil {
			return w.verify()
		}
		return w.resync(someDevice(rt), w.step())
	},
	"Begin": func(rt *rapid.T, w *world) *Command {
		c := w.begin(someSignIn(rt))
		c.Begin.Purpose = Purpose(rapid.IntRange(int(ForDevice), int(ForLegacy)).Draw(rt, "purpose"))
		c.Begin.Own = rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "own")
		return c
	},
	"Decide": func(rt *rapid.T, w *world) *Command {
		return w.decide(someSignIn(rt), someDevice(rt), rapid.Bool().Draw(rt, "allow"))
	},
	"Fetch":  func(rt *rapid.T, w *world) *Command { return w.fetch(someSignIn(rt), someDevice(rt)) },
	"Send":   func(rt *rapid.T, w *world) *Command { return w.send(someSignIn(rt), somePhone(rt)) },
	"Cancel": func(rt *rapid.T, w *world) *Command { return w.cancel(someSignIn(rt)) },
	"Enter": func(rt *rapid.T, w *world) *Command {
		id := someSignIn(rt)
		c := w.enter(id)
		if x := w.state.SignIn(id); x != nil && rapid.IntRange(0, 9).Draw(rt, "right") == 0 {
			c.Enter.Codes = x.Codes
		}
		return c
	},
	"AddPhone": func(rt *rapid.T, w *world) *Command {
		id := somePhone(rt)
		return w.addPhone(id, "+1415555010"+id[1:])
	},
	"EditPhone": func(rt *rapid.T, w *world) *Command { return w.removePhone(somePhone(rt)) },
	"SendPhone": func(rt *rapid.T, w *world) *Command { return w.sendPhone(somePhone(rt)) },
	"VerifyPhone": func(rt *rapid.T, w *world) *Command {
		if w.state == nil {
			return w.verify()
		}
		return w.verifyPhone(somePhone(rt), rapid.Bool().Draw(rt, "right"))
	},
	"CreateAppPassword": func(rt *rapid.T, w *world) *Command { return w.createAppPassword(someDevice(rt), someDevice(rt)) },
	"RevokeAppPassword": func(rt *rapid.T, w *world) *Command { return w.revokeAppPassword(someDevice(rt)) },
	"VerifyAppPassword": func(rt *rapid.T, w *world) *Command { return w.verifyAppPassword(someDevice(rt)) },
	"Protect":           func(rt *rapid.T, w *world) *Command { return w.protect(someDevice(rt)) },
	"Unprotect": func(rt *rapid.T, w *world) *Command {
		if w.state == nil {
			return w.verify()
		}
		return w.undo(rapid.Bool().Draw(rt, "right"))
	},
	"Lose": func(rt *rapid.T, w *world) *Command { return w.lose(someDevice(rt), rapid.Bool().Draw(rt, "erased")) },
	"UpdateDevice": func(rt *rapid.T, w *world) *Command {
		c := w.command()
		c.UpdateDevice = &UpdateDevice{Device: someDevice(rt), SystemVersion: "9"}
		return c
	},
	"Classify": func(rt *rapid.T, w *world) *Command {
		c := w.command()
		c.Classify = &Classify{Class: rapid.SampledFrom([]string{"", "child"}).Draw(rt, "class")}
		return c
	},
	"TrustBrowser": func(rt *rapid.T, w *world) *Command {
		return w.trustBrowser(someDevice(rt), someDevice(rt), someSignIn(rt))
	},
	"CheckBrowser": func(rt *rapid.T, w *world) *Command {
		id := someDevice(rt)
		c := w.checkBrowser(id, someDevice(rt), 1)
		if b := w.state.Browser(id); b != nil {
			c.CheckBrowser.N = b.N
		}
		c.CheckBrowser.Genuine = rapid.IntRange(0, 9).Draw(rt, "genuine") == 0
		return c
	},
	"EndTrust": func(rt *rapid.T, w *world) *Command {
		return w.endTrust(rapid.SampledFrom([]EndTrust{{}, {Browser: "a"}, {Device: "a"}, {Device: "b"}}).Draw(rt, "trust"))
	},
	"CheckDevice": func(rt *rapid.T, w *world) *Command {
		c := w.checkDevice(someDevice(rt), challenge)
		if rapid.IntRange(0, 9).Draw(rt, "right") > 0 {
			c.CheckDevice.Signature = []byte("forged")
		}
		return c
	},
	"ChangePassword": func(rt *rapid.T, w *world) *Command {
		return w.changePassword(ChangePassword{
			Security: rapid.Bool().Draw(rt, "security"), Device: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "at hand"), SignIn: someSignIn(rt),
		})
	},
	"Presence": func(rt *rapid.T, w *world) *Command { return w.report(someDevice(rt), rapid.Bool().Draw(rt, "in")) },
	"EnrolTwoStep": func(rt *rapid.T, w *world) *Command {
		return w.enrolSteps(rapid.Bool().Draw(rt, "imported"), stepPhone("t1", "+14155550161"))
	},
	"SendTwoStep": func(rt *rapid.T, w *world) *Command {
		return w.sendStep(rapid.SampledFrom([]string{"", "t1"}).Draw(rt, "to"))
	},
	"VerifyTwoStep": func(rt *rapid.T, w *world) *Command {
		if w.state == nil || rapid.Bool().Draw(rt, "key") {
			return w.recoveryKey(rapid.SampledFrom([]string{"k1", "k2"}).Draw(rt, "key's name"))
		}
		return w.verifyStep(rapid.IntRange(0, 9).Draw(rt, "right") == 0)
	},
	"MakeRecoveryKey": func(_ *rapid.T, w *world) *Command { return w.makeKey("k1") },
	"EndTwoStep":      func(_ *rapid.T, w *world) *Command { return w.endSteps() },
	"StartRecovery": func(rt *rapid.T, w *world) *Command {
		return w.recover(rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(rt, "recovery"))
	},
	"RecoveryAct": func(rt *rapid.T, w *world) *Command {
		act := rapid.SampledFrom([]RecoveryActKind{
			RecoverySend, RecoveryEvidence, RecoveryEvidence, RecoveryEvidence, RecoveryCancel, RecoveryWithdraw, RecoveryClaim, RecoveryClaim,
		}).Draw(rt, "act")
		right := rapid.Bool().Draw(rt, "right")
		switch act {
		case RecoverySend:
			return w.recoverySend(somePhone(rt))
		case RecoveryWithdraw:
			return w.act(act, InvalidEvidence)
		case RecoveryClaim:
			return w.claim()
		}
		kinds := EvidenceKinds[:]
		if act == RecoveryCancel {
			kinds = kinds[:2]
		}
		switch kind := rapid.SampledFrom(kinds).Draw(rt, "evidence"); kind {
		case PhoneCodeEvidence:
			return w.recoveryCode(act, right)
		case DeviceEvidence:
			c := w.signed(act, someDevice(rt))
			if !right {
				c.RecoveryAct.Signed.Signature = []byte("forged")
			}
			return c
		default:
			return w.says(kind)
		}
	},
	"ResetPassword": func(rt *rapid.T, w *world) *Command {
		return w.reset(someSignIn(rt), rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "device"), rapid.Bool().Draw(rt, "present"))
	},
	"RedeemGrant": func(rt *rapid.T, w *world) *Command {
		c := w.redeem(GrantReset, true)
		if w.state != nil && rapid.Bool().Draw(rt, "recovery") {
			c = w.rebind("z", true)
		}
		if len(c.RedeemGrant.Random) == 0 && rapid.Bool().Draw(rt, "lie") { // a node says that a token was right
			c.RedeemGrant.Random, c.RedeemGrant.Matched = c.Salt, true
			if c.RedeemGrant.Purpose == GrantRecovery {
				c.RedeemGrant.Device = &w.device("z").Enrol.Credential
			}
		}
		return c
	},
}

func someDevice(rt *rapid.T) string { return rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device") }

func someSignIn(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"s0", "s1"}).Draw(rt, "sign-in")
}

func somePhone(rt *rapid.T) string { return rapid.SampledFrom([]string{"p0", "p1"}).Draw(rt, "phone") }

// actors are of all roles that there are.
var actors = []string{
	"spiffe://strongroom.example/tenant/acme/frontend/web", "spiffe://strongroom.example/tenant/acme/helpdesk/hal",
	"spiffe://strongroom.example/operator/olga", "spiffe://strongroom.example/auditor/aude", "spiffe://strongroom.example/node/n1", "",
}

// TestNothingHurriesARecovery: A4: whatever is done by whomever, in whatever order, under whatever policy and by clocks that
// differ, the date of a recovery that runs never comes nearer but by a kind of evidence that it didn't have, by no more than
// that one's weight when it started, and never below its floor; and nobody is granted anything before.
func TestNothingHurriesARecovery(t *testing.T) {
	kinds := commandKinds()
	if len(kinds) < 28 {
		t.Fatalf("there are %d kinds of commands: %v", len(kinds), kinds)
	}
	for _, kind := range kinds {
		if hurrying[kind] == nil {
			t.Fatalf("nobody has tried to hurry a recovery by %s: give it a generator here", kind)
		}
	}
	ends := map[RecoveryState]int{} // so that the test is seen to reach what it is about
	shortened := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.policy.AllowAppPasswords, w.policy.CooldownSeconds, w.policy.Reset.ByCode, w.policy.AllowTwoStepImport = true, 1, true, true
		w.policy.Recovery = recoverable
		w.want(Done, w.create())
		w.want(Done, w.device("a"))
		w.want(Done, w.addPhone("p0", "+14155550100"))
		w.want(Done, w.sendPhone("p0"))
		w.want(Accepted, w.verifyPhone("p0", true))
		w.want(Done, w.recover("r0"))
		deliver := func(kind string, c *Command) {
			c.Time += Time(rapid.IntRange(-1000, 1000).Draw(rt, "skew"))
			c.Actor = rapid.SampledFrom(actors).Draw(rt, "actor")
			before := w.state
			result := w.apply(c)
			after := w.state
			if after == nil { // deleted: nothing is left that could be got back
				w.want(Done, w.create())
				w.recovery(NoRecovery)
				return
			}
			if before == nil {
				return
			}
			b, a := &before.Access.Recovery, &after.Access.Recovery
			if kind == "RedeemGrant" && result.Outcome == Done && !result.Replayed && c.RedeemGrant.Purpose == GrantRecovery ||
				kind == "RecoveryAct" && result.Outcome == Done && c.RecoveryAct.Act == RecoveryClaim {
				if len(b.Evidence) == 0 || after.Time < b.ReadyAt() || after.Time < b.Started+b.Terms.Floor || after.Time < b.Started+day {
					rt.Fatalf("granted %d ms before it was ready", b.ReadyAt()-after.Time)
				}
			}
			if !b.Running(before.Time) {
				return
			}
			if a.ID != b.ID {
				if !b.Running(after.Time) {
					return // it had run out
				}
				rt.Fatalf("%s made another recovery of one that ran", kind)
			}
			ends[a.State(after.Time)]++
			if a.Started != b.Started || a.Terms != b.Terms {
				rt.Fatalf("%s changed its start or its terms", kind)
			}
			if a.ReadyAt() < a.Started+a.Terms.Floor {
				rt.Fatalf("%s brought it below its floor", kind)
			}
			if nearer := b.ReadyAt() - a.ReadyAt(); nearer != 0 || len(a.Evidence) != len(b.Evidence) {
				q := c.RecoveryAct
				right := result.Outcome == Accepted || result.Outcome == Done
				if kind != "RecoveryAct" || q.Act != RecoveryEvidence || !right || b.has(q.Kind) || !a.has(q.Kind) ||
					len(a.Evidence) != len(b.Evidence)+1 || nearer < 0 || nearer > b.Terms.Shorten.Of(q.Kind) {
					rt.Fatalf("%s moved it by %d ms", kind, nearer)
				}
				if q.Kind == DeviceEvidence && string(q.Signed.Signature) == "forged" || q.Kind == PhoneCodeEvidence && !q.Attempt.Matched {
					rt.Fatalf("what was no evidence moved it")
				}
				by := a.Evidence[len(a.Evidence)-1].By
				if k := before.Find(by); q.Kind == DeviceEvidence && (k == nil || k.Added > b.Started) {
					rt.Fatalf("a device that came later moved it")
				}
				if x := before.Phone(by); q.Kind == PhoneCodeEvidence && (x == nil || x.Verified == 0 || x.Verified > b.Started) {
					rt.Fatalf("a phone that came later moved it")
				}
				shortened++
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"anything": func(rt *rapid.T) {
				kind := rapid.SampledFrom(kinds).Draw(rt, "kind")
				if kind == "Delete" && rapid.IntRange(0, 3).Draw(rt, "keep") > 0 {
					return
				}
				deliver(kind, hurrying[kind](rt, w))
			},
			"recover": func(rt *rapid.T) {
				kind := rapid.SampledFrom([]string{"StartRecovery", "RecoveryAct", "RecoveryAct", "RedeemGrant"}).Draw(rt, "kind")
				deliver(kind, hurrying[kind](rt, w))
			},
			"say no": func(rt *rapid.T) { deliver("RecoveryAct", w.signed(RecoveryCancel, someDevice(rt))) },
			"to the end": func(rt *rapid.T) {
				if w.state == nil || !w.state.Access.Recovery.Running(w.now) {
					return
				}
				deliver("RecoveryAct", w.says(EmailEvidence))
				w.now = max(w.now, w.state.Access.Recovery.ReadyAt()+rapid.SampledFrom([]Time{-2 * second, second}).Draw(rt, "off"))
				deliver("RecoveryAct", w.claim())
				deliver("RedeemGrant", w.rebind("z", rapid.IntRange(0, 3).Draw(rt, "right") > 0))
			},
			"wait": func(rt *rapid.T) {
				w.now += rapid.SampledFrom([]Time{second, minute, hour, day, 3*day - second, 10 * day}).Draw(rt, "for")
			},
			"policy": func(rt *rapid.T) {
				w.policy.Recovery = rapid.SampledFrom([]RecoveryPolicy{
					recoverable,
					{},
					{Allow: true, WaitDays: 1, FloorDays: 1},
					{Allow: true, WaitDays: 90, FloorDays: 90},
					{Allow: true, WaitDays: 3, FloorDays: 1, Shorten: Weights{2160, 2160, 2160, 2160}},
				}).Draw(rt, "recovery")
				w.policy.NoticesFull = rapid.IntRange(0, 5).Draw(rt, "full") == 0
			},
		})
	})
	for _, s := range []RecoveryState{RecoveryWaiting, RecoveryReady, RecoveryCompleted, RecoveryCancelled, RecoveryWithdrawn} {
		if ends[s] == 0 {
			t.Errorf("no recovery was ever %v: this test reaches too little", s)
		}
	}
	if shortened == 0 {
		t.Error("no evidence was ever given: this test reaches too little")
	}
}
