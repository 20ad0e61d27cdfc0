package tiles

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// flip changes a bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := replace(path, b); err != nil {
		t.Fatal(err)
	}
}

// A bit that was changed in a file of what is complete is found by whoever reads the file, or one below it; all else is
// read as ever.
func TestChangedFiles(t *testing.T) {
	const size = wholeBundles*BundleSize + 50
	for rel, tc := range map[string]struct {
		bundles, leaves, tops bool // whether bundle 5, level-0 tile 5 and level-1 tile 0 can still be read
	}{
		"tile/entries/005": {false, true, true},
		"tile/0/005":       {false, false, true},
		"tile/1/000":       {false, false, false},
	} {
		t.Run(rel, func(t *testing.T) {
			dir := built(t, wholeBundles)
			s := mustOpen(t, dir)
			path := filepath.Join(dir, filepath.FromSlash(rel))
			flip(t, path)
			look := func(what string, good bool, read func(r *Reader) error) {
				t.Helper()
				err := read(NewReader(s, size, aModel().tail(wholeBundles*BundleSize)))
				switch {
				case good && err != nil:
					t.Errorf("%s: %v", what, err)
				case !good && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), dir)):
					t.Errorf("%s: %v, want ErrDamaged", what, err)
				}
			}
			look("the bundle", tc.bundles, func(r *Reader) error { _, err := r.Bundle(5, BundleSize); return err })
			look("one entry", tc.bundles, func(r *Reader) error { _, err := r.Entries(5*BundleSize+1, 1); return err })
			look("its tile", tc.leaves, func(r *Reader) error { _, err := r.Tile(0, 5, 7); return err })
			look("a proof", tc.leaves, func(r *Reader) error { _, err := tlog.ProveRecord(size, 5*BundleSize+3, r); return err })
			look("the top", tc.tops, func(r *Reader) error { _, err := r.Tile(1, 0, BundleSize); return err })
			look("beside it", true, func(r *Reader) error { _, err := r.Bundle(wholeBundles-1, BundleSize); return err })
			if tc.tops {
				look("before it", true, func(r *Reader) error { _, err := r.Bundle(4, BundleSize); return err })
			}
		})
	}
}

// The last bundle of a tree that is over is compared with its edge.
func TestChangedEnd(t *testing.T) {
	const size = 5*BundleSize + 7
	s := mustOpen(t, built(t, 5))
	if err := s.Finish(aModel().entries[5*BundleSize : size]); err != nil {
		t.Fatal(err)
	}
	if _, err := NewReader(s, size, nil).Bundle(5, 7); err != nil {
		t.Fatal(err)
	}
	flip(t, s.path("tile/entries/005.p/7"))
	if _, err := NewReader(s, size, nil).Bundle(5, 7); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}
