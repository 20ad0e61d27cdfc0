package account

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTwoStepModel drives an account with random acts of its owner, of somebody who guesses at everything, of front-ends
// that turn things on and off, and of nodes that evaluate late, twice or never. It keeps its own sums of what was guessed,
// by the chance that a guess really has, and its own memory of codes and proofs; after every act it checks what ENROLMENT.md
// promises:
//
//   - what is free of delay between two successes has, together with all other credentials, a chance of at most Budget;
//   - at most five codes of four digits are guessed between two proofs of two-step verification, whatever else is right;
//   - each code is compared once, at most one is live, and at most five are sent within an hour;
//   - it ends, moves and gets a recovery key only within ten minutes of a proof, and by nothing else.
func TestTwoStepModel(t *testing.T) {
	const digits4, digits6 = 10_000, 100 // chance of one code, in units of 1e-8
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.policy.AllowTwoStepImport, w.policy.Excluded = true, []string{"kiosk"}
		create := w.create()
		create.Create.Class = rapid.SampledFrom([]string{"", "kiosk"}).Draw(rt, "class")
		w.want(Done, create)
		var (
			free   int    // since the last success
			steps  int    // since the last code of four digits, or recovery key, that was right
			sent   []Time // codes of four digits
			used   = map[uint32]bool{}
			proved Time // when a proof was last accepted, by committed time
			late   []*Command
		)
		// chance is what a blind guess has with a command, from what is there and by no function of the package.
		chance := func(c *Command, before *State) (units int, step bool) {
			switch {
			case c.VerifyTwoStep != nil && !c.VerifyTwoStep.Recovery:
				return digits4, true
			case c.Verify != nil:
				n := len(before.Credentials)
				if n == 0 {
					n = 1 // the decoy's, which may be counted and can't be right
				}
				return 3 * digits6 * n, false
			}
			return 0, false
		}
		deliver := func(c *Command) {
			before := w.state
			committed := max(before.Time, c.Time)
			r := w.apply(c)
			after := w.state
			guessed := r.Outcome == Wrong || r.Outcome == Spent
			if units, step := chance(c, before); units > 0 && (guessed || r.Outcome == Accepted) {
				if guessed && before.Attempts.RetryAt == 0 {
					free += units
				}
				if guessed && step {
					steps++
				}
				if step {
					if n := c.VerifyTwoStep.Code; used[n] || n != before.TwoStep.Code {
						rt.Fatalf("code %d is compared again, or isn't the live one %d", n, before.TwoStep.Code)
					}
					used[c.VerifyTwoStep.Code] = true
				}
			}
			if free > Budget {
				rt.Fatalf("%d units were free", free)
			}
			pending := before.Enrolment.Mode == Unprotected && c.VerifyTwoStep != nil // a phone's verification: ends no series
			if r.Outcome == Accepted && !pending && c.VerifyPhone == nil {
				free = 0
			}
			if r.Outcome == Accepted && c.VerifyTwoStep != nil || c.EnrolTwoStep != nil && r.Outcome == Done {
				steps = 0 // or bound anew: there was nothing to guess before
			}
			if steps > 5 {
				rt.Fatalf("%d codes of four digits were guessed", steps)
			}
			if len(after.Credentials) == 0 && len(before.Credentials) > 0 || len(before.Credentials) == 0 && len(after.Credentials) > 0 {
				free = 0 // bound anew: see ENROLMENT.md
			}
			if c.SendTwoStep != nil && r.Outcome == Done {
				sent = append(sent, committed)
				recent := 0
				for _, at := range sent {
					if committed-at < hour {
						recent++
					}
				}
				if recent > DefaultSendsPerPhone || after.TwoStep.Code <= before.TwoStep.Made {
					rt.Fatalf("%d codes within an hour, the last is %d", recent, after.TwoStep.Code)
				}
			}
			fresh := proved > 0 && committed-proved < 10*minute
			was, is := before.Enrolment.Mode, after.Enrolment.Mode
			switch {
			case was == TwoStep && is == Unprotected:
				if c.EndTwoStep == nil || !fresh {
					rt.Fatalf("%s turned two-step verification off", c.operation())
				}
			case was == TwoStep && is == TwoFactor:
				if c.Protect == nil || !c.Protect.Move || !fresh || after.VerifiedPhones() == 0 || after.Find(c.Protect.Own) == nil {
					rt.Fatalf("%s moved it to two factors", c.operation())
				}
			case was != TwoStep && is == TwoStep:
				imported := c.EnrolTwoStep != nil && c.EnrolTwoStep.Imported
				if !imported && (c.VerifyTwoStep == nil || r.Outcome != Accepted || before.Enrolment.Class != "kiosk") || was != Unprotected {
					rt.Fatalf("%s turned it on", c.operation())
				}
			case was != TwoFactor && is == TwoFactor && was == TwoStep != c.Protect.Move:
				rt.Fatalf("%s turned two factors on", c.operation())
			}
			if string(before.TwoStep.Key) != string(after.TwoStep.Key) && len(after.TwoStep.Key) > 0 && (c.MakeRecoveryKey == nil || !fresh) {
				rt.Fatalf("%s made a recovery key", c.operation())
			}
			if r.Assurance == TwoStepLevel && (was != TwoStep || c.VerifyTwoStep == nil) || r.Assurance == TwoFactorLevel && was != TwoFactor {
				rt.Fatalf("%s is worth %v", c.operation(), r.Assurance)
			}
			switch {
			case c.VerifyTwoStep != nil && r.Outcome == Accepted:
				proved = committed
			case is != TwoStep:
				proved = 0
			}
		}
		known := func(rt *rapid.T) *Command { // the right code or the right key, from whoever has them
			if rapid.Bool().Draw(rt, "by key") && len(w.state.TwoStep.Key) > 0 {
				c := w.recoveryKey("")
				c.VerifyTwoStep.Key = w.state.TwoStep.Key
				return c
			}
			_, real := w.state.StepPhone("")
			return w.verifyStep(real)
		}
		keys := []string{"k1", "k2"}
		rt.Repeat(map[string]func(*rapid.T){
			"wait": func(rt *rapid.T) {
				w.now += rapid.SampledFrom([]Time{second, 30 * second, minute, 9 * minute, hour, day}).Draw(rt, "for")
			},
			"door": func(rt *rapid.T) { w.policy.AllowTwoStepImport = rapid.Bool().Draw(rt, "open") },
			"import": func(*rapid.T) {
				deliver(w.enrolSteps(true, stepPhone("t1", "+14155550161"), stepPhone("t2", "+14155550162")))
			},
			"enrol":   func(*rapid.T) { deliver(w.enrolSteps(false, stepPhone("t3", "+14155550163"))) },
			"send":    func(rt *rapid.T) { deliver(w.sendStep(rapid.SampledFrom([]string{"", "t1", "t2"}).Draw(rt, "to"))) },
			"sign in": func(rt *rapid.T) { deliver(w.sendStep("")); deliver(known(rt)) },
			"prove":   func(rt *rapid.T) { deliver(known(rt)) },
			"guess":   func(*rapid.T) { deliver(w.verifyStep(false)) },
			"guess on": func(rt *rapid.T) { // with all the patience that it takes
				for range rapid.IntRange(1, 8).Draw(rt, "times") {
					deliver(w.sendStep(""))
					deliver(w.verifyStep(false))
					w.now += hour
				}
			},
			"send on": func(rt *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(rt, "times") {
					deliver(w.sendStep(""))
					w.now += 30 * second
				}
			},
			"guess at devices": func(rt *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(rt, "times") {
					deliver(w.verify())
				}
			},
			"guess a key": func(rt *rapid.T) { deliver(w.recoveryKey("wrong" + rapid.SampledFrom(keys).Draw(rt, "key"))) },
			"show a device's code": func(*rapid.T) {
				if len(w.state.Credentials) > 0 {
					deliver(w.verify(w.current(w.state.Credentials[0].ID)))
				}
			},
			"evaluate late": func(*rapid.T) { late = append(late, w.sendStep("t1"), w.verifyStep(true), w.recoveryKey("k1")) },
			"deliver late": func(rt *rapid.T) {
				if len(late) > 0 {
					c := *rapid.SampledFrom(late).Draw(rt, "which")
					if c.VerifyTwoStep != nil && c.VerifyTwoStep.Matched && len(w.state.TwoStep.Phones) == 0 {
						c.VerifyTwoStep = &VerifyTwoStep{} // nobody can have been right
					}
					deliver(&c)
				}
			},
			"make a key": func(rt *rapid.T) { deliver(w.makeKey(rapid.SampledFrom(keys).Draw(rt, "key"))) },
			"end":        func(*rapid.T) { deliver(w.endSteps()) },
			"add a device": func(rt *rapid.T) {
				deliver(w.enrol(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device"), totp6))
			},
			"remove a device": func(rt *rapid.T) { deliver(w.remove(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device"))) },
			"add a phone": func(*rapid.T) {
				deliver(w.addPhone("p1", "+14155550101"))
				deliver(w.sendPhone("p1"))
				c := w.verifyPhone("p1", true)
				deliver(c)
			},
			"move": func(rt *rapid.T) { deliver(w.move(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device"))) },
			"protect": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					deliver(w.protect(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device")))
				}
			},
			"change one's mind": func(*rapid.T) { deliver(w.undo(true)) },
		})
		for _, e := range w.entries {
			if strings.Contains(e, "415555") {
				rt.Fatalf("a number is in %s", e)
			}
		}
	})
}
