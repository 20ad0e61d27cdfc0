// Package account is the functional core: the state of one account and its transitions.
//
// It is pure. There is no clock, no randomness, no module, no goroutine, no logger and no map iteration in it: the same
// command on the same state gives the same result on every node and in every engine. Commands carry facts, never
// wishes: time, random bytes, sealed blobs and the steps that a module's MACs matched are all had before the command is
// proposed. A refusal is an outcome with a log entry, like everything else.
package account

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"strongroom.internal/appliance/otp"
)

// Time is a moment in Unix milliseconds.
type Time int64

// Command is one act on one account, with the facts that its decision needs. Exactly one of the pointers is set.
type Command struct {
	Time    Time      `cbor:"1,keyasint"`           // of the node that made the command
	Tenant  string    `cbor:"2,keyasint"`           // as Account: checked by the caller, 1 to 64 bytes
	Account string    `cbor:"3,keyasint"`           // 1 to 128 bytes
	Actor   string    `cbor:"4,keyasint"`           // SPIFFE ID
	Request RequestID `cbor:"5,keyasint"`           // zero: no Idempotency-Key was given
	Salt    []byte    `cbor:"6,keyasint,omitempty"` // 16 random bytes: the pseudonym's salt, should the record be new
	Node    string    `cbor:"7,keyasint"`
	Module  string    `cbor:"8,keyasint"` // serial of the module that computed

	Create *Create `cbor:"10,keyasint,omitempty"`
	Delete *Delete `cbor:"11,keyasint,omitempty"`
	Enrol  *Enrol  `cbor:"12,keyasint,omitempty"`
	Remove *Remove `cbor:"13,keyasint,omitempty"`
	Verify *Verify `cbor:"14,keyasint,omitempty"`
	Resync *Resync `cbor:"15,keyasint,omitempty"`

	Begin             *Begin             `cbor:"20,keyasint,omitempty"`
	Decide            *Decide            `cbor:"21,keyasint,omitempty"`
	Fetch             *Fetch             `cbor:"22,keyasint,omitempty"`
	Send              *Send              `cbor:"23,keyasint,omitempty"`
	Enter             *Enter             `cbor:"24,keyasint,omitempty"`
	Cancel            *Cancel            `cbor:"25,keyasint,omitempty"`
	AddPhone          *AddPhone          `cbor:"26,keyasint,omitempty"`
	EditPhone         *EditPhone         `cbor:"27,keyasint,omitempty"`
	SendPhone         *SendPhone         `cbor:"28,keyasint,omitempty"`
	VerifyPhone       *VerifyPhone       `cbor:"29,keyasint,omitempty"`
	CreateAppPassword *CreateAppPassword `cbor:"30,keyasint,omitempty"`
	RevokeAppPassword *RevokeAppPassword `cbor:"31,keyasint,omitempty"`
	VerifyAppPassword *VerifyAppPassword `cbor:"32,keyasint,omitempty"`

	TrustBrowser   *TrustBrowser   `cbor:"33,keyasint,omitempty"`
	CheckBrowser   *CheckBrowser   `cbor:"34,keyasint,omitempty"`
	EndTrust       *EndTrust       `cbor:"35,keyasint,omitempty"`
	CheckDevice    *CheckDevice    `cbor:"36,keyasint,omitempty"`
	ChangePassword *ChangePassword `cbor:"37,keyasint,omitempty"`

	Protect      *Protect      `cbor:"40,keyasint,omitempty"`
	Unprotect    *Unprotect    `cbor:"41,keyasint,omitempty"`
	Lose         *Lose         `cbor:"42,keyasint,omitempty"`
	UpdateDevice *UpdateDevice `cbor:"43,keyasint,omitempty"`
	Classify     *Classify     `cbor:"44,keyasint,omitempty"`

	Presence        *ReportPresence  `cbor:"56,keyasint,omitempty"`
	EnrolTwoStep    *EnrolTwoStep    `cbor:"50,keyasint,omitempty"`
	SendTwoStep     *SendTwoStep     `cbor:"51,keyasint,omitempty"`
	VerifyTwoStep   *VerifyTwoStep   `cbor:"52,keyasint,omitempty"`
	MakeRecoveryKey *MakeRecoveryKey `cbor:"53,keyasint,omitempty"`
	EndTwoStep      *EndTwoStep      `cbor:"54,keyasint,omitempty"`
	StartRecovery   *StartRecovery   `cbor:"46,keyasint,omitempty"`
	RecoveryAct     *RecoveryAct     `cbor:"47,keyasint,omitempty"`
	ResetPassword   *ResetPassword   `cbor:"48,keyasint,omitempty"`
	RedeemGrant     *RedeemGrant     `cbor:"49,keyasint,omitempty"`
}

// RequestID is the first 16 bytes of SHA-256 over the actor and its Idempotency-Key, so that no client can meet
// another's key.
type RequestID [16]byte

// Create makes an account. An account that exists is left as it is: Outcome Exists.
type Create struct {
	Class string `cbor:"1,keyasint,omitempty"` // of accounts, for policy; see Enrolment
}

// Delete removes an account, its credentials and its pseudonym's salt: what the log says of it stays and can no longer
// be linked to the person.
type Delete struct{}

// Enrol adds a credential whose seed a module has sealed. Of the credential the core sets Added, LastUsed, Watermark and
// Drift itself. A Seed that is empty says that the node saw the door closed and made none; if the door is open after all,
// the outcome is Stale.
type Enrol struct {
	Credential Credential `cbor:"1,keyasint"`
	Door       Door       `cbor:"2,keyasint"`
	MACs       uint32     `cbor:"3,keyasint,omitempty"`
	SignIn     string     `cbor:"33,keyasint,omitempty"` // verified of late, where one is asked for
	// Guarded says that it comes by itself, not with a code or with protection, and that the account's devices guard it: see
	// BrowserPolicy.OpenEnrolment. The log holds enrolments from before that was asked.
	Guarded bool `cbor:"34,keyasint,omitempty"`
}

// Door is the way a seed came into being, checked against the tenant's policy.
type Door uint8

// The doors of DESIGN.md's first promise.
const (
	InvalidDoor  Door = iota
	SealedDoor        // delivered sealed to the device's key: always open
	ImportedDoor      // an existing token was imported
	RevealedDoor      // shown once as a QR code
)

// Remove takes one credential away; its codes are dead at once.
type Remove struct {
	Credential string `cbor:"1,keyasint"`
}

// Verify is one attempt with a code. A module has already compared it with every code of the windows of the candidates;
// the code itself is not here.
type Verify struct {
	// Keys is State.Keys of the state that was evaluated. If the account's has moved on since, the outcome is Stale.
	Keys uint64 `cbor:"1,keyasint"`
	// Device limits the candidates to one credential; empty for all.
	Device string `cbor:"2,keyasint,omitempty"`
	// Evaluated is false when the node saw the account locked and asked no module. If it is not locked after all, the
	// outcome is Stale.
	Evaluated bool `cbor:"3,keyasint"`
	// Matches are the codes of the windows that were equal, at most one a credential and step, candidates' order. The
	// core derives the windows again from Command.Time: a match outside of them opens nothing.
	Matches []Match `cbor:"4,keyasint,omitempty"`
	// MACs counts what the module computed for this attempt, evaluations that turned out stale included.
	MACs uint32 `cbor:"5,keyasint"`
}

// Match says that the code equals the one of this credential at this step or counter.
type Match struct {
	Credential string   `cbor:"1,keyasint"`
	Step       otp.Step `cbor:"2,keyasint"`
}

// Resync moves a credential's counter or drift to where two consecutive codes were found (RFC 4226, Section 7.4). It
// never moves a watermark back, and both codes are spent by it. It is charged as one attempt on the whole account: what
// it really risks, two codes guessed at once, is a millionth of that.
type Resync struct {
	Keys       uint64 `cbor:"1,keyasint"`
	Credential string `cbor:"2,keyasint"`
	Evaluated  bool   `cbor:"3,keyasint"`
	// Matches are steps n at which the first code equals step n's and the second equals step n+1's.
	Matches []otp.Step `cbor:"4,keyasint,omitempty"`
	MACs    uint32     `cbor:"5,keyasint"`
}

// macs is what a module computed for the command before anyone knew that there is nothing to decide: the account went, or
// the request id was taken, in between. The entry says that a key was used all the same.
func (c *Command) macs() uint32 {
	switch {
	case c.Enrol != nil:
		return c.Enrol.MACs
	case c.Verify != nil:
		return c.Verify.MACs
	case c.Resync != nil:
		return c.Resync.MACs
	case c.Enter != nil:
		return c.Enter.MACs
	case c.VerifyPhone != nil:
		return c.VerifyPhone.MACs
	case c.CreateAppPassword != nil:
		return c.CreateAppPassword.MACs
	case c.VerifyAppPassword != nil:
		return c.VerifyAppPassword.MACs
	case c.Unprotect != nil:
		return c.Unprotect.MACs
	case c.TrustBrowser != nil:
		return c.TrustBrowser.MACs
	case c.CheckBrowser != nil:
		return c.CheckBrowser.MACs
	case c.EndTrust != nil:
		return c.EndTrust.MACs
	case c.VerifyTwoStep != nil:
		return c.VerifyTwoStep.MACs
	case c.MakeRecoveryKey != nil:
		return c.MakeRecoveryKey.MACs
	case c.RecoveryAct != nil && c.RecoveryAct.Attempt != nil:
		return c.RecoveryAct.Attempt.MACs
	case c.RedeemGrant != nil:
		return c.RedeemGrant.MACs
	}
	return 0
}

// Validate reports everything that is wrong with the command at once. A command that is not valid must not be proposed:
// the nodes would stop at it. Its bounds may be widened in a later release, never narrowed, or a log that was written
// before would stop them too.
func (c *Command) Validate() error {
	v := &validation{}
	v.check(c.Time > 0 && c.Time <= MaxTime, "time", "out of bounds")
	v.text("tenant", c.Tenant, 1, MaxTenant)
	v.text("account", c.Account, 1, MaxAccount)
	v.text("actor", c.Actor, 0, MaxActor)
	v.text("node", c.Node, 0, MaxNode)
	v.text("module", c.Module, 0, MaxModule)
	v.check(len(c.Salt) == 0 || len(c.Salt) == SaltSize, "salt", "must have 16 bytes")
	kinds := 0
	for _, set := range []bool{
		c.Create != nil, c.Delete != nil, c.Enrol != nil, c.Remove != nil, c.Verify != nil, c.Resync != nil,
		c.Begin != nil, c.Decide != nil, c.Fetch != nil, c.Send != nil, c.Enter != nil, c.Cancel != nil,
		c.AddPhone != nil, c.EditPhone != nil, c.SendPhone != nil, c.VerifyPhone != nil,
		c.CreateAppPassword != nil, c.RevokeAppPassword != nil, c.VerifyAppPassword != nil,
		c.TrustBrowser != nil, c.CheckBrowser != nil, c.EndTrust != nil, c.CheckDevice != nil, c.ChangePassword != nil,
		c.Protect != nil, c.Unprotect != nil, c.Lose != nil, c.UpdateDevice != nil, c.Classify != nil,
		c.Presence != nil,
		c.EnrolTwoStep != nil, c.SendTwoStep != nil, c.VerifyTwoStep != nil, c.MakeRecoveryKey != nil, c.EndTwoStep != nil,
		c.StartRecovery != nil, c.RecoveryAct != nil, c.ResetPassword != nil, c.RedeemGrant != nil,
	} {
		if set {
			kinds++
		}
	}
	v.check(kinds == 1, "kind", "exactly one must be set")
	switch {
	case c.Enrol != nil:
		c.Enrol.validate(v)
	case c.Remove != nil:
		v.text("credential", c.Remove.Credential, 1, MaxID)
	case c.Verify != nil:
		v.text("device", c.Verify.Device, 0, MaxID)
		v.check(len(c.Verify.Matches) <= MaxMatches, "matches", "too many")
		for i := range c.Verify.Matches {
			v.text("match", c.Verify.Matches[i].Credential, 1, MaxID)
		}
	case c.CreateAppPassword != nil:
		c.CreateAppPassword.validate(v)
	case c.RevokeAppPassword != nil:
		v.text("app password", c.RevokeAppPassword.ID, 0, MaxID)
	case c.VerifyAppPassword != nil:
		c.VerifyAppPassword.validate(v)
	case c.Resync != nil:
		v.text("credential", c.Resync.Credential, 1, MaxID)
		v.check(len(c.Resync.Matches) <= MaxMatches, "matches", "too many")
	case c.Begin != nil:
		c.Begin.validate(v)
	case c.Decide != nil:
		c.Decide.validate(v)
	case c.Fetch != nil:
		c.Fetch.validate(v)
	case c.Send != nil:
		v.text("sign-in", c.Send.SignIn, 1, MaxID)
		v.text("phone", c.Send.Phone, 1, MaxID)
	case c.Enter != nil:
		c.Enter.validate(v)
	case c.Cancel != nil:
		v.text("sign-in", c.Cancel.SignIn, 1, MaxID)
	case c.AddPhone != nil:
		c.AddPhone.Phone.validate(v)
		v.text("sign-in", c.AddPhone.SignIn, 0, MaxID)
	case c.EditPhone != nil:
		c.EditPhone.validate(v)
	case c.SendPhone != nil:
		v.text("phone", c.SendPhone.Phone, 1, MaxID)
	case c.VerifyPhone != nil:
		v.text("phone", c.VerifyPhone.Phone, 1, MaxID)
		if q := c.VerifyPhone.Protect; q != nil {
			q.validate(v)
		}
	case c.Presence != nil:
		v.text("device", c.Presence.Device, 1, MaxID)
	}
	c.validateTrust(v)
	c.validateEnrolment(v)
	c.validateTwoStep(v)
	c.validateAccess(v)
	if q := c.Protecting(); q != nil && q.PriorDay != 0 {
		today := DayOf(c.Time)
		v.check(q.PriorDay == today || q.PriorDay+1 == today, "earlier settings", "not of this day")
	}
	return errors.Join(v.errs...)
}

func (e *Enrol) validate(v *validation) {
	c := &e.Credential
	c.validate(v)
	device := e.Door == SealedDoor
	v.check(device || e.Door == ImportedDoor || e.Door == RevealedDoor, "door", "not known")
	v.check(device == (c.Kind == Device), "kind", "does not fit the door")
	v.text("sign-in", e.SignIn, 0, MaxID)
	v.check(!device || len(c.PublicKey) > 0, "public key", "missing: a device has one")
	v.check(!device || len(c.Seed) > 0, "seed", "missing")
	v.check(c.Added == 0 && c.LastUsed == 0 && c.Watermark == 0 && c.Drift == 0 && c.Presence == Presence{}, "credential", "has a past")
}

// validation collects what is wrong, so that a happy path allocates nothing.
type validation struct{ errs []error }

func (v *validation) check(ok bool, field, wrong string) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf("%s: %s", field, wrong))
	}
}

func (v *validation) text(field, s string, least, most int) {
	if len(s) < least || len(s) > most || !utf8.ValidString(s) {
		v.errs = append(v.errs, fmt.Errorf("%s: must be %d to %d bytes of UTF-8", field, least, most))
	}
}
