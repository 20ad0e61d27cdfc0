package account

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// knownBy stands in for the pepper's MAC over a front-end's id of a browser.
func knownBy(browser string) []byte { return pepper("browser " + browser) }

// verified begins a sign-in in a browser and has it verified by the phone's push.
func (w *world) verified(signIn string) {
	w.t.Helper()
	c := w.begin(signIn)
	c.Begin.Purpose = ForBrowser
	w.want(Done, c)
	w.want(Done, w.decide(signIn, "phone", true))
	w.want(Accepted, w.enter(signIn, w.live(signIn, "device/phone")))
}

func (w *world) trustBrowser(id, browser, signIn string) *Command {
	c := w.command()
	c.TrustBrowser = &TrustBrowser{Browser: Browser{ID: id, Digest: knownBy(browser), Name: "Safari"}, SignIn: signIn, MACs: 1}
	return c
}

// checkBrowser presents a genuine token of that number.
func (w *world) checkBrowser(id, browser string, n uint32) *Command {
	c := w.command()
	c.CheckBrowser = &CheckBrowser{ID: id, N: n, Digest: knownBy(browser), Genuine: true, MACs: 1}
	return c
}

func (w *world) endTrust(q EndTrust) *Command {
	c := w.command()
	c.EndTrust = &q
	return c
}

func (w *world) number(id string) uint32 {
	w.t.Helper()
	b := w.state.Browser(id)
	if b == nil {
		w.t.Fatalf("browser %s is not trusted", id)
	}
	return b.N
}

// surfer is an account with a phone that signs, and a trusted browser.
func surfer(t testing.TB) *world {
	t.Helper()
	w := holder(t, "phone")
	w.verified("s1")
	w.want(Done, w.trustBrowser("b1", "mac", "s1"))
	return w
}

func init() {
	goldenStates["state-browsers"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333436,
		SignIns: []SignIn{{
			ID: "s1", Nonce: goldenNonce, Purpose: ForBrowser, Begun: start, Expires: start + 10*minute, Ended: start + minute, End: Verified,
			By: "device/phone", Trusted: true,
		}},
		Browsers: Browsers{List: []Browser{
			{
				ID: "b1", Digest: pepper("browser mac"), N: 0x0c0d0e0f, Name: "Safari", Added: start + minute, LastUsed: start + 90*second,
				Expires: start + minute + 30*24*hour,
			},
			{ID: "b2", Digest: pepper("browser pc"), N: 1, Added: start, Expires: start + 24*hour},
		}},
	}
	for name, set := range map[string]func(*Command){
		"command-trust-browser": func(c *Command) {
			c.TrustBrowser = &TrustBrowser{Browser: Browser{ID: "b1", Digest: pepper("browser mac"), Name: "Safari"}, SignIn: "s1", MACs: 1}
		},
		"command-check-browser": func(c *Command) {
			c.CheckBrowser = &CheckBrowser{ID: "b1", N: 0x0c0d0e0f, Digest: pepper("browser mac"), Genuine: true, MACs: 1}
		},
		"command-check-device": func(c *Command) {
			c.CheckDevice = &CheckDevice{Device: "phone", Challenge: []byte("fedcba9876543210"), Time: start, Signature: []byte("signature")}
		},
		"command-revoke-browser":  func(c *Command) { c.EndTrust = &EndTrust{Browser: "b1"} },
		"command-revoke-browsers": func(c *Command) { c.EndTrust = &EndTrust{} },
		"command-sign-out-browser": func(c *Command) {
			c.EndTrust = &EndTrust{Digest: pepper("browser mac"), MACs: 1}
		},
		"command-sign-out-device": func(c *Command) { c.EndTrust = &EndTrust{Device: "phone"} },
		"command-change-password": func(c *Command) {
			c.ChangePassword = &ChangePassword{Security: true, Device: "phone", SignIn: "s1"}
		},
		"command-enrol-guarded": func(c *Command) {
			c.Enrol = &Enrol{Door: SealedDoor, SignIn: "s1", Guarded: true, Credential: Credential{
				ID: "mac", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3, PublicKey: []byte("key"),
			}}
		},
		"command-add-phone-guarded": func(c *Command) {
			c.AddPhone = &AddPhone{Phone: Phone{ID: "p1", Number: "+14155550101"}, SignIn: "s1", Guarded: true}
		},
		"command-remove-phone-guarded": func(c *Command) {
			c.EditPhone = &EditPhone{Phone: "p1", Remove: true, SignIn: "s1", Guarded: true}
		},
		"command-protect-guarded": func(c *Command) {
			c.Protect = &Protect{Own: "phone", Link: []byte("fedcba9876543210"), Guarded: true}
		},
	} {
		goldenCommands[name] = goldenCommand(set)
	}
}

// A browser is trusted by the sign-in that was just verified in it, once, and by no other.
func TestABrowserIsTrustedByAVerifiedSignInOnce(t *testing.T) {
	w := holder(t, "phone")
	w.want(StepUp, w.trustBrowser("b1", "mac", "s1")) // there is no such sign-in
	c := w.begin("s1")
	c.Begin.Purpose = ForBrowser
	w.want(Done, c)
	w.want(Done, w.decide("s1", "phone", true))
	w.want(StepUp, w.trustBrowser("b1", "mac", "s1"))
	w.want(Accepted, w.enter("s1", w.live("s1", "device/phone")))
	w.now += TrustWithin - 1
	first := w.trustBrowser("b1", "mac", "s1")
	first.Request = requestID(7)
	if r := w.want(Done, first); r.Credential != "b1" {
		t.Errorf("it is %q", r.Credential)
	}
	if !w.logged(`"operation":"trust-browser","key":"pepper","subject":"b1","key_version":1,"macs":1,"outcome":"done"`) ||
		!w.logged(`"operation":"sign-browser-token","key":"device-trust","subject":"b1","key_version":1,"macs":0,"outcome":"done"`) {
		t.Errorf("the entries are %s", w.entries[len(w.entries)-2:])
	}
	if n := w.last(); n.Kind != NoticeBrowserTrusted || n.Credential != "b1" || !slices.Equal(n.Devices, []string{"phone"}) || n.Nonce != nil {
		t.Errorf("the devices are told %+v", n)
	}
	again := w.trustBrowser("b2", "mac", "s1")
	again.Request = requestID(7)
	if r := w.want(Done, again); r.Credential != "b1" || !r.Replayed {
		t.Errorf("the same request again: %+v", r)
	}
	w.want(StepUp, w.trustBrowser("b2", "pc", "s1")) // it was used

	w.verified("s2")
	w.now += TrustWithin
	w.want(StepUp, w.trustBrowser("b2", "pc", "s2")) // it was long ago

	w.want(Done, w.begin("s3")) // on a device, whose own proof is worth more
	w.want(Done, w.decide("s3", "phone", true))
	w.want(Accepted, w.enter("s3", w.live("s3", "device/phone")))
	w.want(NotEligible, w.trustBrowser("b2", "pc", "s3"))

	w.policy.NoBrowserTrust = true
	w.verified("s4")
	w.want(RefusedByPolicy, w.trustBrowser("b2", "pc", "s4"))
	w.want(RefusedByPolicy, w.checkBrowser("b1", "mac", w.number("b1")))
	w.policy.NoBrowserTrust = false
	w.want(Accepted, w.checkBrowser("b1", "mac", w.number("b1")))
}

// Each use brings the next token. An older one ends the browser's trust, and is noted.
func TestAnOlderTokenEndsTheTrust(t *testing.T) {
	w := surfer(t)
	n := w.number("b1")
	w.now += hour
	if r := w.want(Accepted, w.checkBrowser("b1", "mac", n)); r.Credential != "b1" || r.Assurance != PasswordLevel {
		t.Errorf("%+v", r)
	}
	if !w.logged(`"operation":"verify-browser","key":"pepper","subject":"b1","key_version":1,"macs":1,"outcome":"accepted"`) {
		t.Errorf("the entries are %s", w.entries[len(w.entries)-2:])
	}
	w.now += RotateGrace - 1
	w.want(Accepted, w.checkBrowser("b1", "mac", n)) // another page of the same browser
	if got := w.number("b1"); got != n+1 {
		t.Errorf("the former token moved the number to %d, want %d", got, n+1)
	}
	w.now++
	notices := len(w.notices)
	w.want(Reused, w.checkBrowser("b1", "mac", n))
	if last := w.last(); len(w.notices) != notices+1 || last.Kind != NoticeBrowserReused || last.Credential != "b1" || !slices.Equal(last.Devices, []string{"phone"}) {
		t.Errorf("the devices are told %+v", last)
	}
	w.want(Wrong, w.checkBrowser("b1", "mac", n+1)) // the thief's, or the owner's
	if len(w.state.Browsers.List) != 0 {
		t.Errorf("trusted: %+v", w.state.Browsers.List)
	}

	// Two numbers back there is no grace; and one that isn't there yet is of a state that was rolled back.
	for _, ahead := range []int{-2, 1, 2} {
		w := surfer(t)
		for range 2 {
			w.want(Accepted, w.checkBrowser("b1", "mac", w.number("b1")))
		}
		w.want(Reused, w.checkBrowser("b1", "mac", w.number("b1")+uint32(ahead)))
	}
	// The number before the first one was nobody's.
	w = surfer(t)
	w.want(Reused, w.checkBrowser("b1", "mac", w.number("b1")-1))
}

// What isn't this browser's token of this account changes nothing, whatever it is.
func TestATokenThatIsNoneChangesNothing(t *testing.T) {
	w := surfer(t)
	n := w.number("b1")
	for name, spoil := range map[string]func(*CheckBrowser){
		"tampered with":   func(q *CheckBrowser) { q.Genuine = false },
		"another browser": func(q *CheckBrowser) { q.Digest = knownBy("pc") },
		"another id":      func(q *CheckBrowser) { q.ID = "b2" },
		"no token":        func(q *CheckBrowser) { q.ID, q.N, q.Genuine = "", 0, false },
		"a decoy's":       func(q *CheckBrowser) { q.Digest = decoyMAC[:] },
	} {
		before, notices := slices.Clone(w.state.Browsers.List), len(w.notices)
		c := w.checkBrowser("b1", "mac", n)
		spoil(c.CheckBrowser)
		if r := w.want(Wrong, c); r.Credential != "" {
			t.Errorf("%s: %+v", name, r)
		}
		if !slices.EqualFunc(before, w.state.Browsers.List, func(x, y Browser) bool { return x.ID == y.ID && x.N == y.N }) || len(w.notices) != notices {
			t.Errorf("%s: it is now %+v", name, w.state.Browsers.List)
		}
		if w.attempts() != (Attempts{}) {
			t.Errorf("%s: it was charged: %+v", name, w.attempts())
		}
	}
	// Whoever guesses codes keeps no trusted browser out.
	for range 40 {
		w.apply(w.verify())
	}
	if _, locked := w.state.LockedAt(w.now); !locked {
		t.Fatal("it isn't locked")
	}
	w.want(Accepted, w.checkBrowser("b1", "mac", n))

	nobody := newWorld(t)
	nobody.want(Wrong, nobody.checkBrowser("b1", "mac", n))
	nobody.want(StepUp, nobody.trustBrowser("b1", "mac", "s1"))
	nobody.want(NotFound, nobody.endTrust(EndTrust{}))
	if nobody.state != nil {
		t.Error("a name became a record by asking")
	}
	nobody.want(Done, nobody.begin("s1")) // a phantom
	nobody.want(Wrong, nobody.checkBrowser("b1", "mac", n))
	nobody.want(StepUp, nobody.trustBrowser("b1", "mac", "s1"))
}

// Trust runs out by the policy of when it began, or by today's if that is shorter.
func TestTrustInABrowserRunsOut(t *testing.T) {
	for _, x := range []struct {
		then, now uint16
		want      Time
	}{{0, 0, 30}, {7, 7, 7}, {7, 30, 7}, {30, 7, 7}, {400, 0, 30}} {
		w := holder(t, "phone")
		w.policy.BrowserDays = x.then
		w.verified("s1")
		w.want(Done, w.trustBrowser("b1", "mac", "s1"))
		w.policy.BrowserDays = x.now
		w.now += x.want*24*hour - 1
		n := w.number("b1")
		if at := w.state.Browser("b1").TrustedUntil(w.policy.BrowserPolicy, w.now); at != w.now+1 {
			t.Errorf("%d days, then %d: it says until %d, now is %d", x.then, x.now, at, w.now)
		}
		w.want(Accepted, w.checkBrowser("b1", "mac", n))
		w.now++
		w.want(Expired, w.checkBrowser("b1", "mac", n+1))
		w.want(Wrong, w.checkBrowser("b1", "mac", n+1))
	}
	if err := (Policy{BrowserPolicy: BrowserPolicy{BrowserDays: MaxBrowserDays + 1}}).Validate(); err == nil {
		t.Error("a policy trusts for more than the most")
	}
}

// There is one trust in a browser, and at most so many browsers: what was used longest ago makes room.
func TestSoManyBrowsers(t *testing.T) {
	w := surfer(t)
	w.verified("again")
	w.want(Done, w.trustBrowser("b2", "mac", "again"))
	if w.state.Browser("b1") != nil || w.state.Browser("b2") == nil {
		t.Errorf("the browser is trusted twice: %+v", w.state.Browsers.List)
	}
	for i := range MaxBrowsers - 1 {
		w.now += minute
		id := fmt.Sprint("more", i)
		w.verified(id)
		w.want(Done, w.trustBrowser(id, id, id))
	}
	w.now += minute
	w.want(Accepted, w.checkBrowser("b2", "mac", w.number("b2")))
	w.verified("one more")
	w.want(Done, w.trustBrowser("one more", "one more", "one more"))
	if w.state.Browser("more0") != nil || w.state.Browser("b2") == nil || len(w.state.Browsers.List) != MaxBrowsers {
		t.Errorf("not the one made room that was used longest ago: %+v", w.state.Browsers.List)
	}
	if !w.logged(`"operation":"trust-browser"`, `"detail":"in the place of more0"`) {
		t.Errorf("the entry doesn't say whose place it took: %s", w.entries[len(w.entries)-2:])
	}
	w.verified("conflict")
	w.want(Conflict, w.trustBrowser("b2", "new", "conflict"))
}

func TestTrustIsRevoked(t *testing.T) {
	w := surfer(t)
	for i := range 3 {
		id := fmt.Sprint("c", i)
		w.verified(id)
		w.want(Done, w.trustBrowser(id, id, id))
	}
	tokens := map[string]uint32{}
	for _, b := range w.state.Browsers.List {
		tokens[b.ID] = b.N
	}
	w.want(Done, w.endTrust(EndTrust{Browser: "c0"}))
	w.want(NotFound, w.endTrust(EndTrust{Browser: "c0"}))
	w.want(Wrong, w.checkBrowser("c0", "c0", tokens["c0"]))
	w.want(Done, w.endTrust(EndTrust{Digest: knownBy("c1"), MACs: 1}))
	if !w.logged(`"operation":"sign-out-browser","key":"pepper"`, `"detail":"c1"`) {
		t.Errorf("the entry is %s", w.entries[len(w.entries)-1])
	}
	w.want(Done, w.endTrust(EndTrust{Digest: knownBy("c1"), MACs: 1})) // it is signed out
	w.want(Wrong, w.checkBrowser("c1", "c1", tokens["c1"]))
	w.want(Accepted, w.checkBrowser("c2", "c2", tokens["c2"]))
	w.want(Done, w.endTrust(EndTrust{}))
	if !w.logged(`"operation":"revoke-browsers"`, `"detail":"b1 c2"`) {
		t.Errorf("the entry is %s", w.entries[len(w.entries)-1])
	}
	w.want(Wrong, w.checkBrowser("b1", "mac", tokens["b1"]))
	w.want(Wrong, w.checkBrowser("c2", "c2", tokens["c2"]+1))
}

// Nothing of a browser's number tells how often it was used.
func TestFirstTokens(t *testing.T) {
	a, b := firstToken(bytes.Repeat([]byte{0xff}, SaltSize)), firstToken(make([]byte, SaltSize))
	if a == b || a > 1<<30 || b != 1 {
		t.Errorf("they begin at %d and %d", a, b)
	}
	if _, err := x509.ParsePKIXPublicKey(decoyDevice.PublicKey); err != nil {
		t.Errorf("the decoy's key: %v", err)
	}
	seen := map[string]bool{}
	for _, p := range [][4]string{{"acme", "ann", "d", "b"}, {"acm", "eann", "d", "b"}, {"acme", "ann", "db", ""}, {"acme", "annd", "", "b"}} {
		seen[string(BrowserTokenMessage(p[0], p[1], []byte(p[2]), p[3], 1))] = true
		seen[string(BrowserMessage(p[0], p[1], p[2]+p[3]))] = true
	}
	if len(seen) != 4+3 || !strings.HasPrefix(string(BrowserMessage("a", "b", "c"))[4:], browserDomain) {
		t.Errorf("%d messages are different", len(seen))
	}
}
