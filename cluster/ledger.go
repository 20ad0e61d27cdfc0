package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/fxamacker/cbor/v2"

	"strongroom.internal/appliance/audit"
)

// LogHead is the key-usage log as a command finds it.
type LogHead struct {
	audit.Head // of the tree that grows
	// Effects is a running hash over all that the machine has ever written, in order: replicas whose logs agree and whose
	// states don't have different ones.
	Effects [32]byte
}

// NewTree ends the current tree of the log and begins another.
type NewTree struct {
	Name string // 1 to 64 letters, digits, dots and hyphens; never used before
	// At is how many of Applied.Entries still belong to the tree that ends. At least one must be left for the new one.
	At int
	// Closed is told the head of the tree that ended, before the new one's entries are written, so that the first can name
	// it. It is not called when that tree had no entries: then it is as if there had never been one.
	Closed func(audit.Head)
}

// firstTree is the name of the tree of a log that was never given one.
const firstTree = "0"

// ledger is what the state keeps of the log: the edge of the tree that grows, and the heads of those that are over. The
// entries themselves go to files (see logWriter). It belongs to the goroutine that applies.
type ledger struct {
	name    string
	first   int64 // index of the tree's first entry
	time    int64 // of the last entry: times never run backwards
	effects [32]byte
	closed  []audit.Head // oldest first
	tree    audit.Tree

	sum   hash.Hash // of the command that is being applied
	wrote bool
	entry []byte // JSON of the last entry, kept for reuse
	key   []byte
}

// ledgerRecord is the value of m/log, in CBOR. The tree's edge has a key of its own.
type ledgerRecord struct {
	Name    string       `cbor:"1,keyasint"`
	First   int64        `cbor:"2,keyasint"`
	Time    int64        `cbor:"3,keyasint"`
	Effects [32]byte     `cbor:"4,keyasint"`
	Closed  []closedTree `cbor:"5,keyasint"`
}

type closedTree struct {
	Name  string   `cbor:"1,keyasint"`
	First int64    `cbor:"2,keyasint"`
	Size  int64    `cbor:"3,keyasint"`
	Root  [32]byte `cbor:"4,keyasint"`
}

// next is the index of the next entry.
func (l *ledger) next() int64 { return l.first + l.tree.Size() }

func (l *ledger) head() LogHead {
	return LogHead{Head: audit.Head{Tree: l.name, First: l.first, Size: l.tree.Size(), Root: l.tree.Root()}, Effects: l.effects}
}

func (l *ledger) encode() (edge, record []byte) {
	edge, _ = l.tree.MarshalBinary()
	r := ledgerRecord{Name: l.name, First: l.first, Time: l.time, Effects: l.effects}
	for _, h := range l.closed {
		r.Closed = append(r.Closed, closedTree{h.Tree, h.First, h.Size, h.Root})
	}
	record, err := cbor.Marshal(r)
	if err != nil {
		panic(err) // of numbers and bytes
	}
	return edge, record
}

// decode reads what encode made; both empty is the ledger of a new state.
func (l *ledger) decode(edge, record []byte) error {
	*l = ledger{name: firstTree}
	if len(edge) > 0 {
		if err := l.tree.UnmarshalBinary(edge); err != nil {
			return err
		}
	}
	if len(record) == 0 {
		return nil
	}
	var r ledgerRecord
	if err := cbor.Unmarshal(record, &r); err != nil {
		return fmt.Errorf("reading what is kept of the log: %w", err)
	}
	l.name, l.first, l.time, l.effects = r.Name, r.First, r.Time, r.Effects
	next := int64(0)
	for _, c := range r.Closed {
		if c.First != next || c.Size < 1 {
			return errors.New("reading what is kept of the log: its trees don't follow one another")
		}
		next += c.Size
		l.closed = append(l.closed, audit.Head{Tree: c.Name, First: c.First, Size: c.Size, Root: c.Root})
	}
	if l.first != next || !validTree(l.name) {
		return errors.New("reading what is kept of the log: its trees don't follow one another")
	}
	return nil
}

// validTree is the rule for names of trees: they are parts of paths, and of origins.
func validTree(name string) bool {
	if len(name) == 0 || len(name) > 64 || name[0] == '.' {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

// append puts a command's entries into the log, keeping each through keep, and returns the index of the first, or -1.
func (l *ledger) append(a *Applied, keep func(key, entry []byte) error) (first int64, err error) {
	if a.NewTree != nil && (a.NewTree.At < 0 || a.NewTree.At >= len(a.Entries)) {
		return 0, errors.New("a new tree needs an entry to begin with")
	}
	first = -1
	for i, e := range a.Entries {
		if n := a.NewTree; n != nil && n.At == i {
			if err := l.roll(n); err != nil {
				return 0, err
			}
		}
		index := l.next()
		if first < 0 {
			first = index
		}
		l.time = max(l.time, e.Time)
		e.Index, e.Time = index, l.time
		l.entry = e.AppendJSON(l.entry[:0])
		l.key = entryKey(l.key[:0], index)
		if err := keep(l.key, l.entry); err != nil {
			return 0, err
		}
		l.tree.Append(l.entry)
	}
	return first, nil
}

func (l *ledger) roll(n *NewTree) error {
	if !validTree(n.Name) {
		return fmt.Errorf("a tree can't be named %q", n.Name)
	}
	head := l.head().Head
	if head.Size > 0 {
		if n.Name == head.Tree {
			return fmt.Errorf("there is a tree %q already", n.Name)
		}
		for _, c := range l.closed {
			if c.Tree == n.Name {
				return fmt.Errorf("there is a tree %q already", n.Name)
			}
		}
		l.closed = append(l.closed[:len(l.closed):len(l.closed)], head)
		if n.Closed != nil {
			n.Closed(head)
		}
	}
	l.name, l.first, l.tree = n.Name, head.First+head.Size, audit.Tree{}
	return nil
}

// begin is called before each command, wrote for each of its writes (a nil value: a deletion), and end after it.
func (l *ledger) begin() {
	if l.sum == nil {
		l.sum = sha256.New()
	}
	l.sum.Reset()
	l.wrote = false
}

func (l *ledger) write(key, value []byte) {
	var head [9]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(key)))
	binary.BigEndian.PutUint32(head[4:], uint32(len(value)))
	if value != nil {
		head[8] = 1
	}
	l.sum.Write(head[:])
	l.sum.Write(key)
	l.sum.Write(value)
	l.wrote = true
}

func (l *ledger) end() {
	if !l.wrote {
		return
	}
	var b [2 * sha256.Size]byte
	copy(b[:], l.effects[:])
	l.sum.Sum(b[:sha256.Size])
	l.effects = sha256.Sum256(b[:])
}
