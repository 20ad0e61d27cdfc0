package account

import (
	"slices"
	"strings"
	"testing"
)

// stepPhone is one of two-step verification, as enrolments bring it.
func stepPhone(id, number string) StepPhone {
	return StepPhone{ID: id, Number: number, Label: "of " + id}
}

func (w *world) enrolSteps(imported bool, phones ...StepPhone) *Command {
	c := w.command()
	c.EnrolTwoStep = &EnrolTwoStep{Imported: imported, Phones: phones}
	return c
}

func (w *world) sendStep(phone string) *Command {
	c := w.command()
	c.SendTwoStep = &SendTwoStep{Phone: phone}
	return c
}

// step evaluates an attempt with a code of four digits now; right says whether it is the live one.
func (w *world) verifyStep(right bool) *Command {
	c := w.command()
	c.VerifyTwoStep = &VerifyTwoStep{}
	if n, _ := w.state.LiveStepCode(w.now); n != 0 {
		c.VerifyTwoStep = &VerifyTwoStep{Code: n, Evaluated: true, Matched: right, MACs: 1}
	}
	return c
}

// keyMAC is the MAC of a recovery key, by name.
func keyMAC(name string) []byte { return append([]byte(name), make([]byte, MACSize-len(name))...) }

func (w *world) recoveryKey(name string) *Command {
	c := w.command()
	c.VerifyTwoStep = &VerifyTwoStep{Recovery: true, Key: keyMAC(name), MACs: 1}
	return c
}

func (w *world) makeKey(name string) *Command {
	c := w.command()
	c.MakeRecoveryKey = &MakeRecoveryKey{MAC: keyMAC(name), MACs: 1}
	return c
}

func (w *world) endSteps() *Command {
	c := w.command()
	c.EndTwoStep = &EndTwoStep{}
	return c
}

func (w *world) move(own string) *Command {
	c := w.protect(own)
	c.Protect.Move = true
	return c
}

// stepper is an account that has had two-step verification elsewhere.
func stepper(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.policy.AllowTwoStepImport = true
	w.want(Done, w.create())
	w.want(Done, w.enrolSteps(true, stepPhone("t1", "+14155550161"), stepPhone("t2", "+14155550162")))
	w.policy.AllowTwoStepImport = false
	return w
}

// proves sends a code and types it.
func (w *world) proves() {
	w.t.Helper()
	w.now += minute
	w.want(Done, w.sendStep(""))
	w.want(Accepted, w.verifyStep(true))
}

// TestTwoStepImported: P79: who has it goes on, with the door shut again; P77: at its own level, with its own records.
func TestTwoStepImported(t *testing.T) {
	w := newWorld(t)
	w.want(NotFound, w.enrolSteps(true, stepPhone("t1", "+14155550161")))
	w.want(Done, w.create())
	w.want(RefusedByPolicy, w.enrolSteps(true, stepPhone("t1", "+14155550161")))
	w = stepper(t)
	w.mode(TwoStep, TwoStepLevel)
	if n := w.last(); n.Kind != NoticeTwoStepOn {
		t.Errorf("it is told as %v", n.Kind)
	}
	w.want(Exists, w.enrolSteps(true, stepPhone("t3", "+14155550163")))
	if len(w.state.Phones) != 0 || w.state.VerifiedPhones() != 0 {
		t.Error("its phones are phones of two factors")
	}
	w.want(Done, w.begin("s1"))
	if o := w.state.Options(w.policy, w.state.SignIn("s1")); len(o.Phones) != 0 {
		t.Errorf("a sign-in offers its phones: %+v", o)
	}
	w.want(NotFound, w.send("s1", "t1"))

	if r := w.want(Done, w.sendStep("t2")); r.Credential != "t2" || !w.logged(`"operation":"send-two-step-code"`, `"subject":"t2"`) ||
		!w.logged(`"operation":"make-code","key":"code","subject":"t2"`) {
		t.Errorf("%+v, the log ends with %q", r, w.entries[len(w.entries)-2:])
	}
	if n := w.last(); n.Kind != NoticeSend || !n.TwoStep || n.Number != "+14155550162" || n.N != 1 || n.SignIn != "" {
		t.Errorf("the gateway is given %+v", n)
	}
	if r := w.want(Accepted, w.verifyStep(true)); r.Assurance != TwoStepLevel ||
		!w.logged(`"operation":"verify-two-step","key":"code","subject":"t2"`, `"detail":"assurance two_step"`) {
		t.Errorf("P27: %+v, the entry is %q", r, w.entries[len(w.entries)-1])
	}
	w.want(Ended, w.verifyStep(true)) // it works once
	for _, e := range w.entries {
		if strings.Contains(e, "415555016") {
			t.Errorf("a number is in %s", e)
		}
	}
}

// TestOnlyTheseProve: P58: the closed list of what proves who somebody is, for each mode; the one's codes are worth nothing
// for the other.
func TestOnlyTheseProve(t *testing.T) {
	w := stepper(t)
	w.want(Done, w.device("phone"))
	if r := w.want(Accepted, w.verify(w.current("phone"))); r.Assurance != PasswordLevel {
		t.Errorf("a device's code is worth %v to an account with two-step verification", r.Assurance)
	}
	w.policy.AllowAppPasswords = true
	w.want(Done, w.createAppPassword("mail", "right"))
	if r := w.want(Accepted, w.verifyAppPassword("right")); r.Assurance != InvalidAssurance {
		t.Errorf("an app password is worth %v", r.Assurance)
	}
	w.proves()
	w.want(Done, w.makeKey("key"))
	if r := w.want(Accepted, w.recoveryKey("key")); r.Assurance != TwoStepLevel {
		t.Errorf("the recovery key is worth %v", r.Assurance)
	}
	w.phone("p1", "+14155550101")
	w.proves()
	w.want(Done, w.move("phone"))
	w.mode(TwoFactor, TwoFactorLevel)
	w.now += minute
	if r := w.want(Accepted, w.verify(w.current("phone"))); r.Assurance != TwoFactorLevel {
		t.Errorf("a device's code is worth %v with two factors", r.Assurance)
	}
	w.want(Wrong, w.recoveryKey("key"))
	if len(w.state.TwoStep.Phones) > 0 || len(w.state.TwoStep.Key) > 0 {
		t.Errorf("what is left of it: %+v", w.state.TwoStep)
	}
	if !(InvalidAssurance < PasswordLevel && PasswordLevel < TwoStepLevel && TwoStepLevel < TwoFactorLevel) {
		t.Error("P78: the levels are not ordered")
	}
}

// TestTwoStepOnlyWhereTwoFactorIsNot: new enrolments are for accounts for which policy rules two factors out.
func TestTwoStepOnlyWhereTwoFactorIsNot(t *testing.T) {
	platforms := []Platform{{Name: "iOS", Minimum: "9"}}
	for name, c := range map[string]struct {
		class, device, platform, version string
		listed                           bool
		want                             Outcome
		reason                           string
	}{
		"anybody":                           {want: TwoFactorFirst},
		"of a class that isn't excluded":    {class: "child", want: TwoFactorFirst},
		"of an excluded class":              {class: "kiosk", want: Done, reason: ReasonClass},
		"that class, with a good device":    {class: "kiosk", device: "9", want: Done, reason: ReasonClass},
		"with an old device":                {device: "8.4", want: Done, reason: ReasonDevice},
		"with a good device":                {device: "9", want: TwoFactorFirst},
		"with a good one and an old one":    {device: "9", platform: "iOS", version: "8", want: TwoFactorFirst},
		"whose best device is old":          {platform: "iOS", version: "8.4.1", want: Done, reason: ReasonVersion},
		"whose best device is good":         {platform: "iOS", version: "9", want: TwoFactorFirst},
		"whose best device says nothing":    {platform: "iOS", want: Done, reason: ReasonUnclear},
		"with a system that isn't listed":   {platform: "BeOS", version: "5", want: TwoFactorFirst},
		"and only listed ones are eligible": {platform: "BeOS", version: "5", listed: true, want: Done, reason: ReasonPlatform},
		"listed ones, and nothing is known": {listed: true, want: TwoFactorFirst},
	} {
		w := newWorld(t)
		w.policy.Platforms, w.policy.ListedOnly, w.policy.Excluded = platforms, c.listed, []string{"kiosk"}
		create := w.create()
		create.Create.Class = c.class
		w.want(Done, create)
		if c.device != "" {
			e := w.device("phone")
			e.Enrol.Credential.Platform, e.Enrol.Credential.SystemVersion = "iOS", c.device
			w.want(Done, e)
		}
		e := w.enrolSteps(false, stepPhone("t1", "+14155550161"))
		e.EnrolTwoStep.Platform, e.EnrolTwoStep.SystemVersion = c.platform, c.version
		if r := w.apply(e); r.Outcome != c.want {
			t.Errorf("%s: %v, want %v", name, r.Outcome, c.want)
		}
		if c.want == Done && !w.logged(`"operation":"enrol-two-step"`, `"detail":"two factors are not eligible: `+c.reason+`"`) {
			t.Errorf("%s: the log has %q", name, w.entries[len(w.entries)-1])
		}
		if w.mode(Unprotected, PasswordLevel); c.want != Done && !w.logged(`"outcome":"two-factor-eligible"`) {
			t.Errorf("%s: the log has %q", name, w.entries[len(w.entries)-1])
		}
	}
	w := newWorld(t) // born protected: it has two factors
	w.policy.BornProtected = true
	w.want(Done, w.create())
	w.policy.Excluded, w.policy.AllowTwoStepImport = []string{""}, true
	w.want(TwoFactorFirst, w.enrolSteps(false, stepPhone("t1", "+14155550161")))
	w.want(TwoFactorFirst, w.enrolSteps(true, stepPhone("t1", "+14155550161")))
	w.phone("p1", "+14155550101")
	w.mode(TwoFactor, TwoFactorLevel)
	w.want(TwoFactorFirst, w.enrolSteps(true, stepPhone("t1", "+14155550161")))
}

// TestTwoStepEnrolment: a new one is on once its phone's code is typed, and not before.
func TestTwoStepEnrolment(t *testing.T) {
	w := newWorld(t)
	w.policy.Excluded = []string{"kiosk"}
	create := w.create()
	create.Create.Class = "kiosk"
	w.want(Done, create)
	w.want(NotFound, w.endSteps())
	w.want(NotFound, w.makeKey("key"))
	w.want(Done, w.enrolSteps(false, stepPhone("t1", "+14155550161")))
	w.want(NotFound, w.makeKey("key"))
	w.want(Done, w.sendStep("t1"))
	stale := w.verifyStep(true)
	w.want(Done, w.enrolSteps(false, stepPhone("t2", "+14155550162"))) // another number: the code is dead
	w.want(Ended, stale)
	w.want(NotFound, w.sendStep("t1"))
	w.now += minute
	w.want(Done, w.sendStep(""))
	w.want(Stale, stale)
	w.want(Done, w.endSteps()) // dropped again
	w.want(Ended, w.verifyStep(true))
	w.want(Done, w.enrolSteps(false, stepPhone("t3", "+14155550163")))
	w.now += minute
	w.want(Done, w.sendStep("t3"))
	if r := w.want(Accepted, w.verifyStep(true)); r.Assurance != InvalidAssurance || !w.logged(`"operation":"turn-on-two-step"`, `"outcome":"done"`) {
		t.Errorf("verifying its phone: %+v", r)
	}
	w.mode(TwoStep, TwoStepLevel)
	if n := w.last(); n.Kind != NoticeTwoStepOn || w.state.TwoStep.Imported || w.state.TwoStep.Made != 3 {
		t.Errorf("%+v, told as %v", w.state.TwoStep, n.Kind)
	}
	// Ineligible accounts keep it (P27): there is nothing to move to.
	w.want(Done, w.device("phone"))
	w.phone("p1", "+14155550101")
	w.want(Ineligible, w.move("phone"))
	w.want(TwoStepOn, w.protect("phone"))
}

// TestTwoStepFirst: P26: protection is refused while two-step verification is on; turned off first, or moved in one step.
func TestTwoStepFirst(t *testing.T) {
	w := stepper(t)
	w.want(Done, w.device("phone"))
	w.want(TwoStepOn, w.protect("phone"))
	w.want(TwoStepOn, w.protectNew("mac", "", ""))
	if w.state.Find("mac") != nil {
		t.Error("the refused device is there")
	}
	w.want(NoPhone, w.move("phone"))
	w.phone("p1", "+14155550101") // it completes nothing: that is for who was born protected
	w.mode(TwoStep, TwoStepLevel)
	w.want(StepUp, w.move("phone"))
	w.want(StepUp, w.endSteps())
	w.want(StepUp, w.makeKey("key"))
	w.proves()
	w.want(NotFound, w.move("none"))
	w.now += StepFreshFor
	w.want(StepUp, w.move("phone"))
	w.proves()
	off := len(w.notices)
	before := len(w.entries)
	w.want(Done, w.move("phone"))
	w.mode(TwoFactor, TwoFactorLevel)
	var said []string
	for _, e := range w.entries[before:] {
		for _, operation := range []string{"turn-on-protection", "turn-off-two-step", "make-link"} {
			if strings.Contains(e, `"operation":"`+operation+`"`) && strings.Contains(e, `"outcome":"done"`) {
				said = append(said, operation)
			}
		}
	}
	if !slices.Equal(said, []string{"turn-on-protection", "turn-off-two-step", "make-link"}) {
		t.Errorf("the entries of the move are %q", w.entries[before:])
	}
	kinds := []NoticeKind{}
	for _, n := range w.notices[off:] {
		kinds = append(kinds, n.Kind)
	}
	if !slices.Equal(kinds, []NoticeKind{NoticeTwoStepOff, NoticeProtectionOn}) {
		t.Errorf("the notices of the move are %v", kinds)
	}
	w.want(Exists, w.move("phone"))
	w.want(Done, w.undo(true)) // the link goes back to nothing: two-step verification is over
	w.mode(Unprotected, PasswordLevel)
	w.want(NotFound, w.move("phone"))

	w = stepper(t) // off, and then on
	w.want(Wrong, w.undo(true))
	w.want(Done, w.device("phone"))
	w.phone("p1", "+14155550101")
	w.proves()
	w.want(Done, w.endSteps())
	w.mode(Unprotected, PasswordLevel)
	if n := w.last(); n.Kind != NoticeTwoStepOff {
		t.Errorf("it is told as %v", n.Kind)
	}
	w.want(NotFound, w.endSteps())
	w.want(Done, w.protect("phone"))

	w = stepper(t) // a new device in the same step, and a repeated request
	w.phone("p1", "+14155550101")
	w.proves()
	c := w.with(requestID(9), w.protectNew("mac", "", ""))
	c.Protect.Move = true
	first := w.want(Done, c)
	if again := w.apply(c); !again.Replayed || again.Entry != first.Entry || w.state.Find("mac") == nil {
		t.Errorf("repeated: %+v, first %+v", again, first)
	}
	other := w.with(requestID(9), w.protectNew("mac", "", ""))
	w.want(Conflict, other)
}

func init() {
	goldenStates["state-two-step"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333437,
		Enrolment: Enrolment{Mode: TwoStep},
		TwoStep: TwoStepState{
			Since: start, Made: 3, Code: 3, To: "t1", Until: start + 11*minute, Sent: []Time{start, start + minute},
			Phones: []StepPhone{
				{ID: "t1", Number: "+14155550161", Label: "mine", Added: start, Verified: start},
				{ID: "t2", Number: "+14155550162", Added: start, Verified: start},
			},
			Key: keyMAC("right"), KeyAt: start + minute, Proved: start + second, Imported: true, Wrong: 2,
		},
	}
	goldenStates["state-two-step-pending"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start, Keys: 0x303132333436,
		TwoStep: TwoStepState{Phones: []StepPhone{{ID: "t1", Number: "+14155550161", Added: start}}},
	}
	goldenStates["state-two-step-phantom"] = &State{
		Version: 1, Phantom: true, Salt: []byte("0123456789abcdef"), Time: start,
		TwoStep: TwoStepState{Made: 1, Code: 1, To: "pretended", Until: start + 10*minute, Sent: []Time{start}},
	}
	for name, set := range map[string]func(*Command){
		"command-enrol-two-step": func(c *Command) {
			c.EnrolTwoStep = &EnrolTwoStep{
				Phones: []StepPhone{{ID: "t1", Number: "+14155550161", Label: "mine"}}, Platform: "iOS", SystemVersion: "8.4", SignIn: "s1",
			}
		},
		"command-import-two-step": func(c *Command) {
			c.EnrolTwoStep = &EnrolTwoStep{
				Imported: true, Phones: []StepPhone{{ID: "t1", Number: "+14155550161"}, {ID: "t2", Number: "+14155550162"}},
			}
		},
		"command-send-two-step":   func(c *Command) { c.SendTwoStep = &SendTwoStep{Phone: "t1", Voice: true} },
		"command-verify-two-step": func(c *Command) { c.VerifyTwoStep = &VerifyTwoStep{Code: 3, Evaluated: true, Matched: true, MACs: 1} },
		"command-verify-recovery": func(c *Command) { c.VerifyTwoStep = &VerifyTwoStep{Recovery: true, Key: keyMAC("right"), MACs: 1} },
		"command-make-recovery":   func(c *Command) { c.MakeRecoveryKey = &MakeRecoveryKey{MAC: keyMAC("right"), MACs: 1} },
		"command-end-two-step":    func(c *Command) { c.EndTwoStep = &EndTwoStep{} },
		"command-move":            func(c *Command) { c.Protect = &Protect{Own: "phone", Link: []byte("fedcba9876543210"), Move: true} },
	} {
		goldenCommands[name] = goldenCommand(set)
	}
}
