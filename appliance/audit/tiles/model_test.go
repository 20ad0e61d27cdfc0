package tiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
)

// model is a tree in memory: all hashes as golang.org/x/mod/sumdb/tlog makes them, and the root at each size as audit.Tree
// does.
type model struct {
	entries [][]byte
	hashes  []tlog.Hash
	roots   []tlog.Hash // by size
}

func (m *model) ReadHashes(at []int64) ([]tlog.Hash, error) {
	hs := make([]tlog.Hash, len(at))
	for i, x := range at {
		hs[i] = m.hashes[x]
	}
	return hs, nil
}

// tail is that of a Reader: all entries at and after a position.
func (m *model) tail(first int64) func(from int64, n int) ([][]byte, error) {
	return func(from int64, n int) ([][]byte, error) {
		if from < first || from > int64(len(m.entries)) {
			return nil, nil
		}
		rest := m.entries[from:]
		return rest[:min(n, len(rest), 100)], nil // never a whole bundle at once
	}
}

func (m *model) bundle(n int64) [][]byte { return m.entries[n*BundleSize : (n+1)*BundleSize] }

// wholeBundles are enough for a full level-1 tile and a little more.
const wholeBundles = 270

// aModel has wholeBundles and 100 entries more.
var aModel = sync.OnceValue(func() *model {
	m := &model{}
	var tree audit.Tree
	m.roots = append(m.roots, tree.Root())
	for n := range int64(wholeBundles*BundleSize + 100) {
		e := fmt.Appendf(nil, "entry %d %s", n, bytes.Repeat([]byte("."), int(n*n%41)))
		if n%997 == 0 {
			e = nil
		}
		hs, err := tlog.StoredHashes(n, e, m)
		if err != nil {
			panic(err)
		}
		m.entries, m.hashes = append(m.entries, e), append(m.hashes, hs...)
		tree.Append(e)
		m.roots = append(m.roots, tree.Root())
	}
	return m
})

// quickDisk is a disk of a machine that never fails: it doesn't sync.
type quickDisk struct{ osDisk }

type quickFile struct{ file }

func (quickFile) Sync() error { return nil }

func (d quickDisk) create(path string) (file, error) {
	f, err := d.osDisk.create(path)
	return quickFile{f}, err
}
func (quickDisk) syncDir(string) error { return nil }

// built gives a directory with so many bundles of aModel, for the caller alone.
func built(t testing.TB, bundles int64) string { t.Helper(); return builtPruned(t, bundles, 0) }

// builtPruned gives one that was pruned, so that it has few files.
func builtPruned(t testing.TB, bundles, pruned int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	link(t, master(t, bundles, pruned), dir)
	return dir
}

// masters are the directories that others are links to: a Store replaces files and never changes one.
var masters struct {
	sync.Mutex
	root string
	at   map[shape]string
	read map[shape]map[string]string
}

// shape is what a tree of aModel's entries is like, in bundles.
type shape struct{ bundles, pruned int64 }

func master(t testing.TB, bundles, pruned int64) string {
	t.Helper()
	masters.Lock()
	defer masters.Unlock()
	return made(t, shape{bundles, pruned})
}

// made makes a master; masters is locked.
func made(t testing.TB, sh shape) string {
	t.Helper()
	if dir, ok := masters.at[sh]; ok {
		return dir
	}
	dir := filepath.Join(masters.root, fmt.Sprint(sh.bundles, "-", sh.pruned))
	from := shape{0, 0}
	for known := range masters.at {
		if known.pruned == 0 && known.bundles <= sh.bundles && known.bundles > from.bundles {
			from = known
		}
	}
	if from.bundles > 0 {
		link(t, masters.at[from], dir)
	}
	s, err := open(dir, quickDisk{})
	if err != nil {
		t.Fatal(err)
	}
	for n := s.Complete() / BundleSize; n < sh.bundles; n++ {
		if err := s.Append(aModel().bundle(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Prune(sh.pruned * BundleSize); err != nil {
		t.Fatal(err)
	}
	masters.at[sh] = dir
	return dir
}

// masterFiles are the files of a tree of so many bundles that was not pruned.
func masterFiles(t testing.TB, bundles int64) map[string]string {
	t.Helper()
	masters.Lock()
	defer masters.Unlock()
	sh := shape{bundles, 0}
	if masters.read[sh] == nil {
		masters.read[sh] = files(t, made(t, sh))
	}
	return maps.Clone(masters.read[sh])
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tiles")
	if err != nil {
		panic(err)
	}
	masters.root, masters.at, masters.read = dir, map[shape]string{}, map[shape]map[string]string{}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func link(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, p)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return os.Link(p, filepath.Join(to, rel))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// files are the paths and contents of all files under tile.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "tile"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		all[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// mustOpen opens a tree on a disk that doesn't sync.
func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := open(dir, quickDisk{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verify reads a store's tree from files alone, at the size that is in files, and compares it with the model.
func verify(t testing.TB, s *Store) {
	t.Helper()
	m := aModel()
	size := s.Complete()
	if whole, ok := s.Finished(); ok {
		size = whole
	}
	r := NewReader(s, size, nil)
	root, err := tlog.TreeHash(size, r)
	if err != nil || root != m.roots[size] {
		t.Fatalf("at %d: root %v, want %v, %v", size, root, m.roots[size], err)
	}
	from := max(s.Pruned(), size-3*BundleSize, 0)
	entries, err := r.Entries(from, int(size-from))
	if err != nil || !slices.EqualFunc(entries, m.entries[from:size], bytes.Equal) {
		t.Fatalf("at %d: entries from %d: %v", size, from, err)
	}
	for _, at := range []int64{from, (from + size) / 2, size - 1} {
		if at < from || at >= size {
			continue
		}
		p, err := tlog.ProveRecord(size, at, r)
		if err != nil {
			t.Fatalf("proving entry %d of %d: %v", at, size, err)
		}
		if err := tlog.CheckRecord(p, size, m.roots[size], at, tlog.RecordHash(m.entries[at])); err != nil {
			t.Fatalf("entry %d of %d: %v", at, size, err)
		}
	}
	if p := s.Pruned(); p > 0 {
		if _, err := r.Bundle(p/BundleSize-1, BundleSize); !errors.Is(err, ErrPruned) {
			t.Fatalf("a pruned bundle: %v", err)
		}
		if _, err := r.Tile(0, p/BundleSize-1, BundleSize); !errors.Is(err, ErrPruned) {
			t.Fatalf("a pruned tile: %v", err)
		}
	}
}

// rootsOf is a partial level-1 tile: the roots of so many level-0 tiles.
func rootsOf(all map[string]string, tiles int64) string {
	var b []byte
	for n := range tiles {
		b = append(b, root([]byte(all[tilePath(0, n, BundleSize)]))...)
	}
	return string(b)
}

// dropPruned drops the files of so many bundles.
func dropPruned(all map[string]string, pruned int64) {
	for n := range pruned {
		delete(all, tilePath(0, n, BundleSize))
		delete(all, tilePath(entriesLevel, n, BundleSize))
	}
}
