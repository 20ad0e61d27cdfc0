package tiles

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"strongroom.internal/appliance/audit"
)

func TestAppendRefuses(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	full := aModel().bundle(0)
	long := append([][]byte{make([]byte, audit.MaxEntry+1)}, full[1:]...)
	for name, entries := range map[string][][]byte{
		"none": nil, "too few": full[:255], "too many": aModel().entries[:257], "one too long": long,
	} {
		if err := s.Append(entries); err == nil {
			t.Errorf("%s: appended", name)
		}
	}
	for name, rest := range map[string][][]byte{"a full bundle": full, "one too long": long[:1]} {
		if err := s.Finish(rest); err == nil {
			t.Errorf("%s: finished", name)
		}
	}
	if s.Complete() != 0 || s.Health() != nil || len(files(t, s.dir)) != 0 {
		t.Errorf("it left something: %d complete, %v", s.Complete(), s.Health())
	}
	longest := append([][]byte{bytes.Repeat([]byte("x"), audit.MaxEntry)}, full[1:]...)
	if err := s.Append(longest); err != nil {
		t.Fatal(err)
	}
	got, err := NewReader(mustOpen(t, s.dir), BundleSize, nil).Entries(0, 1)
	if err != nil || !bytes.Equal(got[0], longest[0]) {
		t.Errorf("the longest entry: %v", err)
	}
}

// The directory of a finished tree is a log to others: torchwood's client reads all of it and authenticates it.
func TestOthersReadTheDirectory(t *testing.T) {
	m := aModel()
	for _, size := range []int64{0, 1, 255, 256, 300, 65536, wholeBundles*BundleSize + 100} {
		whole := size / BundleSize * BundleSize
		s := mustOpen(t, built(t, whole/BundleSize))
		rest := m.entries[whole:size]
		for range 2 { // it does nothing the second time
			if err := s.Finish(rest); err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			s = mustOpen(t, s.dir)
		}
		if got, ok := s.Finished(); !ok || got != size || s.Complete() != whole {
			t.Errorf("size %d: finished at %d, %v, complete %d", size, got, ok, s.Complete())
		}
		verify(t, s)
		if err := s.Append(m.bundle(0)); !errors.Is(err, ErrFinished) {
			t.Errorf("size %d: append to a finished tree: %v", size, err)
		}
		other := append([][]byte{[]byte("other")}, rest[min(1, len(rest)):]...)
		if err := s.Finish(other); !errors.Is(err, ErrFinished) {
			t.Errorf("size %d: finish with other entries: %v", size, err)
		}
		if err := s.Health(); err != nil {
			t.Errorf("size %d: a refusal is no failed write: %v", size, err)
		}
		if size == 0 {
			continue
		}
		tiles, err := torchwood.NewTileFS(os.DirFS(s.dir))
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, tiles, tlog.Tree{N: size, Hash: m.roots[size]})
	}
}

func readAll(t *testing.T, tiles torchwood.TileReader, tree tlog.Tree) {
	t.Helper()
	client, err := torchwood.NewClient(tiles)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for i, e := range client.AllEntries(t.Context(), tree, 0) {
		if i != n || !bytes.Equal(e, aModel().entries[i]) {
			t.Fatalf("entry %d of %d differs", i, tree.N)
		}
		n++
	}
	if err := client.Err(); err != nil || n != tree.N {
		t.Fatalf("%d entries of %d: %v", n, tree.N, err)
	}
	if _, _, err := client.Entry(t.Context(), tree, tree.N-1); err != nil {
		t.Fatal(err)
	}
}

// served is a Reader as a client sees it over HTTP, by paths.
type served struct{ r *Reader }

func (s served) ReadTiles(_ context.Context, tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		tile, err := torchwood.ParseTilePath(torchwood.TilePath(tile))
		if err != nil {
			return nil, err
		}
		var b []byte
		if tile.L == entriesLevel {
			b, err = s.r.Bundle(tile.N, tile.W)
		} else {
			b, err = s.r.Tile(tile.L, tile.N, tile.W)
		}
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}
func (served) SaveTiles([]tlog.Tile, [][]byte) {}
func (served) ReadEndpoint(context.Context, string) ([]byte, error) {
	return nil, errors.New("none")
}

func TestOthersReadWhatIsServed(t *testing.T) {
	m := aModel()
	s := mustOpen(t, built(t, 255))
	for _, size := range []int64{1, 255 * BundleSize, 255*BundleSize + 1, 257*BundleSize + 77} {
		r := NewReader(s, size, m.tail(254*BundleSize))
		readAll(t, served{r}, tlog.Tree{N: size, Hash: m.roots[size]})
	}
}

// The same entries give the same files, whoever writes them and with what restarts in between.
func TestReopenAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := filepath.Join(t.TempDir(), "made", "by", "Open")
		s, err := open(dir, quickDisk{})
		if err != nil {
			rt.Fatal(err)
		}
		for n := range int64(rapid.IntRange(0, 9).Draw(rt, "bundles")) {
			if err := s.Append(aModel().bundle(n)); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "reopen") {
				if s, err = open(dir, quickDisk{}); err != nil {
					rt.Fatal(err)
				}
			}
			if s.Complete() != (n+1)*BundleSize {
				rt.Fatalf("%d bundles, %d complete", n+1, s.Complete())
			}
		}
		verify(t, s)
		if want, got := masterFiles(t, s.Complete()/BundleSize), files(t, dir); !maps.Equal(want, got) {
			rt.Fatal(cmp.Diff(want, got))
		}
	})
}

// The edge of a tree that is too large for a test: a bundle that fills a tile on three levels, and one that fills none.
func TestGrowCarries(t *testing.T) {
	hash := func(n int) []byte { h := tlog.RecordHash([]byte{byte(n), byte(n >> 8)}); return h[:] }
	row := func(from, to int) (b []byte) {
		for n := from; n < to; n++ {
			b = append(b, hash(n)...)
		}
		return b
	}
	st := &state{complete: 1<<24 - BundleSize}
	st.edge[1], st.edge[2] = row(0, 255), row(1000, 1255)
	leaf := row(5000, 5256)
	next, full := st.grow(leaf)
	level1 := append(row(0, 255), root(leaf)...)
	level2 := append(row(1000, 1255), root(level1)...)
	want := []fullTile{{0, 1<<16 - 1, leaf}, {1, 1<<8 - 1, level1}, {2, 0, level2}}
	if diff := cmp.Diff(want, full, cmp.AllowUnexported(fullTile{})); diff != "" {
		t.Error(diff)
	}
	if next.complete != 1<<24 || next.edge[1] != nil || next.edge[2] != nil || !bytes.Equal(next.edge[3], root(level2)) {
		t.Errorf("the edge is %v", next)
	}
	if len(st.edge[1]) != 255*hashSize || st.complete != 1<<24-BundleSize || st.edge[3] != nil {
		t.Error("the old state has changed")
	}
	after, full := next.grow(leaf)
	if len(full) != 1 || full[0].n != 1<<16 || !bytes.Equal(after.edge[1], root(leaf)) {
		t.Errorf("%v, %v", full, after)
	}
}

// root computes what tileRoot does by RFC 6962's own recursion.
func root(tile []byte) []byte {
	if len(tile) == hashSize {
		return tile
	}
	h := tlog.NodeHash(tlog.Hash(root(tile[:len(tile)/2])), tlog.Hash(root(tile[len(tile)/2:])))
	return h[:]
}

// Each kind of damage to a file within what is complete is an error with the file's path, from Open or when it is read.
func TestDamage(t *testing.T) {
	const bundles = 70 // the mark is at 64
	kinds := map[string]func(path string) error{
		"missing":      os.Remove,
		"empty":        func(p string) error { return replace(p, nil) },
		"torn":         func(p string) error { b, _ := os.ReadFile(p); return replace(p, b[:len(b)-1]) },
		"too long":     func(p string) error { b, _ := os.ReadFile(p); return replace(p, append(b, 0)) },
		"far too long": func(p string) error { return errors.Join(replace(p, nil), os.Truncate(p, 1<<40)) },
		"directory":    func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
	}
	for kind, damage := range kinds {
		for _, rel := range []string{"tile/entries/005", "tile/entries/063", "tile/0/005", "tile/0/063"} {
			dir := built(t, bundles)
			s := mustOpen(t, dir)
			if err := damage(filepath.Join(dir, filepath.FromSlash(rel))); err != nil {
				t.Fatal(err)
			}
			tile, err := torchwood.ParseTilePath(rel)
			if err != nil {
				t.Fatal(err)
			}
			r := NewReader(s, bundles*BundleSize, nil)
			_, err = served{r}.ReadTiles(t.Context(), []tlog.Tile{tile})
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Join(dir, filepath.FromSlash(rel))) {
				t.Errorf("%s %s is read: %v", kind, rel, err)
			}
			// The edge is made of the tiles; of the bundles Open looks at one.
			if rel == "tile/entries/005" {
				continue
			}
			if _, err := Open(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.FromSlash(rel)) {
				t.Errorf("%s %s is opened: %v", kind, rel, err)
			}
		}
		// After the mark nothing has been promised: what isn't whole doesn't count, nor what follows it.
		for _, rel := range []string{"tile/entries/067", "tile/0/067"} {
			dir := built(t, bundles)
			if err := damage(filepath.Join(dir, filepath.FromSlash(rel))); err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, dir)
			if s.Complete() != 67*BundleSize {
				t.Errorf("%s %s: %d complete", kind, rel, s.Complete())
			}
			verify(t, s)
		}
	}
}

// The partial files of a finished tree, and the one that is kept for a pruned one, are looked at as closely.
func TestDamagedPartialFiles(t *testing.T) {
	m := aModel()
	const size = 5*BundleSize + 7
	for rel, opens := range map[string]bool{"tile/entries/005.p/7": true, "tile/0/005.p/7": false, "tile/1/000.p/3": false} {
		for _, by := range []int{-1, 1} {
			s := mustOpen(t, built(t, 5))
			if err := errors.Join(s.Prune(3*BundleSize), s.Finish(m.entries[5*BundleSize:size])); err != nil {
				t.Fatal(err)
			}
			p := filepath.Join(s.dir, filepath.FromSlash(rel))
			b, err := os.ReadFile(p)
			if err == nil {
				err = replace(p, append(b, 0)[:len(b)+by])
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err = open(s.dir, quickDisk{})
			if opens && err == nil {
				_, err = NewReader(s, size, nil).Bundle(5, 7)
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), p) {
				t.Errorf("%s by %d: %v", rel, by, err)
			}
		}
	}
}

// replace is what damage is done with: the directory's files are links to others'.
func replace(path string, b []byte) error {
	return errors.Join(os.Remove(path), os.WriteFile(path, b, 0o600))
}

// A bit that flipped in a bundle after the mark, or in its tile, is found by Open.
func TestOpenComparesBundlesWithTiles(t *testing.T) {
	for _, rel := range []string{"tile/entries/067", "tile/0/067"} {
		dir := built(t, 70)
		p := filepath.Join(dir, filepath.FromSlash(rel))
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		if err := replace(p, b); err != nil {
			t.Fatal(err)
		}
		if s := mustOpen(t, dir); s.Complete() != 67*BundleSize {
			t.Errorf("%s: %d complete", rel, s.Complete())
		}
	}
}

// An unreadable file is not taken for one that isn't there. root reads everything, so a loop of links has to do.
func TestOpenUnreadable(t *testing.T) {
	for _, rel := range []string{"tile/entries/067", "tile/0/067", "mark"} {
		dir := built(t, 70)
		p := filepath.Join(dir, filepath.FromSlash(rel))
		if err := errors.Join(os.Remove(p), os.Symlink(p, p)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", rel, err)
		}
	}
}

// Temporary files that a crash left are removed, and nothing of them counts.
func TestOpenEmptiesTmp(t *testing.T) {
	dir := built(t, 2)
	left := filepath.Join(dir, tmpDir, "7")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	verify(t, mustOpen(t, dir))
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
