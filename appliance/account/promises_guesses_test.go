package account

import (
	"bytes"
	"fmt"
)

func (x *deed) undercharged() string {
	if x.after == nil {
		return ""
	}
	charged, failed, reset := x.charge()
	charge, failures := x.book.charge, x.book.failures
	if reset {
		charge, failures = 0, 0
	}
	if a := x.after.Attempts; a.Charge != charge+charged || a.Failures != failures+failed {
		return fmt.Sprintf("%d failures for %d units, want %d for %d: see deed.charge", a.Failures, a.Charge, failures+failed, charge+charged)
	}
	if e := x.c.Enter; e != nil && x.r.Outcome == Wrong && x.d.Entry == nil && !x.r.Replayed &&
		(!e.Combined || !bytes.Equal(e.Repeat, x.book.repeat) || x.at-x.book.repeatAt >= 10*minute) {
		return "a text was refused for nothing that isn't the last one"
	}
	return ""
}

func (x *deed) overdrawn() string {
	s := x.after
	if s == nil {
		return ""
	}
	one := price(s.Credentials, "") + live(s, "", s.Time)
	if t := s.TwoStep; t.Code != 0 && s.Time < t.Until && s.Charge+10_000 <= 50_000 {
		one = max(one, 10_000)
	}
	charged, _, reset := x.charge()
	switch {
	case one > 10_000:
		return fmt.Sprintf("one attempt has %d units", one)
	case s.Failures > 100:
		return fmt.Sprintf("%d failures", s.Failures)
	case s.RetryAt == 0 && s.Charge > 0 && s.Charge+one > 10_000:
		return fmt.Sprintf("%d units were free, and one more attempt is %d", s.Charge, one)
	case charged == 1 && s.Charge+one <= 10_000: // what costs so little prolongs no delay within the budget
		if x.before != nil && s.RetryAt != x.before.RetryAt {
			return "what is cheap began a delay within the budget"
		}
	case charged > 0 && x.before != nil && x.before.RetryAt != 0 && !reset:
		if d := min(minute<<min(x.book.delays, 20), day); s.RetryAt < x.at+d {
			return fmt.Sprintf("after %d delays the next is until %d, want %d ms from %d", x.book.delays, s.RetryAt, d, x.at)
		}
	case s.RetryAt != 0 && (x.before == nil || x.before.RetryAt == 0) && s.RetryAt < s.Last+minute:
		return "the first delay is too short"
	}
	return ""
}

func (x *deed) listening() string {
	s := x.before
	if s == nil || !x.attempt() || x.saysNo() || s.Failures < 100 && x.at >= s.RetryAt {
		return ""
	}
	if x.r.Replayed || x.r.Outcome == Conflict || (s.Phantom || x.c.RecoveryAct != nil) && x.r.Outcome == NotFound {
		return "" // nothing was heard either
	}
	if x.r.Outcome != Locked || x.r.RetryAt != s.RetryAt && s.Failures < 100 {
		return "it was heard"
	}
	quiet := *x.after
	quiet.Refused = s.Refused
	if !bytes.Equal(EncodeState(&quiet), EncodeState(s)) {
		return "it changed more than the count of what was refused"
	}
	blind := *x.c
	switch c := x.c; {
	case c.Verify != nil:
		q := *c.Verify
		q.Matches, blind.Verify = nil, &q
	case c.Enter != nil:
		q := *c.Enter
		q.Matches, q.Codes, blind.Enter = nil, nil, &q
	case c.Resync != nil:
		q := *c.Resync
		q.Matches, blind.Resync = nil, &q
	case c.VerifyPhone != nil:
		q := *c.VerifyPhone
		q.Matched, blind.VerifyPhone = false, &q
	case c.VerifyTwoStep != nil:
		q := *c.VerifyTwoStep
		q.Matched, blind.VerifyTwoStep = false, &q
		if len(q.Key) > 0 {
			q.Key = bytes.Repeat([]byte{1}, MACSize)
		}
	case c.RecoveryAct != nil:
		q, attempt := *c.RecoveryAct, *c.RecoveryAct.Attempt
		attempt.Matched, q.Attempt, blind.RecoveryAct = false, &attempt, &q
	case c.VerifyAppPassword != nil && len(c.VerifyAppPassword.MAC) > 0:
		q := *c.VerifyAppPassword
		q.MAC, blind.VerifyAppPassword = bytes.Repeat([]byte{1}, MACSize), &q
	}
	d := Apply(x.policy, s, &blind)
	if d.SetEntry(x.index); !bytes.Equal(anonymous(&d), anonymous(&x.d)) || !bytes.Equal(EncodeState(d.Next), EncodeState(x.d.Next)) {
		return "right and wrong are told apart"
	}
	return ""
}

// waits are what somebody has to wait for, by name: until when, 0 if there is none, and whether this deed may end it.
// Nothing else makes one shorter, whoever asks.
var waits = map[string]struct {
	until func(*State) Time
	over  func(*deed) bool
}{
	"the next attempt": {
		until: func(s *State) Time { return s.RetryAt },
		over:  func(x *deed) bool { _, _, reset := x.charge(); return reset },
	},
	"the account's time": {
		until: func(s *State) Time { return s.Time },
		over:  func(*deed) bool { return false },
	},
}

func (x *deed) hurried() string {
	if x.before == nil || x.after == nil {
		return ""
	}
	for what, w := range waits {
		if was, is := w.until(x.before), w.until(x.after); is < was && !w.over(x) {
			return fmt.Sprintf("%s was at %d and is at %d", what, was, is)
		}
	}
	return ""
}
