package account

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestSignInModel drives an account with random acts of everybody: its devices and removed ones, somebody who guesses,
// somebody who knows codes that are old, spent, or another's, and nodes that evaluate late. After every act it checks what
// is promised, from what it has itself seen.
func TestSignInModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.policy.SendsPerSignIn, w.policy.CooldownSeconds = 20, 1
		w.want(Done, w.create())
		ends := map[string]SignInState{} // how each sign-in ended, as it was seen first
		spent := map[uint32]bool{}       // codes that opened something
		made := map[uint32]string{}      // whose each code was
		ever := false                    // a phone was verified
		var sends []Time
		var late []*Command
		denials, mistaken := map[string]Time{}, map[string]bool{} // of sign-ins; those of which it is said so, then or after
		harassed := 0
		corrected := false // it was said after
		signIns := []string{"s0", "s1", "s2", "s3"}
		devices := []string{"phone", "tablet", "watch"}
		phones := map[string]string{"p0": "+14155550100", "p1": "+14155550101", "p2": "+14155550102"}

		check := func(c *Command, r Result) {
			s := w.state
			for i := range s.SignIns {
				x := &s.SignIns[i]
				key := fmt.Sprint(x.ID, x.Begun)
				state := x.State(max(w.now, s.Time))
				if before, ended := ends[key]; ended && before != state {
					rt.Fatalf("%s was %v and is %v", x.ID, before, state)
				}
				if state != SignInBegun && state != SignInAllowed {
					ends[key] = state
				}
				for _, l := range x.Codes {
					if owner := made[l.N]; owner != "" && owner != key+l.Channel {
						rt.Fatalf("code %d is of %s and of %s", l.N, owner, key+l.Channel)
					}
					made[l.N] = key + l.Channel
					if id, is := trimmed(l.Channel, devicePrefix); is && (s.Find(id) == nil || id == x.Own) {
						rt.Fatalf("%s has a code of %s", x.ID, l.Channel)
					}
					if id, is := trimmed(l.Channel, phonePrefix); is && (s.Phone(id) == nil || s.Phone(id).Verified == 0) {
						rt.Fatalf("%s has a code of %s", x.ID, l.Channel)
					}
				}
			}
			if s.live("", s.Time) > MaxLive || s.cost("")+s.live("", s.Time)*unit[CodeDigits] > Budget {
				rt.Fatalf("one attempt has %d units", s.cost("")+s.live("", s.Time)*unit[CodeDigits])
			}
			if s.RetryAt == 0 && s.Charge > Budget {
				rt.Fatalf("%d units were free", s.Charge)
			}
			if c.Decide != nil && r.Outcome == Done {
				x := s.SignIn(c.Decide.SignIn)
				key := fmt.Sprint(x.ID, x.Begun)
				if _, known := denials[key]; known && x.Reason == ByMistake && !mistaken[key] {
					corrected = true
				}
				if x.End == Denied {
					denials[key], mistaken[key] = x.Ended, x.Reason == ByMistake
				}
			}
			if c.Begin != nil && r.Outcome == Done {
				recent := 0
				for key, at := range denials {
					if !mistaken[key] && s.Time-at < QuietFor {
						recent++
					}
				}
				quiet := s.SignIn(r.Credential).Quiet
				if quiet && recent < QuietAfter || !quiet && recent >= QuietAfter && !corrected {
					rt.Fatalf("after %d denials within the hour a sign-in is quiet: %v", recent, quiet)
				}
			}
			ever = ever || s.VerifiedPhones() > 0
			if ever && s.VerifiedPhones() == 0 {
				rt.Fatalf("the last phone is gone")
			}
			if (c.Send != nil || c.SendPhone != nil) && r.Outcome == Done {
				sends = append(sends, s.Time)
				recent := 0
				for _, at := range sends {
					if s.Time-at < hour {
						recent++
					}
				}
				if recent > DefaultSendsPerAccount {
					rt.Fatalf("%d codes were sent within an hour", recent)
				}
			}
		}
		deliver := func(c *Command) {
			open := map[string]bool{}
			newest := map[LiveCode]bool{}
			own := map[string]string{}
			marks := map[string]int64{}
			for _, id := range signIns {
				if x := w.state.SignIn(id); x != nil && x.Open(max(w.now, w.state.Time, c.Time)) {
					open[id], own[id] = true, x.Own
					for _, l := range x.Codes {
						if c.Enter != nil && (c.Enter.Combined || c.Enter.SignIn == id) {
							newest[l] = true
						}
					}
				}
			}
			for _, k := range w.state.Credentials {
				marks[k.ID] = int64(k.Watermark)
			}
			copied := *c
			r := w.apply(&copied)
			if c.Enter != nil && r.Outcome == Accepted {
				if !c.Enter.Combined && !open[c.Enter.SignIn] {
					rt.Fatalf("a sign-in that is over was verified")
				}
				if k := w.state.Find(r.Credential); k != nil {
					if int64(k.Watermark) <= marks[k.ID] || own[c.Enter.SignIn] == k.ID && !c.Enter.Combined {
						rt.Fatalf("the code of %s opened a door that it must not", k.ID)
					}
				} else {
					right := false
					for _, l := range c.Enter.Codes {
						right = right || newest[l] && l.Channel == r.Credential && !spent[l.N]
						if l.Channel == r.Credential && newest[l] {
							spent[l.N] = true
						}
					}
					if !right {
						rt.Fatalf("%+v was opened by a code that is not live: %+v", c.Enter, r)
					}
				}
			}
			check(c, r)
		}
		signIn := func(rt *rapid.T) string { return rapid.SampledFrom(signIns).Draw(rt, "sign-in") }
		phone := func(rt *rapid.T) string { return rapid.SampledFrom([]string{"p0", "p1", "p2"}).Draw(rt, "phone") }
		anyDevice := func(rt *rapid.T) string { return rapid.SampledFrom(devices).Draw(rt, "device") }
		attempt := func(rt *rapid.T) *Command {
			id := ""
			if rapid.IntRange(0, 3).Draw(rt, "combined") > 0 {
				id = signIn(rt)
			}
			c := w.enter(id)
			for range rapid.IntRange(0, 2).Draw(rt, "codes") {
				l := LiveCode{rapid.SampledFrom([]string{"device/phone", "device/tablet", "phone/p0", "phone/p1"}).Draw(rt, "channel"), 0}
				if x := w.state.SignIn(signIn(rt)); x != nil && rapid.Bool().Draw(rt, "live") {
					l.N = x.Code(l.Channel)
				} else {
					l.N = uint32(rapid.IntRange(0, int(w.state.Channels.Made)+1).Draw(rt, "n"))
				}
				c.Enter.Codes = append(c.Enter.Codes, l)
			}
			if rapid.IntRange(0, 4).Draw(rt, "settings") == 0 {
				c.Enter.Matches = []Match{w.current(anyDevice(rt))}
			}
			return c
		}
		rt.Repeat(map[string]func(*rapid.T){
			"tick": func(rt *rapid.T) {
				w.now += rapid.SampledFrom([]Time{1, second, 30 * second, minute, 10 * minute, hour}).Draw(rt, "time")
			},
			"device": func(rt *rapid.T) { deliver(w.device(anyDevice(rt))) },
			"remove": func(rt *rapid.T) { deliver(w.remove(anyDevice(rt))) },
			"begin": func(rt *rapid.T) {
				c := w.begin(signIn(rt))
				if rapid.IntRange(0, 3).Draw(rt, "own") == 0 {
					c.Begin.Own = anyDevice(rt)
				}
				deliver(c)
			},
			"decide": func(rt *rapid.T) {
				deliver(w.decide(signIn(rt), anyDevice(rt), rapid.IntRange(0, 3).Draw(rt, "allow") > 0))
			},
			"deny": func(rt *rapid.T) {
				id, device := signIn(rt), anyDevice(rt)
				if w.state.SignIn(id) != nil && w.keys[device] != nil {
					deliver(w.deny(id, device, DenyReason(rapid.IntRange(0, 2).Draw(rt, "reason"))))
				}
			},
			"harass": func(rt *rapid.T) {
				device := anyDevice(rt)
				for range rapid.IntRange(1, 8).Draw(rt, "times") {
					harassed++
					c := w.begin(fmt.Sprintf("h%d", harassed))
					deliver(c)
					if w.state.SignIn(c.Begin.SignIn) != nil && w.keys[device] != nil && rapid.Bool().Draw(rt, "denied") {
						deliver(w.deny(c.Begin.SignIn, device, DenyReason(rapid.IntRange(0, 2).Draw(rt, "reason"))))
					} else {
						deliver(w.cancel(c.Begin.SignIn))
					}
					w.now += rapid.SampledFrom([]Time{second, minute, 10 * minute}).Draw(rt, "time")
				}
			},
			"forge": func(rt *rapid.T) {
				c := w.decide(signIn(rt), anyDevice(rt), true)
				c.Decide.Signature = []byte("forged")
				before := w.state.Channels.Made
				if deliver(c); w.state.Channels.Made != before {
					rt.Fatalf("a forged decision made a code")
				}
			},
			"cancel":   func(rt *rapid.T) { deliver(w.cancel(signIn(rt))) },
			"send":     func(rt *rapid.T) { deliver(w.send(signIn(rt), phone(rt))) },
			"enter":    func(rt *rapid.T) { deliver(attempt(rt)) },
			"evaluate": func(rt *rapid.T) { late = append(late, attempt(rt)) },
			"deliver": func(rt *rapid.T) {
				if len(late) > 0 {
					deliver(rapid.SampledFrom(late).Draw(rt, "late"))
				}
			},
			"guess": func(rt *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(rt, "times") {
					deliver(w.enter(signIn(rt)))
				}
			},
			"add phone": func(rt *rapid.T) { id := phone(rt); deliver(w.addPhone(id, phones[id])) },
			"phone":     func(rt *rapid.T) { deliver(w.sendPhone(phone(rt))) },
			"verify phone": func(rt *rapid.T) {
				deliver(w.verifyPhone(phone(rt), rapid.IntRange(0, 3).Draw(rt, "right") > 0))
			},
			"remove phone": func(rt *rapid.T) { deliver(w.removePhone(phone(rt))) },
		})
	})
}

func trimmed(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return "", false
}
