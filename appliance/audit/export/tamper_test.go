package export_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// files are those of an export.
type files map[string][]byte

func (f files) clone() files { return maps.Clone(f) }

// pick gives one of the paths that satisfy which; "" when none does.
func (f files) pick(r *rand.Rand, which func(path string) bool) string {
	var paths []string
	for _, p := range slices.Sorted(maps.Keys(f)) {
		if which(p) {
			paths = append(paths, p)
		}
	}
	if len(paths) == 0 {
		return ""
	}
	return paths[r.IntN(len(paths))]
}

func isBundle(p string) bool     { return strings.Contains(p, "/tile/entries/") }
func isTile(p string) bool       { return strings.Contains(p, "/tile/") && !isBundle(p) }
func isEdge(p string) bool       { return isTile(p) && strings.Contains(p, ".p/") }
func isCheckpoint(p string) bool { return strings.HasSuffix(p, "/checkpoint") }
func anyFile(string) bool        { return true }

// start is the position of a bundle's first entry.
func start(bundle string) (position int64) {
	_, n, _ := strings.Cut(bundle, "/tile/entries/")
	n, _, _ = strings.Cut(n, ".p/")
	for d := range strings.SplitSeq(n, "/") {
		var part int64
		fmt.Sscanf(strings.TrimPrefix(d, "x"), "%d", &part)
		position = position*1000 + part
	}
	return position * 256
}

func split(t testing.TB, bundle []byte) (entries [][]byte) {
	for len(bundle) > 0 {
		n := int(binary.BigEndian.Uint16(bundle))
		entries, bundle = append(entries, bundle[2:2+n]), bundle[2+n:]
	}
	return entries
}

func join(entries [][]byte) (bundle []byte) {
	for _, e := range entries {
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(e))), e...)
	}
	return bundle
}

// specimen is a good export that is tampered with.
type specimen struct {
	shape
	log    *audittest.Log
	policy *audit.Policy
	since  *audit.SignedHead
	files  files
}

func newSpecimen(t *testing.T, s shape) *specimen {
	sp := &specimen{shape: s, log: sharedLog(t, s.trees), files: files{}}
	sp.policy = policyOf(t, sp.log)
	sp.since = s.earlier(t, sp.log)
	dir := filepath.Join(t.TempDir(), "export")
	s.export(t, sp.log, dir)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			sp.files[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func (sp *specimen) verify(f files) error {
	m := fstest.MapFS{}
	for path, b := range f {
		m[path] = &fstest.MapFile{Data: b}
	}
	return sp.verifyOpened(export.OpenFS(m))
}

func (sp *specimen) verifyOpened(e *export.Export) error {
	r, err := export.Verify(context.Background(), e, export.Options{Policy: sp.policy, Since: sp.since})
	if err == nil {
		r.Close()
	}
	return err
}

// place is where a fault has to be: in one of the paths, and at the position if that is not -1. A right edge is one whole
// whose files can't always be told apart, and a digest and what it is of are two that disagree: there the message has to
// name the file.
type place struct {
	paths    []string
	position int64
	named    bool // in the message is enough
	set      bool // so is a file that is missing, or does not belong to the export
}

func in(paths ...string) place { return place{paths: paths, position: -1} }

func (p place) check(err error) error {
	var f *export.Fault
	if !errors.As(err, &f) {
		return fmt.Errorf("it is answered with %v, which is no fault", err)
	}
	text := f.Error()
	switch {
	case strings.Contains(text, "\n"):
		return fmt.Errorf("the fault has more than one line: %s", text)
	case p.position >= 0 && f.Position != p.position:
		return fmt.Errorf("position %d is named: %s", f.Position, text)
	case (f.Entry < 0) != (f.Position < 0):
		return fmt.Errorf("entry %d and position %d: %s", f.Entry, f.Position, text)
	case slices.Contains(p.paths, f.Path):
		return nil
	case p.named && slices.ContainsFunc(p.paths, func(path string) bool { return strings.Contains(text, path) }):
		return nil
	case p.set && (f.Why == "it is missing" || f.Why == "it does not belong to the export"):
		return nil
	}
	return fmt.Errorf("another place is named: %s", text)
}

// A tampering changes files, and says where the fault has to be found; false: there is nothing of the kind in the export.
type tampering struct {
	name string
	do   func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool)
}

var tamperings = []tampering{
	{"a bit of any file", flipBit(anyFile)},
	{"a bit of export.json", flipBit(func(p string) bool { return p == "export.json" })},
	{"a bit of the policy", flipBit(func(p string) bool { return p == "policy" })},
	{"a bit of a checkpoint", flipBit(isCheckpoint)},
	{"a bit of a tile", flipBit(isTile)},
	{"a bit of an edge", flipBit(isEdge)},
	{"a bit of a bundle", flipBit(isBundle)},
	{"a file cut short", func(_ *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		p := f.pick(r, anyFile)
		f[p] = f[p][:r.IntN(len(f[p]))]
		return in(p), true
	}},
	{"a file with more in it", func(_ *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		p := f.pick(r, anyFile)
		f[p] = append(slices.Clone(f[p]), make([]byte, 1+r.IntN(64))...)
		return in(p), true
	}},
	{"a file removed", func(_ *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		p := f.pick(r, anyFile)
		delete(f, p)
		return in(p), true
	}},
	{"a file that does not belong", func(_ *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		tree := sp.log.All[len(sp.log.All)-1].Tree
		names := []string{
			"notes.txt", tree + "/checkpoint.old", tree + "/tile/0/x009/000", tree + "/tile/0/000.p/7", tree + "/tile/entries/999",
			tree + "/tile/9/000.p/1", tree + "/tile/00/000", "1999/checkpoint", "export.partial.json", tree + "/tile/entries/0000",
		}
		p := names[r.IntN(len(names))]
		if f[p] != nil {
			return place{}, false
		}
		f[p] = []byte("surprise")
		return in(p), true
	}},
	{"two files swapped", func(_ *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		kinds := []func(string) bool{isBundle, isTile, isCheckpoint}
		kind := kinds[r.IntN(len(kinds))]
		a, b := f.pick(r, kind), f.pick(r, kind)
		if bytes.Equal(f[a], f[b]) {
			return place{}, false
		}
		f[a], f[b] = f[b], f[a]
		return place{paths: []string{a, b}, position: -1, named: true}, true
	}},
	{"a file's content from another", func(_ *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		a, b := f.pick(r, anyFile), f.pick(r, anyFile)
		if bytes.Equal(f[a], f[b]) {
			return place{}, false
		}
		f[a] = f[b]
		return place{paths: []string{a}, position: -1, named: true}, true
	}},
	{"an entry dropped", editBundle(func(r *rand.Rand, all [][]byte) ([][]byte, int) {
		k := r.IntN(len(all))
		return slices.Delete(all, k, k+1), k
	})},
	{"an entry doubled", editBundle(func(r *rand.Rand, all [][]byte) ([][]byte, int) {
		k := r.IntN(len(all))
		if k == len(all)-1 {
			return slices.Insert(all, k, all[k]), -1 // what is wrong is that more follows
		}
		return slices.Insert(all, k, all[k]), k + 1
	})},
	{"two entries swapped", editBundle(func(r *rand.Rand, all [][]byte) ([][]byte, int) {
		a, b := r.IntN(len(all)), r.IntN(len(all))
		if a == b {
			return nil, 0
		}
		all[a], all[b] = all[b], all[a]
		return all, min(a, b)
	})},
	{"an entry cut short", editBundle(func(r *rand.Rand, all [][]byte) ([][]byte, int) {
		k := r.IntN(len(all))
		all[k] = all[k][:r.IntN(len(all[k]))]
		return all, k
	})},
	{"an entry edited", editBundle(func(r *rand.Rand, all [][]byte) ([][]byte, int) {
		k := r.IntN(len(all))
		all[k] = forgeEntry(r, all[k])
		return all, k
	})},
	{"an entry removed from the end", editBundle(func(_ *rand.Rand, all [][]byte) ([][]byte, int) {
		return all[:len(all)-1], len(all) - 1
	})},
	{"entries moved to another bundle", func(t *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		a, b := f.pick(r, isBundle), f.pick(r, isBundle)
		one, other := split(t, f[a]), split(t, f[b])
		if a == b || len(one) < 2 || strings.Split(a, "/")[0] > strings.Split(b, "/")[0] || start(a) > start(b) {
			return place{}, false
		}
		k := r.IntN(len(one) - 1)
		other = append([][]byte{one[k]}, other...)
		f[a], f[b] = join(slices.Delete(one, k, k+1)), join(other)
		return place{paths: []string{a}, position: start(a) + int64(k)}, true
	}},
}

// forgeEntry makes another entry of an entry, as one would who wants something not to have been.
func forgeEntry(r *rand.Rand, entry []byte) []byte {
	e, err := audit.ParseEntry(entry)
	if err != nil {
		panic(err)
	}
	switch r.IntN(5) {
	case 0:
		e.Outcome += "x"
	case 1:
		e.Account = "00000000000000000000000000000000"
	case 2:
		e.Time++
	case 3:
		e.Operation = "health-check"
	case 4:
		e.Actor = "spiffe://elsewhere.test/frontend/evil/web"
	}
	return e.AppendJSON(nil)
}

func flipBit(which func(string) bool) func(*testing.T, *rand.Rand, *specimen, files) (place, bool) {
	return func(_ *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		p := f.pick(r, which)
		before, b := f[p], slices.Clone(f[p])
		at := r.IntN(len(b))
		b[at] ^= 1 << r.IntN(8)
		f[p] = b
		where := in(p)
		where.named = isEdge(p)
		if isBundle(p) {
			// The length before an entry is of that entry.
			where.position = start(p)
			for end := 0; ; where.position++ {
				if end += 2 + int(binary.BigEndian.Uint16(before[end:])); at < end {
					break
				}
			}
		}
		return where, true
	}
}

// editBundle changes a bundle's entries. edit answers which entry is the first that is not in its place; -1 when it is
// none of them, and nil when there is nothing to edit.
func editBundle(edit func(*rand.Rand, [][]byte) ([][]byte, int)) func(*testing.T, *rand.Rand, *specimen, files) (place, bool) {
	return func(t *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		p := f.pick(r, isBundle)
		all, k := edit(r, split(t, f[p]))
		if all == nil && k == 0 {
			return place{}, false
		}
		f[p] = join(all)
		where := in(p)
		if k >= 0 {
			where.position = start(p) + int64(k)
		}
		return where, true
	}
}

// specimens are chosen so that there is everything in them that can be tampered with, and that verifying one is quick.
var specimens = []shape{
	{trees: []int64{700}, since: 300},
	{trees: []int64{300, 256, 257}, since: 100, sinceIn: 2},
	{trees: []int64{2000}, from: "2026-01-01T04:15:00Z", to: "2026-01-01T05:00:00Z", since: 1900},
	{trees: []int64{600, 600, 600}, from: "1300", to: "2026-01-01T08:00:00Z", since: 77, sinceIn: 2},
	{trees: []int64{66000, 700}, from: "65900", to: "66100", since: 65536, sinceIn: 1},
}

const tampered = 1000

func TestTamperedExportsAreRefused(t *testing.T) {
	all := slices.Concat(tamperings, forgeries, claims)
	each := (tampered-1)/(len(specimens)*len(all)) + 1
	var results [5]int
	t.Run("specimens", func(t *testing.T) {
		for i, s := range specimens {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				sp := newSpecimen(t, s)
				if err := sp.verify(sp.files); err != nil {
					t.Fatalf("the export itself is refused: %v", err)
				}
				for k, tampering := range all {
					r := rand.New(rand.NewPCG(uint64(i), uint64(k)))
					for range each {
						f := sp.files.clone()
						where, ok := tampering.do(t, r, sp, f)
						for tries := 0; !ok && tries < 20; tries++ {
							f = sp.files.clone()
							where, ok = tampering.do(t, r, sp, f)
						}
						if !ok {
							continue
						}
						results[i]++
						if err := where.check(sp.verify(f)); err != nil {
							t.Errorf("%s (%v, position %d): %v", tampering.name, where.paths, where.position, err)
						}
					}
				}
			})
		}
	})
	sum := 0
	for _, n := range results {
		sum += n
	}
	t.Logf("%d tampered exports", sum)
	if sum < tampered*9/10 {
		t.Errorf("only %d exports were tampered with", sum)
	}
}
