package account

import (
	"errors"
	"fmt"

	"strongroom.internal/appliance/otp"
)

// version is the version of State's encoding. A decoder that meets another stops the node.
const version = 1

// State is everything that is kept of one account. Its encoding is CBOR, core deterministic (RFC 8949, Section 4.2):
// [EncodeState] makes one encoding of a state and [DecodeState] accepts no other. A state is never changed once it is
// made: transitions make new ones.
type State struct {
	Version uint8 `cbor:"1,keyasint"`
	// Phantom marks the record of a name that was guessed at and isn't an account. It counts attempts as an account does,
	// and to everything else it isn't there.
	Phantom bool `cbor:"2,keyasint,omitempty"`
	// Salt makes the pseudonym. With it goes what links the log to the account.
	Salt    []byte `cbor:"3,keyasint"`
	Created Time   `cbor:"4,keyasint,omitempty"` // 0 for phantoms
	Time    Time   `cbor:"5,keyasint"`           // latest of all commands that changed the account
	// Keys counts what evaluations depend on: credentials, their drift and their counters. It starts at random, so that an
	// account that was deleted and made again isn't taken for its predecessor; 0 for phantoms.
	Keys         uint64       `cbor:"6,keyasint,omitempty"`
	Credentials  []Credential `cbor:"7,keyasint,omitempty"` // in the order they were added
	Attempts     `cbor:"8,keyasint"`
	Requests     Requests     `cbor:"9,keyasint"` // at most MaxRequests
	Refused      Refused      `cbor:"10,keyasint,omitzero"`
	SignIns      []SignIn     `cbor:"11,keyasint,omitempty"` // oldest first
	Phones       []Phone      `cbor:"12,keyasint,omitempty"` // in the person's order
	Channels     Channels     `cbor:"13,keyasint,omitzero"`
	AppPasswords AppPasswords `cbor:"14,keyasint,omitzero"`
	Browsers     Browsers     `cbor:"15,keyasint,omitzero"`
	Enrolment    Enrolment    `cbor:"16,keyasint,omitzero"`
	TwoStep      TwoStepState `cbor:"18,keyasint,omitzero"`
	Access       Access       `cbor:"17,keyasint,omitzero"`
}

// Kind is what holds a seed.
type Kind uint8

// The kinds of credentials.
const (
	InvalidKind   Kind = iota
	Device             // has a key pair; its seed was sealed to it
	Authenticator      // an app or token that has only the seed
)

// String is "device" or "authenticator".
func (k Kind) String() string {
	switch k {
	case Device:
		return "device"
	case Authenticator:
		return "authenticator"
	}
	return "invalid"
}

// Credential is one seed and what goes with it. Seed, Envelope and Certificate are opaque here.
type Credential struct {
	ID            string     `cbor:"1,keyasint"`
	Kind          Kind       `cbor:"2,keyasint"`
	Params        otp.Params `cbor:"3,keyasint"`
	Seed          []byte     `cbor:"4,keyasint,omitempty"` // sealed
	SeedVersion   uint32     `cbor:"5,keyasint"`           // of the credential, as the seed is bound to it
	KeyVersion    uint32     `cbor:"6,keyasint"`           // of the wrapping key; for the log
	Envelope      []byte     `cbor:"7,keyasint,omitempty"` // the seed, sealed to the device's key
	Certificate   []byte     `cbor:"8,keyasint,omitempty"` // DER
	PublicKey     []byte     `cbor:"9,keyasint,omitempty"` // PKIX DER
	Name          string     `cbor:"10,keyasint,omitempty"`
	Model         string     `cbor:"11,keyasint,omitempty"`
	Serial        string     `cbor:"12,keyasint,omitempty"`
	Platform      string     `cbor:"13,keyasint,omitempty"`
	SystemVersion string     `cbor:"14,keyasint,omitempty"`
	Issuer        string     `cbor:"15,keyasint,omitempty"`
	Label         string     `cbor:"16,keyasint,omitempty"`
	Added         Time       `cbor:"17,keyasint"`
	LastUsed      Time       `cbor:"18,keyasint,omitempty"` // 0: never
	// Watermark is the last step whose code was accepted, -1 when none was. It and all before it are spent, and it never
	// moves back.
	Watermark otp.Step `cbor:"19,keyasint"`
	// Drift is by how many steps the credential's clock was ahead when it was last accepted; TOTP only.
	Drift int32 `cbor:"20,keyasint,omitempty"`
	// Counter is the next that is expected; HOTP only.
	Counter otp.Step `cbor:"21,keyasint,omitempty"`
	// Presence is whether the device is signed in; devices only.
	Presence Presence `cbor:"22,keyasint,omitzero"`
}

func (c *Credential) validate(v *validation) {
	v.text("credential", c.ID, 1, MaxID)
	v.check(c.Kind == Device || c.Kind == Authenticator, "kind", "not known")
	if err := c.Params.Validate(); err != nil {
		v.errs = append(v.errs, err)
	}
	v.check(len(c.Seed) <= MaxSeed, "seed", "too long")
	v.check(len(c.Envelope) <= MaxEnvelope, "envelope", "too long")
	v.check(len(c.Certificate) <= MaxCertificate, "certificate", "too long")
	v.check(len(c.PublicKey) <= MaxPublicKey, "public key", "too long")
	v.text("name", c.Name, 0, MaxText)
	v.text("model", c.Model, 0, MaxText)
	v.text("serial", c.Serial, 0, MaxText)
	v.text("platform", c.Platform, 0, MaxText)
	v.text("system version", c.SystemVersion, 0, MaxText)
	v.text("issuer", c.Issuer, 0, MaxText)
	v.text("label", c.Label, 0, MaxText)
	v.check(c.Counter == 0 || c.Params.Mode == otp.HOTP && c.Counter > 0 && c.Counter <= MaxCounter,
		"counter", "out of bounds")
	c.Presence.validate(v)
}

// Find returns the credential with that id, or nil. The result must not be written to.
func (s *State) Find(id string) *Credential {
	if i := s.index(id); i >= 0 {
		return &s.Credentials[i]
	}
	return nil
}

func (s *State) index(id string) int {
	if s != nil {
		for i := range s.Credentials {
			if s.Credentials[i].ID == id {
				return i
			}
		}
	}
	return -1
}

// first is the candidate that is tried first: the one last used; nil when there is none.
func (s *State) first(device string) (first *Credential) {
	for i := range s.Credentials {
		c := &s.Credentials[i]
		if (device == "" || c.ID == device) && (first == nil || c.LastUsed > first.LastUsed) {
			first = c
		}
	}
	return first
}

// validate checks what the transitions rely on.
func (s *State) validate() error {
	v := &validation{}
	v.check(len(s.Salt) == SaltSize, "salt", "must have 16 bytes")
	v.check(s.Time > 0 && s.Time <= MaxTime, "time", "out of bounds")
	v.check(len(s.Credentials) <= MaxCredentials, "credentials", "too many")
	v.check(len(s.Requests) <= MaxRequests, "requests", "too many")
	v.check(s.Refused.Since >= 0 && s.Refused.Since <= MaxTime && s.Refused.Entry >= 0 && s.Refused.Count < 1<<32-1 && s.Refused.MACs < 1<<32-1, "refused", "out of bounds")
	v.check(!s.Phantom || len(s.Credentials) == 0 && len(s.Phones) == 0 && s.Keys == 0 && s.Created == 0, "phantom", "has what only accounts have")
	v.check(!s.Phantom || len(s.AppPasswords.List) == 0, "phantom", "has app passwords")
	s.AppPasswords.validate(v)
	v.check(!s.Phantom || len(s.Browsers.List) == 0, "phantom", "has browsers")
	s.Browsers.validate(v)
	for i := range s.Credentials {
		c := &s.Credentials[i]
		c.validate(v)
		v.check(c.Watermark >= -1, "watermark", "out of bounds")
		v.check(c.Drift >= -MaxDrift && c.Drift <= MaxDrift, "drift", "out of bounds")
		v.check(s.index(c.ID) == i, "credential", "its id is there twice")
	}
	v.check(len(s.SignIns) <= MaxSignIns, "sign-ins", "too many")
	for i := range s.SignIns {
		s.SignIns[i].validate(v)
		v.check(s.signIn(s.SignIns[i].ID) == i, "sign-in", "its id is there twice")
	}
	v.check(len(s.Phones) <= MaxPhones, "phones", "too many")
	for i := range s.Phones {
		s.Phones[i].validate(v)
		v.check(s.phone(s.Phones[i].ID) == i, "phone", "its id is there twice")
	}
	s.Channels.validate(v)
	s.Enrolment.validate(v)
	s.Access.validate(v)
	v.check(!s.Phantom || len(s.Access.Grants) == 0, "phantom", "has grants")
	v.check(!s.Phantom || s.Enrolment.Mode == Unprotected && len(s.Enrolment.Lost) == 0, "phantom", "has what only accounts have")
	v.check(s.Enrolment.Mode != TwoFactor || s.VerifiedPhones() > 0, "protection", "without a verified phone")
	s.validateTwoStep(v)
	return errors.Join(v.errs...)
}

// Policy is a tenant's policy. The zero value is the safe one: both doors are closed, and a front-end can't tell a spent
// code from a wrong one.
type Policy struct {
	// AllowReveal lets a seed be made that is shown once as a QR code, to an app that has no key.
	AllowReveal bool `cbor:"1,keyasint,omitempty" json:"allow_reveal"`
	// AllowImport lets a seed that exists elsewhere be taken in.
	AllowImport bool `cbor:"2,keyasint,omitempty" json:"allow_import"`
	// TellSpent lets front-ends see Spent and Expired apart from Wrong. It is for the shell; no transition reads it.
	TellSpent bool `cbor:"3,keyasint,omitempty" json:"tell_spent"`
	// MaxCredentials is the most that an account may have; 0: DefaultCredentials. At most MaxCredentials of limits.go.
	MaxCredentials uint8 `cbor:"4,keyasint,omitempty" json:"max_credentials,omitempty"`

	// AllowAppPasswords lets passwords be made that open a service without a second factor. Off again, those that there
	// are open nothing.
	AllowAppPasswords bool `cbor:"20,keyasint,omitempty" json:"allow_app_passwords,omitempty"`
	// MaxAppPasswords is the most that an account may have; 0: MaxAppPasswords of limits.go, which is also the most.
	MaxAppPasswords uint8 `cbor:"21,keyasint,omitempty" json:"max_app_passwords,omitempty"`
	// AllowTwoStepImport lets two-step verification be taken over from elsewhere. Off again, what was taken over goes on.
	AllowTwoStepImport bool `cbor:"39,keyasint,omitempty" json:"allow_two_step_import,omitempty"`
	SignInPolicy
	BrowserPolicy
	EnrolmentPolicy
	Recovery RecoveryPolicy `cbor:"34,keyasint,omitzero" json:"recovery,omitzero"`
	Reset    ResetPolicy    `cbor:"35,keyasint,omitzero" json:"password_reset,omitzero"`
	// NoticesFull is no part of the policy: whoever applies a command says with it that too many notices of the tenant
	// wait. Acts that are nothing without their notice are refused then.
	NoticesFull bool `cbor:"-" json:"-"`
	// Gateway likewise says that there is a gateway, which can send codes.
	Gateway bool `cbor:"-" json:"-"`
}

// Validate reports everything that is wrong with the policy.
func (p Policy) Validate() error {
	if p.MaxCredentials > MaxCredentials {
		return fmt.Errorf("max_credentials: must be at most %d", MaxCredentials)
	}
	if p.MaxAppPasswords > MaxAppPasswords {
		return fmt.Errorf("max_app_passwords: must be at most %d", MaxAppPasswords)
	}
	if p.BrowserDays > MaxBrowserDays {
		return fmt.Errorf("browser_days: must be at most %d", MaxBrowserDays)
	}
	return errors.Join(p.SignInPolicy.validate(), p.EnrolmentPolicy.validate(), p.Recovery.validate())
}

func (p Policy) maxCredentials() int {
	if p.MaxCredentials == 0 {
		return DefaultCredentials
	}
	return min(int(p.MaxCredentials), MaxCredentials)
}

func (p Policy) maxAppPasswords() int {
	if p.MaxAppPasswords == 0 {
		return MaxAppPasswords
	}
	return min(int(p.MaxAppPasswords), MaxAppPasswords)
}

// open says whether a seed may come in through the door.
func (p Policy) open(d Door) bool {
	switch d {
	case SealedDoor:
		return true
	case ImportedDoor:
		return p.AllowImport
	case RevealedDoor:
		return p.AllowReveal
	}
	return false
}
