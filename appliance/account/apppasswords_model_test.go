package account

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestAppPasswordsModel drives an account beside sets and sums: never more than the limit, never a revoked one accepted,
// every charge exact.
func TestAppPasswordsModel(t *testing.T) {
	type bounds struct {
		service string
		expires Time
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.policy.AllowAppPasswords = true
		w.want(Done, w.create())
		w.want(Done, w.enrol("phone", totp6))
		alive := map[string]bounds{} // by password, which is also the id
		most, charge, failures, last := 25, 0, 0, ""
		made := 0
		charged := func(password string) {
			if password != last {
				charge, last = charge+1, password
			}
		}
		locked := func(r Result) bool {
			_, is := w.state.LockedAt(w.now)
			return is && r.Outcome == Locked
		}
		any := func(rt *rapid.T) string { // one that was made, alive or not, or none
			return fmt.Sprint("p", rapid.IntRange(1, made+2).Draw(rt, "password"))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) {
				if n := len(w.state.AppPasswords.List); n != len(alive) || n > 25 {
					rt.Fatalf("%d app passwords, want %d", n, len(alive))
				}
				if a := w.attempts(); int(a.Charge) != charge || int(a.Failures) != failures {
					rt.Fatalf("attempts %+v, want %d failures and a charge of %d", a, failures, charge)
				}
			},
			"tick": func(rt *rapid.T) { w.now += rapid.SampledFrom([]Time{1, minute, hour, 24 * hour}).Draw(rt, "time") },
			"policy": func(rt *rapid.T) {
				w.policy.AllowAppPasswords = rapid.IntRange(0, 3).Draw(rt, "allow") > 0
				most = rapid.SampledFrom([]int{3, 25}).Draw(rt, "most")
				w.policy.MaxAppPasswords = uint8(most)
			},
			"create": func(rt *rapid.T) {
				for range rapid.SampledFrom([]int{1, 1, 30}).Draw(rt, "times") {
					made++
					name := fmt.Sprint("p", made)
					c := w.createAppPassword(name, name)
					k := &c.CreateAppPassword.Password
					k.Service = rapid.SampledFrom([]string{"", "", "imap"}).Draw(rt, "service")
					if rapid.IntRange(0, 4).Draw(rt, "expires") == 0 {
						k.Expires = w.now + hour
					}
					want := Done
					switch {
					case !w.policy.AllowAppPasswords:
						want = RefusedByPolicy
					case len(alive) >= most:
						want = TooMany
					default:
						alive[name] = bounds{k.Service, k.Expires}
					}
					w.want(want, c)
				}
			},
			"revoke": func(rt *rapid.T) {
				name, want := any(rt), NotFound
				if _, there := alive[name]; there {
					want = Done
				}
				delete(alive, name)
				w.want(want, w.revokeAppPassword(name))
			},
			"revoke all": func(*rapid.T) {
				clear(alive)
				w.want(Done, w.revokeAppPassword(""))
			},
			"verify": func(rt *rapid.T) {
				name := any(rt)
				c := w.verifyAppPassword(name)
				c.VerifyAppPassword.Service = rapid.SampledFrom([]string{"", "imap", "smtp"}).Draw(rt, "service")
				r := w.apply(c)
				if locked(r) {
					return
				}
				k, there := alive[name]
				want := Accepted
				switch {
				case !there:
					want = Wrong
				case !w.policy.AllowAppPasswords:
					want = RefusedByPolicy
				case k.expires != 0 && w.now >= k.expires:
					want = Expired
				case k.service != "" && k.service != c.VerifyAppPassword.Service:
					want = OutOfScope
				}
				if r.Outcome != want || (r.Credential != "") != (want == Accepted) {
					rt.Fatalf("%s: %+v, want %v", name, r, want)
				}
				if want != Accepted {
					charged(name)
				}
			},
			"guess a code": func(*rapid.T) {
				if r := w.apply(w.verify()); !locked(r) {
					charge, failures = charge+300, failures+1
				}
			},
			"sign in": func(*rapid.T) {
				if r := w.apply(w.verify(w.current("phone"))); r.Outcome == Accepted {
					charge, failures = 0, 0
				} else if !locked(r) {
					charge, failures = charge+300, failures+1
				}
			},
		})
	})
}
