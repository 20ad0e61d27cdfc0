package account

import "strongroom.internal/appliance/otp"

// verify decides one attempt with a code.
func verify(s *State, c *Command) Decision {
	v := c.Verify
	if s == nil {
		if len(c.Salt) != SaltSize {
			return stale
		}
		s = &State{Version: version, Phantom: true, Salt: c.Salt}
	}
	// What a locked account answers is decided before anyone looks at what matched.
	if retryAt, is := s.LockedAt(c.Time); is {
		return locked(s, c, act{outcome: Locked, retryAt: retryAt, key: s.first(v.Device), macs: v.MACs})
	}
	if !v.Evaluated || v.Keys != s.Keys || c.Time < s.Time-MaxLag {
		return stale
	}
	n := next(s, c)
	for _, m := range v.Matches {
		i := s.match(v.Device, m, c.Time)
		if i < 0 || m.Step <= s.Credentials[i].Watermark {
			continue
		}
		n.accept(i, m.Step, c.Time)
		k := &n.Credentials[i]
		return changed(n, c, act{outcome: Accepted, credential: k.ID, key: k, macs: v.MACs})
	}
	// A spent code is charged like a wrong one: whoever saw it over a shoulder may not try its neighbours for nothing, nor
	// find out from the lock-out that it was right.
	n.fail(s.cost(v.Device), n.Time)
	for _, m := range v.Matches {
		if i := s.match(v.Device, m, c.Time); i >= 0 {
			return changed(n, c, act{outcome: Spent, key: &s.Credentials[i], macs: v.MACs})
		}
	}
	return changed(n, c, act{outcome: Wrong, key: s.first(v.Device), macs: v.MACs})
}

// match finds the credential that a match is about, if it was to be looked at, at that step: -1 otherwise. The window is
// derived again, so that an evaluator that is slow or lies can't widen it.
func (s *State) match(device string, m Match, at Time) int {
	if device != "" && m.Credential != device {
		return -1
	}
	i := s.index(m.Credential)
	if i < 0 {
		return -1
	}
	if first, last := s.Credentials[i].window(at); m.Step < first || m.Step > last {
		return -1
	}
	return i
}

// accept spends the code of a step and all before it. s is the new state that is being made, at the time that the window
// was derived from.
func (s *State) accept(i int, step otp.Step, at Time) {
	s.ownCredentials()
	c := &s.Credentials[i]
	c.Watermark = step
	c.LastUsed = s.Time
	if c.Params.Mode == otp.HOTP {
		c.Counter = step + 1
		s.Keys++
	} else if drift := driftAt(c, step, at); drift != c.Drift {
		c.Drift = drift
		s.Keys++ // the window has moved: what is being evaluated now looks at the old one
	}
	s.Attempts = Attempts{}
}

// driftAt is how far ahead the credential's clock is if its code of a step is current: RFC 6238, Section 6.
func driftAt(c *Credential, step otp.Step, at Time) int32 {
	d := step - otp.StepAt(int64(at), c.Params.Period)
	return int32(max(-MaxDrift, min(d, MaxDrift)))
}

// resync decides an attempt with two consecutive codes. It opens no door; it proves that the credential is at hand, so it
// ends a series of failures as a success does.
func resync(s *State, c *Command) Decision {
	r := c.Resync
	k := s.Find(r.Credential)
	if retryAt, is := s.LockedAt(c.Time); is {
		return locked(s, c, act{outcome: Locked, retryAt: retryAt, key: k, macs: r.MACs})
	}
	if !r.Evaluated || r.Keys != s.Keys || c.Time < s.Time-MaxLag {
		return stale
	}
	n := next(s, c)
	if k == nil {
		return changed(n, c, act{outcome: NotFound, macs: r.MACs})
	}
	outcome := Wrong
	first, last := k.resyncWindow(c.Time)
	for _, step := range r.Matches {
		if step < first || step > last {
			continue
		}
		if step <= k.Watermark {
			outcome = Spent
			continue
		}
		i := s.index(k.ID)
		n.accept(i, step+1, c.Time)
		return changed(n, c, act{outcome: Accepted, credential: k.ID, key: &n.Credentials[i], macs: r.MACs})
	}
	n.fail(s.cost(""), n.Time)
	return changed(n, c, act{outcome: outcome, key: k, macs: r.MACs})
}
