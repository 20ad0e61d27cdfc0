package account

import (
	"encoding/binary"
	"slices"

	"strongroom.internal/appliance/otp"
)

// create makes an account, or a real one of a phantom: what was guessed before it was made still counts.
func create(p Policy, s *State, c *Command) Decision {
	switch {
	case s == nil && len(c.Salt) != SaltSize:
		return stale
	case s == nil:
		s = &State{Version: version, Salt: c.Salt}
	case !s.Phantom:
		return changed(next(s, c), c, act{outcome: Exists})
	}
	n := next(s, c)
	n.Phantom = false
	n.SignIns = nil // nobody could ever have ended them
	n.TwoStep = s.TwoStep.off()
	n.Created = n.Time
	n.Keys = firstKeys(n.Salt)
	n.Access = Access{} // likewise: nobody was told of it
	n.Enrolment = Enrolment{Class: c.Create.Class}
	if p.BornProtected && !p.excludes(n.Enrolment.Class) {
		n.Enrolment.Born, n.Enrolment.Mode = true, Pending
	}
	return changed(n, c, act{outcome: Done})
}

// firstKeys is where an account starts to count. It is never 0, which is what nodes say that saw no account, and it
// differs from what another account of that name once had.
func firstKeys(salt []byte) uint64 {
	var b [8]byte
	copy(b[2:], salt)
	return binary.BigEndian.Uint64(b[:]) + 1
}

func enrol(p Policy, s *State, c *Command) Decision {
	e := c.Enrol
	n := next(s, c)
	refused := act{key: &e.Credential, macs: e.MACs}
	switch {
	case !p.open(e.Door):
		refused.outcome = RefusedByPolicy
		return changed(n, c, refused)
	case e.Guarded && s.guards(p, e.SignIn, n.Time):
		refused.outcome = StepUp
		return changed(n, c, refused)
	case len(e.Credential.Seed) == 0:
		return stale
	case s.index(e.Credential.ID) >= 0, s.lost(e.Credential.ID) >= 0: // or reporting it lost would find the old one
		refused.outcome = Conflict
		return changed(n, c, refused)
	case len(s.Credentials) >= p.maxCredentials():
		refused.outcome = TooMany
		return changed(n, c, refused)
	}
	k := e.Credential
	k.Added = n.Time
	k.Watermark = -1
	if k.Params.Mode == otp.HOTP {
		k.Watermark = k.Counter - 1
	}
	n.Credentials = append(slices.Clip(s.Credentials), k)
	if n.cost("")+n.live("", n.Time)*unit[CodeDigits] > Budget {
		// One attempt would have more chances than all are meant to have together.
		refused.outcome = TooMany
		return changed(next(s, c), c, refused)
	}
	n.Keys++
	if len(s.Credentials) == 0 {
		n.Attempts = Attempts{} // bound anew: there was nothing that could be guessed
	}
	n.grown()
	d := changed(n, c, act{outcome: Done, credential: k.ID, key: &k, macs: e.MACs})
	if len(k.Certificate) > 0 && d.Entry != nil {
		signed := *d.Entry
		signed.Operation, signed.Key, signed.Subject, signed.MACs, signed.Coalesced = opSigned, deviceTrustKey, k.ID, 0, 0
		signed.KeyVersion = 1
		d.Also = append(d.Also, &signed)
	}
	d.notify(c, Notice{Kind: NoticeDeviceAdded, Credential: k.ID, Name: k.Name, Device: k.described(), Devices: s.deciders(&SignIn{})})
	return d
}

// guards says that a credential can't be added without a second factor that was proved of late. Otherwise whoever holds a
// front-end's certificate could add a device of their own and allow with it what they like. Where there is nothing yet that
// could be proved, the first one comes in as it is; and what an account is worth that isn't protected says its assurance.
func (s *State) guards(p Policy, signIn string, now Time) bool {
	owned := s.Enrolment.Mode == TwoFactor || slices.ContainsFunc(s.Credentials, func(k Credential) bool { return k.Kind == Device })
	return owned && !p.OpenEnrolment && !s.Fresh(signIn, p.stepUpWithin(), now)
}

// stepUpWithin is how long ago a second factor may have been proved, where one is asked for though policy doesn't say.
func (p SignInPolicy) stepUpWithin() Time {
	return Time(or(p.StepUpMinutes, DefaultStepUpMinutes, 24*60)) * 60 * 1000
}

// deviceTrustKey is hsm.KeyDeviceTrust, as log entries name it.
const deviceTrustKey = "device-trust"

func remove(s *State, c *Command) Decision {
	n := next(s, c)
	i := s.index(c.Remove.Credential)
	if i < 0 {
		if d, ok := removeLost(s, c); ok {
			return d
		}
		return changed(n, c, act{outcome: NotFound})
	}
	k := s.Credentials[i]
	n.drop(i)
	d := changed(n, c, act{outcome: Done, credential: k.ID, key: &k})
	d.notify(c, Notice{Kind: NoticeDeviceRemoved, Credential: k.ID, Name: k.Name, Device: k.described(), Devices: s.deciders(&SignIn{})})
	return d
}

// drop takes the credential at i away, and all codes that it was given. s is the new state.
func (s *State) drop(i int) {
	id := s.Credentials[i].ID
	s.ownCredentials()
	s.Credentials = slices.Delete(s.Credentials, i, i+1)
	s.Keys++
	if len(s.Credentials) == 0 {
		// NIST SP 800-63B, Section 5.2.2: whoever is locked out for good has to bind anew.
		s.Credentials = nil
		s.Attempts = Attempts{}
	}
	s.silence(DeviceChannel(id))
}

// described is what a notice says of a credential.
func (c *Credential) described() NewDevice {
	return NewDevice{Kind: c.Kind.String(), Name: c.Name, Model: c.Model, Platform: c.Platform, SystemVersion: c.SystemVersion}
}
