package account

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Grant is a front-end's leave to do one thing once, such as to set a new password. Its token is a MAC under the pepper
// over GrantMessage, made when it is told and kept nowhere.
type Grant struct {
	Purpose GrantPurpose `cbor:"1,keyasint"`
	By      string       `cbor:"2,keyasint"` // the device or channel that proved who asks, or the recovery
	Random  []byte       `cbor:"3,keyasint"`
	Expires Time         `cbor:"4,keyasint"`
}

// GrantPurpose is what a grant is for.
type GrantPurpose uint8

// Purposes.
const (
	InvalidGrant GrantPurpose = iota
	GrantReset                // of the password
	GrantRecovery
)

var grantNames = [...]string{"invalid", "password-reset", "recovery"}

// String is the purpose's name in what the pepper MACs: never change one.
func (p GrantPurpose) String() string {
	if int(p) >= len(grantNames) {
		return grantNames[0]
	}
	return grantNames[p]
}

// GrantMessage is what the pepper MACs to make a grant's token; the token is GrantTokenSize bytes of it. It is bound to
// tenant, account, purpose and to who proved what it was given for.
func GrantMessage(tenant, account string, g *Grant) []byte {
	return appendParts(nil, "strongroom/grant/v1", tenant, account, g.Purpose.String(), g.By, string(g.Random))
}

// Handle names the grant to whoever asked for it, so that a request that is repeated is told its own grant or none.
func (g *Grant) Handle() string {
	sum := sha256.Sum256(appendParts(nil, "strongroom/grant-handle/v1", string(g.Random)))
	return hex.EncodeToString(sum[:8])
}

// ResetPassword asks for a grant to set a new password, in a sign-in for that purpose. Either the account's own device that
// is signed in on signs for it, or, where policy lets it, the sign-in was verified by a code.
type ResetPassword struct {
	SignIn string `cbor:"1,keyasint"`
	Device string `cbor:"2,keyasint,omitempty"` // empty: by a code
	// Present says that the device's owner unlocked it for this. It is signed.
	Present   bool   `cbor:"3,keyasint,omitempty"`
	Time      Time   `cbor:"4,keyasint,omitempty"` // of the device's clock, as it signed it; nothing is decided by it
	Signature []byte `cbor:"5,keyasint,omitempty"`
	Random    []byte `cbor:"6,keyasint"` // 16 bytes, should there be a grant
}

// RedeemGrant uses a grant up.
type RedeemGrant struct {
	Purpose GrantPurpose `cbor:"1,keyasint"`
	// Random is that of the grant that was evaluated, empty when there was none; Matched says that the token was its.
	Random  []byte `cbor:"2,keyasint,omitempty"`
	Matched bool   `cbor:"3,keyasint,omitempty"`
	MACs    uint32 `cbor:"4,keyasint,omitempty"`
	Token   uint64 `cbor:"5,keyasint,omitempty"` // digest of the token; of the request, for its memory
	// Recovery, Device and Key are a recovery's: which one, the device that the account is bound to anew, and the digest of
	// its public key. The device is made only once the token is seen to be right: it is nil until then.
	Recovery string      `cbor:"6,keyasint,omitempty"`
	Device   *Credential `cbor:"7,keyasint,omitempty"`
	Key      uint64      `cbor:"8,keyasint,omitempty"`
}

const resetDomain = "strongroom/password-reset/v1"

// ResetMessage is what a device signs to ask for a password reset: the domain string, tenant, account, sign-in, nonce,
// device, "present" or "absent", and the time in Unix milliseconds as eight bytes, as DecisionMessage has them.
func ResetMessage(tenant, account string, x *SignIn, q *ResetPassword) []byte {
	presence := "absent"
	if q.Present {
		presence = "present"
	}
	return appendParts(nil, resetDomain, tenant, account, x.ID, string(x.Nonce), q.Device, presence, eight(uint64(q.Time)))
}

func (g *Grant) validate(v *validation) {
	v.check(g.Purpose > InvalidGrant && int(g.Purpose) < len(grantNames), "grant", "its purpose is not known")
	v.text("grant", g.By, 1, MaxChannel)
	v.check(len(g.Random) == GrantSize, "grant", "must have 16 bytes")
	v.check(g.Expires > 0 && g.Expires <= MaxTime+GrantLife, "grant", "its time is out of bounds")
}

func (q *ResetPassword) validate(v *validation) {
	v.text("sign-in", q.SignIn, 1, MaxID)
	v.text("device", q.Device, 0, MaxID)
	v.check(len(q.Random) == GrantSize, "grant", "must have 16 bytes")
	if q.Device == "" {
		v.check(!q.Present && q.Time == 0 && len(q.Signature) == 0, "signature", "goes with a device")
		return
	}
	v.check(q.Time > 0 && q.Time <= MaxTime, "signed time", "out of bounds")
	v.check(len(q.Signature) > 0 && len(q.Signature) <= MaxSignature, "signature", "too short or too long")
}

func (q *RedeemGrant) validate(v *validation) {
	v.check(q.Purpose > InvalidGrant && int(q.Purpose) < len(grantNames), "grant", "its purpose is not known")
	v.check(len(q.Random) == 0 || len(q.Random) == GrantSize, "grant", "must have 16 bytes")
	v.check(len(q.Random) > 0 || !q.Matched, "matched", "there was nothing to match")
	v.check((q.Purpose == GrantRecovery) == (q.Recovery != ""), "recovery", "goes with its purpose")
	v.text("recovery", q.Recovery, 0, MaxID)
	if q.Device != nil {
		v.check(q.Purpose == GrantRecovery, "device", "was not asked for")
		(&Enrol{Credential: *q.Device, Door: SealedDoor}).validate(v)
	}
}

func (a *Access) grant(p GrantPurpose) *Grant {
	if i := slices.IndexFunc(a.Grants, func(g Grant) bool { return g.Purpose == p }); i >= 0 {
		return &a.Grants[i]
	}
	return nil
}

// Grant finds the grant of a purpose that can be redeemed now; nil when there is none. The result must not be written to.
func (s *State) Grant(p GrantPurpose, now Time) *Grant {
	if s == nil {
		return nil
	}
	g := s.Access.grant(p)
	if g == nil || max(now, s.Time) >= g.Expires || !s.stands(g, max(now, s.Time)) {
		return nil
	}
	return g
}

// stands says whether what a grant was given for still holds: a device that was removed since must not have the last word.
func (s *State) stands(g *Grant, now Time) bool {
	if g.Purpose == GrantRecovery {
		return s.Access.Recovery.ID == g.By && s.Access.Recovery.Running(now)
	}
	if id, is := strings.CutPrefix(g.By, phonePrefix); is {
		return s.Phone(id) != nil
	}
	return s.Find(strings.TrimPrefix(g.By, devicePrefix)) != nil
}

// give adds a grant, in place of another of its purpose, and returns its handle. s is the new state.
func (s *State) give(p GrantPurpose, by string, random []byte) string {
	s.revoke(p)
	g := Grant{Purpose: p, By: by, Random: random, Expires: s.Time + GrantLife}
	s.Access.Grants = append(s.Access.Grants, g)
	return g.Handle()
}

// revoke takes a purpose's grant away. s is the new state.
func (s *State) revoke(p GrantPurpose) {
	s.Access.Grants = slices.DeleteFunc(slices.Clone(s.Access.Grants), func(g Grant) bool { return g.Purpose == p })
	if len(s.Access.Grants) == 0 {
		s.Access.Grants = nil
	}
}

func resetPassword(p Policy, s *State, c *Command) Decision {
	q := c.ResetPassword
	a := act{outcome: NotFound, subject: q.SignIn}
	i := s.signIn(q.SignIn)
	if i < 0 || s.SignIns[i].Purpose != ForPasswordReset {
		return unchanged(s, c, a)
	}
	n := next(s, c)
	x := &s.SignIns[i]
	by := x.By
	if q.Device == "" {
		switch {
		case !p.Reset.ByCode:
			a.outcome = RefusedByPolicy
		case x.End == Verified && (x.Granted || x.By == x.Own):
			a.outcome = Ended
		case !s.Fresh(q.SignIn, GrantLife, n.Time) || s.Phantom:
			a.outcome = StepUp // it has yet to be verified, or was too long ago
		default:
			a.outcome = Done
		}
	} else {
		k := s.Find(q.Device)
		if k == nil || k.Kind != Device {
			return changed(n, c, a)
		}
		a.key, by = k, k.ID
		switch {
		case !k.signedBy(ResetMessage(c.Tenant, c.Account, x, q), q.Signature):
			a.outcome = BadSignature
		case x.Own != k.ID || !p.ShowsCodes(k): // a reset is its own device's to ask for
			a.outcome = NotEligible
		case p.Reset.LocalPresence && !q.Present:
			a.outcome = RefusedByPolicy
		case !x.Open(n.Time):
			a.outcome = Ended // the same request twice has one grant
		default:
			a.outcome = Done
		}
	}
	if a.outcome != Done {
		return changed(n, c, a)
	}
	if q.Device != "" {
		n.end(i, Verified, by)
	}
	n.ownSignIn(i).Granted = true
	a.credential = n.give(GrantReset, by, q.Random)
	d := changed(n, c, a)
	d.also(opMakeGrant, PepperKey, q.SignIn)
	if q.Device != "" {
		notice := noticeOf(NoticeVerified, &n.SignIns[i])
		notice.Credential, notice.Devices = by, s.deciders(x)
		d.notify(c, notice)
		d.ownerSeen(c, by)
	}
	return d
}

// redeemGrant decides the one use of a grant. A wrong token isn't charged: it has 160 bits.
func redeemGrant(p Policy, s *State, c *Command) Decision {
	q := c.RedeemGrant
	n := next(s, c)
	a := act{macs: q.MACs, subject: q.Recovery}
	if q.MACs > 0 {
		a.named = PepperKey
	}
	g := s.Grant(q.Purpose, c.Time)
	switch {
	case g == nil || q.Purpose == GrantRecovery && g.By != q.Recovery:
		a.outcome = Wrong // used, late, revoked, or never given: nobody need know which
		if old := s.Access.grant(q.Purpose); old != nil && n.Time >= old.Expires && q.Matched && bytes.Equal(old.Random, q.Random) {
			a.outcome = Expired
		}
	case !bytes.Equal(q.Random, g.Random):
		return stale
	case !q.Matched:
		a.outcome = Wrong
	case q.Purpose == GrantRecovery && !p.Recovery.Allow:
		a.outcome = RefusedByPolicy
	case q.Purpose == GrantRecovery:
		return bindAnew(p, s, c, a)
	default:
		a.outcome, a.credential = Done, g.By
		n.revoke(GrantReset)
		revoked := n.revokeAppPasswords()
		cancelled := n.cancelSignIns(s)
		d := changed(n, c, a)
		if len(revoked) > 0 && d.Entry != nil {
			d.Entry.Detail = "app passwords revoked: " + strings.Join(revoked, " ")
		}
		d.notify(c, cancelled...)
		d.notify(c, Notice{Kind: NoticePasswordReset, Credential: g.By, Devices: s.deciders(&SignIn{})})
		return d
	}
	return changed(n, c, a)
}

// bindAnew ends a recovery well. What there was of credentials and app passwords goes in the step in which the new device
// comes: it was lost, and may be in a stranger's hand. So does trust in browsers, and what was proved in sign-ins of before:
// a stranger who just used the lost device could add one of their own with it. Two-step verification ends: whoever had its
// phones and recovery key would have used them, and nothing else turns it off. Protection's phones stay, since one has to
// remain; the new device can remove them.
func bindAnew(p Policy, s *State, c *Command, a act) Decision {
	q := c.RedeemGrant
	if q.Device == nil {
		return stale // the node had not seen that the token is right
	}
	n := next(s, c)
	told := s.deciders(&SignIn{})
	var dropped []string
	for len(n.Credentials) > 0 {
		dropped = append(dropped, n.Credentials[0].ID)
		n.drop(0)
	}
	n.Attempts = Attempts{} // NIST SP 800-63B, Section 5.2.2: bound anew
	passwords := n.revokeAppPasswords()
	browsers := n.without(everyBrowser) // their tokens may be in a stranger's hand as well
	stepped := n.Enrolment.Mode == TwoStep
	n.endTwoStep()
	cancelled := n.cancelSignIns(s)
	n.forgetVerified("")
	n.revoke(GrantReset)
	n.revoke(GrantRecovery)
	r := &n.Access.Recovery
	r.End, r.Ended = RecoveryEndCompleted, n.Time

	inner := *c
	inner.RedeemGrant, inner.Enrol, inner.Request = nil, &Enrol{Credential: *q.Device, Door: SealedDoor, MACs: 1}, RequestID{}
	before := s.Refused // the first entry counts them
	n.Refused = Refused{}
	enrolled := enrol(p, n, &inner)
	if enrolled.Result.Outcome != Done {
		a.outcome = enrolled.Result.Outcome
		return changed(next(s, c), c, a)
	}
	n = enrolled.Next
	n.Refused = before
	a.outcome, a.credential = Done, q.Device.ID
	d := changed(n, c, a)
	if d.Entry != nil {
		d.Entry.Detail = "credentials removed: " + strings.Join(dropped, " ")
		if len(browsers) > 0 {
			d.Entry.Detail += ", browsers: " + strings.Join(browsers, " ")
		}
		if len(passwords) > 0 {
			d.Entry.Detail += ", app passwords: " + strings.Join(passwords, " ")
		}
	}
	d.Also = append(d.Also, enrolled.Entries()...)
	d.Notices = append(d.Notices, enrolled.Notices...)
	d.notify(c, cancelled...)
	if stepped {
		d.endedTwoStep(c, n)
	}
	d.tellOfRecovery(c, s, NoticeRecoveryCompleted, told)
	return d
}
