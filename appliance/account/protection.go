package account

import (
	"bytes"
	"slices"
)

// Enrolment is how an account stands to protection by two factors, and what goes with its devices' and its person's part
// in that. The zero Enrolment is that of every account of before: off, of no class, no device lost.
type Enrolment struct {
	Mode  ProtectionMode `cbor:"1,keyasint,omitempty"`
	Since Time           `cbor:"2,keyasint,omitempty"` // TwoFactor only
	// Born says that the tenant's policy protected it when it was made: there is no way back.
	Born bool `cbor:"3,keyasint,omitempty"`
	// Link is what the link's token is made of that turns protection off again, until Until; empty: there is none. The token
	// itself is a MAC over it under the pepper and kept nowhere: see LinkMessage.
	Link  []byte `cbor:"4,keyasint,omitempty"`
	Until Time   `cbor:"5,keyasint,omitempty"`
	Class string `cbor:"6,keyasint,omitempty"` // such as "child", as the front-end says; policy excludes some
	// Lost are devices that were reported lost or erased, oldest first. They are no credentials any more: nothing of them
	// is trusted.
	Lost []LostDevice `cbor:"7,keyasint,omitempty"`
	// PriorDay is the day, since 1970-01-01, of whose keys earlier settings are kept beside the state; 0: none are. It stays
	// when protection is turned off, so that the request can be repeated.
	PriorDay uint32 `cbor:"8,keyasint,omitempty"`
}

// ProtectionMode is how an account is protected. Two-step verification is another thing than two factors, with records of
// its own: see TwoStepState.
type ProtectionMode uint8

// Modes. Every account of before is Unprotected, which is the zero value on purpose.
const (
	Unprotected ProtectionMode = iota
	// Pending: born protected, and without a phone yet. The first phone that is verified completes it in the same step.
	Pending
	TwoFactor
	// TwoStep is the older scheme, for those who have it.
	TwoStep
)

var protectionNames = [...]string{"off", "pending", "two_factor", "two_step"}

// String is the mode's name on the wire.
func (m ProtectionMode) String() string {
	if int(m) >= len(protectionNames) {
		return "invalid"
	}
	return protectionNames[m]
}

// Assurance is what an accepted answer is worth. They are ordered.
type Assurance uint8

// Levels of assurance, the lowest first.
const (
	InvalidAssurance Assurance = iota
	PasswordLevel
	TwoStepLevel
	TwoFactorLevel
)

var assuranceNames = [...]string{"invalid", "password", "two_step", "two_factor"}

// String is the level's name on the wire and in log entries.
func (a Assurance) String() string {
	if int(a) >= len(assuranceNames) {
		return assuranceNames[0]
	}
	return assuranceNames[a]
}

// Assurance is the level that the account's sign-ins can reach.
func (s *State) Assurance() Assurance {
	switch {
	case s != nil && s.Enrolment.Mode == TwoFactor:
		return TwoFactorLevel
	case s != nil && s.Enrolment.Mode == TwoStep:
		return TwoStepLevel
	}
	return PasswordLevel
}

// worth is what a command proves when it is accepted: the closed list of what tells who somebody is, besides the password
// that the front-end checks. With two factors on that is a code of a device, an authenticator, or a phone; with two-step
// verification a code that was sent to one of its phones, or its recovery key. The one's codes are worth nothing for the
// other.
func (s *State) worth(c *Command) Assurance {
	switch {
	case c.Verify != nil, c.Enter != nil, c.CheckBrowser != nil, c.CheckDevice != nil:
		if s.Enrolment.Mode == TwoFactor {
			return TwoFactorLevel
		}
		return PasswordLevel
	case c.VerifyTwoStep != nil && s.Enrolment.Mode == TwoStep:
		return TwoStepLevel
	}
	return InvalidAssurance
}

// Protect turns protection on. It needs a verified phone, and the device on which it is turned on: one that is trusted
// already, or a new one that becomes trusted in the same step.
type Protect struct {
	Own string `cbor:"1,keyasint,omitempty"` // the device, if it is one of the account's
	// Register asks for the device to be registered. Its seed and certificate are made only once nothing else is in the
	// way: Device is nil until then.
	Register bool        `cbor:"2,keyasint,omitempty"`
	Device   *Credential `cbor:"3,keyasint,omitempty"`
	Link     []byte      `cbor:"4,keyasint"`           // 16 random bytes
	SignIn   string      `cbor:"5,keyasint,omitempty"` // verified of late, where policy asks for it
	Checked  bool        `cbor:"6,keyasint,omitempty"` // the front-end asked its own questions before; for the log
	Key      uint64      `cbor:"7,keyasint,omitempty"` // digest of the device's public key; of the request, for its memory
	// Platform and SystemVersion are the new device's, known before it is made.
	Platform      string `cbor:"8,keyasint,omitempty"`
	SystemVersion string `cbor:"9,keyasint,omitempty"`
	// Prior are earlier settings of the front-end's, sealed to the nodes' keys of PriorDay; opaque here.
	Prior    []byte `cbor:"10,keyasint,omitempty"`
	PriorDay uint32 `cbor:"11,keyasint,omitempty"`
	Guarded  bool   `cbor:"34,keyasint,omitempty"` // as in Enrol, for a new device
	// Move turns two-step verification off in the same step; without it, protection is refused while that is on.
	Move bool `cbor:"12,keyasint,omitempty"`
}

// Unprotect turns protection off again, by the link's token. Matched says that the token was that of Link.
type Unprotect struct {
	Link    []byte `cbor:"1,keyasint,omitempty"` // Enrolment.Link that was evaluated
	Matched bool   `cbor:"2,keyasint,omitempty"`
	MACs    uint32 `cbor:"3,keyasint,omitempty"`
	Token   uint64 `cbor:"4,keyasint,omitempty"` // digest of the token; of the request, for its memory
}

func (q *Protect) validate(v *validation) {
	v.text("device", q.Own, 0, MaxID)
	v.check(q.Register == (q.Own == ""), "device", "either one of the account's or a new one")
	v.check(len(q.Link) == LinkSize, "link", "must have 16 bytes")
	v.text("sign-in", q.SignIn, 0, MaxID)
	v.text("platform", q.Platform, 0, MaxText)
	v.text("system version", q.SystemVersion, 0, MaxText)
	v.check(len(q.Prior) <= MaxPrior && (len(q.Prior) > 0) == (q.PriorDay > 0), "earlier settings", "too long, or without a day")
	if d := q.Device; d != nil {
		v.check(q.Register, "device", "was not asked for")
		v.check(d.Platform == q.Platform && d.SystemVersion == q.SystemVersion, "device", "is another one")
		(&Enrol{Credential: *d, Door: SealedDoor}).validate(v)
	}
}

func (q *Protect) fingerprint() uint64 {
	return digest(q.Own, eight(q.Key), q.SignIn, q.Platform, q.SystemVersion)
}

// Protecting is what turns protection on in a command, by itself or with a phone's code; nil: nothing does.
func (c *Command) Protecting() *Protect {
	if c.VerifyPhone != nil {
		return c.VerifyPhone.Protect
	}
	return c.Protect
}

func (q *Unprotect) validate(v *validation) {
	v.check(len(q.Link) == 0 || len(q.Link) == LinkSize, "link", "must have 16 bytes")
	v.check(len(q.Link) > 0 || !q.Matched, "matched", "there was nothing to match")
}

func (e *Enrolment) validate(v *validation) {
	v.check(int(e.Mode) < len(protectionNames), "protection", "not known")
	v.check((e.Mode == TwoFactor) == (e.Since > 0) && e.Since <= MaxTime, "protection", "has no time, or a time and is off")
	v.check(len(e.Link) == 0 || len(e.Link) == LinkSize && e.Mode == TwoFactor && !e.Born, "link", "not possible")
	v.check((len(e.Link) == 0) == (e.Until == 0) && e.Until >= 0 && e.Until <= MaxTime+WayBack, "link", "has no time, or a time and is none")
	v.check(e.Mode != Pending || e.Born, "protection", "can't be pending")
	v.text("class", e.Class, 0, MaxClass)
	v.check(len(e.Lost) <= MaxLost, "lost devices", "too many")
	for i := range e.Lost {
		e.Lost[i].validate(v)
	}
}

// WayBackUntil is when the link's token stops working; 0: it doesn't work, and nothing else turns protection off either.
func (s *State) WayBackUntil(p Policy, at Time) Time {
	e := &s.Enrolment
	if e.Mode != TwoFactor || e.Born || len(e.Link) == 0 || p.NoWayBack || max(at, s.Time) >= e.Until {
		return 0
	}
	return e.Until
}

// Protectable is the outcome that turning protection on would have now: Done, or what is in the way.
func (s *State) Protectable(p Policy, q *Protect, at Time) Outcome {
	now := max(at, s.Time)
	own := s.Find(q.Own)
	platform, version := q.Platform, q.SystemVersion
	if own != nil {
		platform, version = own.Platform, own.SystemVersion
	}
	switch {
	case s.Enrolment.Mode == TwoFactor:
		return Exists
	case s.Enrolment.Mode == TwoStep && !q.Move:
		return TwoStepOn
	case s.Enrolment.Mode != TwoStep && q.Move:
		return NotFound
	case p.excludes(s.Enrolment.Class):
		return Ineligible
	case !q.Register && (own == nil || own.Kind != Device):
		return NotFound
	case !p.Eligible(platform, version):
		return NotEligible
	case s.VerifiedPhones() == 0:
		return NoPhone
	case q.Move && !s.StepFresh(now):
		return StepUp
	case s.stepUp(p, q.SignIn, now) && !s.phoneVerifiedSince(now-Time(p.StepUpMinutes)*60*1000):
		return StepUp
	case q.Guarded && q.Register && s.guards(p, q.SignIn, now) && !s.phoneVerifiedSince(now-p.stepUpWithin()):
		return StepUp // another device by this door
	case q.Register && !s.roomFor(p, deviceCost):
		return TooMany
	}
	return Done
}

// phoneVerifiedSince says that a phone was verified of late. That counts as a second factor here: adding it took one too,
// unless the account had nothing to prove one with.
func (s *State) phoneVerifiedSince(t Time) bool {
	return slices.ContainsFunc(s.Phones, func(p Phone) bool { return p.Verified > t })
}

func protect(p Policy, s *State, c *Command) Decision {
	q := c.Protect
	n := next(s, c)
	a := act{outcome: s.Protectable(p, q, c.Time), subject: q.Own}
	if a.outcome != Done {
		return changed(n, c, a)
	}
	on := turnOn(p, n, c, q)
	switch on.outcome {
	case Stale:
		return stale
	case Done:
	default:
		a.outcome = on.outcome
		return changed(next(s, c), c, a)
	}
	a.credential, a.subject = on.device, on.device
	d := changed(on.next, c, a)
	if d.Entry != nil {
		d.Entry.Detail = on.detail()
	}
	on.add(&d, c)
	return d
}

// turned is protection turned on in a state that is being made.
type turned struct {
	outcome  Outcome // Done, Stale, or what is in the way of the new device
	next     *State
	request  *Protect
	device   string   // on which it was turned on
	enrolled Decision // of a new device; the zero Decision where there is none
	keeps    bool
}

// turnOn turns protection on in the new state n, of which Protectable has said that it can be.
func turnOn(p Policy, n *State, c *Command, q *Protect) turned {
	on := turned{outcome: Done, next: n, request: q, device: q.Own}
	if q.Register {
		if q.Device == nil {
			return turned{outcome: Stale} // the node had not seen that nothing is in the way
		}
		inner := *c
		inner.Protect, inner.VerifyPhone, inner.Request = nil, nil, RequestID{}
		inner.Enrol = &Enrol{Credential: *q.Device, Door: SealedDoor, MACs: 1}
		refused := n.Refused
		on.enrolled = enrol(p, n, &inner)
		if on.outcome = on.enrolled.Result.Outcome; on.outcome != Done {
			return on
		}
		on.next, on.device = on.enrolled.Next, q.Device.ID
		on.next.Refused = refused // the act's first entry counts them
		on.enrolled.Entry.Coalesced = 0
		on.enrolled.Entry.MACs -= refused.MACs
		on.next.attend(on.device, SignedIn)
	}
	on.next.endTwoStep() // of an account that doesn't move, a phone that was pending
	e := &on.next.Enrolment
	e.Mode, e.Since = TwoFactor, n.Time
	if !e.Born && !p.NoWayBack {
		e.Link, e.Until = q.Link, n.Time+WayBack
	}
	e.PriorDay = 0
	if on.keeps = len(e.Link) > 0 && len(q.Prior) > 0; on.keeps {
		e.PriorDay = q.PriorDay
	}
	return on
}

// detail is what the entry of turning it on says.
func (on *turned) detail() string {
	if on.request.Checked {
		return "the front-end asked its own questions"
	}
	return ""
}

// add adds what turning it on did besides the decision's first entry.
func (on *turned) add(d *Decision, c *Command) {
	d.Keeps = on.keeps
	d.Also = append(d.Also, on.enrolled.Entries()...)
	if on.request.Move {
		d.endedTwoStep(c, on.next)
	}
	if len(on.next.Enrolment.Link) > 0 {
		d.also(opMakeLink, PepperKey, on.device)
		d.Also[len(d.Also)-1].Detail = ""
	}
	d.Notices = append(d.Notices, on.enrolled.Notices...)
	d.notify(c, Notice{
		Kind: NoticeProtectionOn, Credential: on.device, Devices: on.next.deciders(&SignIn{}), Link: on.next.Enrolment.Link,
		Expires: on.next.Enrolment.Until,
	})
}

// complete completes the protection of an account that was born protected: its first phone is verified. n is the new state.
func (d *Decision) complete(c *Command, n *State) {
	if n.Enrolment.Mode != Pending || d.Entry == nil {
		return
	}
	n.Enrolment.Mode, n.Enrolment.Since = TwoFactor, n.Time
	d.also(opProtect, "", "")
	e := d.Also[len(d.Also)-1]
	e.KeyVersion, e.MACs, e.Outcome = 0, 0, Done.String()
	d.notify(c, Notice{Kind: NoticeProtectionOn, Devices: n.deciders(&SignIn{})})
}

func unprotect(p Policy, s *State, c *Command) Decision {
	q := c.Unprotect
	n := next(s, c)
	a := act{macs: q.MACs}
	if q.MACs > 0 {
		a.named = PepperKey
	}
	switch {
	case s.Enrolment.Mode == Unprotected, s.Enrolment.Mode == TwoStep:
		a.outcome = Wrong // there is no link
	case s.WayBackUntil(p, c.Time) == 0:
		a.outcome = Permanent // the same for right tokens and wrong ones
	case !bytes.Equal(q.Link, s.Enrolment.Link):
		return stale
	case !q.Matched:
		a.outcome = Wrong
	default:
		a.outcome = Done
		n.Enrolment.Mode, n.Enrolment.Since, n.Enrolment.Link, n.Enrolment.Until = Unprotected, 0, nil, 0
		d := changed(n, c, a)
		if n.Enrolment.PriorDay != 0 {
			d.also(opOpenPrior, PriorKey, "")
		}
		d.notify(c, Notice{Kind: NoticeProtectionOff, Devices: n.deciders(&SignIn{})})
		return d
	}
	return changed(n, c, a)
}

// LinkMessage is what the pepper MACs to make a link's token; the token is LinkTokenSize bytes of it. So it can be told
// again to a request that is repeated, and in a notice when that is delivered, and is kept nowhere.
func LinkMessage(tenant, account string, link []byte) []byte {
	return appendParts(nil, "strongroom/protection-link/v1", tenant, account, string(link))
}

// PepperKey is hsm.KeyPepper, as log entries name it; PriorKey are the nodes' keys of days.
const (
	PepperKey = "pepper"
	PriorKey  = "prior"
)

// DayOf is the day of a moment, since 1970-01-01 in UTC, and DayStart the first moment of a day.
func DayOf(t Time) uint32 { return uint32(t / (24 * 60 * 60 * 1000)) }

// DayStart is the reverse of DayOf.
func DayStart(day uint32) Time { return Time(day) * 24 * 60 * 60 * 1000 }

// Names in log entries. They are signed: never change one.
const (
	opProtect      = "turn-on-protection"
	opUnprotect    = "turn-off-protection"
	opMakeLink     = "make-link"
	opOpenPrior    = "open-earlier-settings"
	opLose         = "report-device-lost"
	opErased       = "report-device-erased"
	opUpdateDevice = "update-device"
	opClassify     = "set-account-class"
)

// enrolmentOperation is the name of a command about protection and devices.
func (c *Command) enrolmentOperation() string {
	switch {
	case c.Protect != nil:
		return opProtect
	case c.Unprotect != nil:
		return opUnprotect
	case c.Lose != nil:
		if c.Lose.Erased {
			return opErased
		}
		return opLose
	case c.UpdateDevice != nil:
		return opUpdateDevice
	case c.Classify != nil:
		return opClassify
	case c.Presence != nil && c.Presence.SignedIn:
		return opSignedIn
	case c.Presence != nil:
		return opSignedOut
	}
	if o := c.twoStepOperation(); o != "" {
		return o
	}
	return c.accessOperation()
}

// Operations as requests are remembered by: 28 to 33 are this file's.
const (
	requestProtect uint8 = iota + 28
	requestUnprotect
	requestLose
	requestUpdateDevice
	requestClassify
)

func (c *Command) enrolmentFingerprint() (operation uint8, fingerprint uint64) {
	switch {
	case c.Protect != nil:
		q := c.Protect
		if q.Move {
			return requestMoveToTwoFactor, q.fingerprint()
		}
		return requestProtect, q.fingerprint()
	case c.Unprotect != nil:
		return requestUnprotect, c.Unprotect.Token
	case c.Lose != nil:
		return requestLose, digest(c.Lose.Device, c.operation())
	case c.UpdateDevice != nil:
		q := c.UpdateDevice
		return requestUpdateDevice, digest(q.Device, q.Name, q.SystemVersion)
	case c.Classify != nil:
		return requestClassify, digest(c.Classify.Class)
	case c.Presence != nil:
		return requestPresence, digest(c.Presence.Device, c.operation())
	}
	if operation, fingerprint = c.twoStepFingerprint(); operation != 0 {
		return operation, fingerprint
	}
	return c.accessFingerprint()
}

// enrolmentCommand decides the commands of this slice on an account that is there; false: it is none of them.
func enrolmentCommand(p Policy, s *State, c *Command) (Decision, bool) {
	switch {
	case c.Protect != nil:
		return protect(p, s, c), true
	case c.Unprotect != nil:
		return unprotect(p, s, c), true
	case c.Lose != nil:
		return lose(s, c), true
	case c.UpdateDevice != nil:
		return updateDevice(s, c), true
	case c.Classify != nil:
		return classify(s, c), true
	case c.Presence != nil:
		return reportPresence(s, c), true
	}
	return Decision{}, false
}

func (c *Command) validateEnrolment(v *validation) {
	switch {
	case c.Create != nil:
		v.check(validClass(c.Create.Class), "class", "must be of lower-case letters, digits and hyphens")
	case c.Protect != nil:
		c.Protect.validate(v)
	case c.Unprotect != nil:
		c.Unprotect.validate(v)
	case c.Lose != nil:
		v.text("device", c.Lose.Device, 1, MaxID)
	case c.UpdateDevice != nil:
		v.text("device", c.UpdateDevice.Device, 1, MaxID)
		v.text("name", c.UpdateDevice.Name, 0, MaxText)
		v.text("system version", c.UpdateDevice.SystemVersion, 0, MaxText)
	case c.Classify != nil:
		v.check(validClass(c.Classify.Class), "class", "must be of lower-case letters, digits and hyphens")
	}
}
