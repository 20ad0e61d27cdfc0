package account

import "slices"

// TwoStepState is two-step verification, the older scheme: codes of four digits that are sent to phones, and a recovery
// key. It shares nothing with protection by two factors but the account's lock and budget: its phones, codes and limits
// are its own. Its codes are counted for accounts that don't have it too, and for names that are none, so that nobody
// finds out by asking for one: see ENROLMENT.md.
type TwoStepState struct {
	Since  Time        `cbor:"1,keyasint,omitempty"` // when it was turned on; 0: it is off
	Phones []StepPhone `cbor:"2,keyasint,omitempty"` // at most MaxStepPhones; while it is off, one that is pending
	// Made counts the codes that were ever made; a code's number is what it was then. It never goes back.
	Made uint32 `cbor:"3,keyasint,omitempty"`
	// Code is the number of the one live code, To its phone and Until when it dies; 0: there is none.
	Code  uint32 `cbor:"4,keyasint,omitempty"`
	To    string `cbor:"5,keyasint,omitempty"`
	Until Time   `cbor:"6,keyasint,omitempty"`
	Sent  []Time `cbor:"7,keyasint,omitempty"` // of the codes within the last hour, oldest first
	// Key is the recovery key's MAC under the pepper; empty: there is none.
	Key      []byte `cbor:"8,keyasint,omitempty"`
	KeyAt    Time   `cbor:"9,keyasint,omitempty"`
	Proved   Time   `cbor:"10,keyasint,omitempty"` // when a code or the recovery key was last right
	Imported bool   `cbor:"11,keyasint,omitempty"` // it was on elsewhere before
	// Wrong counts the wrong codes since Proved. No other credential's success ends it, as it does a series of failures:
	// whoever guesses may have brought one.
	Wrong uint8 `cbor:"12,keyasint,omitempty"`
}

// StepPhone is a phone of two-step verification. It is no [Phone]: no sign-in with two factors ever uses it.
type StepPhone struct {
	ID       string `cbor:"1,keyasint"`
	Number   string `cbor:"2,keyasint"` // E.164; in no log entry
	Label    string `cbor:"3,keyasint,omitempty"`
	Added    Time   `cbor:"4,keyasint,omitempty"`
	Verified Time   `cbor:"5,keyasint,omitempty"` // 0 while it is pending
}

// Masked is the number as it may be shown to somebody who has yet to prove who they are.
func (p *StepPhone) Masked() string { return mask(p.Number[len(p.Number)-2:]) }

func (p *StepPhone) validate(v *validation) {
	v.text("phone", p.ID, 1, MaxID)
	v.check(validE164(p.Number), "number", "must be E.164")
	v.text("label", p.Label, 0, MaxText)
	v.check(p.Added >= 0 && p.Added <= MaxTime && p.Verified >= 0 && p.Verified <= MaxTime, "phone", "its times are out of bounds")
}

func validStepPhones(v *validation, list []StepPhone) {
	v.check(len(list) <= MaxStepPhones, "phones", "too many")
	for i := range list {
		p := &list[i]
		p.validate(v)
		v.check(!slices.ContainsFunc(list[:i], func(q StepPhone) bool { return q.ID == p.ID || q.Number == p.Number }),
			"phone", "is there twice")
	}
}

// validateTwoStep checks what the transitions rely on.
func (s *State) validateTwoStep(v *validation) {
	t := &s.TwoStep
	on := s.Enrolment.Mode == TwoStep
	validStepPhones(v, t.Phones)
	for _, at := range []Time{t.Since, t.Until, t.KeyAt, t.Proved} {
		v.check(at >= 0 && at <= MaxTime+MaxSignInMinutes*60*1000, "two-step verification", "its times are out of bounds")
	}
	v.check(on == (t.Since > 0), "two-step verification", "has no time, or a time and is off")
	for i := range t.Phones {
		v.check(on == (t.Phones[i].Verified > 0), "two-step verification", "is on with a pending phone, or off with a verified one")
	}
	if on {
		v.check(len(t.Phones) > 0, "two-step verification", "is on without a phone")
	} else {
		v.check(len(t.Phones) <= 1 && len(t.Key) == 0 && t.Proved == 0 && !t.Imported, "two-step verification", "is off and has what it has when it is on")
		v.check(len(t.Phones) == 0 || s.Enrolment.Mode == Unprotected && !s.Phantom, "two-step verification", "can't be pending")
	}
	v.check(len(t.Key) == 0 || len(t.Key) == MACSize, "recovery key", "its MAC must have 32 bytes")
	v.check((len(t.Key) == 0) == (t.KeyAt == 0), "recovery key", "has no time, or a time and is none")
	v.check((t.Code == 0) == (t.Until == 0) && (t.Code == 0) == (t.To == "") && t.Code <= t.Made, "two-step code", "not possible")
	v.text("two-step code", t.To, 0, MaxID)
	v.check(t.Wrong <= MaxStepGuesses, "two-step codes", "too many were wrong")
	v.check(len(t.Sent) <= MaxSendsPerPhone, "two-step codes", "too many")
}

// off is what is left when two-step verification is turned off: what was counted, so that turning it off and on again
// gives no fresh allowance, and no code number comes twice.
func (t *TwoStepState) off() TwoStepState {
	return TwoStepState{Made: t.Made, Sent: t.Sent, Wrong: t.Wrong}
}

// EnrolTwoStep turns two-step verification on: for those who had it elsewhere, or, where two factors aren't eligible, once
// the code that is sent to the phone is typed.
type EnrolTwoStep struct {
	Phones   []StepPhone `cbor:"1,keyasint"`           // ID, Number and Label; one, or with Imported all of them
	Imported bool        `cbor:"2,keyasint,omitempty"` // it was on elsewhere, and the phones were verified there
	// Platform and SystemVersion are those of the best device that the person has, which the account need not know.
	Platform      string `cbor:"3,keyasint,omitempty"`
	SystemVersion string `cbor:"4,keyasint,omitempty"`
	SignIn        string `cbor:"5,keyasint,omitempty"` // verified of late, where policy asks for it
}

// EndTwoStep turns two-step verification off, or drops a phone that is pending.
type EndTwoStep struct{}

func (q *EnrolTwoStep) validate(v *validation) {
	v.check(len(q.Phones) == 1 || q.Imported && len(q.Phones) > 0, "phones", "must be one, or some with an import")
	validStepPhones(v, q.Phones)
	for i := range q.Phones {
		v.check(q.Phones[i].Added == 0 && q.Phones[i].Verified == 0, "phone", "has a past")
	}
	v.text("platform", q.Platform, 0, MaxText)
	v.text("system version", q.SystemVersion, 0, MaxText)
	v.text("sign-in", q.SignIn, 0, MaxID)
}

// WhyNoTwoFactor is why an account can't have protection by two factors, as far as policy goes; empty when it can. The
// platform and version are those of a device that the account need not know; without them it is judged by the devices that
// it has, and one that has none can get one.
func (p EnrolmentPolicy) WhyNoTwoFactor(s *State, platform, version string) (reason string) {
	if p.excludes(s.Enrolment.Class) {
		return ReasonClass
	}
	devices := false
	for i := range s.Credentials {
		if k := &s.Credentials[i]; k.Kind == Device {
			if p.Eligible(k.Platform, k.SystemVersion) {
				return ""
			}
			devices = true
		}
	}
	switch {
	case platform != "":
		reason, _, _ = p.Judge(platform, version)
		return reason
	case devices:
		return ReasonDevice
	}
	return ""
}

func enrolTwoStep(p Policy, s *State, c *Command) Decision {
	q := c.EnrolTwoStep
	n := next(s, c)
	a := act{subject: q.Phones[0].ID}
	reason := ""
	switch {
	case s.Enrolment.Mode == TwoStep:
		a.outcome, a.subject = Exists, ""
		return changed(n, c, a)
	case s.Enrolment.Mode != Unprotected:
		a.outcome = TwoFactorFirst
		return changed(n, c, a)
	case q.Imported:
		if !p.AllowTwoStepImport {
			a.outcome = RefusedByPolicy
			return changed(n, c, a)
		}
	default:
		if reason = p.WhyNoTwoFactor(s, q.Platform, q.SystemVersion); reason == "" {
			a.outcome = TwoFactorFirst
			return changed(n, c, a)
		}
		if s.stepUp(p, q.SignIn, n.Time) {
			a.outcome = StepUp
			return changed(n, c, a)
		}
	}
	n.TwoStep = s.TwoStep.off()
	n.TwoStep.Wrong = 0 // bound anew: there was nothing that could be guessed
	n.TwoStep.Phones = slices.Clone(q.Phones)
	for i := range n.TwoStep.Phones {
		n.TwoStep.Phones[i].Added = n.Time
	}
	a.outcome, a.credential = Done, q.Phones[0].ID
	if q.Imported {
		n.turnOnTwoStep()
		n.TwoStep.Imported = true
	}
	d := changed(n, c, a)
	if d.Entry != nil && reason != "" {
		d.Entry.Detail = "two factors are not eligible: " + reason
	}
	if q.Imported {
		d.notify(c, n.twoStepNotice(NoticeTwoStepOn))
	}
	return d
}

// turnOnTwoStep turns it on with its phones, which are verified now at the latest. s is the new state.
func (s *State) turnOnTwoStep() {
	s.TwoStep.Since = s.Time
	s.Enrolment.Mode = TwoStep
	s.TwoStep.Phones = slices.Clone(s.TwoStep.Phones)
	for i := range s.TwoStep.Phones {
		s.TwoStep.Phones[i].Verified = s.Time
	}
}

// StepFresh says whether somebody proved two-step verification within the last minutes. Whatever takes it away or changes
// how it is proved asks for that: neither a session that was left open nor a front-end's certificate is enough.
func (s *State) StepFresh(at Time) bool {
	return s.TwoStep.Proved > 0 && max(at, s.Time)-s.TwoStep.Proved < StepFreshFor
}

func endTwoStep(s *State, c *Command) Decision {
	n := next(s, c)
	on := s.Enrolment.Mode == TwoStep
	switch {
	case !on && len(s.TwoStep.Phones) == 0:
		return changed(n, c, act{outcome: NotFound})
	case on && !s.StepFresh(c.Time):
		return changed(n, c, act{outcome: StepUp})
	}
	n.endTwoStep()
	d := changed(n, c, act{outcome: Done})
	if on {
		d.notify(c, n.twoStepNotice(NoticeTwoStepOff))
	}
	return d
}

// endTwoStep takes it away. s is the new state.
func (s *State) endTwoStep() {
	s.TwoStep = s.TwoStep.off()
	if s.Enrolment.Mode == TwoStep {
		s.Enrolment.Mode = Unprotected
	}
}

// endedTwoStep records and tells that two-step verification ended with another act. n is the new state.
func (d *Decision) endedTwoStep(c *Command, n *State) {
	if d.Entry == nil {
		return
	}
	d.also(opEndTwoStep, "", "")
	e := d.Also[len(d.Also)-1]
	e.KeyVersion, e.MACs, e.Detail = 0, 0, ""
	d.notify(c, n.twoStepNotice(NoticeTwoStepOff))
}

// twoStepNotice tells the front-end and the account's devices. s is the new state.
func (s *State) twoStepNotice(k NoticeKind) Notice {
	return Notice{Kind: k, Devices: s.deciders(&SignIn{})}
}

// Names in log entries. They are signed: never change one.
const (
	opEnrolTwoStep    = "enrol-two-step"
	opImportTwoStep   = "import-two-step"
	opSendTwoStep     = "send-two-step-code"
	opVerifyTwoStep   = "verify-two-step"
	opVerifyRecovery  = "verify-recovery-key"
	opMakeRecoveryKey = "make-recovery-key"
	opTurnOnTwoStep   = "turn-on-two-step"
	opEndTwoStep      = "turn-off-two-step"
)

// twoStepOperation is the name of a command about two-step verification.
func (c *Command) twoStepOperation() string {
	switch {
	case c.EnrolTwoStep != nil:
		if c.EnrolTwoStep.Imported {
			return opImportTwoStep
		}
		return opEnrolTwoStep
	case c.SendTwoStep != nil:
		return opSendTwoStep
	case c.VerifyTwoStep != nil:
		if c.VerifyTwoStep.Recovery {
			return opVerifyRecovery
		}
		return opVerifyTwoStep
	case c.MakeRecoveryKey != nil:
		return opMakeRecoveryKey
	case c.EndTwoStep != nil:
		return opEndTwoStep
	}
	return ""
}

// Operations as requests are remembered by: 39 to 44 are this file's.
const (
	requestEnrolTwoStep uint8 = iota + 39
	requestSendTwoStep
	requestVerifyTwoStep
	requestMakeRecoveryKey
	requestEndTwoStep
	requestMoveToTwoFactor
)

func (c *Command) twoStepFingerprint() (operation uint8, fingerprint uint64) {
	switch {
	case c.EnrolTwoStep != nil:
		q := c.EnrolTwoStep
		parts := []string{c.operation(), q.Platform, q.SystemVersion, q.SignIn}
		for i := range q.Phones {
			parts = append(parts, q.Phones[i].Number, q.Phones[i].Label)
		}
		return requestEnrolTwoStep, digest(parts...)
	case c.SendTwoStep != nil:
		return requestSendTwoStep, digest(c.SendTwoStep.Phone)
	case c.VerifyTwoStep != nil:
		return requestVerifyTwoStep, digest(c.operation())
	case c.MakeRecoveryKey != nil:
		return requestMakeRecoveryKey, 0
	case c.EndTwoStep != nil:
		return requestEndTwoStep, 0
	}
	return 0, 0
}

// twoStepCommand decides the commands of two-step verification on an account that is there; false: it is none of them.
func twoStepCommand(p Policy, s *State, c *Command) (Decision, bool) {
	switch {
	case c.EnrolTwoStep != nil:
		return enrolTwoStep(p, s, c), true
	case c.MakeRecoveryKey != nil:
		return makeRecoveryKey(s, c), true
	case c.EndTwoStep != nil:
		return endTwoStep(s, c), true
	}
	return Decision{}, false
}

func (c *Command) validateTwoStep(v *validation) {
	switch {
	case c.EnrolTwoStep != nil:
		c.EnrolTwoStep.validate(v)
	case c.SendTwoStep != nil:
		v.text("phone", c.SendTwoStep.Phone, 0, MaxID)
	case c.VerifyTwoStep != nil:
		c.VerifyTwoStep.validate(v)
	case c.MakeRecoveryKey != nil:
		mac := c.MakeRecoveryKey.MAC
		v.check(len(mac) == 0 || len(mac) == MACSize, "recovery key", "its MAC must have 32 bytes")
	}
}
