package archive

import (
	"errors"
	"fmt"
	"strconv"
)

// Fault is a row of the archive that is not what the log's signers have signed. It is the first one that was found.
type Fault struct {
	Table    string // log_trees, log_checkpoints or log_entries
	Origin   string // of the tree
	Position int64  // in the tree; of a checkpoint, its size; of a tree, 0
	// Last is Position, but where only a signed root shows that something is wrong: then it is one of the rows from
	// Position to Last, and which can't be told.
	Last   int64
	Column string
	Reason string
}

// The tables.
const (
	tableTrees       = "log_trees"
	tableCheckpoints = "log_checkpoints"
	tableEntries     = "log_entries"
)

func (f *Fault) Error() string {
	where := fmt.Sprintf("position %d", f.Position)
	switch {
	case f.Table == tableTrees:
		where = "its row"
	case f.Table == tableCheckpoints:
		where = fmt.Sprintf("size %d", f.Position)
	case f.Last > f.Position:
		where = fmt.Sprintf("one of the positions %d to %d", f.Position, f.Last)
	}
	return fmt.Sprintf("the archive is wrong: table %s, tree %s, %s, column %s: %s", f.Table, quoted(f.Origin), where, f.Column, f.Reason)
}

// fault is a Fault of one row of log_entries.
func fault(origin string, position int64, column, format string, args ...any) *Fault {
	return &Fault{tableEntries, origin, position, position, column, fmt.Sprintf(format, args...)}
}

// ErrSource: what the log served does not fit the checkpoints that its signers signed. Nothing of it was stored.
var ErrSource = errors.New("the log is not what its checkpoint says")

// ErrPruned: entries are neither in the archive nor in the log any more.
var ErrPruned = errors.New("the log has pruned entries that are not in the archive")

// ErrOlder: the log shows less than is in the archive. A node may lag behind; a log that stays so has been rolled back.
var ErrOlder = errors.New("the log's checkpoint is older than the archive's")

// Fork is two checkpoints of one tree that can't both be true: the proof that a log has been rewritten. Keep both.
type Fork struct {
	Archived, Served []byte // as C2SP tlog-checkpoint writes them
}

func (f *Fork) Error() string {
	return fmt.Sprintf("the log was rewritten: no tree has both of these checkpoints\n\nin the archive:\n%s\nserved now:\n%s", f.Archived, f.Served)
}

// quoted is a string out of the database or an entry, in a message.
func quoted(s string) string {
	const most = 80 // bytes
	q := strconv.QuoteToASCII(s)
	if len(q) > most {
		q = q[:most] + "..."
	}
	return q
}
