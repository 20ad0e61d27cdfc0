package account

import (
	"slices"
)

// Send asks for a code to be sent to a phone for a sign-in. The code is computed when it is delivered.
type Send struct {
	SignIn string `cbor:"1,keyasint"`
	Phone  string `cbor:"2,keyasint"`
	Voice  bool   `cbor:"3,keyasint,omitempty"`
}

// Channels is what an account remembers of the codes that it made and sent.
type Channels struct {
	// Made counts the codes that were ever made live; a code's number is what it was then. It also moves when a code dies
	// before its time, because evaluations depend on it.
	Made uint32 `cbor:"1,keyasint,omitempty"`
	// Sent are the codes sent within the last hour, oldest first.
	Sent []Sent `cbor:"2,keyasint,omitempty"`
	// Repeat and RepeatAt are of the last text that was refused as a password with a code after it.
	Repeat   []byte `cbor:"3,keyasint,omitempty"` // a MAC under the pepper
	RepeatAt Time   `cbor:"4,keyasint,omitempty"`
	// RepeatEntry is the index of the entry that says so.
	RepeatEntry int64 `cbor:"5,keyasint,omitempty"`
	// Denied are when the last QuietAfter sign-ins were denied, oldest first. The sign-ins themselves make room for others,
	// and whoever goes on beginning them must not have the devices asked again for that.
	Denied []Time `cbor:"6,keyasint,omitempty"`
}

// Sent is one code that was sent to a number.
type Sent struct {
	Number uint64 `cbor:"1,keyasint"` // a digest: a phone that is removed and added again has no fresh allowance
	Time   Time   `cbor:"2,keyasint"`
}

func (c *Channels) validate(v *validation) {
	v.check(len(c.Sent) <= MaxSendsPerAccount, "sent", "too many")
	v.check(len(c.Denied) <= QuietAfter, "denied", "too many")
	v.check(c.RepeatEntry >= 0, "repeat", "has a negative entry")
	v.check(len(c.Repeat) == 0 || len(c.Repeat) == RepeatSize, "repeat", "must have 16 bytes")
}

// deny remembers that a sign-in is denied now. c is the new state's.
func (c *Channels) deny(now Time) {
	kept := c.Denied
	if len(kept) == QuietAfter {
		kept = kept[1:]
	}
	c.Denied = append(slices.Clone(kept), now)
}

// undeny forgets a denial that was a mistake. The one that it pushed out stays forgotten. c is the new state's.
func (c *Channels) undeny(at Time) {
	if i := slices.Index(c.Denied, at); i >= 0 {
		c.Denied = slices.Delete(slices.Clone(c.Denied), i, i+1)
		if len(c.Denied) == 0 {
			c.Denied = nil
		}
	}
}

// note remembers that a code is sent now, or says when one may be. s is the new state.
func (s *State) note(p Policy, number string) (retryAt Time, ok bool) {
	recent := s.Channels.Sent
	for len(recent) > 0 && s.Time-recent[0].Time >= SendsWithin {
		recent = recent[1:]
	}
	who := digest(number)
	var same []Sent
	for _, x := range recent {
		if x.Number == who {
			same = append(same, x)
		}
	}
	if len(recent) >= p.sendsPerAccount() {
		retryAt = recent[len(recent)-p.sendsPerAccount()].Time + SendsWithin
	}
	if len(same) >= p.sendsPerPhone() {
		retryAt = max(retryAt, same[len(same)-p.sendsPerPhone()].Time+SendsWithin)
	}
	if len(same) > 0 {
		retryAt = max(retryAt, same[len(same)-1].Time+p.sendCooldown())
	}
	if retryAt > s.Time {
		return retryAt, false
	}
	s.Channels.Sent = append(slices.Clone(recent), Sent{who, s.Time})
	return 0, true
}

func send(p Policy, s *State, c *Command) Decision {
	q := c.Send
	a := act{outcome: NotFound, subject: q.SignIn}
	i := s.signIn(q.SignIn)
	if i < 0 {
		return unchanged(s, c, a)
	}
	n := next(s, c)
	phone := s.phoneOrPhantom(q.Phone)
	if phone == nil || phone.Verified == 0 {
		return changed(n, c, a)
	}
	switch {
	case !s.SignIns[i].Open(n.Time):
		a.outcome = Ended
		return changed(n, c, a)
	case !p.Gateway:
		a.outcome = RefusedByPolicy
		return changed(n, c, a)
	case p.NoticesFull:
		a.outcome = Full
		return changed(n, c, a)
	case int(s.SignIns[i].Sends) >= p.sendsPerSignIn():
		a.outcome = TooMany
		return changed(n, c, a)
	}
	if retryAt, ok := n.note(p, phone.Number); !ok {
		a.outcome, a.retryAt = TooSoon, retryAt
		return changed(next(s, c), c, a)
	}
	number, ok := n.makeLive(i, PhoneChannel(phone.ID))
	if !ok {
		a.outcome = TooMany
		return changed(next(s, c), c, a)
	}
	x := &n.SignIns[i]
	x.Sends++
	a.outcome = Done
	d := changed(n, c, a)
	d.also(opMakeCode, CodeKey, phone.ID)
	if !s.Phantom {
		notice := noticeOf(NoticeSend, x)
		notice.Device, notice.Place = NewDevice{}, Place{}
		notice.Phone, notice.Number, notice.Voice, notice.N = phone.ID, phone.Number, q.Voice, number
		d.notify(c, notice)
	}
	return d
}
