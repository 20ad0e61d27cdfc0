package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"strongroom.internal/appliance/audit"
)

// head is a tree as it is to be archived.
type head struct {
	origin, name string
	size         int64
	root         [audit.HashSize]byte
	note         []byte // the checkpoint, signed where signatures are to be had
	first        int64  // index of its first entry
	previous     string // origin of the tree before; empty for the first
	closed       bool   // another tree has followed
	minimum      int64  // position below which the source has no entries
}

const (
	// maxTrees bounds how many trees a log may have: one a year and one a restored backup.
	maxTrees = 4096
	// maxSize bounds a tree that is believed to exist, in entries.
	maxSize = 1 << 48
	// maxNote bounds a checkpoint with signatures, in bytes.
	maxNote = 64 << 10
)

// opBeginTree is the operation of a tree's first entry, but for the first tree's.
const opBeginTree = "begin-tree"

// family is what the origins of all trees of one log have in common.
func family(origin string) string { return origin[:strings.LastIndexByte(origin, '/')+1] }

// treeName is the name of the tree of an origin.
func treeName(origin string) string { return origin[strings.LastIndexByte(origin, '/')+1:] }

// heads gives all trees of a log, oldest first. The newest checkpoint has to satisfy the policy; each older tree is known
// by the begin-tree entry of the tree that followed, so the keys that signed it years ago need not be known any more.
func heads(ctx context.Context, db *pgx.Conn, source Source, policy *audit.Policy) ([]*head, error) {
	trees, err := source.Trees(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the log's trees: %w", err)
	}
	if len(trees) > maxTrees {
		return nil, fmt.Errorf("listing the log's trees: %d are too many", len(trees))
	}
	newest := len(trees) - 1
	for newest >= 0 && trees[newest].Signed <= 0 {
		newest--
	}
	if newest < 0 {
		return nil, errors.New("the log has no checkpoint yet")
	}
	trees = trees[:newest+1]
	h, err := signedHead(ctx, source, policy, trees[newest])
	if err != nil {
		return nil, err
	}
	chain := []*head{h}
	for {
		h.minimum = minimum(trees, h.origin)
		older, err := h.link(ctx, db, source)
		if err != nil {
			return nil, err
		}
		if older == nil {
			break
		}
		if len(chain) == maxTrees || slices.ContainsFunc(chain, func(c *head) bool { return c.origin == older.origin }) {
			return nil, fmt.Errorf("%w: its chain of trees has no beginning", ErrSource)
		}
		chain, h = append(chain, older), older
	}
	slices.Reverse(chain)
	for i := 1; i < len(chain); i++ {
		chain[i-1].closed = true
		if before := chain[i-1]; chain[i].first < before.first+before.size {
			return nil, fmt.Errorf("%w: tree %s begins at index %d, where tree %s still is", ErrSource, chain[i].name, chain[i].first, before.name)
		}
	}
	for _, t := range trees {
		if !slices.ContainsFunc(chain, func(h *head) bool { return h.origin == t.Origin }) {
			return nil, fmt.Errorf("%w: its tree %s is not in the chain of the newest one", ErrSource, quoted(t.Name))
		}
	}
	return chain, nil
}

func minimum(trees []Tree, origin string) int64 {
	for _, t := range trees {
		if t.Origin == origin {
			return t.Minimum
		}
	}
	return 0
}

// signedHead opens a tree's checkpoint with the policy.
func signedHead(ctx context.Context, source Source, policy *audit.Policy, t Tree) (*head, error) {
	note, err := source.Read(ctx, t.Name, "checkpoint")
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint of tree %s: %w", quoted(t.Name), err)
	}
	signed, err := policy.Open(note)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint of tree %s: %w", quoted(t.Name), err)
	}
	if signed.Origin != t.Origin || signed.Tree() != t.Name {
		return nil, fmt.Errorf("%w: for tree %s it has a checkpoint of %s", ErrSource, quoted(t.Name), signed.Origin)
	}
	if signed.Size < 1 || signed.Size > maxSize {
		return nil, fmt.Errorf("%w: a checkpoint of size %d", ErrSource, signed.Size)
	}
	return &head{origin: signed.Origin, name: t.Name, size: signed.Size, root: signed.Root, note: note}, nil
}

// link reads the tree's first entry, sets first and previous, and gives the tree before, or nil if there is none.
func (h *head) link(ctx context.Context, db *pgx.Conn, source Source) (*head, error) {
	r := newReader(source, h.name, h.size, h.root)
	bundle, err := r.bundle(ctx, 0)
	if err != nil && r.failed != nil && ctx.Err() == nil {
		// It may be pruned. What is in the archive was in the tree when it was stored; whoever has changed it there since
		// gets no more than an error out of it, for nothing is stored that doesn't hash to the root that it names.
		var row []byte
		if row, err = archivedRow(ctx, db, h.origin, 0); errors.Is(err, pgx.ErrNoRows) {
			err = r.failed
		}
		bundle = [][]byte{row}
	}
	if err != nil {
		return nil, err
	}
	e, err := audit.ParseEntry(bundle[0])
	if err != nil {
		return nil, fmt.Errorf("the first entry of tree %s: %w", h.name, err)
	}
	h.first = e.Index
	older, err := predecessor(h.origin, e)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	if older == nil {
		return nil, nil
	}
	h.previous = older.origin
	older.note = keptNote(ctx, source, older)
	return older, nil
}

// predecessor reads out of a tree's first entry which tree came before: nil for the first tree of a log.
func predecessor(origin string, e *audit.Entry) (*head, error) {
	if e.Operation != opBeginTree {
		if e.Index != 0 {
			return nil, fmt.Errorf("tree %s begins at index %d without a begin-tree entry", treeName(origin), e.Index)
		}
		return nil, nil
	}
	if e.Subject != treeName(origin) {
		return nil, fmt.Errorf("tree %s begins with the begin-tree entry of %s", treeName(origin), quoted(e.Subject))
	}
	old, size, root, err := audit.ParseCheckpointText(e.Detail)
	if err != nil {
		return nil, fmt.Errorf("the begin-tree entry of tree %s: %w", treeName(origin), err)
	}
	if family(old) != family(origin) || treeName(old) == "" || !printable([]byte(old)) || size < 1 || size > maxSize {
		return nil, fmt.Errorf("tree %s can't follow %s of size %d", treeName(origin), quoted(old), size)
	}
	return &head{origin: old, name: treeName(old), size: size, root: root}, nil
}

// keptNote is the checkpoint of an older tree as it is stored: as served, if it says what the chain says, and otherwise
// its text alone. Its signatures may be of keys that the policy doesn't have any more; an auditor with an older policy is
// served by them still.
func keptNote(ctx context.Context, source Source, h *head) []byte {
	text := audit.CheckpointText(h.origin, h.size, h.root)
	note, err := source.Read(ctx, h.name, "checkpoint")
	if err == nil && len(note) <= maxNote && bytes.HasPrefix(note, []byte(text+"\n")) && printable(note) {
		return note
	}
	return audit.Checkpoint(text)
}

// printable says whether bytes are fit to be stored as text and shown.
func printable(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r != '\n' && unicode.IsControl(r) })
}
