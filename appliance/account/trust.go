package account

import (
	"encoding/base64"
	"slices"
	"strings"
)

// CheckDevice asks whether a device is trusted now, with a signature of its key: see TrustMessage. It is checked here, on
// every node alike.
type CheckDevice struct {
	Device    string `cbor:"1,keyasint"`
	Challenge []byte `cbor:"2,keyasint"` // that whoever asks drew for this one question
	Time      Time   `cbor:"3,keyasint"` // of the device's clock, as it signed it; nothing is decided by it
	Signature []byte `cbor:"4,keyasint"` // ECDSA P-256 with SHA-256, ASN.1 DER
}

// EndTrust ends trust in a browser, in all of them, or in a device that was signed out completely. One of the first three
// is set, or none: all browsers.
type EndTrust struct {
	Browser string `cbor:"1,keyasint,omitempty"` // by id
	Digest  []byte `cbor:"2,keyasint,omitempty"` // of the front-end's id of the browser that was signed out
	Device  string `cbor:"3,keyasint,omitempty"` // that was signed out
	MACs    uint32 `cbor:"4,keyasint,omitempty"`
}

// ChangePassword says that the account's password was changed. App passwords stood for the old one, and so did sign-ins
// that are open.
type ChangePassword struct {
	// Security says that it was changed because somebody else may have had it: nothing is trusted any more but what is at
	// hand.
	Security bool   `cbor:"1,keyasint,omitempty"`
	Device   string `cbor:"2,keyasint,omitempty"` // at hand, if it is one of the account's
	SignIn   string `cbor:"3,keyasint,omitempty"` // at hand: verified, and still good for a step-up
}

const trustDomain = "strongroom/device-trust/v1"

// TrustMessage is what a device signs to show that it is there: the domain string, tenant, account, device, challenge, and
// the time in Unix milliseconds as eight bytes, high byte first; each after its length in four bytes, high byte first. The
// golden files of api/device have an example.
func TrustMessage(tenant, account string, q *CheckDevice) []byte {
	return appendParts(nil, trustDomain, tenant, account, q.Device, string(q.Challenge), eight(uint64(q.Time)))
}

// decoyDevice stands in where there is no device, so that a signature is checked all the same. Its key is P-256's
// generator; what it signed is believed by nobody.
var decoyDevice = Credential{PublicKey: must(base64.StdEncoding.DecodeString(
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q=="))}

// checkDevice judges a device's proof. Whoever asks is told one thing for a device that is unknown, removed or another
// account's, and for a signature that isn't its own; the entry says which.
func checkDevice(s *State, c *Command) Decision {
	q := c.CheckDevice
	message := TrustMessage(c.Tenant, c.Account, q)
	a := act{outcome: NotFound}
	if s == nil || s.Phantom {
		decoyDevice.signedBy(message, q.Signature)
		return unchanged(s, c, a)
	}
	n := next(s, c)
	i := s.index(q.Device)
	if i < 0 || s.Credentials[i].Kind != Device {
		decoyDevice.signedBy(message, q.Signature)
		return changed(n, c, a)
	}
	a.key = &s.Credentials[i]
	if !a.key.signedBy(message, q.Signature) {
		a.outcome = BadSignature
		return changed(n, c, a)
	}
	n.ownCredentials()
	n.Credentials[i].LastUsed = n.Time
	a.outcome, a.credential = Accepted, q.Device
	return changed(n, c, a)
}

func endTrust(s *State, c *Command) Decision {
	q := c.EndTrust
	n := next(s, c)
	if q.Device != "" {
		return signOutDevice(s, n, c)
	}
	ended := n.without(func(b *Browser) bool {
		switch {
		case q.Browser != "":
			return b.ID == q.Browser
		case len(q.Digest) > 0:
			return string(b.Digest) == string(q.Digest)
		}
		return true
	})
	a := act{outcome: Done, subject: q.Browser, credential: q.Browser, macs: q.MACs}
	if q.MACs > 0 {
		a.named = PepperKey
	}
	if q.Browser != "" && len(ended) == 0 {
		a.outcome, a.credential = NotFound, ""
	}
	d := changed(n, c, a)
	if q.Browser == "" && d.Entry != nil {
		d.Entry.Detail = strings.Join(ended, " ")
	}
	return d
}

// signOutDevice takes a device away as removing it does. It was not lost: it isn't listed any more.
func signOutDevice(s, n *State, c *Command) Decision {
	k := s.Find(c.EndTrust.Device)
	if k == nil || k.Kind != Device {
		return changed(n, c, act{outcome: NotFound, subject: c.EndTrust.Device})
	}
	n.drop(s.index(k.ID))
	d := changed(n, c, act{outcome: Done, credential: k.ID, key: k})
	d.notify(c, removedNotice(s, k))
	return d
}

func removedNotice(s *State, k *Credential) Notice {
	return Notice{Kind: NoticeDeviceRemoved, Credential: k.ID, Name: k.Name, Device: k.described(), Devices: s.deciders(&SignIn{})}
}

// changePassword ends what stood for the old password; after a change for security reasons, all that is not at hand. A
// protected account always has a verified phone left to come back with, and one that isn't protected begins anew.
func changePassword(s *State, c *Command) Decision {
	q := c.ChangePassword
	n := next(s, c)
	if k := s.Find(q.Device); q.Device != "" && (k == nil || k.Kind != Device) {
		return changed(n, c, act{outcome: NotFound, subject: q.Device})
	}
	detail := []string{"app-passwords"}
	detail = append(detail, n.revokeAppPasswords()...)
	notices := n.cancelSignIns(s)
	if q.Security {
		detail = append(append(detail, "browsers"), n.without(everyBrowser)...)
		detail = append(detail, "devices")
		for i := range s.Credentials {
			if k := &s.Credentials[i]; k.Kind == Device && k.ID != q.Device {
				n.drop(n.index(k.ID))
				detail = append(detail, k.ID)
				notices = append(notices, removedNotice(s, k))
			}
		}
		n.forgetVerified(q.SignIn)
	}
	d := changed(n, c, act{outcome: Done, subject: q.Device})
	if d.Entry != nil {
		d.Entry.Detail = strings.Join(detail, " ")
	}
	notices = append(notices, Notice{Kind: NoticePasswordChanged, Credential: q.Device, Devices: s.deciders(&SignIn{})})
	d.notify(c, notices...)
	return d
}

// cancelSignIns ends the sign-ins that are open: they stand for the old password. The notices tell the devices that former
// had. s is the new state.
func (s *State) cancelSignIns(former *State) (notices []Notice) {
	for i := range s.SignIns {
		if s.SignIns[i].Open(s.Time) {
			notice := noticeOf(NoticeCancelled, s.end(i, Cancelled, ""))
			notice.Devices = former.deciders(&s.SignIns[i])
			notices = append(notices, notice)
		}
	}
	return notices
}

// forgetVerified: whoever signed in with the old password has no second factor to show any more, but for one sign-in;
// empty: for none. s is the new state.
func (s *State) forgetVerified(but string) {
	s.SignIns = slices.DeleteFunc(slices.Clone(s.SignIns), func(x SignIn) bool { return x.End == Verified && x.ID != but })
	if len(s.SignIns) == 0 {
		s.SignIns = nil
	}
}

// Names in log entries. They are signed: never change one.
const (
	opTrustBrowser   = "trust-browser"
	opSignToken      = "sign-browser-token"
	opCheckBrowser   = "verify-browser"
	opRevokeBrowser  = "revoke-browser"
	opRevokeBrowsers = "revoke-browsers"
	opSignOutBrowser = "sign-out-browser"
	opSignOutDevice  = "sign-out-device"
	opCheckDevice    = "verify-device"
	opPassword       = "change-password"
	opPasswordSafety = "change-password-for-security"
)

// trustOperation is the name of a command about trust; empty: it is about something else.
func (c *Command) trustOperation() string {
	switch {
	case c.TrustBrowser != nil:
		return opTrustBrowser
	case c.CheckBrowser != nil:
		return opCheckBrowser
	case c.CheckDevice != nil:
		return opCheckDevice
	case c.ChangePassword != nil:
		if c.ChangePassword.Security {
			return opPasswordSafety
		}
		return opPassword
	case c.EndTrust == nil:
		return ""
	case c.EndTrust.Device != "":
		return opSignOutDevice
	case len(c.EndTrust.Digest) > 0:
		return opSignOutBrowser
	case c.EndTrust.Browser != "":
		return opRevokeBrowser
	}
	return opRevokeBrowsers
}

// Operations as requests are remembered by: 23 to 27 are this file's.
const (
	requestTrustBrowser uint8 = iota + 23
	requestCheckBrowser
	requestEndTrust
	requestCheckDevice
	requestChangePassword
)

func (c *Command) trustFingerprint() (operation uint8, fingerprint uint64) {
	switch {
	case c.TrustBrowser != nil:
		q := c.TrustBrowser
		return requestTrustBrowser, digest(q.SignIn, q.Browser.Name, string(q.Browser.Digest))
	case c.CheckBrowser != nil:
		q := c.CheckBrowser
		return requestCheckBrowser, digest(q.ID, eight(uint64(q.N)), string(q.Digest))
	case c.EndTrust != nil:
		q := c.EndTrust
		return requestEndTrust, digest(c.operation(), q.Browser, string(q.Digest), q.Device)
	case c.CheckDevice != nil:
		return requestCheckDevice, digest(c.CheckDevice.Device, string(c.CheckDevice.Challenge))
	case c.ChangePassword != nil:
		q := c.ChangePassword
		return requestChangePassword, digest(c.operation(), q.Device, q.SignIn)
	}
	return 0, 0
}

// trustCommand decides the commands about trust; false: it is none of them.
func trustCommand(p Policy, s *State, c *Command) (Decision, bool) {
	switch {
	case c.TrustBrowser != nil:
		return trustBrowser(p, s, c), true
	case c.CheckBrowser != nil:
		return checkBrowser(p, s, c), true
	case c.CheckDevice != nil:
		return checkDevice(s, c), true
	case c.EndTrust == nil && c.ChangePassword == nil:
		return Decision{}, false
	case s == nil || s.Phantom:
		return unchanged(s, c, act{outcome: NotFound, macs: c.macs()}), true
	case c.EndTrust != nil:
		return endTrust(s, c), true
	}
	return changePassword(s, c), true
}

func (c *Command) validateTrust(v *validation) {
	switch {
	case c.TrustBrowser != nil:
		c.TrustBrowser.validate(v)
	case c.CheckBrowser != nil:
		c.CheckBrowser.validate(v)
	case c.CheckDevice != nil:
		q := c.CheckDevice
		v.text("device", q.Device, 1, MaxID)
		v.check(len(q.Challenge) >= MinChallenge && len(q.Challenge) <= MaxChallenge, "challenge", "must have 16 to 64 bytes")
		v.check(q.Time > 0 && q.Time <= MaxTime, "signed time", "out of bounds")
		v.check(len(q.Signature) > 0 && len(q.Signature) <= MaxSignature, "signature", "too short or too long")
	case c.EndTrust != nil:
		q := c.EndTrust
		v.text("browser", q.Browser, 0, MaxID)
		v.text("device", q.Device, 0, MaxID)
		v.check(len(q.Digest) == 0 || len(q.Digest) == MACSize, "browser", "its digest must have 32 bytes")
		set := 0
		for _, is := range []bool{q.Browser != "", q.Device != "", len(q.Digest) > 0} {
			if is {
				set++
			}
		}
		v.check(set <= 1, "trust", "only one can be named")
	case c.ChangePassword != nil:
		v.text("device", c.ChangePassword.Device, 0, MaxID)
		v.text("sign-in", c.ChangePassword.SignIn, 0, MaxID)
	}
}
