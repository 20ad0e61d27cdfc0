package account

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"slices"
)

// Decide is a device's Allow or Don't Allow. The signature is checked here, on every node alike: see DecisionMessage.
type Decide struct {
	SignIn    string `cbor:"1,keyasint"`
	Device    string `cbor:"2,keyasint"`
	Allow     bool   `cbor:"3,keyasint"`
	Time      Time   `cbor:"4,keyasint"` // of the device's clock, as it signed it; nothing is decided by it
	Signature []byte `cbor:"5,keyasint"` // ECDSA P-256 with SHA-256, ASN.1 DER
	// Reason is why it was not allowed, where the person said so; signed like all the rest.
	Reason DenyReason `cbor:"6,keyasint,omitempty"`
}

// DenyReason is why a person didn't allow a sign-in.
type DenyReason uint8

// Reasons. The list is closed: a device signs one of these words or none.
const (
	NoReason  DenyReason = iota
	NotMe                // somebody else knows the password: the front-end is alerted
	ByMistake            // the person's own sign-in: it doesn't count towards leaving the devices in peace
)

var denyReasons = [...]string{"", "not_me", "mistake"}

// String is the reason as it is signed, empty for none; it is its name on the wire too.
func (r DenyReason) String() string {
	if int(r) >= len(denyReasons) {
		return "invalid"
	}
	return denyReasons[r]
}

// ParseDenyReason is the reverse of String; false: there is no such reason.
func ParseDenyReason(s string) (DenyReason, bool) {
	i := slices.Index(denyReasons[:], s)
	return DenyReason(max(i, 0)), i >= 0
}

// Fetch is a device that asks for the code of a sign-in that it allowed: see FetchMessage.
type Fetch struct {
	SignIn    string `cbor:"1,keyasint"`
	Device    string `cbor:"2,keyasint"`
	Time      Time   `cbor:"3,keyasint"`
	Signature []byte `cbor:"4,keyasint"`
}

func (d *Decide) validate(v *validation) {
	v.text("sign-in", d.SignIn, 1, MaxID)
	v.text("device", d.Device, 1, MaxID)
	v.check(d.Time > 0 && d.Time <= MaxTime, "signed time", "out of bounds")
	v.check(len(d.Signature) > 0 && len(d.Signature) <= MaxSignature, "signature", "too short or too long")
	v.check(int(d.Reason) < len(denyReasons) && (d.Reason == NoReason || !d.Allow), "reason", "not known, or of Allow")
}

func (f *Fetch) validate(v *validation) {
	(&Decide{SignIn: f.SignIn, Device: f.Device, Time: f.Time, Signature: f.Signature}).validate(v)
}

// Domain strings begin what devices sign. api/device has the same ones; a test compares.
const (
	decisionDomain = "strongroom/decision/v1"
	denialDomain   = "strongroom/decision/v2" // with a reason
	fetchDomain    = "strongroom/fetch/v1"
)

// DecisionMessage is what a device signs to decide a sign-in: the domain string, tenant, account, sign-in, nonce, device,
// "allow" or "deny", and the time in Unix milliseconds as eight bytes, high byte first; each after its length in four
// bytes, high byte first. A denial with a reason is of the second version and has the reason between "deny" and the time.
// The golden files of api/device have examples.
func DecisionMessage(tenant, account string, x *SignIn, d *Decide) []byte {
	decision := "deny"
	if d.Allow {
		decision = "allow"
	}
	if d.Reason != NoReason {
		return appendParts(nil, denialDomain, tenant, account, x.ID, string(x.Nonce), d.Device, decision, d.Reason.String(), eight(uint64(d.Time)))
	}
	return appendParts(nil, decisionDomain, tenant, account, x.ID, string(x.Nonce), d.Device, decision, eight(uint64(d.Time)))
}

// FetchMessage is what a device signs to be given its code: as DecisionMessage, without a decision.
func FetchMessage(tenant, account string, x *SignIn, f *Fetch) []byte {
	return appendParts(nil, fetchDomain, tenant, account, x.ID, string(x.Nonce), f.Device, eight(uint64(f.Time)))
}

// eight is a number as eight bytes, high byte first.
func eight(n uint64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(n >> (56 - 8*i))
	}
	return string(b[:])
}

// signedBy says whether the device's key signed the message.
func (c *Credential) signedBy(message, signature []byte) bool {
	parsed, err := x509.ParsePKIXPublicKey(c.PublicKey)
	if err != nil {
		return false
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return false
	}
	sum := sha256.Sum256(message)
	return ecdsa.VerifyASN1(key, sum[:], signature)
}

// decide judges a decision. The same one twice has one effect: whoever replays it changes nothing.
func decide(p Policy, s *State, c *Command) Decision {
	q := c.Decide
	n := next(s, c)
	i, k := s.signIn(q.SignIn), s.Find(q.Device)
	a := act{outcome: NotFound, subject: q.SignIn}
	if i < 0 || k == nil || k.Kind != Device {
		return changed(n, c, a)
	}
	x := &s.SignIns[i]
	a.key = k
	switch {
	case !k.signedBy(DecisionMessage(c.Tenant, c.Account, x, q), q.Signature):
		a.outcome = BadSignature
		return changed(n, c, a)
	case x.Own == k.ID, q.Allow && !p.ShowsCodes(k): // who may see no code may still say no
		a.outcome = NotEligible
		return changed(n, c, a)
	case x.End == Denied && !q.Allow && x.By == k.ID:
		if x.Reason != NoReason || q.Reason == NoReason {
			a.outcome = Done
			return changed(n, c, a)
		}
		return deny(s, n, c, a, i) // the reason comes after
	case !x.Open(n.Time):
		a.outcome = Ended
		return changed(n, c, a)
	case !q.Allow:
		return deny(s, n, c, a, i)
	case x.Code(DeviceChannel(k.ID)) != 0:
		a.outcome = Done
		return changed(n, c, a)
	}
	if _, ok := n.makeLive(i, DeviceChannel(k.ID)); !ok {
		a.outcome = TooMany
		return changed(next(s, c), c, a)
	}
	a.outcome = Done
	n.saw(k.ID)
	d := changed(n, c, a)
	d.also(opMakeCode, CodeKey, k.ID)
	notice := noticeOf(NoticeAllowed, &n.SignIns[i])
	notice.Credential, notice.Name, notice.Devices = k.ID, k.Name, s.deciders(x)
	d.notify(c, notice)
	return d
}

// deny ends the sign-in at i of the new state, or notes why the same device ended it: a person says Don't Allow first, and
// is asked after.
func deny(s, n *State, c *Command, a act, i int) Decision {
	k, reason, first := a.key, c.Decide.Reason, n.SignIns[i].End != Denied
	var x *SignIn
	if first {
		x = n.end(i, Denied, k.ID)
	} else {
		x = n.ownSignIn(i)
	}
	x.Reason = reason
	switch {
	case first && reason != ByMistake:
		n.Channels.deny(n.Time)
	case !first && reason == ByMistake:
		n.Channels.undeny(x.Ended)
	}
	a.outcome = Done
	n.saw(k.ID)
	d := changed(n, c, a)
	if reason != NoReason && d.Entry != nil {
		d.Entry.Detail = "reason " + reason.String()
	}
	notice := noticeOf(NoticeDenied, x)
	notice.Credential, notice.Name, notice.Devices = k.ID, k.Name, s.deciders(x)
	if first {
		d.notify(c, notice)
	}
	if reason == NotMe { // of its own kind: nobody should have to look into every denial to find those that matter
		notice.Kind = NoticeNotMe
		d.notify(c, notice)
	}
	return d
}

// fetch lets a device have the code of a sign-in that it allowed. It is an entry each time, since a key is used.
func fetch(p Policy, s *State, c *Command) Decision {
	q := c.Fetch
	n := next(s, c)
	x, k := s.SignIn(q.SignIn), s.Find(q.Device)
	a := act{outcome: NotFound, subject: q.SignIn}
	if x == nil || k == nil || k.Kind != Device {
		return changed(n, c, a)
	}
	a.key = k
	switch {
	case !k.signedBy(FetchMessage(c.Tenant, c.Account, x, q), q.Signature):
		a.outcome = BadSignature
	case !p.ShowsCodes(k):
		a.outcome = NotEligible
	case !x.Open(n.Time):
		a.outcome = Ended
	case x.Code(DeviceChannel(k.ID)) == 0:
		a.outcome = NotFound // it has not allowed it
	default:
		a.outcome = Done
		n.saw(k.ID)
		d := changed(n, c, a)
		d.also(opMakeCode, CodeKey, k.ID)
		return d
	}
	return changed(n, c, a)
}
