package tiles

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// Whatever part of a tree is in files and whatever in the tail, at each size all tiles are byte by byte those that tlog
// makes of a list of hashes, bundles are the entries, the root is audit.Tree's, and proofs are right.
func TestTilesAgreeWithTlog(t *testing.T) {
	m := aModel()
	most := int64(len(m.entries))
	var stores []*Store
	for _, bundles := range []int64{0, 1, 2, 255, 256, 257, wholeBundles} {
		stores = append(stores, mustOpen(t, built(t, bundles)))
	}
	finished := mustOpen(t, built(t, wholeBundles))
	if err := finished.Finish(m.entries[wholeBundles*BundleSize:]); err != nil {
		t.Fatal(err)
	}
	stores = append(stores, finished)
	sizes := rapid.OneOf(
		rapid.SampledFrom([]int64{0, 1, 255, 256, 257, 65535, 65536, 65537, 65792, most}),
		rapid.Int64Range(0, most),
		rapid.Int64Range(0, 1000),
	)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(stores).Draw(t, "store")
		size := sizes.Draw(t, "size")
		tail := m.tail(rapid.Int64Range(0, s.Complete()).Draw(t, "tail from"))
		if s == finished {
			tail = nil
		}
		r := NewReader(s, size, tail)
		if root, err := tlog.TreeHash(size, r); err != nil || root != m.roots[size] {
			t.Fatalf("root %v, want %v: %v", root, m.roots[size], err)
		}
		tiles := tlog.NewTiles(8, max(0, size-rapid.Int64Range(0, 2000).Draw(t, "new")), size)
		if size > 0 {
			level := rapid.IntRange(0, 2).Draw(t, "level")
			n := rapid.Int64Range(0, size>>8).Draw(t, "n")
			tiles = append(tiles, tlog.Tile{H: 8, L: level, N: n, W: rapid.IntRange(1, 256).Draw(t, "w")})
		}
		for _, tile := range tiles {
			checkTile(t, r, tile)
		}
		if size == 0 {
			return
		}
		at := rapid.Int64Range(0, size-1).Draw(t, "entry")
		p, err := tlog.ProveRecord(size, at, r)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(p, size, m.roots[size], at, tlog.RecordHash(m.entries[at])); err != nil {
			t.Fatal(err)
		}
		old := rapid.Int64Range(1, size).Draw(t, "old size")
		q, err := tlog.ProveTree(size, old, r)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(q, size, m.roots[size], old, m.roots[old]); err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(0, 700).Draw(t, "number")
		got, err := r.Entries(at, n)
		if err != nil || !slices.EqualFunc(got, m.entries[at:min(at+int64(n), size)], bytes.Equal) {
			t.Fatalf("entries from %d: %d of them, %v", at, len(got), err)
		}
	})
}

// checkTile compares a tile, and its bundle at level 0, with the model's; one that can't be is ErrNoTile.
func checkTile(t *rapid.T, r *Reader, tile tlog.Tile) {
	m := aModel()
	got, err := r.Tile(tile.L, tile.N, tile.W)
	end := (tile.N << 8) + int64(tile.W)
	if end > r.Size()>>(8*tile.L) {
		if !errors.Is(err, ErrNoTile) {
			t.Fatalf("%s of a tree of %d: %v", tile.Path(), r.Size(), err)
		}
		return
	}
	want, wantErr := tlog.ReadTileData(tile, m)
	if err != nil || wantErr != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s of a tree of %d differs: %v, %v", tile.Path(), r.Size(), err, wantErr)
	}
	if tile.L == 0 {
		got, err := r.Bundle(tile.N, tile.W)
		want, wantErr := appendBundle(nil, m.entries[tile.N<<8:end])
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Fatalf("entries of %s differ: %v, %v", tile.Path(), err, wantErr)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	const size = 2*BundleSize + 7
	r := NewReader(mustOpen(t, built(t, 2)), size, aModel().tail(2*BundleSize))
	for _, c := range []struct {
		level int
		n     int64
		width int
	}{
		{0, 0, 0},
		{0, 0, -1},
		{0, 0, 257},
		{0, -1, 1},
		{0, 2, 8},
		{0, 2, 256},
		{0, 3, 1},
		{0, 1 << 55, 1},
		{0, 1<<63 - 1, 256},
		{1, 0, 3},
		{1, 0, 256},
		{1, 1, 1},
		{2, 0, 1},
		{7, 0, 1},
		{8, 0, 1},
		{63, 0, 1},
		{64, 0, 1},
		{-1, 0, 1},
	} {
		if _, err := r.Tile(c.level, c.n, c.width); !errors.Is(err, ErrNoTile) {
			t.Errorf("tile %v: %v", c, err)
		}
		if c.level != 0 {
			continue
		}
		if _, err := r.Bundle(c.n, c.width); !errors.Is(err, ErrNoTile) {
			t.Errorf("bundle %v: %v", c, err)
		}
	}
	for _, x := range []int64{-1, tlog.StoredHashIndex(0, size), 1<<63 - 1} {
		if _, err := r.ReadHashes([]int64{0, x}); err == nil {
			t.Errorf("hash %d is given", x)
		}
	}
	for _, from := range []int64{-1, size + 1} {
		if _, err := r.Entries(from, 1); err == nil {
			t.Errorf("entries from %d are given", from)
		}
	}
	if _, err := r.Entries(0, -1); err == nil {
		t.Error("-1 entries are given")
	}
}

// What a reader is given is its own.
func TestTileIsACopy(t *testing.T) {
	r := NewReader(mustOpen(t, built(t, 2)), 2*BundleSize+7, aModel().tail(2*BundleSize))
	for _, level := range []int{0, 1} {
		n := int64(2 - 2*level)
		first, err := r.Tile(level, n, 2)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(first)
		clear(first)
		if again, err := r.Tile(level, n, 2); err != nil || !bytes.Equal(again, want) {
			t.Errorf("level %d: %v", level, err)
		}
	}
}

// A node that has the first bundles in files and only the newest entries in its tail serves both ends, and says of the
// rest that it isn't there.
func TestAbsent(t *testing.T) {
	m := aModel()
	const size = 257*BundleSize + 9
	r := NewReader(mustOpen(t, built(t, 2)), size, m.tail(256*BundleSize))
	for _, n := range []int64{0, 1, 256, 257} {
		if _, err := r.Bundle(n, 9); err != nil {
			t.Errorf("bundle %d: %v", n, err)
		}
		if _, err := r.Tile(0, n, 9); err != nil {
			t.Errorf("tile %d: %v", n, err)
		}
	}
	if _, err := r.Tile(1, 1, 1); err != nil {
		t.Error(err)
	}
	for name, read := range map[string]func() error{
		"bundle":  func() error { _, err := r.Bundle(2, 9); return err },
		"tile":    func() error { _, err := r.Tile(0, 255, BundleSize); return err },
		"level 1": func() error { _, err := r.Tile(1, 0, 3); return err },
		"level 2": func() error { _, err := r.Tile(2, 0, 1); return err },
		"entries": func() error { _, err := r.Entries(2*BundleSize-1, 2); return err },
		"root":    func() error { _, err := tlog.TreeHash(size, r); return err },
	} {
		if err := read(); !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("closed")
	r = NewReader(r.store, size, func(int64, int) ([][]byte, error) { return nil, broken })
	if _, err := r.Tile(1, 1, 1); !errors.Is(err, broken) {
		t.Errorf("the tail's own error: %v", err)
	}
}

// Entries that go from the tail to the files between two looks are found.
func TestEntriesThatMove(t *testing.T) {
	m := aModel()
	for name, read := range map[string]func(r *Reader) error{
		"bundle": func(r *Reader) error { _, err := r.Bundle(1, BundleSize); return err },
		"tile":   func(r *Reader) error { _, err := r.Tile(0, 1, BundleSize); return err },
		"root":   func(r *Reader) error { _, err := tlog.TreeHash(r.Size(), r); return err },
		"finished": func(r *Reader) error {
			if err := r.store.Append(m.bundle(1)); err != nil {
				return err
			}
			if _, err := r.Bundle(2, 5); err != nil {
				return err
			}
			_, err := r.Tile(0, 2, 5)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, built(t, 1))
			r := NewReader(s, 2*BundleSize+5, nil)
			r.tail = func(from int64, n int) ([][]byte, error) {
				if s.Complete() == BundleSize {
					return nil, s.Append(m.bundle(1))
				}
				return nil, s.Finish(m.entries[2*BundleSize : 2*BundleSize+5])
			}
			if err := read(r); err != nil {
				t.Error(err)
			}
		})
	}
}

// One writer, one pruner and many readers, with a tail that keeps no entry longer than it must.
func TestReadersBesideTheWriter(t *testing.T) {
	const bundles, prunedTo = 40, 10
	m := aModel()
	s, err := open(t.TempDir(), quickDisk{})
	if err != nil {
		t.Fatal(err)
	}
	var committed, kept atomic.Int64
	tail := func(from int64, n int) ([][]byte, error) {
		if from < kept.Load() {
			return nil, nil
		}
		return m.tail(0)(from, min(n, int(committed.Load()-from)))
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for last := false; !last; {
				select {
				case <-done:
					last = true
				default:
				}
				size := committed.Load()
				r := NewReader(s, size, tail)
				// The size may be old by now, and below the minimum.
				may := func(err error, end int64) bool {
					return err == nil || errors.Is(err, ErrPruned) && end <= prunedTo*BundleSize
				}
				if root, err := tlog.TreeHash(size, r); !may(err, size) || err == nil && root != m.roots[size] {
					t.Errorf("root at %d: %v", size, err)
					return
				}
				for n := range size / BundleSize {
					_, err := r.Bundle(n, BundleSize)
					_, err2 := r.Tile(0, n, BundleSize)
					if end := (n + 1) * BundleSize; !may(err, end) || !may(err2, end) {
						t.Errorf("bundle %d at %d: %v, %v", n, size, err, err2)
						return
					}
				}
				if err := s.Health(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range int64(bundles) {
		committed.Store((n+1)*BundleSize + 50)
		if err := s.Append(m.bundle(n)); err != nil {
			t.Fatal(err)
		}
		kept.Store(s.Complete())
		if n == prunedTo+3 {
			wg.Go(func() {
				if err := s.Prune(prunedTo * BundleSize); err != nil {
					t.Error(err)
				}
			})
		}
	}
	close(done)
	wg.Wait()
	verify(t, s)
}
