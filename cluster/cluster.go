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
	"strongroom.internal/appliance/audit/index"
	"strongroom.internal/appliance/audit/tiles"
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
	// Entries are appended to the key-usage log, in this order; none when the command leaves no entry. The engine sets
	// their Index, and moves a Time that is before the last entry's up to it.
	Entries []*audit.Entry
	// NewTree, if set, begins a new tree of the log somewhere among Entries.
	NewTree *NewTree
	// Erases are prefixes of keys. What was ever deleted or written over under them must not stay on the disk for long, as it
	// otherwise does, nor must this command and those before it: see Config.EraseEvery.
	Erases [][]byte
	// Finish is called with the index of the first entry (-1 without one) before the writes are kept, so that they and the
	// result can name it. It may still call tx.Set. It returns the answer for the caller of Propose.
	Finish func(entry int64) []byte
}

// Tx is the state as one command sees it, with the writes of all commands before it.
type Tx interface {
	Reader
	// Set and Delete take effect with this command. They keep no reference to key and value after the command is done.
	Set(key, value []byte)
	Delete(key []byte)
	// LogHead is the log as it is before this command's entries, and Effects as they were before this command.
	LogHead() LogHead
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

// Log is the key-usage log as one node has it. Methods are safe for concurrent use.
type Log interface {
	// Heads are the heads of all trees, oldest first; the last is the one that grows.
	Heads() ([]audit.Head, error)
	// Tree reads a tree at the size that it has now. It answers ErrNoTree for a name that no tree has.
	Tree(name string) (*tiles.Reader, error)
	// Entries returns the exact bytes of up to n entries from an index on, those of one tree at most: what is asked for
	// past a tree's end is to be asked for again.
	Entries(from int64, n int) ([][]byte, error)
	// Search finds the entries of a tree that a query matches: no others, and all, as far as the page goes. Those that were
	// pruned are not found. It answers ErrNoTree, index.ErrQuery and index.ErrOptions, and index.ErrDamaged while the node
	// makes its index anew.
	Search(ctx context.Context, tree string, q index.Query, o index.Options) (index.Page, error)
	// Wait returns when the log has an entry with this index.
	Wait(ctx context.Context, index int64) error
	// Health says what keeps this node from writing the log's files, or from having all of them.
	Health() error
	// Prune removes the files of entries of a tree below a position, but for what later entries' proofs need.
	Prune(tree string, position int64) error
}

// ErrNoTree: the log has no tree of that name.
var ErrNoTree = errors.New("there is no such tree in the log")

// MaxCommand bounds one command, in bytes.
const MaxCommand = 64 << 10

// The two classes of error that Propose never mixes. Errors wrap exactly one of them.
var (
	// ErrNoEffect: the command was not and will not be committed. Retrying is safe.
	ErrNoEffect = errors.New("had no effect")
	// ErrUnknown: the command may have been committed. Retry it only with the same request id.
	ErrUnknown = errors.New("outcome unknown")
)
