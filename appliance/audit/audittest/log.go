// Package audittest makes signed key-usage logs for tests: any number of trees and entries, nodes' keys, and all static
// resources of C2SP tlog-tiles. The same [Config] makes the same log, byte for byte, and a log that differs only in the
// size of its last tree has the same entries as far as both go: it is the same log, earlier.
package audittest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/export"
)

// Config says what log to make. The zero value is a log of one tree with one entry and three nodes.
type Config struct {
	// Trees are the sizes of the trees, the oldest first; none: one tree of one entry. All but the last are closed, so they
	// need two entries, or one for the first.
	Trees []int64
	// Nodes is their number; 0: three. The last has a P-256 key and the others have Ed25519 keys.
	Nodes int
	// Seed is what keys and entries are drawn from.
	Seed uint64
	// TrustDomain is part of every name; "": strongroom.test.
	TrustDomain string
	// Start is the time of the first entry; zero: 2026-01-01.
	Start time.Time
	// Interval is the time between one trio of entries and the next; the three of a trio have the same time. 0: a minute.
	Interval time.Duration
	// Edit changes an entry before it goes into a tree, for logs that are signed and wrong; nil: nothing is changed.
	Edit func(tree string, position int64, entry []byte) []byte
	// Dir is an empty directory for the resources, for logs that are larger than memory; "": they are kept in memory.
	Dir string
}

// Tree is one tree of a log.
type Tree struct {
	audit.Head
	Origin string
	Closed bool
	// Minimum is the position below which the log is pruned. A test may set it, and Read then keeps to it.
	Minimum int64
}

// Log is a log with all its resources. It is an [export.Source]. Reading is safe for concurrent use.
type Log struct {
	Config Config
	Nodes  []Node
	All    []*Tree // oldest first

	resources map[string][]byte // by tree/path, when they are in memory
}

var _ export.Source = (*Log)(nil)

// MakeLog makes a log.
func MakeLog(c Config) (*Log, error) {
	if len(c.Trees) == 0 {
		c.Trees = []int64{1}
	}
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	if c.TrustDomain == "" {
		c.TrustDomain = "strongroom.test"
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if c.Interval == 0 {
		c.Interval = time.Minute
	}
	l := &Log{Config: c, resources: map[string][]byte{}}
	var err error
	if l.Nodes, err = makeNodes(c); err != nil {
		return nil, fmt.Errorf("making a log: %w", err)
	}
	for k := range c.Trees {
		if err := l.grow(k); err != nil {
			return nil, fmt.Errorf("making a log: %w", err)
		}
	}
	return l, nil
}

// grow makes tree k.
func (l *Log) grow(k int) error {
	t := &Tree{Head: audit.Head{Tree: l.treeName(k), Size: l.Config.Trees[k]}, Closed: k+1 < len(l.Config.Trees)}
	t.Origin = audit.Origin(l.Config.TrustDomain, t.Tree)
	least := int64(1)
	if k > 0 {
		t.First = l.All[k-1].First + l.All[k-1].Size
		if t.Closed {
			least = 2
		}
	}
	if t.Size < least {
		return fmt.Errorf("tree %d needs %d entries", k, least)
	}
	var edge audit.Tree
	w := &tileWriter{put: func(path string, b []byte) error { return l.Put(t.Tree, path, b) }}
	var line []byte
	for position := range t.Size {
		e := l.entry(t.First + position)
		switch {
		case position == 0 && k > 0:
			old := l.All[k-1]
			special(&e, "begin-tree", t.Tree, audit.CheckpointText(old.Origin, old.Size, old.Root))
		case position == t.Size-1 && t.Closed:
			special(&e, "end-tree", l.treeName(k+1), "")
		}
		line = e.AppendJSON(line[:0])
		if l.Config.Edit != nil {
			line = l.Config.Edit(t.Tree, position, line)
		}
		edge.Append(line)
		if err := w.add(line); err != nil {
			return err
		}
	}
	t.Root = edge.Root()
	if err := w.finish(); err != nil {
		return err
	}
	l.All = append(l.All, t)
	checkpoint, err := l.Checkpoint(audit.CheckpointText(t.Origin, t.Size, t.Root))
	if err != nil {
		return err
	}
	return l.Put(t.Tree, "checkpoint", checkpoint)
}

func (l *Log) treeName(k int) string { return strconv.Itoa(l.Config.Start.Year() + k) }

// Put replaces a resource: a test's way to break a log.
func (l *Log) Put(tree, path string, b []byte) error {
	if l.Config.Dir == "" {
		l.resources[tree+"/"+path] = slices.Clone(b)
		return nil
	}
	name := filepath.Join(l.Config.Dir, tree, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// Trees lists the log's trees.
func (l *Log) Trees(context.Context) ([]export.Tree, error) {
	var all []export.Tree
	for _, t := range l.All {
		all = append(all, export.Tree{
			Name: t.Tree, Origin: t.Origin, First: t.First, Size: t.Size, Closed: t.Closed, Minimum: t.Minimum, Signed: t.Size,
		})
	}
	return all, nil
}

// Policy is that of the nodes of the log, a majority of which has to sign.
func (l *Log) Policy(context.Context) ([]byte, error) {
	var signers []audit.Signer
	for _, n := range l.Nodes {
		signers = append(signers, audit.Signer{Node: n.ID, Key: n.Key.Public()})
	}
	return audit.FormatPolicy(l.Config.TrustDomain, l.All[0].Tree, signers, nil)
}

// Read reads a resource; fs.ErrNotExist when there is none, or it is pruned.
func (l *Log) Read(_ context.Context, tree, path string) ([]byte, error) {
	for _, t := range l.All {
		if t.Tree == tree && t.pruned(path) {
			return nil, fmt.Errorf("%s/%s is pruned: %w", tree, path, fs.ErrNotExist)
		}
	}
	if l.Config.Dir != "" {
		if !fs.ValidPath(tree+"/"+path) || path == "" {
			return nil, errors.New("no path of a log")
		}
		return os.ReadFile(filepath.Join(l.Config.Dir, tree, filepath.FromSlash(path)))
	}
	b, ok := l.resources[tree+"/"+path]
	if !ok {
		return nil, fmt.Errorf("%s/%s: %w", tree, path, fs.ErrNotExist)
	}
	return slices.Clone(b), nil
}
