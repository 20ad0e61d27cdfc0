package account

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const day = 24 * hour

func (w *world) protect(own string) *Command {
	c := w.command()
	c.Protect = &Protect{Own: own, Link: c.Salt}
	return c
}

func (w *world) protectNew(id, platform, version string) *Command {
	c := w.protect("")
	k := w.device(id).Enrol.Credential
	k.Platform, k.SystemVersion = platform, version
	c.Protect.Register, c.Protect.Device, c.Protect.Platform, c.Protect.SystemVersion = true, &k, platform, version
	return c
}

// undo uses the link; right says whether the token was.
func (w *world) undo(right bool) *Command {
	c := w.command()
	c.Unprotect = &Unprotect{}
	if link := w.state.Enrolment.Link; len(link) > 0 {
		c.Unprotect = &Unprotect{Link: link, Matched: right, MACs: 1}
	}
	return c
}

func (w *world) lose(id string, erased bool) *Command {
	c := w.command()
	c.Lose = &Lose{Device: id, Erased: erased}
	return c
}

func (w *world) mode(want ProtectionMode, level Assurance) {
	w.t.Helper()
	if got := w.state.Enrolment.Mode; got != want || w.state.Assurance() != level {
		w.t.Fatalf("protection is %v at %v, want %v at %v", got, w.state.Assurance(), want, level)
	}
}

// TestTurningOn: P12, P18, P23: a verified phone first, and the device at hand is trusted in the same step.
func TestTurningOn(t *testing.T) {
	w := newWorld(t)
	w.want(NotFound, w.protect("phone"))
	w.want(Done, w.create())
	w.mode(Unprotected, PasswordLevel)
	w.want(NoPhone, w.protectNew("mac", "OS X", "10.11"))
	w.want(Done, w.addPhone("p1", "+14155550101"))
	w.want(NoPhone, w.protectNew("mac", "OS X", "10.11"))
	w.want(Done, w.removePhone("p1"))
	w.phone("p1", "+14155550101")
	if w.want(Done, w.begin("s1")); w.state.Find("mac") != nil {
		t.Fatal("a refused device is there")
	}
	unmade := w.protectNew("mac", "OS X", "10.11")
	unmade.Protect.Device = nil
	w.want(Stale, unmade)
	w.want(NotFound, w.protect("mac"))
	c := w.with(requestID(9), w.protectNew("mac", "OS X", "10.11"))
	c.Protect.Checked = true
	if r := w.want(Done, c); r.Credential != "mac" {
		t.Errorf("the answer is %+v", r)
	}
	w.mode(TwoFactor, TwoFactorLevel)
	if k := w.state.Find("mac"); k == nil || k.Kind != Device {
		t.Fatal("the device is not trusted")
	}
	if n := w.last(); n.Kind != NoticeProtectionOn || len(n.Link) != LinkSize || n.Expires != w.state.Time+14*day {
		t.Errorf("the notice is %+v", n)
	}
	for _, texts := range [][]string{
		{opProtect, `"subject":"mac"`, "own questions"}, {opSealed, `"key":"mac"`}, {opMakeLink, `"key":"pepper"`},
	} {
		if !w.logged(texts...) {
			t.Errorf("no entry has %q", texts)
		}
	}
	if r := w.want(Done, w.with(requestID(9), w.protectNew("again", "OS X", "10.11"))); !r.Replayed || r.Credential != "mac" {
		t.Errorf("the request repeated: %+v", r)
	}
	w.want(Exists, w.protect("mac"))
	if n := len(w.state.Credentials); n != 1 {
		t.Errorf("there are %d devices", n)
	}
	r := w.want(Accepted, w.verify(w.current("mac")))
	if r.Assurance != TwoFactorLevel || !w.logged(`"operation":"verify"`, "assurance two_factor") {
		t.Errorf("P73: an accepted code is worth %v", r.Assurance)
	}
	w.want(LastPhone, w.removePhone("p1"))
}

// TestTheWayBack: PEERS.md 20: 14 days minus and plus a second of committed time, with clocks that differ.
func TestTheWayBack(t *testing.T) {
	on := func() *world {
		w := holder(t, "phone")
		w.phone("p1", "+14155550101")
		w.want(Done, w.protect("phone"))
		return w
	}
	w := on()
	since := w.state.Enrolment.Since
	w.now = since + 14*day - second
	w.want(Wrong, w.undo(false))
	w.want(Done, w.with(requestID(1), w.undo(true)))
	w.mode(Unprotected, PasswordLevel)
	if n := w.last(); n.Kind != NoticeProtectionOff {
		t.Errorf("the notice is %+v", n)
	}
	w.want(Done, w.with(requestID(1), w.undo(true))) // repeated
	w.want(Wrong, w.undo(true))                      // the link is spent
	if r := w.want(Accepted, w.verify(w.current("phone"))); r.Assurance != PasswordLevel {
		t.Errorf("P76: a code is still worth %v", r.Assurance)
	}
	old := w.undo(true)
	w.want(Done, w.protect("phone"))
	old.Unprotect = &Unprotect{Link: []byte("0123456789abcdef"), Matched: true}
	w.want(Stale, old) // what an earlier life's link matched says nothing about this one's

	// Earlier settings are kept only where there is a way back to them.
	for _, forbidden := range []bool{false, true} {
		w = holder(t, "phone")
		w.policy.NoWayBack = forbidden
		w.phone("p1", "+14155550101")
		c := w.protect("phone")
		c.Protect.Prior, c.Protect.PriorDay = []byte("sealed"), DayOf(w.now)
		if d := Apply(w.policy, w.state, c); d.Keeps == forbidden || (d.Next.Enrolment.PriorDay != 0) == forbidden {
			t.Errorf("no way back: %v, and kept: %v", forbidden, d.Keeps)
		}
		c.Protect.PriorDay += 2
		if c.Validate() == nil {
			t.Error("settings of another day are taken")
		}
	}

	w = on()
	w.now = w.state.Enrolment.Since + 14*day
	w.want(Permanent, w.undo(true))
	w.now += second
	w.want(Permanent, w.undo(true))
	w.want(Permanent, w.undo(false))
	w.mode(TwoFactor, TwoFactorLevel)

	// Another node's clock is behind, and the account has heard from one that is ahead.
	w = on()
	w.now = w.state.Enrolment.Since + 14*day + second
	w.want(Done, w.begin("s1"))
	w.now -= 2 * second
	w.want(Permanent, w.undo(true))
	// And the other way: turned on by a clock that was ahead, undone by one behind. The time of the account counts.
	w = on()
	w.now = w.state.Enrolment.Since - second
	w.want(Done, w.undo(true))

	w = on()
	w.policy.NoWayBack = true
	w.want(Permanent, w.undo(true))
	w.policy.NoWayBack = false
	w.want(Done, w.undo(true))
	w.policy.NoWayBack = true
	w.want(Done, w.protect("phone"))
	w.policy.NoWayBack = false
	w.want(Permanent, w.undo(true)) // there is no link
}

// TestBornProtected: P25, and P23: the first phone completes it in one step.
func TestBornProtected(t *testing.T) {
	w := newWorld(t)
	w.policy.BornProtected = true
	w.want(Done, w.create())
	w.mode(Pending, PasswordLevel)
	w.want(Permanent, w.undo(true))
	w.want(Done, w.addPhone("p1", "+14155550101"))
	w.want(Done, w.sendPhone("p1"))
	w.want(Wrong, w.verifyPhone("p1", false))
	w.mode(Pending, PasswordLevel)
	w.policy.BornProtected = false // what the policy says later changes nothing
	w.want(Accepted, w.verifyPhone("p1", true))
	w.mode(TwoFactor, TwoFactorLevel)
	if !w.logged(opProtect, `"outcome":"done"`) {
		t.Error("there is no entry that says so")
	}
	w.want(Permanent, w.undo(true))
	w.want(Permanent, w.undo(false))

	w = newWorld(t)
	w.policy.BornProtected, w.policy.Excluded = true, []string{"kiosk"}
	c := w.create()
	c.Create.Class = "kiosk"
	w.want(Done, c)
	w.mode(Unprotected, PasswordLevel)
	w.want(Wrong, w.undo(true))
}

// TestAnyAccountType: P63: children's accounts and managed ones as well, unless policy says otherwise.
func TestAnyAccountType(t *testing.T) {
	for _, x := range []struct {
		class string
		want  Outcome
	}{{"", Done}, {"child", Done}, {"managed", Done}, {"kiosk", Ineligible}} {
		w := holder(t, "phone")
		w.policy.Excluded = []string{"kiosk"}
		w.phone("p1", "+14155550101")
		c := w.command()
		c.Classify = &Classify{Class: x.class}
		w.want(Done, c)
		w.want(x.want, w.protect("phone"))
		if got := len(w.policy.AccountReasons(w.state)) > 0; !got {
			t.Errorf("%q: neither on nor excluded", x.class)
		}
	}
	if (&Command{Time: start, Tenant: "a", Account: "b", Classify: &Classify{Class: "A child"}}).Validate() == nil {
		t.Error("any text is a class")
	}
}

// TestTurningOnNeedsStepUp where policy asks: by a sign-in, or by the phone that was verified a moment ago.
func TestTurningOnNeedsStepUp(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101")
	w.policy.StepUpMinutes = 5
	w.now += 4 * minute
	w.want(StepUp, w.protect("phone"))
	w.want(Done, w.begin("s1"))
	c := w.enter("s1")
	c.Enter.Matches = []Match{w.current("phone")}
	w.want(Accepted, c)
	c = w.protect("phone")
	c.Protect.SignIn = "s1"
	w.want(Done, c)

	w = holder(t)
	w.policy.StepUpMinutes = 5
	w.phone("p1", "+14155550101") // a minute ago
	w.want(Done, w.protectNew("mac", "", ""))
}

// TestS12_BelowTheMinimum: listed, and neither codes nor notices.
func TestS12_BelowTheMinimum(t *testing.T) {
	w := newWorld(t)
	w.policy.Platforms = []Platform{{Name: "iOS", Minimum: "9"}, {Name: "tvOS", NoCodes: true}}
	w.want(Done, w.create())
	for id, version := range map[string]string{"new": "9.3.1", "old": "8.4"} {
		c := w.device(id)
		c.Enrol.Credential.Platform, c.Enrol.Credential.SystemVersion = "iOS", version
		w.want(Done, c)
	}
	tv := w.device("tv")
	tv.Enrol.Credential.Platform = "tvOS"
	w.want(Done, tv)
	w.want(Done, w.begin("s1"))
	if n := w.last(); len(n.Devices) != 1 || n.Devices[0] != "new" {
		t.Errorf("the sign-in is told to %q", n.Devices)
	}
	w.want(NotEligible, w.decide("s1", "old", true))
	w.want(NotEligible, w.decide("s1", "tv", true))
	w.want(Done, w.decide("s1", "new", true))
	w.want(NotEligible, w.fetch("s1", "old"))
	w.want(Done, w.fetch("s1", "new"))
	w.phone("p1", "+14155550101")
	w.want(NotEligible, w.protect("old"))
	w.want(NotEligible, w.protectNew("older", "iOS", "7"))
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "old", false)) // to say no is for everybody

	c := w.command()
	c.UpdateDevice = &UpdateDevice{Device: "old", SystemVersion: "9"}
	w.want(Done, c)
	w.want(Done, w.begin("s3"))
	if n := w.last(); len(n.Devices) != 2 {
		t.Errorf("after the update it is told to %q", n.Devices)
	}
	w.want(Done, w.remove("new"))
	w.want(Done, w.decide("s3", "old", true))

	w.want(Done, w.lose("old", false))
	if w.want(Done, w.begin("s4")); w.state.Options(w.policy, w.state.SignIn("s4")).Devices {
		t.Error("a television is said to show codes")
	}
}

// TestE6_LostAndErased: trust and codes are dead at once; the device is listed until it is removed.
func TestE6_LostAndErased(t *testing.T) {
	w := holder(t, "phone", "mac")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	code := w.live("s1", "device/phone")
	shown := w.current("phone")
	w.want(NotFound, w.lose("none", false))
	w.want(Done, w.lose("phone", false))
	if n := w.last(); n.Kind != NoticeDeviceLost || len(n.Devices) != 1 || n.Devices[0] != "mac" {
		t.Errorf("the notice is %+v", n)
	}
	w.want(Wrong, w.enter("s1", code))
	w.want(Wrong, w.verify(shown))
	w.want(NotFound, w.decide("s1", "phone", true))
	w.want(Done, w.lose("phone", true))
	w.want(Done, w.lose("phone", false)) // what is erased is not merely lost again
	if l := w.state.Enrolment.Lost; len(l) != 1 || !l[0].Erased || l[0].Name != "Ann's phone" {
		t.Errorf("the list is %+v", l)
	}
	w.want(Done, w.remove("phone"))
	w.want(NotFound, w.remove("phone"))
	if w.state.Enrolment.Lost != nil {
		t.Error("a removed device is still listed")
	}
	for i := range MaxLost + 2 {
		id := "d" + string(rune('a'+i))
		w.want(Done, w.device(id))
		w.want(Done, w.lose(id, true))
	}
	if l := w.state.Enrolment.Lost; len(l) != MaxLost || l[0].ID != "dc" {
		t.Errorf("%d are listed, the first is %s", len(l), l[0].ID)
	}
}

func TestVersions(t *testing.T) {
	p := EnrolmentPolicy{Platforms: []Platform{{Name: "X", Minimum: "10.11"}}}
	for version, want := range map[string]string{
		"10.11": "", "10.11.0": "", "10.11.6": "", "10.12": "", "11": "", "010.011": "", "10.100": "", "15.1 (24B83)": "",
		"123456789012345678901234567890": "", " 10.11": "",
		"10.9": ReasonVersion, "10.2.99": ReasonVersion, "9": ReasonVersion, "10": ReasonVersion, "0": ReasonVersion,
		"": ReasonUnclear, "ten": ReasonUnclear, "10..11": ReasonUnclear, "10.11b": ReasonUnclear, "-1": ReasonUnclear,
		".": ReasonUnclear, "１０.11": ReasonUnclear,
	} {
		if got, _, _ := p.Judge("x", version); got != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
	}
	if _, codes, _ := p.Judge("Y", ""); !codes {
		t.Error("a platform that isn't listed is refused without listed_only")
	}
	p.ListedOnly = true
	if reason, codes, _ := p.Judge("Y", "1"); codes || reason != ReasonPlatform {
		t.Error("listed_only says nothing")
	}
	for name, bad := range map[string]EnrolmentPolicy{
		"a minimum":    {Platforms: []Platform{{Name: "X", Minimum: "ten"}}},
		"no name":      {Platforms: []Platform{{}}},
		"a name twice": {Platforms: []Platform{{Name: "iOS"}, {Name: "IOS"}}},
		"a class":      {Excluded: []string{"A"}},
		"no class":     {Excluded: []string{""}},
		"too many":     {Platforms: make([]Platform, MaxPlatforms+1)},
		"a long name":  {Platforms: []Platform{{Name: strings.Repeat("x", MaxPlatform+1)}}},
	} {
		if (Policy{EnrolmentPolicy: bad}).Validate() == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

// TestProtectionModel: whatever is done by whomever, in whatever order, under policies that change and by clocks that
// differ: protection ends by the link alone, within 14 days, where it may; and it is never on without a verified phone.
func TestProtectionModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.policy.BornProtected = rapid.Bool().Draw(rt, "born")
		w.policy.CooldownSeconds = 1
		born := w.policy.BornProtected
		w.want(Done, w.create())
		var since Time // as this test saw it; 0: off
		noWayBack := false
		deliver := func(c *Command) {
			c.Time += Time(rapid.IntRange(-1000, 1000).Draw(rt, "skew"))
			before := w.state
			committed := max(before.Time, c.Time)
			outcome := w.apply(c).Outcome
			after := w.state
			if after.Enrolment.Mode == TwoFactor && after.VerifiedPhones() == 0 {
				rt.Fatalf("protected without a phone")
			}
			if b, a := &before.Enrolment, &after.Enrolment; b.Mode == TwoFactor && c.Unprotect == nil &&
				(a.Mode != b.Mode || a.Since != b.Since || a.Until != b.Until || string(a.Link) != string(b.Link)) {
				rt.Fatalf("%s changed protection", c.operation())
			}
			if q := c.Protecting(); q != nil && c.VerifyPhone != nil {
				on := after.Enrolment.Mode == TwoFactor && before.Enrolment.Mode != TwoFactor
				if verified := after.VerifiedPhones() > before.VerifiedPhones(); verified != on || len(after.Credentials) > len(before.Credentials) && !on {
					rt.Fatalf("verified: %v, turned on: %v", verified, on)
				}
			}
			switch {
			case before.Enrolment.Mode != TwoFactor && after.Enrolment.Mode == TwoFactor:
				if c.Protecting() == nil && !(born && c.VerifyPhone != nil) {
					rt.Fatalf("%s turned protection on", c.operation())
				}
				since, noWayBack = committed, w.policy.NoWayBack
			case before.Enrolment.Mode == TwoFactor && after.Enrolment.Mode != TwoFactor:
				right := c.Unprotect != nil && c.Unprotect.Matched && string(c.Unprotect.Link) == string(before.Enrolment.Link)
				if !right || outcome != Done || born || noWayBack || w.policy.NoWayBack || committed >= since+14*day {
					rt.Fatalf("%s turned protection off %v ms after it was turned on", c.operation(), committed-since)
				}
				since = 0
			}
		}
		phones := []string{"p0", "p1"}
		phone := func(rt *rapid.T) string { return rapid.SampledFrom(phones).Draw(rt, "phone") }
		device := func(rt *rapid.T) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "device") }
		rt.Repeat(map[string]func(*rapid.T){
			"wait": func(rt *rapid.T) {
				w.now += rapid.SampledFrom([]Time{second, minute, day, 13 * day, 14*day - 2*second}).Draw(rt, "for")
			},
			"policy": func(rt *rapid.T) {
				w.policy.NoWayBack = rapid.IntRange(0, 3).Draw(rt, "no way back") == 0
				w.policy.BornProtected = rapid.Bool().Draw(rt, "born")
			},
			"create again": func(*rapid.T) { deliver(w.create()) },
			"add a phone": func(rt *rapid.T) {
				id := phone(rt)
				deliver(w.addPhone(id, "+1415555010"+id[1:]))
				deliver(w.sendPhone(id))
			},
			"verify a phone": func(rt *rapid.T) { deliver(w.verifyPhone(phone(rt), rapid.Bool().Draw(rt, "right"))) },
			"remove a phone": func(rt *rapid.T) { deliver(w.removePhone(phone(rt))) },
			"enrol":          func(rt *rapid.T) { deliver(w.device(device(rt))) },
			"remove":         func(rt *rapid.T) { deliver(w.remove(device(rt))) },
			"lose":           func(rt *rapid.T) { deliver(w.lose(device(rt), rapid.Bool().Draw(rt, "erased"))) },
			"protect":        func(rt *rapid.T) { deliver(w.protect(device(rt))) },
			"protect anew":   func(rt *rapid.T) { deliver(w.protectNew(device(rt), "", "")) },
			"verify and protect": func(rt *rapid.T) {
				c := w.verifyPhone(phone(rt), rapid.Bool().Draw(rt, "right"))
				c.VerifyPhone.Protect = w.protectNew(device(rt), "", "").Protect
				if rapid.Bool().Draw(rt, "own") {
					c.VerifyPhone.Protect = w.protect(device(rt)).Protect
				}
				deliver(c)
			},
			"undo": func(rt *rapid.T) { deliver(w.undo(rapid.Bool().Draw(rt, "right"))) },
			"undo by a lie": func(rt *rapid.T) {
				c := w.undo(true)
				c.Unprotect.Link, c.Unprotect.Matched = []byte("0123456789abcdef"), true
				deliver(c)
			},
			"classify": func(rt *rapid.T) {
				c := w.command()
				c.Classify = &Classify{Class: rapid.SampledFrom([]string{"", "child"}).Draw(rt, "class")}
				deliver(c)
			},
		})
	})
}
