// Package account is the functional core: the state of one account and its transitions.
//
// It is pure. There is no clock, no randomness, no module, no goroutine, no logger and no map iteration in it: the same
// command on the same state gives the same result on every node and in every engine. Commands carry facts, never
// wishes: time, random bytes, sealed blobs and the steps that a module's MACs matched are all had before the command is
// proposed. A refusal is an outcome with a log entry, like everything else.
package account

import (
	"strongroom.internal/appliance/audit"
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
}

// RequestID is the first 16 bytes of SHA-256 over the actor and its Idempotency-Key, so that no client can meet
// another's key.
type RequestID [16]byte

// Create makes an account. An account that exists is left as it is: Outcome Exists.
type Create struct{}

// Delete removes an account, its credentials and its pseudonym's salt: what the log says of it stays and can no longer
// be linked to the person.
type Delete struct{}

// Enrol adds a credential whose seed a module has sealed.
type Enrol struct {
	Credential Credential `cbor:"1,keyasint"`
	Door       Door       `cbor:"2,keyasint"`
	MACs       uint32     `cbor:"3,keyasint,omitempty"`
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
	// Matches are the codes of the windows that were equal, at most one a credential and step, candidates' order.
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
// never moves a watermark back and it is charged like an attempt over its wider window.
type Resync struct {
	Keys       uint64 `cbor:"1,keyasint"`
	Credential string `cbor:"2,keyasint"`
	Evaluated  bool   `cbor:"3,keyasint"`
	// Matches are steps n at which the first code equals step n's and the second equals step n+1's.
	Matches []otp.Step `cbor:"4,keyasint,omitempty"`
	MACs    uint32     `cbor:"5,keyasint"`
}

// Result is what the caller learns of a command, besides the log entry's index.
type Result struct {
	Outcome    Outcome `cbor:"1,keyasint"`
	RetryAt    Time    `cbor:"2,keyasint,omitempty"` // Locked: when the next attempt is heard; 0 when waiting does not help
	Credential string  `cbor:"3,keyasint,omitempty"` // that was accepted, enrolled or removed
	Replayed   bool    `cbor:"4,keyasint,omitempty"` // answered from an earlier request with the same id
	Entry      int64   `cbor:"5,keyasint"`           // index of the log entry that records it; the first one's when replayed
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
	Conflict // the request id was used for another operation or account
)

// Decision is all that a transition says.
type Decision struct {
	Result Result
	// Next is the account's new state: nil to leave it as it is.
	Next *State
	// Erase is true when the record is to be deleted.
	Erase bool
	// Entry is the log entry, Index and Result.Entry to be filled in by the engine; nil when there is none.
	Entry *audit.Entry
}
