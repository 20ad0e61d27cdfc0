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

// TestPromptsStayEnded: P68: whoever knows the password can't have the devices asked again within the hour by beginning
// sign-ins until those that were denied are forgotten, nor by their owner's good one. Mistakes don't count.
func TestPromptsStayEnded(t *testing.T) {
	w := holder(t, "phone")
	deny := func(id string, r DenyReason) {
		t.Helper()
		w.want(Done, w.begin(id))
		if len(w.last().Devices) != 1 {
			t.Fatalf("%s is quiet", id)
		}
		w.want(Done, w.deny(id, "phone", r))
		w.now += minute
	}
	deny("m1", ByMistake)
	since := w.now
	deny("d1", NotMe)
	deny("m2", ByMistake)
	deny("d2", NotMe)
	w.want(Done, w.begin("m3")) // of which it is said after that it was one
	w.want(Done, w.decide("m3", "phone", false))
	w.want(Done, w.deny("m3", "phone", ByMistake))
	deny("d3", NotMe)
	for n := 0; w.now < since+hour; n++ {
		id := fmt.Sprintf("q%d", n)
		w.want(Done, w.begin(id))
		if len(w.last().Devices) != 0 || !w.state.SignIn(id).Quiet {
			t.Fatalf("after %d min: the devices are told of %s", (w.now-since)/minute, id)
		}
		if n%2 == 0 {
			w.want(Done, w.cancel(id))
		} else {
			c := w.enter(id)
			c.Enter.Matches = []Match{w.current("phone")}
			w.want(Accepted, c)
		}
		w.now += 2 * minute
	}
	if w.state.signIn("d1") >= 0 {
		t.Error("the list of sign-ins was never full: this shows nothing")
	}
	w.want(Done, w.begin("later"))
	if len(w.last().Devices) != 1 {
		t.Error("it is quiet for ever")
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
		o := w.state.Options(w.policy, w.state.SignIn("s1"))
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
