package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	firmwaresim "strongroom.internal/firmware-sim"
)

// What follows is for somebody who has a node's disk, and no need of our doors: its owner's root, and whoever finds it.

// onDisk is a path in the directory of a node's engine.
func onDisk(c *firmwaresim.Chassis, elements ...string) string {
	return filepath.Join(append([]string{c.DataDir(), "cluster"}, elements...)...)
}

// withState opens the state of a node that is off, and closes it again with what was changed.
func withState(t *testing.T, c *firmwaresim.Chassis, do func(db *pebble.DB)) {
	t.Helper()
	current, err := os.ReadFile(onDisk(c, "state", "CURRENT"))
	check(t, err)
	db, err := pebble.Open(onDisk(c, "state", strings.TrimSpace(string(current))), &pebble.Options{
		DisableWAL: true, ErrorIfNotExists: true, FormatMajorVersion: pebble.FormatColumnarBlocks, Logger: quiet{},
	})
	check(t, err)
	do(db)
	check(t, errors.Join(db.Flush(), db.Close()))
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) { panic("pebble gives up") }

// change replaces a record of the state.
func change(t *testing.T, db *pebble.DB, key string, how func(value []byte) []byte) {
	t.Helper()
	value, closer, err := db.Get([]byte(key))
	if err != nil {
		t.Fatalf("reading %q: %v", key, err)
	}
	changed := how(bytes.Clone(value))
	check(t, closer.Close())
	check(t, db.Set([]byte(key), changed, pebble.NoSync))
}

// signature is what a node proposed: its word on a tree's size and root, as Raft's log has it.
type signature struct {
	node     string
	tree     string
	size     int64
	root     [32]byte
	log      string // signature line under the origin
	cosigner string // under the node's own name
}

// signatures reads those in the Raft log of a node that is off, committed or not. It reads a copy: opening a log mends it.
func signatures(t *testing.T, c *firmwaresim.Chassis) (all []signature) {
	t.Helper()
	dir := t.TempDir()
	copyTree(t, onDisk(c, "log"), dir)
	w, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()))
	check(t, err)
	first, err := w.FirstIndex()
	check(t, err)
	last, err := w.LastIndex()
	check(t, err)
	for i := first; i <= last; i++ {
		var l raft.Log
		check(t, w.GetLog(i, &l))
		if l.Type == raft.LogCommand {
			all = append(all, signaturesIn(t, l.Data)...)
		}
	}
	check(t, errors.Join(w.Close(), os.RemoveAll(dir)))
	return all
}

// signaturesIn finds the signatures in a batch of commands: its format is in cluster/batch.go, theirs in
// appliance/checkpoints.go.
func signaturesIn(t *testing.T, batch []byte) (all []signature) {
	t.Helper()
	if batch[0] != 1 { // padding
		return nil
	}
	count, n := binary.Uvarint(batch[1:])
	for batch = batch[1+n:]; count > 0; count-- {
		size, n := binary.Uvarint(batch)
		command := batch[n : n+int(size)]
		batch = batch[n+int(size):]
		if command[0] != 'l' {
			continue
		}
		var c struct {
			Node string `cbor:"2,keyasint"`
			Sign *struct {
				Tree     string   `cbor:"1,keyasint"`
				Size     int64    `cbor:"2,keyasint"`
				Root     [32]byte `cbor:"3,keyasint"`
				Log      string   `cbor:"5,keyasint"`
				Cosigner string   `cbor:"6,keyasint"`
			} `cbor:"11,keyasint"`
		}
		check(t, cbor.Unmarshal(command[1:], &c))
		if c.Sign != nil {
			all = append(all, signature{c.Node, c.Sign.Tree, c.Sign.Size, c.Sign.Root, c.Sign.Log, c.Sign.Cosigner})
		}
	}
	return all
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	check(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		out, err := os.Create(filepath.Join(to, filepath.Base(path)))
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	}))
}

// traces lists where, in all files below a directory, any of some byte strings are.
func traces(t *testing.T, dir string, needles map[string][]byte) (found []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the node is at work
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for what := range search(content, needles) {
			found = append(found, what+" is in "+path)
		}
		return err
	}))
	slices.Sort(found)
	return found
}
