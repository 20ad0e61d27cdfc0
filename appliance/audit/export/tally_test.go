package export

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// However small its memory, a tally counts like a map.
func TestTallyCountsLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"", "key ", "\x00"}).Draw(t, "prefix") + strconv.Itoa(rapid.IntRange(0, 200).Draw(t, "n"))
		}), 0, 400).Draw(t, "names")
		y := newTally(rapid.IntRange(1, 8).Draw(t, "most"))
		defer y.close()
		want := map[string]Total{}
		for i, name := range names {
			if err := y.add(name, int64(i)); err != nil {
				t.Fatal(err)
			}
			w := want[name]
			want[name] = Total{name, w.Entries + 1, w.MACs + int64(i)}
		}
		if len(y.runs) > maxRuns {
			t.Errorf("%d files", len(y.runs))
		}
		for range 2 { // it can be asked for again
			var got []Total
			for total, err := range y.all() {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, total)
			}
			var sorted []Total
			for _, name := range slices.Sorted(maps.Keys(want)) {
				sorted = append(sorted, want[name])
			}
			if d := cmp.Diff(sorted, got); d != "" {
				t.Fatal(d)
			}
		}
		for range y.all() { // nor does it have to be heard to the end
			break
		}
	})
}

// A file that can't be read is an error, and not a smaller sum.
func TestTallySaysWhatItCantRead(t *testing.T) {
	y := newTally(1)
	for _, name := range []string{"a", "b", "c"} {
		if err := y.add(name, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := y.runs[1].Truncate(2); err != nil {
		t.Fatal(err)
	}
	var failed error
	for _, err := range y.all() {
		failed = errors.Join(failed, err)
	}
	if failed == nil {
		t.Error("what is cut short was read to the end")
	}
	y.close()
}

func FuzzSplitBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, 2)
	f.Add([]byte{0, 1}, 1)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		if width < 1 || width > tileWidth {
			return
		}
		leaves, wrong := splitBundle(data, width)
		n := 0
		for _, l := range leaves {
			n += 2 + len(l.raw)
			if (l.entry == nil) == (l.err == nil) {
				t.Error("an entry and an error, or neither")
			}
		}
		if (wrong == "") != (len(leaves) == width && n == len(data)) {
			t.Errorf("%d of %d entries in %d bytes: %q", len(leaves), width, len(data), wrong)
		}
		full := newFile(0, "t", bundles, 0, width)
		if cut, err := full.cut(data); err == nil && len(cut) > len(data) {
			t.Error("it was cut to be longer")
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	golden, err := os.ReadFile("testdata/export.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		lo, hi := m.needed()
		if lo >= hi || lo < m.Trees[0].First || hi > m.end() {
			t.Errorf("needed are %d to before %d", lo, hi)
		}
		for _, p := range m.plans() {
			if p.lo > p.hi || p.hi > p.size || p.minimum > p.size || p.since > p.size {
				t.Errorf("%+v", p)
			}
		}
	})
}
