package account

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
)

// Decide is a device's Allow or Don't Allow. The signature is checked here, on every node alike: see DecisionMessage.
type Decide struct {
	SignIn    string `cbor:"1,keyasint"`
	Device    string `cbor:"2,keyasint"`
	Allow     bool   `cbor:"3,keyasint"`
	Time      Time   `cbor:"4,keyasint"` // of the device's clock, as it signed it; nothing is decided by it
	Signature []byte `cbor:"5,keyasint"` // ECDSA P-256 with SHA-256, ASN.1 DER
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
}

func (f *Fetch) validate(v *validation) {
	(&Decide{SignIn: f.SignIn, Device: f.Device, Time: f.Time, Signature: f.Signature}).validate(v)
}

// Domain strings begin what devices sign. api/device has the same ones; a test compares.
const (
	decisionDomain = "strongroom/decision/v1"
	fetchDomain    = "strongroom/fetch/v1"
)

// DecisionMessage is what a device signs to decide a sign-in: the domain string, tenant, account, sign-in, nonce, device,
// "allow" or "deny", and the time in Unix milliseconds as eight bytes, high byte first; each after its length in four
// bytes, high byte first. The golden files of api/device have examples.
func DecisionMessage(tenant, account string, x *SignIn, d *Decide) []byte {
	decision := "deny"
	if d.Allow {
		decision = "allow"
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
		a.outcome = Done
		return changed(n, c, a)
	case !x.Open(n.Time):
		a.outcome = Ended
		return changed(n, c, a)
	case !q.Allow:
		denied := n.end(i, Denied, k.ID)
		a.outcome = Done
		d := changed(n, c, a)
		notice := noticeOf(NoticeDenied, denied)
		notice.Credential, notice.Name, notice.Devices = k.ID, k.Name, s.deciders(x)
		d.notify(c, notice)
		return d
	case x.Code(DeviceChannel(k.ID)) != 0:
		a.outcome = Done
		return changed(n, c, a)
	}
	if _, ok := n.makeLive(i, DeviceChannel(k.ID)); !ok {
		a.outcome = TooMany
		return changed(next(s, c), c, a)
	}
	a.outcome = Done
	d := changed(n, c, a)
	d.also(opMakeCode, CodeKey, k.ID)
	notice := noticeOf(NoticeAllowed, &n.SignIns[i])
	notice.Credential, notice.Name, notice.Devices = k.ID, k.Name, s.deciders(x)
	d.notify(c, notice)
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
		d := changed(n, c, a)
		d.also(opMakeCode, CodeKey, k.ID)
		return d
	}
	return changed(n, c, a)
}
