package account

import (
	"slices"
	"strconv"
)

// Access is how an account is got back by somebody who can't sign in: a recovery, and grants that a front-end has yet to
// redeem. See ENROLMENT.md.
type Access struct {
	Recovery Recovery `cbor:"1,keyasint,omitzero"`  // the newest; the zero Recovery: there was none
	Grants   []Grant  `cbor:"2,keyasint,omitempty"` // at most one of a purpose
	Next     Time     `cbor:"3,keyasint,omitempty"` // no recovery starts before
}

// Recovery is one, from its start to its end. When it is ready is no field: it follows from what can't be changed and the
// evidence, so that there is nothing that could be moved.
type Recovery struct {
	ID       string      `cbor:"1,keyasint"`
	Nonce    []byte      `cbor:"2,keyasint"` // what devices sign over
	Started  Time        `cbor:"3,keyasint"`
	Terms    Terms       `cbor:"4,keyasint"`
	Evidence []Evidence  `cbor:"5,keyasint,omitempty"` // at most one of a kind
	Granted  Time        `cbor:"6,keyasint,omitempty"` // when it was first granted; 0: not yet
	End      RecoveryEnd `cbor:"7,keyasint,omitempty"`
	Ended    Time        `cbor:"8,keyasint,omitempty"`
	By       string      `cbor:"9,keyasint,omitempty"` // the device, channel or credential that cancelled it
	// Phone is where the newest code went, Code its number and CodeAt when it was made; 0: none is on its way.
	Phone  string `cbor:"10,keyasint,omitempty"`
	Code   uint32 `cbor:"11,keyasint,omitempty"`
	CodeAt Time   `cbor:"12,keyasint,omitempty"`
	// Tries are wrong attempts to cancel it with that code: these alone aren't charged, and bounded by RecoveryTries.
	Tries uint8 `cbor:"13,keyasint,omitempty"`
}

// Terms are what the tenant's policy said when a recovery started, in milliseconds.
type Terms struct {
	Wait    Time    `cbor:"1,keyasint"`
	Floor   Time    `cbor:"2,keyasint"`
	Pause   Time    `cbor:"3,keyasint"`
	Shorten Weights `cbor:"4,keyasint,omitzero"`
}

// Evidence is something that speaks for whoever recovers.
type Evidence struct {
	Kind EvidenceKind `cbor:"1,keyasint"`
	At   Time         `cbor:"2,keyasint"`
	By   string       `cbor:"3,keyasint,omitempty"` // the phone or device
}

// EvidenceKind is one of a closed list.
type EvidenceKind uint8

// Kinds of evidence. The first two are checked here, the others are what a front-end says.
const (
	InvalidEvidence   EvidenceKind = iota
	PhoneCodeEvidence              // a code that was sent to a verified phone
	DeviceEvidence                 // a device's signature
	PasswordEvidence
	EmailEvidence // a message to an address that is known was answered
)

var evidenceNames = [...]string{"invalid", "phone_code", "device", "password", "email"}

// String is the kind's name on the wire.
func (k EvidenceKind) String() string {
	if int(k) >= len(evidenceNames) {
		return evidenceNames[0]
	}
	return evidenceNames[k]
}

// ParseEvidence is the reverse of String; an unknown name is InvalidEvidence.
func ParseEvidence(s string) EvidenceKind {
	return EvidenceKind(max(slices.Index(evidenceNames[1:], s)+1, 0))
}

// EvidenceKinds are all kinds.
var EvidenceKinds = [...]EvidenceKind{PhoneCodeEvidence, DeviceEvidence, PasswordEvidence, EmailEvidence}

// RecoveryEnd is how a recovery ended.
type RecoveryEnd uint8

// Ends. None of them is ever left again.
const (
	InvalidRecoveryEnd RecoveryEnd = iota
	RecoveryEndCompleted
	RecoveryEndCancelled // by the owner: a device, a phone, or a sign-in
	RecoveryEndWithdrawn // by the front-end
)

// RecoveryState is where a recovery stands at a moment.
type RecoveryState uint8

// States, as ENROLMENT.md draws them.
const (
	NoRecovery RecoveryState = iota
	RecoveryWaiting
	RecoveryReady
	RecoveryCompleted
	RecoveryCancelled
	RecoveryWithdrawn
	RecoveryExpired
)

var recoveryStateNames = [...]string{"none", "waiting", "ready", "completed", "cancelled", "withdrawn", "expired"}

// String is the state's name on the wire.
func (s RecoveryState) String() string {
	if int(s) >= len(recoveryStateNames) {
		return recoveryStateNames[0]
	}
	return recoveryStateNames[s]
}

// ReadyAt is when the recovery may be granted: its start and the wait, shortened by each kind of evidence that was given,
// but never below its floor.
func (r *Recovery) ReadyAt() Time {
	wait := r.Terms.Wait
	for _, e := range r.Evidence {
		wait -= r.Terms.Shorten.Of(e.Kind)
	}
	return r.Started + max(wait, r.Terms.Floor)
}

// Until is when a recovery that is ready and that nobody completes runs out. Evidence that makes it ready at once must not
// have it run out at once.
func (r *Recovery) Until() Time {
	open := r.ReadyAt()
	for _, e := range r.Evidence {
		open = max(open, e.At)
	}
	return open + RecoveryOpen
}

// State is where the recovery stands.
func (r *Recovery) State(now Time) RecoveryState {
	switch {
	case r.ID == "":
		return NoRecovery
	case r.End == RecoveryEndCompleted:
		return RecoveryCompleted
	case r.End == RecoveryEndCancelled:
		return RecoveryCancelled
	case r.End == RecoveryEndWithdrawn:
		return RecoveryWithdrawn
	case now < r.ReadyAt():
		return RecoveryWaiting
	case now < r.Until():
		return RecoveryReady
	}
	return RecoveryExpired
}

// Running says that the recovery may still come to its good end.
func (r *Recovery) Running(now Time) bool {
	state := r.State(now)
	return state == RecoveryWaiting || state == RecoveryReady
}

func (r *Recovery) has(k EvidenceKind) bool {
	return slices.ContainsFunc(r.Evidence, func(e Evidence) bool { return e.Kind == k })
}

// LiveRecoveryCode is the number of the code that would be right now; 0: none would. It dies with its phone.
func (s *State) LiveRecoveryCode(p Policy, now Time) uint32 {
	if s == nil {
		return 0
	}
	r := &s.Access.Recovery
	now = max(now, s.Time)
	if !r.Running(now) || r.Code == 0 || r.Tries >= RecoveryTries || now-r.CodeAt >= p.signInLife() {
		return 0
	}
	if phone := s.phoneOrPhantom(r.Phone); phone == nil || phone.Verified == 0 {
		return 0
	}
	return r.Code
}

// RecoveryPhones are the phones to which a code may be sent, as Options has them: a name that isn't an account has one.
func (s *State) RecoveryPhones(p Policy) []PhoneOption { return s.Options(p, &SignIn{}).Phones }

// describe is the recovery as entries tell of it, so that an auditor can follow its date: in Unix milliseconds.
func (r *Recovery) describe() string {
	n := func(t Time) string { return strconv.FormatInt(int64(t), 10) }
	return "started " + n(r.Started) + ", ready " + n(r.ReadyAt()) + ", floor " + n(r.Started+r.Terms.Floor)
}

func (a *Access) validate(v *validation) {
	v.check(a.Next >= 0 && a.Next <= MaxTime+MaxRecovery, "recovery", "its pause is out of bounds")
	for i := range a.Grants {
		a.Grants[i].validate(v)
		v.check(a.grant(a.Grants[i].Purpose) == &a.Grants[i], "grants", "two are of one purpose")
	}
	r := &a.Recovery
	if r.ID == "" {
		v.check(r.Started == 0 && len(r.Evidence) == 0 && r.End == InvalidRecoveryEnd, "recovery", "has no id")
		return
	}
	v.text("recovery", r.ID, 1, MaxID)
	v.check(len(r.Nonce) == NonceSize, "recovery", "its nonce must have 16 bytes")
	t := &r.Terms
	v.check(r.Started > 0 && r.Started <= MaxTime, "recovery", "its start is out of bounds")
	v.check(t.Floor >= MinRecoveryFloor && t.Floor <= t.Wait && t.Wait <= MaxRecovery && t.Pause >= 0 && t.Pause <= MaxRecovery, "recovery", "its terms are out of bounds")
	for i, e := range r.Evidence {
		known := e.Kind > InvalidEvidence && int(e.Kind) < len(evidenceNames)
		v.check(known, "evidence", "not known")
		v.check(!slices.ContainsFunc(r.Evidence[:i], func(f Evidence) bool { return e.Kind == f.Kind }), "evidence", "is there twice")
		v.text("evidence", e.By, 0, MaxID)
	}
	v.check(r.End <= RecoveryEndWithdrawn, "recovery", "its end is not known")
	v.check((r.End == InvalidRecoveryEnd) == (r.Ended == 0), "recovery", "has no end, or a time and no end")
	v.text("by", r.By, 0, MaxChannel)
	v.text("phone", r.Phone, 0, MaxID)
	v.check(r.Granted >= 0 && r.CodeAt >= 0 && r.Tries <= RecoveryTries, "recovery", "its times or tries are out of bounds")
}
