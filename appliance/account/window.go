package account

import (
	"slices"

	"strongroom.internal/appliance/otp"
)

// Candidate is a credential that an attempt may be for, and the steps at which its code is heard.
type Candidate struct {
	Credential *Credential // of the state; must not be written to
	Steps      []otp.Step
}

// Candidates lists what an attempt at a moment is compared with: all credentials, or the one that is named, last used
// first. It is empty for a phantom, for an account without credentials and for nil; evaluate a decoy then.
func (s *State) Candidates(device string, now Time) []Candidate {
	if s == nil || len(s.Credentials) == 0 {
		return nil
	}
	candidates := make([]Candidate, 0, len(s.Credentials))
	for i := range s.Credentials {
		if c := &s.Credentials[i]; device == "" || c.ID == device {
			candidates = append(candidates, Candidate{Credential: c, Steps: Window(c, now)})
		}
	}
	slices.SortStableFunc(candidates, func(a, b Candidate) int {
		switch {
		case a.Credential.LastUsed > b.Credential.LastUsed:
			return -1
		case a.Credential.LastUsed < b.Credential.LastUsed:
			return 1
		}
		return 0
	})
	return candidates
}

// Window lists the steps at which a code of the credential is heard: for time, the step that its clock should show and
// one on each side; for a counter, the next and LookAhead more.
func Window(c *Credential, now Time) []otp.Step {
	first, last := c.window(now)
	return otp.Window(first, last)
}

// window is the one place that says what the window is; the transitions ask it too.
func (c *Credential) window(now Time) (first, last otp.Step) {
	if c.Params.Mode == otp.HOTP {
		return c.Counter, c.Counter + LookAhead
	}
	t := otp.StepAt(int64(now), c.Params.Period) + otp.Step(c.Drift)
	return max(t-skew, 0), t + skew
}

// ResyncWindow lists the steps to search for two consecutive codes. The last is only ever the second code's.
func ResyncWindow(c *Credential, now Time) []otp.Step {
	first, last := c.resyncWindow(now)
	return otp.Window(first, last+1)
}

// resyncWindow bounds the step of the first of two codes.
func (c *Credential) resyncWindow(now Time) (first, last otp.Step) {
	if c.Params.Mode == otp.HOTP {
		return c.Counter, c.Counter + ResyncCounters - 1
	}
	t := otp.StepAt(int64(now), c.Params.Period)
	return max(t-ResyncSteps, 0), t + ResyncSteps
}

// decoy stands in for a credential where there is none: an authenticator as most are.
var decoy = Credential{Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: otp.MinDigits, Period: 30}}

// DecoyWindow lists the steps to compute where there is no candidate, so that the answer takes as long.
func DecoyWindow(now Time) []otp.Step { return Window(&decoy, now) }
