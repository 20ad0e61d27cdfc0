package cluster

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"pgregory.net/rapid"
)

// Whatever groups entries were kept in, and whatever was dropped, reading gives what is there, without a gap.
func TestEntryGroups(t *testing.T) {
	cfg := Config{TrustDomain: "d.test", Machine: noter{}, CacheBytes: 1 << 20}.withDefaults()
	st, err := openState(&cfg, t.TempDir()+"/state", true, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer st.release()
	rapid.Check(t, func(rt *rapid.T) {
		if err := st.db.DeleteRange(entryKey(nil, 0), after([]byte(entryPrefix)), pebble.NoSync); err != nil {
			rt.Fatal(err)
		}
		var g entryGroup
		next := int64(rapid.IntRange(0, 3).Draw(rt, "first"))
		kept := next
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			if rapid.IntRange(0, 3).Draw(rt, "what") == 0 {
				below := int64(rapid.IntRange(0, int(next)+2).Draw(rt, "below"))
				below = min(below, next)
				if err := dropEntries(st, below); err != nil {
					rt.Fatal(err)
				}
				kept = max(kept, below)
				continue
			}
			b := st.db.NewIndexedBatch()
			for range rapid.IntRange(1, 9).Draw(rt, "entries") {
				if err := g.add(b, next, fmt.Append(nil, "entry ", next)); err != nil {
					rt.Fatal(err)
				}
				next++
			}
			if err := g.flush(b); err != nil {
				rt.Fatal(err)
			}
			if err := b.Commit(pebble.NoSync); err != nil {
				rt.Fatal(err)
			}
		}
		from, n := int64(rapid.IntRange(0, int(next)+1).Draw(rt, "from")), rapid.IntRange(1, 30).Draw(rt, "n")
		got, err := entriesOf(st, from, n)
		if err != nil {
			rt.Fatal(err)
		}
		for i, e := range got {
			if string(e) != fmt.Sprint("entry ", from+int64(i)) {
				rt.Fatalf("entry %d reads %q", from+int64(i), e)
			}
		}
		// Of what was dropped there may be left what shares a group with what wasn't.
		if want := min(int64(n), next-from); from >= kept && int64(len(got)) != max(0, want) {
			rt.Fatalf("%d entries from %d of %d to %d, want %d", len(got), from, kept, next, want)
		}
	})
}

// While entries are dropped, others are kept: a group that is added below the index and reaches beyond it stays.
func TestDropBesideKeep(t *testing.T) {
	cfg := Config{TrustDomain: "d.test", Machine: noter{}, CacheBytes: 1 << 20}.withDefaults()
	st, err := openState(&cfg, t.TempDir()+"/state", true, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer st.release()
	const each = 100
	for round := range int64(100) { // each makes the next slower, and a few do
		from := round * each
		kept := make(chan error, 1)
		go func() {
			var g entryGroup
			b := st.db.NewIndexedBatch()
			var err error
			for i := range int64(each) {
				err = errors.Join(err, g.add(b, from+i, []byte("entry")))
			}
			kept <- errors.Join(err, g.flush(b), b.Commit(pebble.NoSync))
		}()
		if err := errors.Join(dropEntries(st, from+each/2), <-kept); err != nil {
			t.Fatal(err)
		}
		if got, err := entriesOf(st, from+each/2, each); err != nil || len(got) != each/2 {
			t.Fatalf("round %d: %d entries are left of %d that are in no file: %v", round, len(got), each/2, err)
		}
	}
}
