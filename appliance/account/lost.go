package account

import "slices"

// LostDevice is what is remembered of a device that was reported lost or erased, so that it can be listed.
type LostDevice struct {
	ID            string `cbor:"1,keyasint"`
	Name          string `cbor:"2,keyasint,omitempty"`
	Model         string `cbor:"3,keyasint,omitempty"`
	Serial        string `cbor:"4,keyasint,omitempty"`
	Platform      string `cbor:"5,keyasint,omitempty"`
	SystemVersion string `cbor:"6,keyasint,omitempty"`
	Added         Time   `cbor:"7,keyasint"`
	LastUsed      Time   `cbor:"8,keyasint,omitempty"`
	Erased        bool   `cbor:"9,keyasint,omitempty"` // else lost
	At            Time   `cbor:"10,keyasint"`
}

func (l *LostDevice) validate(v *validation) {
	v.text("device", l.ID, 1, MaxID)
	for _, text := range []string{l.Name, l.Model, l.Serial, l.Platform, l.SystemVersion} {
		v.text("device", text, 0, MaxText)
	}
	v.check(l.Added >= 0 && l.LastUsed >= 0 && l.At > 0 && l.At <= MaxTime, "device", "its times are out of bounds")
}

// Lose reports that a device is lost, or that it was erased. Its trust and codes are dead with it; it stays in the list
// until it is removed.
type Lose struct {
	Device string `cbor:"1,keyasint"`
	Erased bool   `cbor:"2,keyasint,omitempty"`
}

// UpdateDevice notes what a device says of itself anew. Empty members stay as they are.
type UpdateDevice struct {
	Device        string `cbor:"1,keyasint"`
	Name          string `cbor:"2,keyasint,omitempty"`
	SystemVersion string `cbor:"3,keyasint,omitempty"`
}

// Classify says which class of accounts this one is of; empty: none.
type Classify struct {
	Class string `cbor:"1,keyasint,omitempty"`
}

func (s *State) lost(id string) int {
	return slices.IndexFunc(s.Enrolment.Lost, func(l LostDevice) bool { return l.ID == id })
}

// lose takes a device away as removing it does, and remembers that it was there.
func lose(s *State, c *Command) Decision {
	q := c.Lose
	n := next(s, c)
	if i := s.lost(q.Device); i >= 0 {
		n.Enrolment.Lost = slices.Clone(s.Enrolment.Lost)
		l := &n.Enrolment.Lost[i]
		if q.Erased && !l.Erased { // found, and erased from afar
			l.Erased, l.At = true, n.Time
		}
		return changed(n, c, act{outcome: Done, credential: l.ID, subject: l.ID})
	}
	k := s.Find(q.Device)
	if k == nil || k.Kind != Device {
		return changed(n, c, act{outcome: NotFound, subject: q.Device})
	}
	kept := s.Enrolment.Lost
	if len(kept) == MaxLost {
		kept = kept[1:]
	}
	n.Enrolment.Lost = append(slices.Clone(kept), LostDevice{
		ID: k.ID, Name: k.Name, Model: k.Model, Serial: k.Serial, Platform: k.Platform, SystemVersion: k.SystemVersion,
		Added: k.Added, LastUsed: k.LastUsed, Erased: q.Erased, At: n.Time,
	})
	told := s.deciders(&SignIn{Own: k.ID}) // not the device itself: it may be in a stranger's hand
	n.drop(s.index(k.ID))
	d := changed(n, c, act{outcome: Done, credential: k.ID, key: k, subject: k.ID})
	d.notify(c, Notice{Kind: NoticeDeviceLost, Credential: k.ID, Name: k.Name, Device: k.described(), Devices: told})
	return d
}

// removeLost takes a lost device off the list; false: it isn't on it.
func removeLost(s *State, c *Command) (Decision, bool) {
	i := s.lost(c.Remove.Credential)
	if i < 0 {
		return Decision{}, false
	}
	n := next(s, c)
	n.Enrolment.Lost = slices.Delete(slices.Clone(s.Enrolment.Lost), i, i+1)
	if len(n.Enrolment.Lost) == 0 {
		n.Enrolment.Lost = nil
	}
	return changed(n, c, act{outcome: Done, credential: c.Remove.Credential, subject: c.Remove.Credential}), true
}

func updateDevice(s *State, c *Command) Decision {
	q := c.UpdateDevice
	n := next(s, c)
	i := s.index(q.Device)
	if i < 0 || s.Credentials[i].Kind != Device {
		return changed(n, c, act{outcome: NotFound, subject: q.Device})
	}
	n.ownCredentials()
	k := &n.Credentials[i]
	if q.Name != "" {
		k.Name = q.Name
	}
	if q.SystemVersion != "" {
		k.SystemVersion = q.SystemVersion
	}
	return changed(n, c, act{outcome: Done, credential: k.ID, subject: k.ID})
}

func classify(s *State, c *Command) Decision {
	n := next(s, c)
	n.Enrolment.Class = c.Classify.Class
	d := changed(n, c, act{outcome: Done})
	if d.Entry != nil {
		d.Entry.Detail = c.Classify.Class
	}
	return d
}
