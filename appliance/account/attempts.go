package account

import "strongroom.internal/appliance/otp"

// Attempts is what an account remembers of failed attempts since the last success. See DESIGN.md for the sums.
type Attempts struct {
	Failures uint32 `cbor:"1,keyasint,omitempty"` // consecutive; app passwords don't count
	Charge   uint32 `cbor:"2,keyasint,omitempty"` // sum of what they cost, in units of Budget
	Delays   uint32 `cbor:"3,keyasint,omitempty"` // how many have been imposed
	Last     Time   `cbor:"4,keyasint,omitempty"` // of the last failure
	// RetryAt is when the next attempt is heard. Once it is set, it is only ever moved forward, until a success.
	RetryAt Time `cbor:"5,keyasint,omitempty"`
}

// LockedAt says whether an attempt at a moment would be heard, and if not, when the next one will be; 0 means that
// waiting does not help. It doesn't depend on what the attempt is compared with, so that it is one fact about the
// account. A nil state is not locked.
func (s *State) LockedAt(now Time) (retryAt Time, locked bool) {
	if s == nil {
		return 0, false
	}
	if s.Attempts.Failures >= MaxFailures {
		return 0, true
	}
	if max(now, s.Time) < s.Attempts.RetryAt {
		return s.Attempts.RetryAt, true
	}
	return 0, false
}

// unit is one code of a length, in units of 1e-8: RFC 4226 codes are close enough to uniform (Appendix A.4).
var unit = [otp.MaxDigits + 1]uint32{6: 100, 7: 10, 8: 1}

// cost is what one attempt on the credential is charged: how many codes open the door, over how many there are.
func (c *Credential) cost() uint32 {
	if c.Params.Mode == otp.HOTP {
		return (LookAhead + 1) * unit[c.Params.Digits]
	}
	return (2*skew + 1) * unit[c.Params.Digits]
}

// cost is what an attempt on all candidates is charged. With no candidate it is that of the whole account, and with no
// credential that of a decoy, so that a name that isn't an account locks as one does.
func (s *State) cost(device string) (sum uint32) {
	for i := range s.Credentials {
		if c := &s.Credentials[i]; device == "" || c.ID == device {
			sum += c.cost()
		}
	}
	switch {
	case sum > 0:
		return sum
	case device != "":
		return s.cost("")
	}
	return decoy.cost()
}

// fail charges an attempt. s is the new state that is being made.
func (s *State) fail(charge uint32, now Time) {
	a := &s.Attempts
	a.Failures++
	a.Charge += charge // at most MaxFailures times Budget
	a.Last = now
	s.delay(now)
}

// failCheaply charges an attempt whose chance is next to nothing: it doesn't count among MaxFailures. Nor does it continue
// delays that began because a dear code was live which no longer is, as long as all that was charged is within the budget:
// a mail program with a dead password would double them for ever. s is the new state that is being made.
func (s *State) failCheaply(charge uint32) {
	a := &s.Attempts
	a.Charge += charge
	a.Last = s.Time
	if a.Charge+s.dearest() > Budget {
		s.delay(s.Time) // once it is over the budget, once a delay
	}
}

// delay begins or continues the delays: from where one more attempt on all credentials would exceed the budget, each
// lets exactly one attempt through.
func (s *State) delay(from Time) {
	a := &s.Attempts
	if a.RetryAt == 0 && a.Charge+s.dearest() <= Budget {
		return
	}
	d := MaxDelay
	if a.Delays < 16 {
		d = min(FirstDelay<<a.Delays, MaxDelay)
	}
	a.RetryAt = max(a.RetryAt, from+d)
	a.Delays++
}

// dearest is what one more attempt may be charged: with a code of the account's credentials and sign-ins, which are all
// compared with it, or with one of two-step verification.
func (s *State) dearest() uint32 {
	sum := s.cost("") + s.live("", s.Time)*unit[CodeDigits]
	if n, _ := s.LiveStepCode(s.Time); n != 0 {
		sum = max(sum, stepCost)
	}
	return sum
}

// grown is called when the credentials or live codes have become more: an attempt costs more now. What was locked stays
// so.
func (s *State) grown() {
	if s.Attempts.Charge > 0 && s.Attempts.RetryAt == 0 {
		s.delay(s.Attempts.Last)
	}
}
