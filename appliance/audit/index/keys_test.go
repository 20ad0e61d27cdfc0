package index

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"strongroom.internal/appliance/audit"
)

var update = flag.Bool("update", false, "write testdata/v1.golden anew")

// The golden file has the whole database of a small index, a record a line. If this test fails, either find another way
// or make a new format of it: change formatName, and indexes of the old format are removed.
func TestFormatGolden(t *testing.T) {
	x, err := openSmall(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for _, tree := range []string{"2026", "2027"} {
		for b := range int64(6) {
			entries := make([][]byte, BundleSize)
			for i := range entries {
				e := audit.Entry{Index: 1000 + b*BundleSize + int64(i), Time: 5000 + b, Operation: "verify", Outcome: "accepted", Node: "n1"}
				switch {
				case i < 31:
					e.Node = "n2" // a list: one less than a bitmap
				case i < 63:
					e.Node = "n3" // a bitmap
				case i == 100:
					e.Tenant, e.Account, e.Key, e.Subject, e.Actor, e.Request = "t", "a", "k", "s", "c", "r"
				case i == 255:
					e.Time = 4990
				}
				entries[i] = e.AppendJSON(nil)
			}
			if err := x.Add(tree, 1000, b, entries); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := x.Forget("2026", 5); err != nil {
		t.Fatal(err)
	}
	it, err := x.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	fmt.Fprintf(&got, "%s, here with segments of 2^2 bundles rather than 2^%d\n", formatName, segmentBits)
	for ok := it.First(); ok; ok = it.Next() {
		fmt.Fprintf(&got, "%x = %x\n", it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/v1.golden"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("the format changed (-golden +now):\n%s", d)
	}
}

func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := rapid.SliceOfNDistinct(rapid.IntRange(0, BundleSize-1), 1, BundleSize, rapid.ID).Draw(t, "places")
		var s set
		for _, i := range places {
			s.add(i)
		}
		slices.Sort(places)
		if got := slices.Collect(s.all(false)); !slices.Equal(got, places) {
			t.Fatalf("%v", got)
		}
		back := slices.Collect(s.all(true))
		if slices.Reverse(back); !slices.Equal(back, places) {
			t.Fatalf("%v in reverse", back)
		}
		again, err := parseSet(s.append(nil))
		if err != nil || again != s || s.len() != len(places) {
			t.Fatalf("%v, %v", again, err)
		}
		from := rapid.IntRange(0, BundleSize).Draw(t, "from")
		to := rapid.IntRange(from, BundleSize).Draw(t, "to")
		want := slices.DeleteFunc(places, func(i int) bool { return i < from || i >= to })
		if got := slices.Collect(s.and(span(from, to)).all(false)); !slices.Equal(got, want) {
			t.Fatalf("%v from %d to %d, not %v", got, from, to, want)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte{0, 7, 255})
	f.Add(span(3, 200).append(nil))
	f.Add(span(0, 31).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSet(b); err == nil && !bytes.Equal(s.append(nil), b) {
			t.Errorf("%x is read as %v", b, s)
		}
	})
}

func FuzzParseTreeRecord(f *testing.F) {
	f.Add(treeRecord{1, 2, 3, 4, 5}.bytes())
	f.Add(make([]byte, 34))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseTreeRecord(b); err == nil && !bytes.Equal(r.bytes(), b) {
			t.Errorf("%s is read as %+v", hex.EncodeToString(b), r)
		}
	})
}
