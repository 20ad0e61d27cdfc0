// Package cluster keeps the appliance's state on several nodes and decides in one order.
//
// An engine takes commands, commits each on a majority, lets a [Machine] decide it, and keeps what the machine wrote
// and the key-usage log in one atomic step with the position of the command. The machine is pure; the engine does the
// I/O. The Raft engine is in this package; an engine on SQL fulfils the same contract, and clustertest tests it.
package cluster

import (
	"context"
	"errors"

	"strongroom.internal/appliance/audit"
)

// Machine decides commands. Apply is called once for every committed command, in the committed order, on every node,
// and must give the same writes, entry and result each time. An error stops the node: a command of an unknown kind or
// version must never be skipped, or two versions drift apart.
//
// The engine owns what Apply returns; Apply must not keep tx or command.
type Machine interface {
	Apply(tx Tx, command []byte) (Applied, error)
}

// Applied is what a machine says of a command.
type Applied struct {
	// Entry is appended to the key-usage log; nil when the command leaves no entry.
	Entry *audit.Entry
	// Finish is called with the entry's place in the log (-1 without an entry) before the writes are kept, so that they
	// and the result can name it. It may still call tx.Set. It returns the answer for the caller of Propose.
	Finish func(entry int64) []byte
}

// Tx is the state as one command sees it, with the writes of all commands before it.
type Tx interface {
	Reader
	// Set and Delete take effect with this command. They keep no reference to key and value after the command is done.
	Set(key, value []byte)
	Delete(key []byte)
}

// Reader reads a state.
type Reader interface {
	// Get returns the value, or nil when there is none. The value must not be changed and is valid until the Tx or the
	// View ends.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for each key with the prefix, in byte order, from the key `from` (or the prefix) on, until fn returns
	// false. It sees what Get sees.
	Scan(prefix, from []byte, fn func(key, value []byte) bool) error
}

// Result answers Propose.
type Result struct {
	Data     []byte // what Finish returned
	Position uint64 // of the command: a view that WaitApplied(Position) let through contains it
}

// Engine is the contract of every engine. Methods are safe for concurrent use.
type Engine interface {
	// Propose returns when the command is committed on a majority, applied, and its log entry kept. An error is of
	// exactly one of two classes: ErrNoEffect (safe to propose again, anywhere) or ErrUnknown (it may have been or may
	// still be committed). The engine may put many commands into one commit. Commands are at most MaxCommand bytes.
	// Any node may propose; a follower forwards to the leader.
	Propose(ctx context.Context, command []byte) (Result, error)

	// View reads a consistent state that may be behind.
	View(fn func(Reader) error) error

	// Sync returns when a View on this node contains everything that was committed before the call (ReadIndex). Without
	// a majority it fails with ErrNoEffect.
	Sync(ctx context.Context) error

	// WaitApplied returns when a View contains the command at this position.
	WaitApplied(ctx context.Context, position uint64) error

	// Log reads the key-usage log as this node has it.
	Log() Log
}

// Log is the key-usage log of one node's state.
type Log interface {
	// Head is the size and the RFC 6962 root of the tree.
	Head() (size int64, root [32]byte, err error)
	// Entries returns the exact bytes of up to n entries from index from on.
	Entries(from int64, n int) ([][]byte, error)
}

// MaxCommand bounds one command, in bytes.
const MaxCommand = 64 << 10

// The two classes of error that Propose never mixes. Errors wrap exactly one of them.
var (
	// ErrNoEffect: the command was not and will not be committed. Retrying is safe.
	ErrNoEffect = errors.New("had no effect")
	// ErrUnknown: the command may have been committed. Retry it only with the same request id.
	ErrUnknown = errors.New("outcome unknown")
)
