package account

// Presence is whether a device is signed in, as far as it is known here: from the sign-ins that were verified on it, and
// from what the front-end says. Nothing is decided by it; it is for the person who looks at the list of devices.
type Presence struct {
	State PresenceState `cbor:"1,keyasint,omitempty"`
	Since Time          `cbor:"2,keyasint,omitempty"` // of State; 0 while that is not known
	Seen  Time          `cbor:"3,keyasint,omitempty"` // the last sign of the device itself, to SeenEvery; 0: none
}

// PresenceState is whether a device is signed in.
type PresenceState uint8

// States. Of devices of before, and of those that were merely enrolled, it is not known.
const (
	PresenceUnknown PresenceState = iota
	SignedIn
	SignedOut
)

// ReportPresence is a front-end's word that a device is signed in, or was signed out. It may be said as often as the device
// is seen: what is no news leaves no trace.
type ReportPresence struct {
	Device   string `cbor:"1,keyasint"`
	SignedIn bool   `cbor:"2,keyasint,omitempty"`
}

func (p *Presence) validate(v *validation) {
	v.check(p.State <= SignedOut && (p.State == PresenceUnknown) == (p.Since == 0), "presence", "not known, or without a time")
	v.check(p.Since >= 0 && p.Since <= MaxTime && p.Seen >= 0 && p.Seen <= MaxTime, "presence", "its times are out of bounds")
}

// News says whether a report tells of something: of another state, or of a device that wasn't seen for SeenEvery.
func (p *Presence) News(signedIn bool, now Time) bool {
	if !signedIn {
		return p.State != SignedOut
	}
	return p.State != SignedIn || now-p.Seen >= SeenEvery
}

// attend notes that a device is signed in, or signed out, now. It is as if it hadn't been said of what is none. s is the
// new state.
func (s *State) attend(device string, state PresenceState) {
	i := s.index(device)
	if i < 0 || s.Credentials[i].Kind != Device {
		return
	}
	s.ownCredentials()
	p := &s.Credentials[i].Presence
	if p.State != state {
		p.State, p.Since = state, s.Time
	}
	if state == SignedIn {
		p.Seen = s.Time
	}
}

// saw notes that a device has just shown that it is there. s is the new state.
func (s *State) saw(device string) {
	if i := s.index(device); i >= 0 {
		s.ownCredentials()
		s.Credentials[i].Presence.Seen = s.Time
	}
}

func reportPresence(s *State, c *Command) Decision {
	q := c.Presence
	n := next(s, c)
	k := s.Find(q.Device)
	if k == nil || k.Kind != Device {
		return changed(n, c, act{outcome: NotFound, subject: q.Device})
	}
	if !k.Presence.News(q.SignedIn, n.Time) {
		return Decision{Result: Result{Outcome: Done, Credential: k.ID}}
	}
	state := SignedOut
	if q.SignedIn {
		state = SignedIn
	}
	n.attend(k.ID, state)
	return changed(n, c, act{outcome: Done, credential: k.ID, subject: k.ID})
}

// Names in log entries. They are signed: never change one.
const (
	opSignedIn  = "report-device-signed-in"
	opSignedOut = "report-device-signed-out"
)

const requestPresence uint8 = 45
