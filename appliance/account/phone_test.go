package account

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPhones(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.addPhone("p1", "+14155550101"))
	if r := w.want(Exists, w.addPhone("p9", "+14155550101")); r.Credential != "p1" {
		t.Errorf("the number again: %+v", r)
	}
	w.want(Ended, w.verifyPhone("p1", true)) // no code was sent
	w.want(Done, w.sendPhone("p1"))
	if n := w.last(); n.Kind != NoticeSend || n.Number != "+14155550101" || n.N == 0 || n.SignIn != "" {
		t.Errorf("the gateway is told %+v", n)
	}
	w.want(Wrong, w.verifyPhone("p1", false))
	if w.state.Charge != 100 || w.state.Failures != 1 {
		t.Errorf("a wrong code costs %+v", w.state.Attempts)
	}
	w.want(Accepted, w.verifyPhone("p1", true))
	if w.state.Failures != 1 {
		t.Error("having a phone of one's own ended a series of guesses")
	}
	if n := w.last(); n.Kind != NoticePhoneAdded || n.Masked != "•••• •• 01" || n.Number != "" {
		t.Errorf("told: %+v", n)
	}
	w.want(Exists, w.verifyPhone("p1", true))
	w.want(Exists, w.sendPhone("p1"))
	w.want(LastPhone, w.removePhone("p1"))
	w.want(Done, w.addPhone("p2", "+14155550102"))
	w.want(LastPhone, w.removePhone("p1"))
	w.want(Done, w.removePhone("p2")) // pending
	w.phone("p3", "+14155550103")
	w.want(Done, w.removePhone("p1"))
	if n := w.last(); n.Kind != NoticePhoneRemoved || n.Phone != "p1" {
		t.Errorf("told: %+v", n)
	}
	w.want(NotFound, w.removePhone("p1"))
	w.want(LastPhone, w.removePhone("p3"))
}

// TestRemovingIsTold: P36: to the devices and the front-end, and where policy wants it to every number, the removed one too.
func TestRemovingIsTold(t *testing.T) {
	for _, x := range []struct {
		name                string
		tell, gateway, full bool
		want                []string
	}{
		{"policy is silent", false, true, false, nil},
		{"told", true, true, false, []string{"p1", "p2", "p3"}},
		{"no gateway", true, false, false, nil},
		{"too many wait", true, true, true, nil},
	} {
		w := holder(t, "phone", "tablet")
		w.phone("p1", "+14155550101")
		w.phone("p2", "+14155550102")
		w.phone("p3", "+14155550103")
		w.want(Done, w.addPhone("pending", "+14155550104"))
		w.policy.TellPhones, w.policy.Gateway, w.policy.NoticesFull = x.tell, x.gateway, x.full
		before, at := len(w.notices), w.now
		w.want(Done, w.removePhone("p2"))
		var told []string
		ids := map[string]bool{}
		for _, n := range w.notices[before:] {
			ids[n.ID] = true
			switch {
			case n.Kind == NoticePhoneRemoved:
				if n.Phone != "p2" || n.Number != "" || !slices.Equal(n.Devices, []string{"phone", "tablet"}) {
					t.Errorf("%s: the front-end is told %+v", x.name, n)
				}
			case n.Kind != NoticeTell || n.About != NoticePhoneRemoved || !n.Kind.Gateway() || n.N != 0 || n.Expires != at+TellFor || (n.Masked == "•••• •• 02") != (n.Phone != "p2") ||
				n.Number != map[string]string{"p1": "+14155550101", "p2": "+14155550102", "p3": "+14155550103"}[n.Phone]:
				t.Errorf("%s: a message is %+v", x.name, n)
			default:
				told = append(told, n.Phone)
			}
		}
		if !slices.Equal(told, x.want) || len(ids) != 1+len(told) {
			t.Errorf("%s: told are %q, by %d different notices", x.name, told, len(ids))
		}
		before = len(w.notices)
		w.want(Done, w.removePhone("pending")) // never was a route
		if len(w.notices) != before {
			t.Errorf("%s: the end of a pending number is told", x.name)
		}
	}
}

// TestVerifyingTurnsItOn: P23: the number is verified and protection is on in one step, or neither.
func TestVerifyingTurnsItOn(t *testing.T) {
	begin := func(devices ...string) *world {
		w := holder(t, devices...)
		w.want(Done, w.addPhone("p1", "+14155550101"))
		w.want(Done, w.sendPhone("p1"))
		return w
	}
	on := func(w *world, matched bool, protect *Command) *Command {
		c := w.verifyPhone("p1", matched)
		c.VerifyPhone.Protect = protect.Protect
		return c
	}
	neither := func(w *world) {
		t.Helper()
		w.mode(Unprotected, PasswordLevel)
		if w.state.VerifiedPhones() != 0 || w.state.Find("mac") != nil {
			t.Fatal("half of it was done")
		}
	}

	w := begin()
	w.want(Wrong, on(w, false, w.protectNew("mac", "OS X", "10.11")))
	neither(w)
	if w.state.Failures != 1 {
		t.Error("a wrong code is not charged")
	}
	unmade := on(w, true, w.protectNew("mac", "OS X", "10.11"))
	unmade.VerifyPhone.Protect.Device = nil
	w.want(Stale, unmade)
	neither(w)
	c := w.with(requestID(7), on(w, true, w.protectNew("mac", "OS X", "10.11")))
	c.VerifyPhone.Protect.Checked = true
	notices, entries := len(w.notices), len(w.entries)
	if r := w.want(Accepted, c); r.Credential != "mac" {
		t.Errorf("the answer is %+v", r)
	}
	w.mode(TwoFactor, TwoFactorLevel)
	if w.state.VerifiedPhones() != 1 || w.state.Find("mac") == nil || len(w.state.Enrolment.Link) != LinkSize {
		t.Error("half of it was done")
	}
	var kinds []NoticeKind
	for _, n := range w.notices[notices:] {
		kinds = append(kinds, n.Kind)
	}
	if !slices.Equal(kinds, []NoticeKind{NoticePhoneAdded, NoticeDeviceAdded, NoticeProtectionOn}) {
		t.Errorf("told: %v", kinds)
	}
	for i, texts := range [][]string{
		{opVerifyPhone, `"outcome":"accepted"`},
		{opProtect, `"subject":"mac"`, `"outcome":"done"`, "own questions"},
		{opSealed, `"key":"mac"`},
		{opMakeLink, `"key":"pepper"`},
	} {
		for _, text := range texts {
			if !strings.Contains(w.entries[entries+i], text) {
				t.Errorf("entry %d has no %s: %s", i, text, w.entries[entries+i])
			}
		}
	}
	if r := w.want(Accepted, w.with(requestID(7), on(w, true, w.protectNew("again", "OS X", "10.11")))); !r.Replayed || r.Credential != "mac" {
		t.Errorf("the request repeated: %+v", r)
	}
	w.want(Conflict, w.with(requestID(7), w.verifyPhone("p1", true))) // the other way of asking is another request
	w.want(Exists, on(w, true, w.protectNew("again", "OS X", "10.11")))

	// With a device that is there, and where a second factor is asked for: the phone's code is one.
	w = begin("phone")
	w.policy.StepUpMinutes = 5
	w.want(NotFound, on(w, true, w.protect("none")))
	neither(w)
	w.want(Accepted, on(w, true, w.protect("phone")))
	w.mode(TwoFactor, TwoFactorLevel)

	// What is in the way is so for right codes and wrong ones, and nothing is charged.
	for name, x := range map[string]struct {
		want Outcome
		set  func(w *world)
	}{
		"the class":  {Ineligible, func(w *world) { w.policy.Excluded, w.state.Enrolment.Class = []string{"kiosk"}, "kiosk" }},
		"the device": {NotEligible, func(w *world) { w.policy.Platforms = []Platform{{Name: "OS X", Minimum: "10.12"}} }},
		"the limit":  {TooMany, func(w *world) { w.policy.MaxCredentials = 1; w.want(Done, w.device("other")) }},
	} {
		for _, matched := range []bool{true, false} {
			w = begin()
			x.set(w)
			if w.want(x.want, on(w, matched, w.protectNew("mac", "OS X", "10.11"))); w.state.Failures != 0 {
				t.Errorf("%s: an attempt is charged that was not judged", name)
			}
			neither(w)
		}
	}

	// On an account that has protection: nothing, and not the phone either.
	w = holder(t, "phone")
	w.phone("p0", "+14155550100")
	w.want(Done, w.protect("phone"))
	w.want(Done, w.addPhone("p1", "+14155550101"))
	w.want(Done, w.sendPhone("p1"))
	w.want(AlreadyOn, on(w, true, w.protect("phone")))
	if w.state.VerifiedPhones() != 1 {
		t.Error("half of it was done")
	}
	w.want(Accepted, w.verifyPhone("p1", true))

	// Born so: it is complete, and there is no link.
	w = newWorld(t)
	w.policy.BornProtected = true
	w.want(Done, w.create())
	w.want(Done, w.addPhone("p1", "+14155550101"))
	w.want(Done, w.sendPhone("p1"))
	notices = len(w.notices)
	w.want(Accepted, on(w, true, w.protectNew("mac", "", "")))
	w.mode(TwoFactor, TwoFactorLevel)
	if n := w.last(); len(w.state.Enrolment.Link) != 0 || n.Kind != NoticeProtectionOn || len(w.notices) != notices+3 {
		t.Errorf("born so, it is told: %+v", w.notices[notices:])
	}
}

func TestPhoneCodesOfAVerificationExpire(t *testing.T) {
	w := holder(t, "phone")
	w.want(Done, w.addPhone("p1", "+14155550101"))
	w.want(Done, w.sendPhone("p1"))
	old := w.verifyPhone("p1", true)
	w.now += minute
	w.want(Done, w.sendPhone("p1"))
	w.want(Stale, old) // only the newest
	late := w.verifyPhone("p1", true)
	w.now += 10 * minute
	late.Time = w.now
	w.want(Ended, late)
}

func TestPhonesInThePersonsOrder(t *testing.T) {
	w := holder(t, "phone")
	for i := range MaxPhones {
		w.want(Done, w.addPhone(fmt.Sprintf("p%d", i), fmt.Sprintf("+141555501%02d", i)))
	}
	w.want(TooMany, w.addPhone("more", "+14155550199"))
	c := w.command()
	c.EditPhone = &EditPhone{Phone: "p3", Label: "Mum", Position: 0}
	w.want(Done, c)
	c = w.command()
	c.EditPhone = &EditPhone{Phone: "p0", Label: "mine", Position: 200}
	w.want(Done, c)
	var order []string
	for _, p := range w.state.Phones {
		order = append(order, p.ID)
	}
	if !slices.Equal(order, []string{"p3", "p1", "p2", "p4", "p5", "p6", "p7", "p8", "p9", "p0"}) || w.state.Phone("p3").Label != "Mum" {
		t.Errorf("the order is %v", order)
	}
}

// TestSendsAreLimited: per number and hour, per account and hour, per sign-in, and in a row.
func TestSendsAreLimited(t *testing.T) {
	w := holder(t, "phone")
	w.phone("p1", "+14155550101") // one send
	w.phone("p2", "+14155550102") // one more
	begun := w.now
	w.want(Done, w.begin("s1"))
	w.want(Done, w.send("s1", "p1"))
	if r := w.want(TooSoon, w.send("s1", "p1")); r.RetryAt != w.now+30*second {
		t.Errorf("the next one at %d", r.RetryAt-w.now)
	}
	w.want(Done, w.send("s1", "p2")) // another number has a cool-down of its own
	for range 3 {
		w.now += 30 * second
		w.want(Done, w.send("s1", "p1"))
	}
	w.want(TooMany, w.send("s1", "p2"))
	w.want(Done, w.begin("s2"))
	w.now += 30 * second
	if r := w.want(TooSoon, w.send("s2", "p1")); r.RetryAt <= begun+50*minute {
		t.Errorf("the sixth to a number within an hour is heard at %d", r.RetryAt-begun)
	}
	// Removing it and adding it again gives nothing.
	w.want(Done, w.removePhone("p1"))
	w.want(Done, w.addPhone("p1 again", "+14155550101"))
	w.want(TooSoon, w.sendPhone("p1 again"))
	for range 3 {
		w.want(Done, w.send("s2", "p2"))
		w.now += 30 * second
	}
	w.want(Done, w.addPhone("p3", "+14155550103"))
	if r := w.want(TooSoon, w.sendPhone("p3")); r.RetryAt <= w.now {
		t.Errorf("the eleventh of an account: %+v", r)
	}
	w.now += hour
	w.want(Done, w.sendPhone("p3"))
}

// TestStepUp: phones are changed only by somebody who proved a second factor of late.
func TestStepUp(t *testing.T) {
	w := newWorld(t)
	w.policy.StepUpMinutes = 5
	w.want(Done, w.create())
	w.phone("p1", "+14155550101") // there was nothing to prove it with
	w.want(Done, w.device("phone"))
	w.want(StepUp, w.addPhone("p2", "+14155550102"))
	w.want(Done, w.begin("s1"))
	with := func(c *Command) *Command {
		if c.AddPhone != nil {
			c.AddPhone.SignIn = "s1"
		} else {
			c.EditPhone.SignIn = "s1"
		}
		return c
	}
	w.want(StepUp, with(w.addPhone("p2", "+14155550102")))
	c := w.enter("s1")
	c.Enter.Matches = []Match{w.current("phone")}
	w.want(Accepted, c)
	w.now += 5*minute - 1
	w.want(Done, with(w.addPhone("p2", "+14155550102")))
	w.want(StepUp, w.removePhone("p2"))
	w.want(Done, with(w.removePhone("p2")))
	w.now++
	w.want(StepUp, with(w.addPhone("p2", "+14155550102")))
}

func TestE164(t *testing.T) {
	for number, want := range map[string]bool{
		"+14155550101": true, "+41446681800": true, "+1234567": true, "+123456789012345": true, "+123456": false,
		"+1234567890123456": false, "14155550101": false, "+04155550101": false, "+1415555010a": false, "+1 4155550101": false, "": false, "+": false,
	} {
		if validE164(number) != want {
			t.Errorf("%q: %v", number, !want)
		}
	}
}

func TestSignInPolicyValidate(t *testing.T) {
	for _, domain := range []string{"example.com", "a.b-c.de", "", "localhost"} {
		if err := (Policy{SignInPolicy: SignInPolicy{CodeDomain: domain}}).Validate(); err != nil {
			t.Errorf("%q: %v", domain, err)
		}
	}
	for _, domain := range []string{"Example.com", "a..b", ".a", "a.", "a b", "a#b", "a\nb", "-a", "ä.de"} {
		if (Policy{SignInPolicy: SignInPolicy{CodeDomain: domain}}).Validate() == nil {
			t.Errorf("%q is taken", domain)
		}
	}
	for _, p := range []SignInPolicy{
		{SignInMinutes: 61}, {SendsPerSignIn: 21}, {SendsPerPhone: 21}, {SendsPerAccount: 41}, {CooldownSeconds: 601}, {StepUpMinutes: 1441},
	} {
		if (Policy{SignInPolicy: p}).Validate() == nil {
			t.Errorf("%+v is taken", p)
		}
	}
}
