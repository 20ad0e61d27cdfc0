package account

import (
	"crypto/subtle"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// AppPasswords is an account's app passwords, in the order in which they were made, and what it remembers of guesses.
type AppPasswords struct {
	List []AppPassword `cbor:"1,keyasint,omitempty"` // at most MaxAppPasswords
	// Wrong is the first WrongSize bytes of the last refused password's MAC. A mail program that goes on with a password
	// that is dead makes no new guess, and is charged for the first one only.
	Wrong []byte `cbor:"2,keyasint,omitempty"`
}

// AppPassword is one password that an application without a second factor uses. The password is not here: MAC is
// HMAC-SHA-256 under the pepper, made in the module.
type AppPassword struct {
	ID       string `cbor:"1,keyasint"`
	Label    string `cbor:"2,keyasint,omitempty"` // what its owner calls the application
	MAC      []byte `cbor:"3,keyasint"`
	Service  string `cbor:"4,keyasint,omitempty"` // the only one that it opens; empty: any
	Network  string `cbor:"5,keyasint,omitempty"` // the only one that it is heard from, CIDR; empty: any
	Expires  Time   `cbor:"6,keyasint,omitempty"` // from when it is dead; 0: never
	Added    Time   `cbor:"7,keyasint,omitempty"`
	LastUsed Time   `cbor:"8,keyasint,omitempty"` // 0: never
	LastFrom string `cbor:"9,keyasint,omitempty"` // address of the last use, if the front-end said
}

// CreateAppPassword adds an app password. Of the password the core sets Added, LastUsed and LastFrom itself. A MAC that
// is empty says that the node saw that policy allows none and asked no module; if it does after all, the outcome is Stale.
type CreateAppPassword struct {
	Password AppPassword `cbor:"1,keyasint"`
	MACs     uint32      `cbor:"2,keyasint,omitempty"`
}

// RevokeAppPassword ends one app password at once, or all of them.
type RevokeAppPassword struct {
	ID string `cbor:"1,keyasint,omitempty"` // empty: all
}

// VerifyAppPassword is one attempt with an app password. The MAC doesn't depend on the account's state: it can't become
// stale, and one is all that an attempt costs, however many passwords there are.
type VerifyAppPassword struct {
	// MAC of what was typed. Empty: the node saw the account locked, or the request answered, and asked no module. If
	// neither is so after all, the outcome is Stale.
	MAC     []byte `cbor:"1,keyasint,omitempty"`
	Service string `cbor:"2,keyasint,omitempty"` // that is being opened; empty: the front-end didn't say
	Source  string `cbor:"3,keyasint,omitempty"` // address of the application; empty: the front-end didn't say
	MACs    uint32 `cbor:"4,keyasint,omitempty"`
}

// pepperKey is hsm.KeyPepper, as log entries name it, and pepperVersion the only version that there is.
const (
	pepperKey     = "pepper"
	pepperVersion = 1
)

// peppered says in a decision's entry which key it was about, and which app password.
func peppered(d Decision, id string) Decision {
	if d.Entry != nil {
		d.Entry.Key, d.Entry.KeyVersion, d.Entry.Subject = pepperKey, pepperVersion, id
	}
	return d
}

func createAppPassword(p Policy, s *State, c *Command) Decision {
	create := c.CreateAppPassword
	k := create.Password
	refuse := func(o Outcome) Decision {
		return peppered(changed(next(s, c), c, act{outcome: o, macs: create.MACs}), k.ID)
	}
	switch {
	case !p.AllowAppPasswords:
		return refuse(RefusedByPolicy)
	case len(k.MAC) == 0:
		return stale
	case s.AppPasswords.index(k.ID) >= 0:
		return refuse(Conflict)
	case len(s.AppPasswords.List) >= p.maxAppPasswords():
		return refuse(TooMany)
	}
	n := next(s, c)
	k.Added = n.Time
	n.AppPasswords.List = append(slices.Clip(s.AppPasswords.List), k)
	return peppered(changed(n, c, act{outcome: Done, credential: k.ID, macs: create.MACs}), k.ID)
}

func revokeAppPassword(s *State, c *Command) Decision {
	n := next(s, c)
	id := c.RevokeAppPassword.ID
	if id == "" {
		revoked := n.revokeAppPasswords()
		d := peppered(changed(n, c, act{outcome: Done}), "")
		if d.Entry != nil {
			d.Entry.Detail = strings.Join(revoked, " ") // 25 ids of 16 bytes are far below audit.MaxDetail
		}
		return d
	}
	i := s.AppPasswords.index(id)
	if i < 0 {
		return peppered(changed(n, c, act{outcome: NotFound}), id)
	}
	n.AppPasswords.List = slices.Delete(slices.Clone(s.AppPasswords.List), i, i+1)
	if len(n.AppPasswords.List) == 0 {
		n.AppPasswords.List = nil
	}
	return peppered(changed(n, c, act{outcome: Done, credential: id}), id)
}

// revokeAppPasswords ends all app passwords, as a change of the account's password does, and returns their ids. s is the
// new state that is being made.
func (s *State) revokeAppPasswords() (ids []string) {
	for i := range s.AppPasswords.List {
		ids = append(ids, s.AppPasswords.List[i].ID)
	}
	s.AppPasswords.List = nil
	return ids
}

// verifyAppPassword decides one attempt with an app password. It neither ends a series of failed codes, or a mail program
// that asks every five minutes would give whoever guesses codes a fresh budget each time, nor counts among MaxFailures: see
// ENROLMENT.md.
func verifyAppPassword(p Policy, s *State, c *Command) Decision {
	v := c.VerifyAppPassword
	if s == nil {
		if len(c.Salt) != SaltSize {
			return stale
		}
		s = &State{Version: version, Phantom: true, Salt: c.Salt}
	}
	if retryAt, is := s.LockedAt(c.Time); is {
		return peppered(locked(s, c, act{outcome: Locked, retryAt: retryAt, macs: v.MACs}), "")
	}
	if len(v.MAC) == 0 {
		return stale
	}
	n := next(s, c)
	i := s.AppPasswords.match(v.MAC)
	if i < 0 {
		n.failAppPassword(v.MAC)
		return peppered(changed(n, c, act{outcome: Wrong, macs: v.MACs}), "")
	}
	k := &s.AppPasswords.List[i]
	outcome := Accepted
	switch {
	case !p.AllowAppPasswords:
		outcome = RefusedByPolicy
	case k.Expires != 0 && n.Time >= k.Expires:
		outcome = Expired
	case !k.inScope(v.Service, v.Source):
		outcome = OutOfScope
	}
	if outcome != Accepted {
		// Charged like a wrong one: nobody finds out from the lock-out that it was right.
		n.failAppPassword(v.MAC)
		return peppered(changed(n, c, act{outcome: outcome, macs: v.MACs}), k.ID)
	}
	n.AppPasswords.List = slices.Clone(s.AppPasswords.List)
	used := &n.AppPasswords.List[i]
	used.LastUsed, used.LastFrom = n.Time, v.Source
	return peppered(changed(n, c, act{outcome: Accepted, credential: k.ID, macs: v.MACs}), k.ID)
}

// failAppPassword charges an attempt, unless it is the last one again. s is the new state that is being made.
func (s *State) failAppPassword(mac []byte) {
	if subtle.ConstantTimeCompare(s.AppPasswords.Wrong, mac[:WrongSize]) == 1 {
		return
	}
	s.AppPasswords.Wrong = slices.Clone(mac[:WrongSize])
	s.failCheaply(appPasswordCost)
}

// decoyMAC stands in where there is no password, so that each attempt compares as many.
var decoyMAC [MACSize]byte

// match finds the password of a MAC, -1 if there is none. It compares MaxAppPasswords of them, whatever it finds.
func (a *AppPasswords) match(mac []byte) int {
	found := -1
	for i := range MaxAppPasswords {
		stored, there := decoyMAC[:], 0
		if i < len(a.List) {
			stored, there = a.List[i].MAC, 1
		}
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(stored, mac)&there, i, found)
	}
	return found
}

func (a *AppPasswords) index(id string) int {
	return slices.IndexFunc(a.List, func(k AppPassword) bool { return k.ID == id })
}

// AppPassword returns the app password with that id, or nil. The result must not be written to.
func (s *State) AppPassword(id string) *AppPassword {
	if s != nil {
		if i := s.AppPasswords.index(id); i >= 0 {
			return &s.AppPasswords.List[i]
		}
	}
	return nil
}

// inScope says whether the password opens that service from there. What the front-end didn't say is within no bound.
func (k *AppPassword) inScope(service, source string) bool {
	if k.Service != "" && k.Service != service {
		return false
	}
	if k.Network == "" {
		return true
	}
	network, err := netip.ParsePrefix(k.Network)
	if err != nil {
		return false // validate refuses it
	}
	address, err := netip.ParseAddr(source)
	return err == nil && network.Contains(address)
}

// validNetwork takes networks in the one way of writing them: masked, and IPv4 as IPv4.
func validNetwork(s string) bool {
	p, err := netip.ParsePrefix(s)
	return err == nil && p == p.Masked() && !p.Addr().Is4In6() && p.String() == s
}

// validSource takes addresses in the one way of writing them: without a zone, and IPv4 as IPv4.
func validSource(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == "" && !a.Is4In6() && a.String() == s
}

func (k *AppPassword) validate(v *validation) {
	v.text("app password", k.ID, 1, MaxID)
	v.text("label", k.Label, 0, MaxText)
	v.text("service", k.Service, 0, MaxID)
	v.check(k.Network == "" || validNetwork(k.Network), "network", "not CIDR, or not written the one way")
	v.check(k.LastFrom == "" || validSource(k.LastFrom), "last from", "not an address, or not written the one way")
	for _, t := range []Time{k.Expires, k.Added, k.LastUsed} {
		v.check(t >= 0 && t <= MaxTime, "time", "out of bounds")
	}
}

func (a *AppPasswords) validate(v *validation) {
	v.check(len(a.List) <= MaxAppPasswords, "app passwords", "too many")
	v.check(len(a.Wrong) == 0 || len(a.Wrong) == WrongSize, "wrong app password", "must have 16 bytes")
	for i := range a.List {
		k := &a.List[i]
		k.validate(v)
		v.check(len(k.MAC) == MACSize, "app password", "its MAC must have 32 bytes")
		v.check(a.index(k.ID) == i, "app password", "its id is there twice")
	}
}

func (c *CreateAppPassword) validate(v *validation) {
	k := &c.Password
	k.validate(v)
	v.check(len(k.MAC) == 0 || len(k.MAC) == MACSize, "app password", "its MAC must have 32 bytes")
	v.check(k.Added == 0 && k.LastUsed == 0 && k.LastFrom == "", "app password", "has a past")
}

func (c *VerifyAppPassword) validate(v *validation) {
	v.check(len(c.MAC) == 0 || len(c.MAC) == MACSize, "MAC", "must have 32 bytes")
	v.text("service", c.Service, 0, MaxID)
	v.check(c.Source == "" || validSource(c.Source), "source", "not an address, or not written the one way")
}

func (c *CreateAppPassword) fingerprint() uint64 {
	k := &c.Password
	return digest(k.Label, k.Service, k.Network, strconv.FormatInt(int64(k.Expires), 10))
}
