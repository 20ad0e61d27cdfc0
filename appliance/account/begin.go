package account

import (
	"slices"
)

// Begin opens a sign-in. What is known of the new device and of its place are facts from the edge. A name without a
// record gets one, so that it answers as an account does: see DESIGN.md, "Names that aren't accounts".
type Begin struct {
	SignIn  string    `cbor:"1,keyasint"`
	Nonce   []byte    `cbor:"2,keyasint"` // 16 random bytes
	Purpose Purpose   `cbor:"3,keyasint"`
	Own     string    `cbor:"4,keyasint,omitempty"` // the device of the account that is being signed in on
	Device  NewDevice `cbor:"5,keyasint,omitzero"`
	Place   Place     `cbor:"6,keyasint,omitzero"`
}

func (b *Begin) validate(v *validation) {
	x := SignIn{ID: b.SignIn, Nonce: b.Nonce, Purpose: b.Purpose, Own: b.Own, Device: b.Device, Place: b.Place}
	x.validate(v)
}

func (b *Begin) fingerprint() uint64 {
	return digest(b.Purpose.String(), b.Own, b.Device.Kind, b.Device.Name, b.Device.Model, b.Device.Platform, b.Device.SystemVersion)
}

// Cancel ends a sign-in that nobody waits for any more.
type Cancel struct {
	SignIn string `cbor:"1,keyasint"`
}

func begin(p Policy, s *State, c *Command) Decision {
	b := c.Begin
	if len(c.Salt) != SaltSize {
		return stale
	}
	if s == nil {
		s = &State{Version: version, Phantom: true, Salt: c.Salt}
	}
	n := next(s, c)
	a := act{credential: b.SignIn, subject: b.SignIn}
	if s.signIn(b.SignIn) >= 0 {
		a.outcome = Conflict
		return changed(n, c, a)
	}
	if p.NoticesFull {
		a.outcome = Full
		return changed(n, c, a)
	}
	if !n.makeRoom() {
		a.outcome = TooMany
		return changed(n, c, a)
	}
	n.SignIns = append(slices.Clip(n.SignIns), SignIn{
		ID: b.SignIn, Nonce: b.Nonce, Purpose: b.Purpose, Begun: n.Time, Expires: n.Time + p.signInLife(), Own: b.Own,
		Device: b.Device, Place: b.Place, Quiet: s.harassed(n.Time),
	})
	a.outcome = Done
	d := changed(n, c, a)
	x := &n.SignIns[len(n.SignIns)-1]
	if s.Phantom {
		return d // nobody to tell
	}
	notice := noticeOf(NoticeBegun, x)
	if !x.Quiet {
		notice.Devices = s.deciders(x)
	}
	d.notify(c, notice)
	return d
}

// makeRoom drops the sign-in that ended first, if there are as many as may be; and all that ended long ago. It is false
// when all are open. s is the new state.
func (s *State) makeRoom() bool {
	kept := slices.DeleteFunc(slices.Clone(s.SignIns), func(x SignIn) bool { return s.Time-x.Expires >= KeepSignIns })
	if len(kept) >= MaxSignIns {
		oldest := -1
		for i := range kept {
			if !kept[i].Open(s.Time) && (oldest < 0 || kept[i].over() < kept[oldest].over()) {
				oldest = i
			}
		}
		if oldest < 0 {
			return false
		}
		kept = slices.Delete(kept, oldest, oldest+1)
	}
	s.SignIns = kept
	return true
}

// over is when a sign-in that isn't open ended or ran out.
func (x *SignIn) over() Time {
	if x.End == InvalidEnd {
		return x.Expires
	}
	return x.Ended
}

// harassed says that so many sign-ins were denied of late that the devices are to be left in peace. The settings' codes
// and the phones still work.
func (s *State) harassed(now Time) bool {
	denied := s.Channels.Denied
	return len(denied) == QuietAfter && now-denied[0] < QuietFor
}

// deciders are the devices that may decide a sign-in.
func (s *State) deciders(x *SignIn) (ids []string) {
	for i := range s.Credentials {
		if k := &s.Credentials[i]; k.Kind == Device && k.ID != x.Own {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

func cancel(s *State, c *Command) Decision {
	a := act{outcome: NotFound, subject: c.Cancel.SignIn}
	i := s.signIn(c.Cancel.SignIn)
	if i < 0 {
		return unchanged(s, c, a)
	}
	n := next(s, c)
	if !s.SignIns[i].Open(n.Time) {
		a.outcome = Ended
		if s.SignIns[i].End == Cancelled {
			a.outcome = Done
		}
		return changed(n, c, a)
	}
	x := n.end(i, Cancelled, "")
	a.outcome = Done
	d := changed(n, c, a)
	if !s.Phantom {
		notice := noticeOf(NoticeCancelled, x)
		notice.Devices = s.deciders(x)
		d.notify(c, notice)
	}
	return d
}

// Options are the ways in which a code can come for a sign-in.
type Options struct {
	Devices bool // there are devices that may decide, or show a code in their settings
	Phones  []PhoneOption
}

// PhoneOption is a phone as somebody sees it who has yet to prove who they are.
type PhoneOption struct {
	ID     string
	Masked string
}

// Options lists the ways. A name that isn't an account pretends to have what most have: a device and one phone, the same
// ones each time that it is asked.
func (s *State) Options(p Policy, x *SignIn) Options {
	if s.Phantom {
		id, masked := s.phantomPhone()
		return Options{Devices: true, Phones: []PhoneOption{{id, masked}}}
	}
	var o Options
	for i := range s.Credentials {
		k := &s.Credentials[i]
		o.Devices = o.Devices || k.ID != x.Own && p.ShowsCodes(k)
	}
	for i := range s.Phones {
		if p := &s.Phones[i]; p.Verified != 0 {
			o.Phones = append(o.Phones, PhoneOption{p.ID, p.Masked()})
		}
	}
	return o
}
