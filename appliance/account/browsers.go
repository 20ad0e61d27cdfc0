package account

import (
	"crypto/subtle"
	"encoding/binary"
	"slices"
	"strings"
)

// Browsers are the browsers that an account's owner chose to trust, in the order in which they were.
type Browsers struct {
	List []Browser `cbor:"1,keyasint,omitempty"` // at most MaxBrowsers
}

// Browser is one of them. Its token isn't here: it is the device-trust key's signature over BrowserTokenMessage, and what
// is here says which one of them counts.
type Browser struct {
	ID string `cbor:"1,keyasint"`
	// Digest is the pepper's MAC over BrowserMessage, so that nobody who reads a state learns the front-end's id of it.
	Digest []byte `cbor:"2,keyasint"`
	N      uint32 `cbor:"3,keyasint"` // of the token that is right now; each use makes the next one
	Name   string `cbor:"4,keyasint,omitempty"`
	Added  Time   `cbor:"5,keyasint,omitempty"`
	// LastUsed is when N was moved on last; 0: never.
	LastUsed Time `cbor:"6,keyasint,omitempty"`
	Expires  Time `cbor:"7,keyasint,omitempty"` // by the policy of when it became trusted; a later one may be shorter
}

// TrustBrowser trusts the browser in which a sign-in was just verified, once. Of the browser the core sets N and the times
// itself.
type TrustBrowser struct {
	Browser Browser `cbor:"1,keyasint"`
	SignIn  string  `cbor:"2,keyasint"`
	MACs    uint32  `cbor:"3,keyasint,omitempty"`
}

// CheckBrowser asks whether a browser is trusted now. Neither the token nor its signature is here: whoever reads a disk
// with the log of commands could use them.
type CheckBrowser struct {
	ID     string `cbor:"1,keyasint,omitempty"` // as the token says; empty: it is none
	N      uint32 `cbor:"2,keyasint,omitempty"` // likewise
	Digest []byte `cbor:"3,keyasint"`           // MAC of the front-end's id of the browser that presents it
	// Genuine says that the device-trust key signed the token, for this account and browser.
	Genuine bool   `cbor:"4,keyasint,omitempty"`
	MACs    uint32 `cbor:"5,keyasint,omitempty"`
}

// BrowserPolicy is what a tenant's policy says of trust in browsers and of new devices. Its zero value trusts a browser
// for DefaultBrowserDays if its owner chooses to.
type BrowserPolicy struct {
	// NoBrowserTrust says that none is trusted, nor any that was before.
	NoBrowserTrust bool `cbor:"23,keyasint,omitempty" json:"no_browser_trust,omitempty"`
	// BrowserDays is how long one is trusted without a code; 0: DefaultBrowserDays. A shorter time holds at once for all.
	BrowserDays uint16 `cbor:"24,keyasint,omitempty" json:"browser_days,omitempty"`
	// OpenEnrolment lets front-ends add devices and apps to accounts that have a device or are protected, without a sign-in
	// that was verified within StepUpMinutes, or DefaultStepUpMinutes.
	OpenEnrolment bool `cbor:"25,keyasint,omitempty" json:"open_enrolment,omitempty"`
}

func (p BrowserPolicy) browserLife() Time {
	return Time(or(p.BrowserDays, DefaultBrowserDays, MaxBrowserDays)) * 24 * 60 * 60 * 1000
}

// expired says whether the browser's trust has run out.
func (b *Browser) expired(p BrowserPolicy, now Time) bool {
	return now >= min(b.Expires, b.Added+p.browserLife())
}

// TrustedUntil is when a browser's trust runs out; 0: it is not trusted now.
func (b *Browser) TrustedUntil(p BrowserPolicy, now Time) Time {
	if p.NoBrowserTrust || b.expired(p, now) {
		return 0
	}
	return min(b.Expires, b.Added+p.browserLife())
}

// Browser returns the browser with that id, or nil. The result must not be written to.
func (s *State) Browser(id string) *Browser {
	if s != nil {
		if i := s.Browsers.index(id); i >= 0 {
			return &s.Browsers.List[i]
		}
	}
	return nil
}

func (b *Browsers) index(id string) int {
	return slices.IndexFunc(b.List, func(x Browser) bool { return x.ID == id })
}

// match finds the browser of an id and a digest, -1 if there is none. It compares MaxBrowsers digests, whatever it finds.
func (b *Browsers) match(id string, digest []byte) int {
	found := -1
	for i := range MaxBrowsers {
		stored, there := decoyMAC[:], 0
		if i < len(b.List) && b.List[i].ID == id {
			stored, there = b.List[i].Digest, 1
		}
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(stored, digest)&there, i, found)
	}
	return found
}

// without takes the browsers away for which drop says so, and returns their ids. s is the new state.
func (s *State) without(drop func(*Browser) bool) (ids []string) {
	var kept []Browser
	for i := range s.Browsers.List {
		if b := &s.Browsers.List[i]; drop(b) {
			ids = append(ids, b.ID)
		} else {
			kept = append(kept, *b)
		}
	}
	s.Browsers.List = kept
	return ids
}

func everyBrowser(*Browser) bool { return true }

// trustBrowser judges the wish. A name that isn't an account is answered like one whose sign-in isn't verified.
func trustBrowser(p Policy, s *State, c *Command) Decision {
	q := c.TrustBrowser
	a := act{outcome: StepUp, subject: q.Browser.ID, named: PepperKey, macs: q.MACs}
	if p.NoBrowserTrust {
		a.outcome = RefusedByPolicy
	}
	if s == nil || s.Phantom {
		return unchanged(s, c, a)
	}
	n := next(s, c)
	at := s.signIn(q.SignIn)
	switch {
	case p.NoBrowserTrust, !s.Fresh(q.SignIn, TrustWithin, n.Time), s.SignIns[at].Trusted:
		return changed(n, c, a)
	case s.SignIns[at].Purpose != ForBrowser:
		a.outcome = NotEligible
		return changed(n, c, a)
	case s.Browsers.index(q.Browser.ID) >= 0:
		a.outcome = Conflict
		return changed(n, c, a)
	}
	x := n.ownSignIn(at)
	x.Trusted = true
	n.without(func(b *Browser) bool {
		return b.expired(p.BrowserPolicy, n.Time) || subtle.ConstantTimeCompare(b.Digest, q.Browser.Digest) == 1
	})
	var gone []string
	if len(n.Browsers.List) >= MaxBrowsers { // the one that was used longest ago needs a code again
		oldest := slices.MinFunc(n.Browsers.List, func(x, y Browser) int { return int(max(x.Added, x.LastUsed) - max(y.Added, y.LastUsed)) })
		gone = n.without(func(b *Browser) bool { return b.ID == oldest.ID })
	}
	b := q.Browser
	b.N, b.Added, b.Expires = firstToken(c.Salt), n.Time, n.Time+p.browserLife()
	n.Browsers.List = append(n.Browsers.List, b)
	a.outcome, a.credential = Done, b.ID
	d := changed(n, c, a)
	if len(gone) > 0 && d.Entry != nil {
		d.Entry.Detail = "in the place of " + strings.Join(gone, " ")
	}
	d.signsToken(b.ID)
	notice := noticeOf(NoticeBrowserTrusted, x)
	notice.Credential, notice.Name, notice.Nonce, notice.Expires, notice.Devices = b.ID, b.Name, nil, b.Expires, s.deciders(x)
	d.notify(c, notice)
	return d
}

// firstToken is the number of a browser's first token. It says nothing, so that a later one doesn't say how often the
// browser was used.
func firstToken(salt []byte) uint32 {
	var b [4]byte
	copy(b[:], salt)
	return binary.BigEndian.Uint32(b[:])>>2 + 1
}

// signsToken adds the entry for the token that is signed once this is committed.
func (d *Decision) signsToken(id string) {
	if d.also(opSignToken, deviceTrustKey, id); len(d.Also) > 0 {
		e := d.Also[len(d.Also)-1]
		e.MACs, e.Detail = 0, ""
	}
}

// checkBrowser judges a token. It is nothing that could be guessed, so that a wrong one isn't charged, and whoever guesses
// codes keeps no trusted browser out.
func checkBrowser(p Policy, s *State, c *Command) Decision {
	q := c.CheckBrowser
	a := act{outcome: Wrong, named: PepperKey, macs: q.MACs}
	if s == nil || s.Phantom {
		(&Browsers{}).match(q.ID, q.Digest)
		return unchanged(s, c, a)
	}
	n := next(s, c)
	i := s.Browsers.match(q.ID, q.Digest)
	if i < 0 || !q.Genuine {
		return changed(n, c, a)
	}
	b := s.Browsers.List[i]
	a.subject = b.ID
	switch {
	case p.NoBrowserTrust:
		a.outcome = RefusedByPolicy
		return changed(n, c, a)
	case b.expired(p.BrowserPolicy, n.Time):
		n.without(func(x *Browser) bool { return x.ID == b.ID })
		a.outcome = Expired
		return changed(n, c, a)
	case q.N == b.N:
		n.Browsers.List = slices.Clone(s.Browsers.List)
		n.Browsers.List[i].N++
		n.Browsers.List[i].LastUsed = n.Time
	case q.N+1 == b.N && n.Time-b.LastUsed < RotateGrace:
		// Two pages at once, or an answer that was lost: it gets the token that the other one got.
	default:
		// Two browsers have had this token. Which one is the thief's nobody can tell.
		n.without(func(x *Browser) bool { return x.ID == b.ID })
		a.outcome = Reused
		d := changed(n, c, a)
		d.notify(c, Notice{Kind: NoticeBrowserReused, Credential: b.ID, Name: b.Name, Devices: s.deciders(&SignIn{})})
		return d
	}
	a.outcome, a.credential = Accepted, b.ID
	d := changed(n, c, a)
	d.signsToken(b.ID)
	return d
}

const (
	browserDomain = "strongroom/browser/v1"
	tokenDomain   = "strongroom/browser-token/v1"
)

// BrowserMessage is what the pepper MACs to know a browser by: the domain string, tenant, account and the front-end's id of
// it, each after its length in four bytes, high byte first.
func BrowserMessage(tenant, account, browser string) []byte {
	return appendParts(nil, browserDomain, tenant, account, browser)
}

// BrowserTokenMessage is what the device-trust key signs: the domain string, tenant, account, digest, id and N as eight
// bytes, high byte first; each after its length in four bytes.
func BrowserTokenMessage(tenant, account string, digest []byte, id string, n uint32) []byte {
	return appendParts(nil, tokenDomain, tenant, account, string(digest), id, eight(uint64(n)))
}

func (b *Browser) validate(v *validation) {
	v.text("browser", b.ID, 1, MaxID)
	v.text("browser's name", b.Name, 0, MaxText)
	v.check(len(b.Digest) == MACSize, "browser", "its digest must have 32 bytes")
	for _, t := range []Time{b.Added, b.LastUsed} {
		v.check(t >= 0 && t <= MaxTime, "browser", "its times are out of bounds")
	}
	v.check(b.Expires >= 0 && b.Expires <= MaxTime+MaxBrowserDays*24*60*60*1000, "browser", "its times are out of bounds")
}

func (b *Browsers) validate(v *validation) {
	v.check(len(b.List) <= MaxBrowsers, "browsers", "too many")
	for i := range b.List {
		b.List[i].validate(v)
		v.check(b.index(b.List[i].ID) == i, "browser", "its id is there twice")
	}
}

func (q *TrustBrowser) validate(v *validation) {
	q.Browser.validate(v)
	v.text("sign-in", q.SignIn, 1, MaxID)
	b := &q.Browser
	v.check(b.N == 0 && b.Added == 0 && b.LastUsed == 0 && b.Expires == 0, "browser", "has a past")
}

func (q *CheckBrowser) validate(v *validation) {
	v.text("browser", q.ID, 0, MaxID)
	v.check(len(q.Digest) == MACSize, "browser", "its digest must have 32 bytes")
	v.check(q.ID != "" || !q.Genuine && q.N == 0, "browser", "is a number without an id")
}
