package account

import "strongroom.internal/appliance/audit"

// Result is what the caller learns of a command, besides the log entry's index.
type Result struct {
	Outcome    Outcome   `cbor:"1,keyasint"`
	RetryAt    Time      `cbor:"2,keyasint,omitempty"` // Locked: when the next attempt is heard; 0 when waiting does not help
	Credential string    `cbor:"3,keyasint,omitempty"` // that was accepted, enrolled or removed
	Replayed   bool      `cbor:"4,keyasint,omitempty"` // answered from an earlier request with the same id
	Assurance  Assurance `cbor:"6,keyasint,omitempty"` // of an attempt that was Accepted
	Entry      int64     `cbor:"5,keyasint"`           // index of the log entry that records it; the first one's when replayed
}

// Outcome is what was decided.
type Outcome uint8

// Outcomes. Stale alone has no effect and no entry: the node evaluates again.
const (
	InvalidOutcome Outcome = iota
	Accepted
	Wrong
	Spent   // the code was right and was used before, or is older than one that was
	Expired // outside the window; for codes that are pushed or sent
	Locked
	Stale
	Done
	Exists
	NotFound
	RefusedByPolicy
	TooMany  // a limit of limits.go
	Conflict // the request id was used for another operation, or the credential's id is taken

	Ended        // the sign-in, or the code that was sent, is over
	TooSoon      // a code was sent a moment ago, or too many within the hour: RetryAt
	BadSignature // it isn't the device's key that signed, or something else was signed
	NotEligible  // the device may not: it is the one that is being signed in on
	LastPhone    // one verified phone must remain
	StepUp       // the change needs a second factor that was proved of late
	Full         // too many notices wait to be delivered

	OutOfScope Outcome = 20 // an app password of another service or network
	Reused     Outcome = 22 // a browser's token that a newer one has replaced: two browsers have had it
)

// Outcomes about protection.
const (
	NoPhone    Outcome = 24 + iota // a verified phone is needed first
	Permanent                      // protection is on and can't be turned off any more
	Ineligible                     // policy excludes accounts of this class

	AlreadyOn Outcome = 32 // protection was to be turned on together with something else, and is on
)

// Outcomes about two-step verification.
const (
	TwoStepOn      Outcome = 30 + iota // it has to be turned off first, or moved
	TwoFactorFirst                     // the account has two factors, or can have them
)

// Outcomes about recoveries.
const (
	NotYet     Outcome = 27 + iota // the wait isn't over: RetryAt
	NoEvidence                     // nothing speaks for whoever recovers
)

// outcomeNames are what log entries say. They are signed: never change one.
var outcomeNames = [...]string{
	InvalidOutcome: "invalid", Accepted: "accepted", Wrong: "wrong", Spent: "spent", Expired: "expired", Locked: "locked",
	Stale: "stale", Done: "done", Exists: "exists", NotFound: "not-found", RefusedByPolicy: "refused-by-policy",
	TooMany: "too-many", Conflict: "conflict",

	Ended: "ended", TooSoon: "too-soon", BadSignature: "bad-signature", NotEligible: "not-eligible", LastPhone: "last-phone",
	StepUp: "step-up-needed", Full: "notices-full",
	OutOfScope: "out-of-scope", Reused: "token-reused",
	NoPhone: "phone-needed", Permanent: "permanent", Ineligible: "account-not-eligible",
	AlreadyOn: "protection-on",
	TwoStepOn: "two-step-on", TwoFactorFirst: "two-factor-eligible",
	NotYet: "not-yet", NoEvidence: "evidence-needed",
}

// String is the outcome's name in log entries.
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) || outcomeNames[o] == "" {
		return outcomeNames[0]
	}
	return outcomeNames[o]
}

// Decision is all that a transition says.
type Decision struct {
	Result Result
	// Next is the account's new state: nil to leave it as it is. It shares byte slices with the state it came from; neither
	// is ever written to.
	Next *State
	// Erase is true when the record is to be deleted.
	Erase bool
	// Entry is the log entry, Index and Result.Entry to be filled in by SetEntry; nil when there is none.
	Entry *audit.Entry
	// Also are entries that follow it, of other keys that the same act used.
	Also []*audit.Entry
	// Notices are kept in the same step, in this order, until they are delivered.
	Notices []Notice

	// Keeps is true when the command's sealed earlier settings are to be kept.
	Keeps bool

	recorded bool // the last of Next.Requests is this command's
	refused  bool // Next.Refused is about this entry
	repeat   bool // Next.Channels.Repeat is about this entry
}

// Entries are all entries of the decision, in their order.
func (d *Decision) Entries() []*audit.Entry {
	if d.Entry == nil {
		return nil
	}
	return append([]*audit.Entry{d.Entry}, d.Also...)
}

// SetEntry fills in the index that the engine gave to the entry, in the three places that name it: the entry, the result,
// and the memory of the request or of refused attempts and texts. It does nothing when there is no entry. Call it before Next and Result are encoded.
func (d *Decision) SetEntry(index int64) {
	if d.Entry == nil {
		return
	}
	d.Entry.Index = index
	d.Result.Entry = index
	if d.recorded {
		d.Next.Requests[len(d.Next.Requests)-1].Entry = index
	}
	if d.refused {
		d.Next.Refused.Entry = index
	}
	if d.repeat {
		d.Next.Channels.RepeatEntry = index
	}
}

// Operations, as log entries name them. They are signed: never change one.
const (
	opCreate = "create-account"
	opDelete = "delete-account"
	opSealed = "enrol-device"
	opSigned = "sign-device-certificate"
	opImport = "import-seed"
	opReveal = "reveal-seed"
	opRemove = "remove-credential"
	opVerify = "verify"
	opResync = "resynchronise"

	opBegin             = "begin-sign-in"
	opAllow             = "allow-sign-in"
	opDeny              = "deny-sign-in"
	opFetch             = "fetch-code"
	opSend              = "send-code"
	opMakeCode          = "make-code"
	opEnter             = "verify-sign-in"
	opCombined          = "verify-combined"
	opProof             = "verify-text-proof"
	opCancel            = "cancel-sign-in"
	opAddPhone          = "add-phone"
	opEditPhone         = "edit-phone"
	opRemovePhone       = "remove-phone"
	opSendPhone         = "send-phone-code"
	opVerifyPhone       = "verify-phone"
	opCreateAppPassword = "create-app-password"
	opRevokeAppPassword = "revoke-app-password"
	opVerifyAppPassword = "verify-app-password"
)

// operation is the command's name in the log.
func (c *Command) operation() string {
	switch {
	case c.Create != nil:
		return opCreate
	case c.Delete != nil:
		return opDelete
	case c.Enrol != nil:
		switch c.Enrol.Door {
		case ImportedDoor:
			return opImport
		case RevealedDoor:
			return opReveal
		}
		return opSealed
	case c.Remove != nil:
		return opRemove
	case c.Verify != nil:
		return opVerify
	case c.CreateAppPassword != nil:
		return opCreateAppPassword
	case c.RevokeAppPassword != nil:
		return opRevokeAppPassword
	case c.VerifyAppPassword != nil:
		return opVerifyAppPassword
	case c.Resync != nil:
		return opResync
	}
	if name := c.trustOperation(); name != "" {
		return name
	}
	return c.signInOperation()
}

// signInOperation is the name of a command about sign-ins and phones.
func (c *Command) signInOperation() string {
	switch {
	case c.Begin != nil:
		return opBegin
	case c.Decide != nil:
		if c.Decide.Allow {
			return opAllow
		}
		return opDeny
	case c.Fetch != nil:
		return opFetch
	case c.Send != nil:
		return opSend
	case c.Enter != nil:
		switch {
		case c.Enter.Combined:
			return opCombined
		case c.Enter.Proof:
			return opProof
		}
		return opEnter
	case c.Cancel != nil:
		return opCancel
	case c.AddPhone != nil:
		return opAddPhone
	case c.EditPhone != nil:
		if c.EditPhone.Remove {
			return opRemovePhone
		}
		return opEditPhone
	case c.SendPhone != nil:
		return opSendPhone
	case c.VerifyPhone != nil:
		return opVerifyPhone
	}
	return c.enrolmentOperation()
}
