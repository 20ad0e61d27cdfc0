package account

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"

	"strongroom.internal/appliance/otp"
)

// SendTwoStep asks for a code of four digits. The code is computed when it is delivered.
type SendTwoStep struct {
	Phone string `cbor:"1,keyasint,omitempty"` // empty: the first
	Voice bool   `cbor:"2,keyasint,omitempty"`
}

// VerifyTwoStep is one attempt with the code that was sent, or with the recovery key. What was typed is not here.
type VerifyTwoStep struct {
	// Code is the number of the code that was evaluated; 0: none was live.
	Code      uint32 `cbor:"1,keyasint,omitempty"`
	Evaluated bool   `cbor:"2,keyasint,omitempty"`
	Matched   bool   `cbor:"3,keyasint,omitempty"`
	// Recovery says that a recovery key was typed, and Key is its MAC. Empty: the node saw the account locked, or the
	// request answered, and asked no module. If neither is so after all, the outcome is Stale. The MAC doesn't depend on
	// the account: one is what each attempt costs, whoever it is for.
	Recovery bool   `cbor:"4,keyasint,omitempty"`
	Key      []byte `cbor:"5,keyasint,omitempty"`
	MACs     uint32 `cbor:"6,keyasint,omitempty"`
}

// MakeRecoveryKey gives the account a recovery key, in place of the one that it had. An empty MAC says that the node saw
// it refused and asked no module; if it isn't after all, the outcome is Stale.
type MakeRecoveryKey struct {
	MAC  []byte `cbor:"1,keyasint,omitempty"`
	MACs uint32 `cbor:"2,keyasint,omitempty"`
}

func (q *VerifyTwoStep) validate(v *validation) {
	v.check(!q.Recovery || q.Code == 0 && !q.Evaluated, "code", "goes without a recovery key")
	v.check(!q.Matched || q.Evaluated && q.Code != 0, "matched", "there was nothing to match")
	v.check(len(q.Key) == 0 || q.Recovery && len(q.Key) == MACSize, "recovery key", "its MAC must have 32 bytes")
}

// StepPhone finds the phone that a code is to go to; with an empty id the first. An account without two-step
// verification, and a name that is no account, pretends to have one, whose id and last two digits come from the salt; real
// is false then. It is nil when there is no such phone. The result must not be written to.
func (s *State) StepPhone(id string) (p *StepPhone, real bool) {
	list, real := s.stepPhones()
	i := slices.IndexFunc(list, func(p StepPhone) bool { return id == "" || p.ID == id })
	if i < 0 {
		return nil, real
	}
	return &list[i], real
}

// StepPhones lists the phones as somebody sees them who has yet to prove who they are, those that are pretended too.
func (s *State) StepPhones() (list []PhoneOption) {
	phones, _ := s.stepPhones()
	for i := range phones {
		list = append(list, PhoneOption{phones[i].ID, phones[i].Masked()})
	}
	return list
}

func (s *State) stepPhones() (list []StepPhone, real bool) {
	if len(s.TwoStep.Phones) > 0 {
		return s.TwoStep.Phones, true
	}
	sum := sha256.Sum256(appendParts(nil, "strongroom/phantom-step-phone/v1", string(s.Salt)))
	return []StepPhone{{
		ID: idEncoding.EncodeToString(sum[:10]), Number: "+0000000" + string([]byte{'0' + sum[10]%10, '0' + sum[11]%10}),
	}}, false
}

// stepsLeft says whether one more wrong code is within what is promised. When it isn't, codes are neither sent nor heard
// until the recovery key is right.
func (s *State) stepsLeft() bool { return s.TwoStep.Wrong < MaxStepGuesses }

// LiveStepCode is the number of the code that would be right now, and its phone; 0: none would.
func (s *State) LiveStepCode(at Time) (n uint32, phone string) {
	if s == nil || s.TwoStep.Code == 0 || max(at, s.Time) >= s.TwoStep.Until || !s.stepsLeft() {
		return 0, ""
	}
	return s.TwoStep.Code, s.TwoStep.To
}

// noteStep remembers that a code is sent now, or says when one may be. s is the new state.
func (s *State) noteStep(p Policy) (retryAt Time, ok bool) {
	recent := s.TwoStep.Sent
	for len(recent) > 0 && s.Time-recent[0] >= SendsWithin {
		recent = recent[1:]
	}
	if n := len(recent); n > 0 {
		retryAt = recent[n-1] + p.sendCooldown()
		if most := p.sendsPerPhone(); n >= most {
			retryAt = max(retryAt, recent[n-most]+SendsWithin)
		}
	}
	if retryAt > s.Time {
		return retryAt, false
	}
	s.TwoStep.Sent = append(slices.Clone(recent), s.Time)
	return 0, true
}

func sendTwoStep(p Policy, s *State, c *Command) Decision {
	q := c.SendTwoStep
	if len(c.Salt) != SaltSize {
		return stale
	}
	if s == nil {
		s = &State{Version: version, Phantom: true, Salt: c.Salt}
	}
	n := next(s, c)
	a := act{outcome: NotFound, subject: q.Phone}
	phone, real := s.StepPhone(q.Phone)
	if phone == nil {
		return changed(n, c, a)
	}
	a.subject = phone.ID
	switch {
	case !p.Gateway:
		a.outcome = RefusedByPolicy
		return changed(n, c, a)
	case p.NoticesFull:
		a.outcome = Full
		return changed(n, c, a)
	case !s.stepsLeft():
		a.outcome = TooMany
		return changed(n, c, a)
	}
	if retryAt, ok := n.noteStep(p); !ok {
		a.outcome, a.retryAt = TooSoon, retryAt
		return changed(n, c, a)
	}
	n.TwoStep.Made++
	n.TwoStep.Code, n.TwoStep.To, n.TwoStep.Until = n.TwoStep.Made, phone.ID, n.Time+p.signInLife()
	n.grown()
	a.outcome, a.credential = Done, phone.ID
	d := changed(n, c, a)
	d.also(opMakeCode, CodeKey, phone.ID)
	if real {
		d.notify(c, Notice{
			Kind: NoticeSend, Phone: phone.ID, Number: phone.Number, Voice: q.Voice, N: n.TwoStep.Code, Expires: n.TwoStep.Until,
			TwoStep: true,
		})
	}
	return d
}

// verifyTwoStep decides one attempt. A code is compared once: right or wrong, it is dead.
func verifyTwoStep(s *State, c *Command) Decision {
	q := c.VerifyTwoStep
	a := act{macs: q.MACs, named: CodeKey}
	if q.Recovery {
		a.named = PepperKey
	}
	if s == nil {
		if !q.Recovery {
			a.outcome = Ended
			return unchanged(nil, c, a)
		}
		if len(c.Salt) != SaltSize {
			return stale
		}
		s = &State{Version: version, Phantom: true, Salt: c.Salt}
	}
	if retryAt, is := s.LockedAt(c.Time); is {
		a.outcome, a.retryAt = Locked, retryAt
		return locked(s, c, a)
	}
	if q.Recovery {
		return verifyRecoveryKey(s, c, a)
	}
	n := next(s, c)
	code, to := s.LiveStepCode(n.Time)
	switch {
	case code == 0:
		a.outcome = Ended // nothing was compared: nothing is charged
		return changed(n, c, a)
	case !q.Evaluated || q.Code != code || c.Time < s.Time-MaxLag:
		return stale
	}
	a.subject = to
	n.killStepCode()
	if _, real := s.StepPhone(to); !q.Matched || !real {
		n.TwoStep.Wrong++
		n.fail(stepCost, n.Time)
		a.outcome = Wrong
		return changed(n, c, a)
	}
	a.outcome, a.credential = Accepted, to
	if s.Enrolment.Mode == TwoStep {
		n.proveTwoStep()
		return changed(n, c, a)
	}
	// The pending phone is verified. That ends no series of failures, as with other phones: whoever guesses may have
	// brought it.
	n.turnOnTwoStep()
	n.TwoStep.Proved, n.TwoStep.Wrong = n.Time, 0
	d := changed(n, c, a)
	d.also(opTurnOnTwoStep, "", to)
	if d.Entry != nil {
		e := d.Also[len(d.Also)-1]
		e.KeyVersion, e.MACs, e.Outcome = 0, 0, Done.String()
	}
	d.notify(c, n.twoStepNotice(NoticeTwoStepOn))
	return d
}

// proveTwoStep notes a right code or recovery key, which ends every series of failures. s is the new state.
func (s *State) proveTwoStep() {
	s.Attempts = Attempts{}
	s.TwoStep.Proved, s.TwoStep.Wrong = s.Time, 0
}

// killStepCode ends the live code. s is the new state.
func (s *State) killStepCode() { s.TwoStep.Code, s.TwoStep.To, s.TwoStep.Until = 0, "", 0 }

// verifyRecoveryKey compares a MAC with the account's, or with a decoy. A wrong one costs the smallest unit, though its
// chance is 2^-130, and doesn't count among MaxFailures: NIST SP 800-63B, Section 5.1.2.2, asks for that below 64 bits.
func verifyRecoveryKey(s *State, c *Command, a act) Decision {
	q := c.VerifyTwoStep
	if len(q.Key) == 0 {
		return stale
	}
	stored, there := decoyMAC[:], 0
	if len(s.TwoStep.Key) == MACSize {
		stored, there = s.TwoStep.Key, 1
	}
	n := next(s, c)
	if subtle.ConstantTimeCompare(stored, q.Key)&there == 0 {
		n.failCheaply(recoveryCost)
		a.outcome = Wrong
		return changed(n, c, a)
	}
	n.killStepCode()
	n.proveTwoStep()
	a.outcome = Accepted
	d := changed(n, c, a)
	d.notify(c, n.twoStepNotice(NoticeRecoveryKeyUsed))
	return d
}

// RecoveryKeyable is the outcome that making a recovery key would have now: Done, or what is in the way.
func (s *State) RecoveryKeyable(at Time) Outcome {
	switch {
	case s.Enrolment.Mode != TwoStep:
		return NotFound
	case !s.StepFresh(at):
		return StepUp
	}
	return Done
}

func makeRecoveryKey(s *State, c *Command) Decision {
	q := c.MakeRecoveryKey
	n := next(s, c)
	a := act{outcome: s.RecoveryKeyable(c.Time), named: PepperKey, macs: q.MACs}
	switch {
	case a.outcome != Done:
		return changed(n, c, a)
	case len(q.MAC) == 0:
		return stale
	}
	n.TwoStep.Key, n.TwoStep.KeyAt = q.MAC, n.Time
	d := changed(n, c, a)
	d.notify(c, n.twoStepNotice(NoticeRecoveryKeyMade))
	return d
}

// StepMessage is what the code key MACs to make a code of two-step verification: the domain string and SHA-256 over
// tenant, account, phone and the code's number as eight bytes, high byte first, each after its length in four bytes.
func StepMessage(tenant, account, phone string, n uint32) []byte {
	sum := sha256.Sum256(appendParts(nil, tenant, account, phone, eight(uint64(n))))
	return append([]byte("strongroom/two-step/v1"), sum[:]...)
}

// StepCodeOf is the code of the code key's MAC over a StepMessage.
func StepCodeOf(mac []byte) otp.Code { return otp.TruncateShort(mac) }
