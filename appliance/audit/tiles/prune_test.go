package tiles

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// What was pruned is gone from the disk and nothing else is; all entries that are left are proved in all trees that are
// left, now and after the tree has grown over the next level-1 tile and been opened anew.
func TestPrune(t *testing.T) {
	m := aModel()
	rapid.Check(t, func(rt *rapid.T) {
		start := rapid.SampledFrom([]int64{1, 2, 250, 255, 256, 257}).Draw(rt, "bundles")
		from := max(0, start-8) // pruned once already, for few files
		dir := builtPruned(t, start, from)
		s, err := open(dir, quickDisk{})
		if err != nil {
			rt.Fatal(err)
		}
		lowest := from * BundleSize
		check := func() {
			size := s.Complete() + 50
			r := NewReader(s, size, m.tail(s.Complete()))
			if s.Pruned() != lowest {
				rt.Fatalf("pruned to %d, want %d", s.Pruned(), lowest)
			}
			verify(t, s)
			left := rapid.Int64Range(lowest, size-1)
			at := left.Draw(rt, "entry")
			for _, of := range []int64{size, rapid.Int64Range(at+1, size).Draw(rt, "of")} {
				p, err := tlog.ProveRecord(of, at, r)
				if err != nil {
					rt.Fatalf("entry %d of %d, pruned to %d: %v", at, of, lowest, err)
				}
				if err := tlog.CheckRecord(p, of, m.roots[of], at, tlog.RecordHash(m.entries[at])); err != nil {
					rt.Fatal(err)
				}
			}
			if old := max(1, left.Draw(rt, "old size")); old >= lowest {
				p, err := tlog.ProveTree(size, old, r)
				if err != nil {
					rt.Fatalf("size %d in %d, pruned to %d: %v", old, size, lowest, err)
				}
				if err := tlog.CheckTree(p, size, m.roots[size], old, m.roots[old]); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				before := rapid.Int64Range(max(0, s.Complete()-6*BundleSize), s.Complete()).Draw(rt, "before")
				if err := s.Prune(before); err != nil {
					rt.Fatal(err)
				}
				lowest = max(lowest, before/BundleSize*BundleSize)
			case 1:
				if n := s.Complete() / BundleSize; n < wholeBundles {
					if err := s.Append(m.bundle(n)); err != nil {
						rt.Fatal(err)
					}
				}
			case 2:
				if s, err = open(dir, quickDisk{}); err != nil {
					rt.Fatal(err)
				}
			}
			check()
		}
		want := masterFiles(t, s.Complete()/BundleSize)
		dropPruned(want, lowest/BundleSize)
		got := files(t, dir)
		var kept []string
		for p := range got {
			if strings.Contains(p, ".p/") {
				kept = append(kept, p)
				delete(got, p)
			}
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
			rt.Fatal(diff)
		}
		if w, ok := keptEdge(lowest, s.Complete()); len(kept) > 1 || ok && (len(kept) != 1 || kept[0] != tilePath(1, lowest>>16, w)) {
			rt.Fatalf("pruned to %d of %d, and %v are kept", lowest, s.Complete(), kept)
		}
	})
}

func TestPruneRefuses(t *testing.T) {
	s := mustOpen(t, built(t, 2))
	for _, before := range []int64{-1, 2*BundleSize + 1} {
		if err := s.Prune(before); err == nil {
			t.Errorf("pruned before %d", before)
		}
	}
	if err := errors.Join(s.Prune(0), s.Prune(255)); err != nil || s.Pruned() != 0 || s.Health() != nil {
		t.Errorf("pruned to %d: %v", s.Pruned(), err)
	}
	verify(t, s)
}

// A finished tree can be pruned too. Its partial bundle ends where the full one would, so it stays.
func TestPruneFinished(t *testing.T) {
	m := aModel()
	s := mustOpen(t, built(t, 257))
	if err := s.Prune(256 * BundleSize); err != nil {
		t.Fatal(err)
	}
	const size = 257*BundleSize + 3
	if err := s.Finish(m.entries[257*BundleSize : size]); err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(size); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, s.dir)
	if s.Pruned() != 257*BundleSize {
		t.Errorf("pruned to %d", s.Pruned())
	}
	verify(t, s)
	want := []string{"tile/0/257.p/3", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1", "tile/entries/257.p/3"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files(t, s.dir)))); diff != "" {
		t.Error(diff)
	}
}

// A reader that meets a file that is just being removed says that it is pruned, not that it is damaged.
func TestPrunedWhileRead(t *testing.T) {
	s := mustOpen(t, built(t, 3))
	r := NewReader(s, 3*BundleSize, nil)
	_, err := settled(r, func(st *state) ([][]byte, error) {
		if err := s.Prune(BundleSize); err != nil {
			return nil, err
		}
		return r.within(st, 0, 0, BundleSize)
	})
	if !errors.Is(err, ErrPruned) {
		t.Error(err)
	}
}

// Directories of a thousand, and of a million, go when all in them is gone.
func TestRemoveRangeRemovesDirectories(t *testing.T) {
	d := &recordingDisk{}
	s := &Store{dir: "/", disk: d}
	if err := s.removeRange(999_998, 1_001_001); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, p := range d.removed {
		if strings.HasPrefix(p[strings.LastIndexByte(p, '/')+1:], "x") {
			dirs = append(dirs, p)
		}
	}
	want := []string{"/tile/entries/x999", "/tile/entries/x001/x000", "/tile/0/x999", "/tile/0/x001/x000"}
	if diff := cmp.Diff(want, dirs); diff != "" {
		t.Error(diff)
	}
	if n := len(d.removed); n != 2*1003+4 {
		t.Errorf("%d removed", n)
	}
	d.removed = nil
	if err := s.removeRange(1_999_999, 2_000_000); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"/tile/entries/x001/x999/999", "/tile/entries/x001/x999", "/tile/entries/x001",
		"/tile/0/x001/x999/999", "/tile/0/x001/x999", "/tile/0/x001",
	}
	if diff := cmp.Diff(want, d.removed); diff != "" {
		t.Error(diff)
	}
}

// recordingDisk has everything and removes nothing.
type recordingDisk struct {
	osDisk
	removed []string
}

func (d *recordingDisk) remove(path string) error { d.removed = append(d.removed, path); return nil }
func (d *recordingDisk) syncDir(string) error     { return nil }
