package account

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// TestTrustModel drives an account with the acts of its owner, of thieves with copies of tokens, and of front-ends. Beside it
// stands what is promised: whose trust has ended is never trusted again, a token opens only what it was made for, and two
// holders of one are found out.
func TestTrustModel(t *testing.T) {
	type held struct { // what the world knows of a browser's trust
		browser string
		tokens  []uint32 // all that were ever given out, the newest last
		moved   Time     // when the newest was
		expires Time
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.want(Done, w.create())
		alive := map[string]*held{}
		ever := map[string]*held{}
		devices := map[string]bool{}
		made := 0
		names := []string{"phone", "mac", "watch"}
		any := func(rt *rapid.T) string { return rapid.SampledFrom(names).Draw(rt, "device") }
		browser := func(rt *rapid.T) string {
			return rapid.SampledFrom([]string{"safari", "firefox", "lynx"}).Draw(rt, "browser")
		}
		some := func(rt *rapid.T) string { return fmt.Sprint("b", rapid.IntRange(1, made+1).Draw(rt, "id")) }
		drop := func(f func(*held) bool) {
			maps.DeleteFunc(alive, func(_ string, h *held) bool { return f(h) })
		}
		// verified has somebody sign in, with the code of whichever device there is.
		verified := func(rt *rapid.T, id string) bool {
			for _, name := range names {
				if !devices[name] {
					continue
				}
				c := w.begin(id)
				c.Begin.Purpose = ForBrowser
				if w.apply(c).Outcome != Done || w.apply(w.decide(id, name, true)).Outcome != Done {
					return false
				}
				return w.apply(w.enter(id, w.live(id, DeviceChannel(name)))).Outcome == Accepted
			}
			return false
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) {
				if len(w.state.Browsers.List) > MaxBrowsers {
					rt.Fatalf("%d browsers", len(w.state.Browsers.List))
				}
				for _, b := range w.state.Browsers.List {
					h := alive[b.ID]
					if h == nil {
						rt.Fatalf("the trust in %s has ended, and there is %+v", b.ID, b)
					}
					if b.N != h.tokens[len(h.tokens)-1] || b.Expires != h.expires {
						rt.Fatalf("%+v, want number %d until %d", b, h.tokens[len(h.tokens)-1], h.expires)
					}
				}
				for _, k := range w.state.Credentials {
					if !devices[k.ID] {
						rt.Fatalf("the trust in %s has ended, and it is there", k.ID)
					}
				}
			},
			"tick": func(rt *rapid.T) {
				w.now += rapid.SampledFrom([]Time{1, second, RotateGrace, 11 * minute, 24 * hour, 16 * 24 * hour}).Draw(rt, "time")
			},
			"enrol": func(rt *rapid.T) {
				name := any(rt)
				if w.state.lost(name) >= 0 { // ids are drawn: one never comes twice
					w.want(Done, w.remove(name))
				}
				if !devices[name] {
					w.want(Done, w.device(name))
					devices[name] = true
				}
			},
			"trust": func(rt *rapid.T) {
				made++
				id, where, signIn := fmt.Sprint("b", made), browser(rt), fmt.Sprint("s", made)
				proved := rapid.IntRange(0, 3).Draw(rt, "proved") > 0 && verified(rt, signIn)
				c := w.trustBrowser(id, where, signIn)
				want := StepUp
				if proved {
					want = Done
					drop(func(h *held) bool { return h.browser == where || w.now >= h.expires })
				}
				w.want(want, c)
				w.want(StepUp, w.trustBrowser("again", where, signIn)) // not with the same sign-in
				if proved {
					h := &held{browser: where, tokens: []uint32{w.number(id)}, expires: w.now + 30*24*hour}
					alive[id], ever[id] = h, h
				}
			},
			"check": func(rt *rapid.T) {
				id, where := some(rt), browser(rt)
				c := w.checkBrowser(id, where, 0)
				h := ever[id]
				back := 0
				if h != nil {
					back = rapid.IntRange(0, min(2, len(h.tokens)-1)).Draw(rt, "older")
					c.CheckBrowser.N = h.tokens[len(h.tokens)-1-back]
				}
				forged := rapid.IntRange(0, 3).Draw(rt, "forged") == 0
				c.CheckBrowser.Genuine = !forged
				live := alive[id]
				want := Wrong
				switch {
				case live == nil || forged || live.browser != where:
				case w.now >= live.expires:
					want = Expired
					delete(alive, id)
				case back == 0:
					want = Accepted
					live.tokens, live.moved = append(live.tokens, c.CheckBrowser.N+1), w.now
				case back == 1 && w.now-live.moved < RotateGrace:
					want = Accepted
				default:
					want = Reused
					delete(alive, id)
				}
				if r := w.want(want, c); (r.Credential == id) != (want == Accepted) {
					rt.Fatalf("%+v of %s", r, id)
				}
			},
			"show": func(rt *rapid.T) {
				name := any(rt)
				c, want := w.checkDevice(name, challenge), NotFound
				if devices[name] {
					want = Accepted
					if rapid.Bool().Draw(rt, "forged") {
						c.CheckDevice.Time++
						want = BadSignature
					}
				}
				w.want(want, c)
			},
			"revoke": func(rt *rapid.T) {
				id, want := some(rt), NotFound
				if w.state.Browser(id) != nil {
					want = Done
				}
				delete(alive, id)
				w.want(want, w.endTrust(EndTrust{Browser: id}))
			},
			"revoke all": func(*rapid.T) {
				clear(alive)
				w.want(Done, w.endTrust(EndTrust{}))
			},
			"sign out of a browser": func(rt *rapid.T) {
				where := browser(rt)
				drop(func(h *held) bool { return h.browser == where })
				w.want(Done, w.endTrust(EndTrust{Digest: knownBy(where), MACs: 1}))
			},
			"end a device": func(rt *rapid.T) {
				name := any(rt)
				c := w.endTrust(EndTrust{Device: name})
				switch rapid.IntRange(0, 2).Draw(rt, "how") {
				case 0:
					c = w.remove(name)
				case 1:
					c = w.command()
					c.Lose = &Lose{Device: name}
				}
				w.apply(c)
				delete(devices, name)
			},
			"change the password": func(rt *rapid.T) {
				q := ChangePassword{Security: rapid.Bool().Draw(rt, "security")}
				if rapid.Bool().Draw(rt, "at hand") {
					q.Device = any(rt)
				}
				if q.Device != "" && !devices[q.Device] {
					w.want(NotFound, w.changePassword(q))
					return
				}
				w.want(Done, w.changePassword(q))
				if q.Security {
					clear(alive)
					maps.DeleteFunc(devices, func(name string, _ bool) bool { return name != q.Device })
				}
				for i := range w.state.SignIns {
					if x := &w.state.SignIns[i]; x.Open(w.now) || q.Security && x.End == Verified {
						rt.Fatalf("the old password has %+v", x)
					}
				}
			},
		})
	})
}
