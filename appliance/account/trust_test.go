package account

import (
	"slices"
	"strings"
	"testing"
)

func (w *world) checkDevice(device, challenge string) *Command {
	c := w.command()
	q := &CheckDevice{Device: device, Challenge: []byte(challenge), Time: w.now, Signature: []byte("none")}
	if w.keys[device] != nil {
		q.Signature = w.sign(device, TrustMessage("acme", "ann", q))
	}
	c.CheckDevice = q
	return c
}

func (w *world) changePassword(q ChangePassword) *Command {
	c := w.command()
	c.ChangePassword = &q
	return c
}

const challenge = "a challenge of 24 bytes."

func TestADeviceShowsThatItIsTrusted(t *testing.T) {
	w := holder(t, "phone", "mac")
	w.now += hour
	for range 2 { // it is no code: it isn't spent
		if r := w.want(Accepted, w.checkDevice("mac", challenge)); r.Credential != "mac" || r.Assurance != PasswordLevel {
			t.Errorf("%+v", r)
		}
	}
	if !w.logged(`"operation":"verify-device","key":"mac"`, `"outcome":"accepted"`) || w.state.Find("mac").LastUsed != w.now {
		t.Errorf("the entry is %s", w.entries[len(w.entries)-1])
	}
	for name, spoil := range map[string]func(*Command){
		"another challenge": func(c *Command) { c.CheckDevice.Challenge = []byte("another challenge of 28 byte") },
		"another time":      func(c *Command) { c.CheckDevice.Time++ },
		"another device":    func(c *Command) { c.CheckDevice.Device = "phone" },
		"another account":   func(c *Command) { c.CheckDevice.Signature = w.sign("mac", TrustMessage("acme", "bob", c.CheckDevice)) },
		"another tenant": func(c *Command) {
			c.CheckDevice.Signature = w.sign("mac", TrustMessage("umbrella", "ann", c.CheckDevice))
		},
		"another device's": func(c *Command) {
			c.CheckDevice.Signature = w.sign("phone", TrustMessage("acme", "ann", c.CheckDevice))
		},
		"a signature of none": func(c *Command) { c.CheckDevice.Signature = []byte("none") },
	} {
		c := w.checkDevice("mac", challenge)
		spoil(c)
		if r := w.want(BadSignature, c); r.Credential != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	w.want(NotFound, w.checkDevice("stranger", challenge))
	w.want(Done, w.enrolKind(Authenticator, "app"))
	w.want(NotFound, w.checkDevice("app", challenge))

	// Each way of ending it ends it at once.
	for id, end := range map[string]*Command{
		"removed":    w.remove("removed"),
		"lost":       {},
		"erased":     {},
		"signed out": w.endTrust(EndTrust{Device: "signed out"}),
	} {
		if end.Remove == nil && end.EndTrust == nil {
			end = w.command()
			end.Lose = &Lose{Device: id, Erased: id == "erased"}
		}
		w.want(Done, w.device(id))
		w.want(Accepted, w.checkDevice(id, challenge))
		w.want(Done, end)
		w.want(NotFound, w.checkDevice(id, challenge))
	}
	w.want(NotFound, w.endTrust(EndTrust{Device: "signed out"}))
	w.want(NotFound, w.endTrust(EndTrust{Device: "app"}))
	if !slices.ContainsFunc(w.notices, func(n Notice) bool { return n.Kind == NoticeDeviceRemoved && n.Credential == "signed out" }) {
		t.Error("nobody is told that a device was signed out")
	}
	if !slices.ContainsFunc(w.entries, func(e string) bool { return strings.Contains(e, `"operation":"sign-out-device","key":"signed out"`) }) {
		t.Error("no entry says that a device was signed out")
	}

	nobody := newWorld(t)
	nobody.want(NotFound, nobody.checkDevice("mac", challenge))
	if nobody.state != nil {
		t.Error("a name became a record by asking")
	}
}

// enrolKind imports an authenticator, or enrols a device.
func (w *world) enrolKind(k Kind, id string) *Command {
	c := w.enrol(id, totp6)
	if k == Authenticator {
		c.Enrol.Credential.Kind, c.Enrol.Credential.PublicKey, c.Enrol.Door = k, nil, ImportedDoor
	}
	return c
}

// full is an account with everything that a change of its password may end.
func full(t testing.TB) *world {
	t.Helper()
	w := holder(t, "phone", "mac", "old")
	w.policy.AllowAppPasswords = true
	w.want(Done, w.enrolKind(Authenticator, "app"))
	w.want(Done, w.createAppPassword("mail", "right"))
	w.verified("s1")
	w.want(Done, w.trustBrowser("b1", "pc", "s1"))
	w.verified("at hand")
	w.want(Done, w.begin("open"))
	w.want(Done, w.decide("open", "phone", true))
	return w
}

func TestAChangedPassword(t *testing.T) {
	w := full(t)
	n := w.number("b1")
	code := w.live("open", "device/phone")
	w.want(Done, w.changePassword(ChangePassword{}))
	if !w.logged(`"operation":"change-password"`, `"detail":"app-passwords mail"`) {
		t.Errorf("the entry is %s", w.entries[len(w.entries)-1])
	}
	w.want(Wrong, w.verifyAppPassword("right"))
	w.is("open", SignInCancelled)
	w.want(Ended, w.enter("open", code))
	w.want(Accepted, w.checkBrowser("b1", "pc", n)) // trust isn't the password's
	w.want(Accepted, w.checkDevice("old", challenge))
	w.is("s1", SignInVerified)

	w = full(t)
	w.want(NotFound, w.changePassword(ChangePassword{Security: true, Device: "stranger"}))
	w.want(NotFound, w.changePassword(ChangePassword{Security: true, Device: "app"}))
	w.want(Accepted, w.verifyAppPassword("right")) // and nothing was done
	notices := len(w.notices)
	w.want(Done, w.changePassword(ChangePassword{Security: true, Device: "mac", SignIn: "at hand"}))
	if !w.logged(`"operation":"change-password-for-security","key":"","subject":"mac"`, `"detail":"app-passwords mail browsers b1 devices phone old"`) {
		t.Errorf("the entry is %s", w.entries[len(w.entries)-1])
	}
	w.want(Wrong, w.checkBrowser("b1", "pc", n))
	w.want(Accepted, w.checkDevice("mac", challenge))
	for _, id := range []string{"phone", "old"} {
		w.want(NotFound, w.checkDevice(id, challenge))
		w.want(Wrong, w.verify(w.current(id)))
	}
	w.want(Accepted, w.verify(w.current("app"))) // it holds no trust, and may be all that there is to come back with
	w.is("open", SignInCancelled)
	if w.state.SignIn("s1") != nil || !w.state.Fresh("at hand", hour, w.now) {
		t.Errorf("the sign-ins are %+v", w.state.SignIns)
	}
	var kinds []NoticeKind
	ids := map[string]bool{}
	for _, n := range w.notices[notices:] {
		kinds, ids[n.ID] = append(kinds, n.Kind), true
		if !slices.Contains(n.Devices, "old") { // it is to hear that it is out
			t.Errorf("the devices are told %+v", n)
		}
	}
	if !slices.Equal(kinds, []NoticeKind{NoticeCancelled, NoticeDeviceRemoved, NoticeDeviceRemoved, NoticePasswordChanged}) || len(ids) != 4 {
		t.Errorf("told: %v, with %d ids", kinds, len(ids))
	}

	w = full(t)
	w.want(Done, w.changePassword(ChangePassword{Security: true})) // somewhere else
	if len(w.state.Credentials) != 1 || len(w.state.SignIns) != 1 {
		t.Errorf("left: %+v, %+v", w.state.Credentials, w.state.SignIns)
	}
	nobody := newWorld(t)
	nobody.want(NotFound, nobody.changePassword(ChangePassword{Security: true}))
}

// A front-end can't add a device of its own to an account that has one, or is protected.
func TestAnotherDeviceNeedsASecondFactor(t *testing.T) {
	guarded := func(w *world, id, signIn string) *Command {
		c := w.device(id)
		c.Enrol.Guarded, c.Enrol.SignIn = true, signIn
		return c
	}
	w := newWorld(t)
	w.want(Done, w.create())
	c := w.enrolKind(Authenticator, "app")
	c.Enrol.Guarded = true
	w.want(Done, c) // accounts that come from elsewhere
	w.want(Done, guarded(w, "phone", ""))
	w.want(StepUp, guarded(w, "mine", ""))
	if !w.logged(`"operation":"enrol-device","key":"mine"`, `"outcome":"step-up-needed"`) {
		t.Errorf("the entry is %s", w.entries[len(w.entries)-1])
	}
	c = w.enrolKind(Authenticator, "mine")
	c.Enrol.Guarded = true
	w.want(StepUp, c) // its codes would open what a device's do
	w.want(Done, w.begin("s1"))
	w.want(StepUp, guarded(w, "mine", "s1"))
	w.want(Done, w.decide("s1", "phone", true))
	w.want(Accepted, w.enter("s1", w.live("s1", "device/phone")))
	w.now += DefaultStepUpMinutes*minute - 1
	w.want(Done, guarded(w, "mac", "s1"))
	if n := w.last(); n.Kind != NoticeDeviceAdded || !slices.Equal(n.Devices, []string{"phone"}) {
		t.Errorf("the devices are told %+v", n)
	}
	w.now++
	w.want(StepUp, guarded(w, "mine", "s1"))
	w.policy.StepUpMinutes = 60
	w.want(Done, guarded(w, "watch", "s1"))
	w.policy.OpenEnrolment = true
	w.want(Done, guarded(w, "tv", ""))

	// Nor is turning protection on a door for one.
	w = holder(t, "phone")
	w.phone("p1", "+14155550101")
	w.now += hour
	c = w.command()
	c.Protect = &Protect{Register: true, Link: make([]byte, LinkSize), Guarded: true}
	w.want(StepUp, c)
	c.Protect.Register, c.Protect.Own = false, "phone"
	w.want(Done, c)
	// Then the phones are guarded as well: one's own would bring the code that adds a device of one's own.
	added, removed := w.addPhone("p2", "+14155550102"), w.removePhone("p1")
	added.AddPhone.Guarded, removed.EditPhone.Guarded = true, true
	w.want(StepUp, added)
	w.want(StepUp, removed)
	w.verified("s1")
	added.AddPhone.SignIn, removed.EditPhone.SignIn = "s1", "s1"
	w.want(Done, added)
	w.want(LastPhone, removed)

	// Removing them all is no way around it where protection is on.
	w = holder(t, "phone")
	w.phone("p1", "+14155550101")
	c = w.command()
	c.Protect = &Protect{Own: "phone", Link: make([]byte, LinkSize)}
	w.want(Done, c)
	w.want(Done, w.remove("phone"))
	w.want(StepUp, guarded(w, "mine", ""))
	w.want(Done, w.changePassword(ChangePassword{Security: true}))
	w.want(StepUp, guarded(w, "mine", ""))
}
