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

// levelOne are hashes of level 1 of the model.
func (m *model) levelOne(from, to int64) []tlog.Hash {
	var at []int64
	for n := from; n < to; n++ {
		at = append(at, tlog.StoredHashIndex(8, n))
	}
	hashes, err := m.ReadHashes(at)
	if err != nil {
		panic(err)
	}
	return hashes
}

// A store that skipped what was pruned is like one that had it once and pruned it, whatever it had before, and however
// much is skipped at a time; and goes on like one.
func TestSkip(t *testing.T) {
	m := aModel()
	rapid.Check(t, func(rt *rapid.T) {
		had := rapid.SampledFrom([]int64{0, 1, 5}).Draw(rt, "had")
		to := rapid.SampledFrom([]int64{6, 255, 256, 257}).Draw(rt, "to")
		dir := built(t, had)
		s, err := open(dir, quickDisk{})
		if err != nil {
			rt.Fatal(err)
		}
		for at := had; at < to; {
			next := rapid.Int64Range(at+1, to).Draw(rt, "next")
			if err := s.Skip(m.levelOne(at, next)); err != nil {
				rt.Fatal(err)
			}
			verify(t, s)
			if err := s.Prune(next * BundleSize); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "reopen") {
				if s, err = open(dir, quickDisk{}); err != nil {
					rt.Fatal(err)
				}
				verify(t, s)
			}
			at = next
		}
		for n := range int64(2) {
			want := masterFiles(t, to+n)
			dropPruned(want, to)
			got := files(t, dir)
			maps.DeleteFunc(got, func(path, _ string) bool { return strings.Contains(path, ".p/") }) // kept
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
				rt.Fatal(diff)
			}
			if err := s.Append(m.bundle(to + n)); err != nil {
				rt.Fatal(err)
			}
			verify(t, s)
		}
	})
}

func TestSkipRefuses(t *testing.T) {
	m := aModel()
	s := mustOpen(t, built(t, 2))
	if err := s.Skip(nil); err == nil {
		t.Error("nothing was skipped")
	}
	if err := s.Finish(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Skip(m.levelOne(2, 3)); !errors.Is(err, ErrFinished) {
		t.Errorf("a tree that is finished: %v", err)
	}
	verify(t, s)
}
