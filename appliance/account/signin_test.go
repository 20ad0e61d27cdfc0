package account

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSignInToItsGoodEnd(t *testing.T) {
	w := holder(t, "phone", "tablet")
	if r := w.want(Done, w.begin("s1")); r.Credential != "s1" {
		t.Errorf("begun: %+v", r)
	}
	w.is("s1", SignInBegun)
	if n := w.last(); n.Kind != NoticeBegun || !slices.Equal(n.Devices, []string{"phone", "tablet"}) || n.Device.Model != "Mac" {
		t.Errorf("the devices are told %+v", n)
	}
	w.want(Done, w.decide("s1", "phone", true))
	w.is("s1", SignInAllowed)
	if !w.logged(`"operation":"allow-sign-in"`, `"key":"phone"`, `"subject":"s1"`) || !w.logged(`"operation":"make-code"`, `"key":"code"`) {
		t.Errorf("the log has %v", w.entries[len(w.entries)-2:])
	}
	w.want(Done, w.fetch("s1", "phone"))
	w.want(NotFound, w.fetch("s1", "tablet"))
	w.want(Accepted, w.enter("s1", w.live("s1", "device/phone")))
	w.is("s1", SignInVerified)
	if n := w.last(); n.Kind != NoticeVerified || n.Credential != "device/phone" {
		t.Errorf("the end is told as %+v", n)
	}
	w.want(Ended, w.fetch("s1", "phone"))
	w.want(Ended, w.enter("s1"))
}

func TestDeviceOfASignIn(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	register := func(codes ...LiveCode) *Command {
		c := w.enter("s1", codes...)
		c.Enter.Register, c.Enter.Own = true, 7
		if len(codes) > 0 {
			k := w.enrol("mac", totp6).Enrol.Credential
			k.Certificate = []byte("certificate")
			c.Enter.Device = &k
		}
		return c
	}
	// A node that had not seen that the code is right has made no device: it looks again.
	c := register(w.live("s1", "device/phone"))
	c.Enter.Device = nil
	w.want(Stale, c)
	w.want(Wrong, register())
	if r := w.want(Accepted, register(w.live("s1", "device/phone"))); r.Credential != "mac" {
		t.Errorf("accepted: %+v", r)
	}
	if w.state.Find("mac") == nil || !w.logged(`"operation":"enrol-device"`, `"key":"mac"`) || !w.logged(`"operation":"sign-device-certificate"`) {
		t.Errorf("the device is %+v, the log %v", w.state.Find("mac"), w.entries[len(w.entries)-3:])
	}
	if n := w.last(); n.Kind != NoticeDeviceAdded || n.Credential != "mac" || !slices.Equal(n.Devices, []string{"phone"}) {
		t.Errorf("the devices are told %+v", n)
	}
	// With no room for it, nothing is spent.
	w.policy.MaxCredentials = 2
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", true))
	c = w.enter("s2", w.live("s2", "device/phone"))
	k := w.enrol("other", totp6).Enrol.Credential
	c.Enter.Register, c.Enter.Device = true, &k
	w.want(TooMany, c)
	w.is("s2", SignInAllowed)
	c = w.enter("s2")
	c.Enter.Register = true
	w.want(TooMany, c) // and that says nothing of the code
}

func TestDontAllowIsFinal(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.phone("p1", "+14155550101")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	w.want(Done, w.send("s1", "p1"))
	pushed, sent := w.live("s1", "device/phone"), w.live("s1", "phone/p1")
	w.want(Done, w.decide("s1", "tablet", false))
	w.is("s1", SignInDenied)
	if n := w.last(); n.Kind != NoticeDenied || n.Credential != "tablet" {
		t.Errorf("told: %+v", n)
	}
	failures := w.state.Attempts
	for _, c := range []LiveCode{pushed, sent} {
		w.want(Ended, w.enter("s1", c))
	}
	late := w.enter("s1")
	late.Enter.Matches = []Match{w.current("phone")}
	w.want(Ended, late)
	if w.state.Attempts != failures {
		t.Error("what was compared with nothing is charged")
	}
	w.want(Ended, w.decide("s1", "phone", true))
	w.want(Ended, w.send("s1", "p1"))
	w.want(Ended, w.cancel("s1"))
	w.want(Done, w.decide("s1", "tablet", false)) // a replay
	w.now += hour
	w.is("s1", SignInDenied)
}

func TestDecisionsThatDontCount(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.want(Done, w.enrol("app", totp6)) // without a key that could sign
	own := w.begin("own")
	own.Begin.Own = "phone"
	w.want(Done, own)
	if n := w.last(); !slices.Equal(n.Devices, []string{"tablet", "app"}) {
		t.Errorf("told: %v", n.Devices)
	}
	w.want(NotEligible, w.decide("own", "phone", true))
	w.want(NotEligible, w.decide("own", "phone", false))
	w.want(Done, w.begin("s1"))
	w.want(Done, w.begin("s2"))
	w.want(BadSignature, w.decide("s1", "app", true))
	w.want(NotFound, w.decide("s1", "nobody", true))
	w.want(NotFound, w.decide("nothing", "phone", true))

	allow := w.decide("s1", "phone", true)
	for what, change := range map[string]func(d *Decide){
		"another sign-in": func(d *Decide) { d.SignIn = "s2" },
		"another device":  func(d *Decide) { d.Device = "tablet" },
		"the opposite":    func(d *Decide) { d.Allow = false },
		"another time":    func(d *Decide) { d.Time++ },
		"another byte":    func(d *Decide) { d.Signature = append([]byte{}, d.Signature...); d.Signature[9] ^= 1 },
		"a byte more":     func(d *Decide) { d.Signature = append(append([]byte{}, d.Signature...), 0) },
		"a fetch's":       func(d *Decide) { d.Signature = w.fetch("s1", "phone").Fetch.Signature },
		"nothing signed":  func(d *Decide) { d.Signature = []byte{0} },
		"another's tenant": func(d *Decide) {
			d.Signature = w.sign("phone", DecisionMessage("other", "ann", w.state.SignIn("s1"), d))
		},
	} {
		c, d := *allow, *allow.Decide
		change(&d)
		c.Decide = &d
		if r := w.apply(&c); r.Outcome != BadSignature {
			t.Errorf("%s: %v", what, r.Outcome)
		}
	}
	w.want(Done, allow)
	code := w.live("s1", "device/phone")
	made, notices := w.state.Channels.Made, len(w.notices)
	w.want(Done, allow)
	if w.live("s1", "device/phone") != code || w.state.Channels.Made != made || len(w.notices) != notices {
		t.Error("a replay had an effect")
	}
	w.want(Done, w.remove("phone"))
	w.want(NotFound, allow)
	w.is("s1", SignInBegun)
	w.want(Wrong, w.enter("s1", code))
}

// TestOneCodeSpendsTheSignInForAll: S11.
func TestOneCodeSpendsTheSignInForAll(t *testing.T) {
	for _, first := range []string{"device/phone", "device/tablet", "phone/p1", "settings"} {
		w := holder(t, "phone", "tablet")
		w.phone("p1", "+14155550101")
		w.want(Done, w.begin("s1"))
		w.want(Done, w.decide("s1", "phone", true))
		w.want(Done, w.decide("s1", "tablet", true))
		w.want(Done, w.send("s1", "p1"))
		codes := map[string]LiveCode{}
		for _, channel := range []string{"device/phone", "device/tablet", "phone/p1"} {
			codes[channel] = w.live("s1", channel)
		}
		c := w.enter("s1")
		if first == "settings" {
			c.Enter.Matches = []Match{w.current("tablet")}
		} else {
			c.Enter.Codes = []LiveCode{codes[first]}
		}
		w.want(Accepted, c)
		for _, code := range codes {
			w.want(Ended, w.enter("s1", code))
		}
		if first == "settings" {
			w.want(Spent, w.verify(w.current("tablet")))
		}
	}
}

func TestOnlyTheNewestCodeOfAChannel(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.send("s1", "p1"))
	old := w.live("s1", "phone/p1")
	seen := w.enter("s1", old) // evaluated, and not yet decided
	w.now += minute
	w.want(Done, w.send("s1", "p1"))
	w.want(Stale, seen)
	w.want(Wrong, w.enter("s1", old))
	w.want(Accepted, w.enter("s1", w.live("s1", "phone/p1")))
}

func TestCodesExpireWithTheirSignIn(t *testing.T) {
	w := holder(t, "phone")
	w.policy.SignInMinutes = 5
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	code := w.live("s1", "device/phone")
	w.now += 5*minute - 1
	w.is("s1", SignInAllowed)
	w.now++
	w.is("s1", SignInExpired)
	w.want(Ended, w.enter("s1", code))
	w.want(Ended, w.decide("s1", "phone", true))
	w.want(Ended, w.cancel("s1"))
}

func TestCancel(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.cancel("s1"))
	w.is("s1", SignInCancelled)
	w.want(Done, w.cancel("s1"))
	w.want(Ended, w.decide("s1", "phone", true))
	w.want(NotFound, w.cancel("s2"))
}

func TestSoManySignIns(t *testing.T) {
	w := holder(t, "phone")
	for i := range MaxSignIns {
		w.want(Done, w.begin(fmt.Sprintf("s%d", i)))
		w.now += second
	}
	w.want(TooMany, w.begin("more"))
	w.want(Done, w.cancel("s5"))
	w.now += second
	w.want(Done, w.decide("s3", "phone", false))
	w.want(Done, w.begin("more"))
	if w.state.SignIn("s5") != nil || w.state.SignIn("s3") == nil {
		t.Error("not the one that ended first made room")
	}
	w.want(Conflict, w.begin("more"))
	w.now += 10 * minute
	w.want(Done, w.begin("s0 again"))
	if w.state.SignIn("s3") != nil || w.state.SignIn("s0") == nil {
		t.Error("not the one that ended first made room")
	}
	w.now += 2 * hour
	w.want(Done, w.begin("much later"))
	if len(w.state.SignIns) != 1 {
		t.Errorf("%d sign-ins are kept for hours", len(w.state.SignIns))
	}
}

// TestPromptsEndAfterThreeDenials, while the other channels go on.
func TestPromptsEndAfterThreeDenials(t *testing.T) {
	w := holder(t, "phone")
	for i := range QuietAfter {
		id := fmt.Sprintf("s%d", i)
		w.want(Done, w.begin(id))
		if len(w.last().Devices) != 1 {
			t.Fatalf("sign-in %d is quiet", i)
		}
		w.want(Done, w.decide(id, "phone", false))
	}
	w.want(Done, w.begin("quiet"))
	if n := w.last(); n.Kind != NoticeBegun || len(n.Devices) != 0 {
		t.Errorf("after %d denials: %+v", QuietAfter, n)
	}
	c := w.enter("quiet")
	c.Enter.Matches = []Match{w.current("phone")}
	w.want(Accepted, c)
	w.now += hour
	w.want(Done, w.begin("later"))
	if len(w.last().Devices) != 1 {
		t.Error("it is quiet for ever")
	}
}

// TestADevicesOwnCodeIsNotForItself: P10.
func TestADevicesOwnCodeIsNotForItself(t *testing.T) {
	w := holder(t, "phone", "tablet")
	c := w.begin("s1")
	c.Begin.Own = "phone"
	w.want(Done, c)
	c = w.enter("s1")
	c.Enter.Matches = []Match{w.current("phone")}
	w.want(Wrong, c)
	c = w.enter("s1")
	c.Enter.Matches = []Match{w.current("tablet")}
	w.want(Accepted, c)
}

// TestBudgetOverChannels: what is charged, and when it locks.
func TestBudgetOverChannels(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	w.want(Wrong, w.enter("s1"))
	if w.state.Charge != 2*300+100 {
		t.Errorf("two devices and a pushed code cost %d", w.state.Charge)
	}
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", true))
	w.want(Done, w.decide("s2", "tablet", true))
	w.want(Wrong, w.enter("s2"))
	w.want(Wrong, w.enter("")) // after a password: any code that is right now
	w.want(Wrong, w.verify())
	if w.state.Charge != 700+800+900+600 {
		t.Errorf("all together cost %d", w.state.Charge)
	}
	for w.state.RetryAt == 0 {
		w.want(Wrong, w.verify())
		if w.state.Charge > Budget {
			t.Fatalf("%d units were free", w.state.Charge)
		}
	}
	w.want(Locked, w.enter("s1", w.live("s1", "device/phone")))
	w.want(Done, w.decide("s1", "tablet", true)) // a lock is not for decisions
	w.now = w.state.RetryAt
	w.want(Accepted, w.enter("s1", w.live("s1", "device/tablet")))
	if w.state.Attempts != (Attempts{}) {
		t.Errorf("after a success: %+v", w.state.Attempts)
	}
}

// TestALiveCodeMakesGuessingDearer at once, as a device does.
func TestALiveCodeMakesGuessingDearer(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.begin("s1"))
	for range 32 {
		w.want(Wrong, w.verify())
	}
	if w.state.RetryAt != 0 {
		t.Fatal("locked too early")
	}
	w.want(Done, w.decide("s1", "phone", true)) // 9,600 + 400 is the whole budget
	if w.state.RetryAt != 0 {
		t.Fatal("locked at the budget")
	}
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", true))
	if w.state.RetryAt == 0 {
		t.Error("one more attempt would exceed the budget, and is free")
	}
}

// TestNoMoreLiveCodesThanTheBudgetBears: one attempt never costs more than all may.
func TestNoMoreLiveCodesThanTheBudgetBears(t *testing.T) {
	w := newWorld(t)
	w.policy.MaxCredentials = MaxCredentials
	w.want(Done, w.create())
	for i := range 29 {
		w.want(Done, w.device(fmt.Sprintf("d%d", i)))
	}
	w.want(Done, w.begin("s1"))
	live := 0
	for i := range 29 {
		if r := w.apply(w.decide("s1", fmt.Sprintf("d%d", i), true)); r.Outcome == Done {
			live++
		} else if r.Outcome != TooMany {
			t.Fatalf("%v", r.Outcome)
		}
	}
	if live != 13 { // 29 x 300 + 13 x 100
		t.Errorf("%d codes are live at once", live)
	}
	w.want(TooMany, w.device("one more"))
	w.want(Wrong, w.enter("s1"))
	if w.state.Charge > Budget {
		t.Errorf("one attempt cost %d", w.state.Charge)
	}
}

// TestCombined: a code after a password counts for whichever sign-in it is of, and a saved one is charged once.
func TestCombined(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.begin("s2"))
	w.want(Done, w.decide("s2", "phone", true))
	if r := w.want(Accepted, w.enter("", w.live("s2", "device/phone"))); r.Credential != "device/phone" {
		t.Errorf("accepted: %+v", r)
	}
	w.is("s1", SignInBegun)
	w.is("s2", SignInVerified)

	repeat := func(mac string) *Command {
		c := w.enter("")
		c.Enter.Repeat = []byte(mac)
		return c
	}
	const one, two = "0123456789abcdef", "fedcba9876543210"
	w.want(Wrong, repeat(one))
	for range 50 {
		c := repeat(one)
		c.Enter.Evaluated, c.Enter.MACs = false, 0
		w.want(Wrong, c)
		w.now += second
	}
	if w.state.Failures != 1 {
		t.Errorf("the same text is charged %d times", w.state.Failures)
	}
	// It can't be accepted unpaid.
	right := repeat(one)
	right.Enter.Matches = []Match{w.current("phone")}
	w.want(Wrong, right)
	w.want(Wrong, repeat(two))
	w.want(Wrong, repeat(one))
	if w.state.Failures != 3 {
		t.Errorf("other texts are charged %d times", w.state.Failures)
	}
	w.now += RepeatFor
	w.want(Wrong, repeat(one))
	if w.state.Failures != 4 {
		t.Errorf("the same text later is charged %d times", w.state.Failures)
	}
}

// TestPhantomSignIn: a name that is no account goes the whole way as an account with one device and one phone does.
func TestPhantomSignIn(t *testing.T) {
	real, nobody := holder(t, "phone"), newWorld(t)
	real.phone("p1", "+14155550167")
	nobody.now = real.now
	real.now += hour
	nobody.now += hour
	var ids [2]string
	for i, w := range []*world{real, nobody} {
		w.want(Done, w.begin("s1"))
		o := w.state.Options(w.state.SignIn("s1"))
		if !o.Devices || len(o.Phones) != 1 || len(o.Phones[0].Masked) != len("•••• •• 67") {
			t.Fatalf("options: %+v", o)
		}
		ids[i] = o.Phones[0].ID
	}
	if len(ids[1]) != 16 {
		t.Errorf("a phone is called %q", ids[1])
	}
	step := func(what string, act func(w *world, phone string) *Command) {
		t.Helper()
		a, b := real.apply(act(real, ids[0])), nobody.apply(act(nobody, ids[1]))
		a.Entry, b.Entry = 0, 0
		if a != b || real.attempts() != nobody.attempts() {
			t.Fatalf("%s: %+v with %+v, and %+v with %+v", what, a, real.attempts(), b, nobody.attempts())
		}
	}
	send := func(w *world, phone string) *Command { return w.send("s1", phone) }
	step("send", send)
	step("too soon", send)
	step("another phone", func(w *world, _ string) *Command { return w.send("s1", "p2") })
	step("another sign-in", func(w *world, phone string) *Command { return w.send("s2", phone) })
	step("wrong", func(w *world, _ string) *Command { return w.enter("s1") })
	step("unknown sign-in", func(w *world, _ string) *Command { return w.enter("s2") })
	for range 40 {
		step("guess", func(w *world, _ string) *Command { return w.enter("s1") })
		step("guess after a password", func(w *world, _ string) *Command { return w.enter("") })
	}
	step("cancel", func(w *world, _ string) *Command { return w.cancel("s1") })
	for i := range 12 {
		id := fmt.Sprintf("t%d", i)
		step("begin", func(w *world, _ string) *Command { return w.begin(id) })
	}
	// Not even a right code opens what isn't there, and nobody is told.
	lucky := nobody.enter("t0", LiveCode{PhoneChannel(ids[1]), nobody.state.Channels.Made})
	if r := nobody.apply(lucky); r.Outcome == Accepted {
		t.Error("a name that is no account was opened")
	}
	if len(nobody.notices) != 0 {
		t.Errorf("told: %+v", nobody.notices)
	}
	nobody.want(NotFound, nobody.decide("t0", "phone", true))
	nobody.want(Done, nobody.create())
	if len(nobody.state.SignIns) != 0 {
		t.Error("an account is born with sign-ins")
	}
}

// TestNothingButTheNotice: acts that are nothing without theirs are refused while too many wait.
func TestNothingButTheNotice(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101")
	w.want(Done, w.addPhone("p2", "+14155550102"))
	w.want(Done, w.begin("s1"))
	w.policy.NoticesFull = true
	w.want(Full, w.begin("s2"))
	w.want(Full, w.send("s1", "p1"))
	w.want(Full, w.sendPhone("p2"))
	w.want(Done, w.decide("s1", "phone", false))
	w.want(Done, w.remove("phone"))
	w.policy.NoticesFull, w.policy.Gateway = false, false
	w.want(Done, w.begin("s2"))
	w.want(RefusedByPolicy, w.send("s2", "p1"))
	w.want(RefusedByPolicy, w.sendPhone("p2"))
	nobody := newWorld(t)
	nobody.policy = w.policy
	nobody.policy.NoticesFull = true
	nobody.want(Full, nobody.begin("s1"))
}

func TestNoticesAreToldApart(t *testing.T) {
	w := holder(t, "phone", "tablet")
	w.phone("p1", "+14155550101")
	w.want(Done, w.begin("s1"))
	w.want(Done, w.decide("s1", "phone", true))
	w.want(Done, w.send("s1", "p1"))
	w.want(Accepted, w.enter("s1", w.live("s1", "device/phone")))
	seen := map[string]bool{}
	for _, n := range w.notices {
		if len(n.ID) != 24 || seen[n.ID] || n.Account != "ann" || n.Time == 0 {
			t.Errorf("a notice is %+v", n)
		}
		seen[n.ID] = true
		if n.Kind.Gateway() != (n.Number != "") || n.Kind.Gateway() != (n.N != 0) {
			t.Errorf("a number and a code's place are in %+v", n)
		}
	}
}

func TestSignInRequestsAreAnsweredAgain(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101")
	once := func(n byte, c *Command) *Command {
		c.Request = requestID(n)
		return c
	}
	again := func(first, second *Command) {
		t.Helper()
		a := w.apply(first)
		notices := len(w.notices)
		b := w.apply(second)
		if !b.Replayed || b.Outcome != a.Outcome || b.Credential != a.Credential || b.Entry != a.Entry || len(w.notices) != notices {
			t.Errorf("%+v, and again %+v", a, b)
		}
	}
	again(once(1, w.begin("s1")), once(1, w.begin("s1 again")))
	again(once(2, w.send("s1", "p1")), once(2, w.send("s1", "p1")))
	again(once(3, w.decide("s1", "phone", true)), once(3, w.decide("s1", "phone", true)))
	w.want(Conflict, once(3, w.decide("s1", "phone", false)))
	again(once(4, w.enter("s1", w.live("s1", "phone/p1"))), once(4, w.enter("s1")))
	w.want(Conflict, once(4, w.enter("")))
	again(once(5, w.cancel("s1")), once(5, w.cancel("s1")))
	again(once(6, w.addPhone("p2", "+14155550102")), once(6, w.named(w.addPhone("p3", "+14155550102"), "of p2")))
}

func TestPurposes(t *testing.T) {
	for p := ForDevice; p <= ForLegacy; p++ {
		if ParsePurpose(p.String()) != p {
			t.Errorf("%v is read as %v", p, ParsePurpose(p.String()))
		}
	}
	if ParsePurpose("invalid") != InvalidPurpose || ParsePurpose("") != InvalidPurpose || !strings.HasPrefix(Purpose(99).String(), "invalid") {
		t.Error("a purpose that is none has a name")
	}
}
