package index

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"strongroom.internal/appliance/audit"
)

func TestSearchRefuses(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := newTestTree(t, "2026", 1, 2*BundleSize+5)
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	search := func(ctx context.Context, q Query, o Options, read Read) error {
		p, err := x.Search(ctx, "2026", q, o, read)
		if err != nil && (len(p.Found) > 0 || p.More) {
			t.Error("a page and an error")
		}
		return err
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := search(ended, Query{}, Options{}, l.read); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, o := range []Options{{Begin: -1}, {End: -1}, {Limit: -1}, {Begin: 1 << 62}, {End: 1<<63 - 1}} {
		if err := search(t.Context(), Query{}, o, l.read); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := search(t.Context(), Query{Key: "\xff"}, Options{}, l.read); !errors.Is(err, ErrQuery) {
		t.Errorf("query: %v", err)
	}
	broken := errors.New("broken")
	if err := search(t.Context(), Query{}, Options{}, func(string, int64) ([][]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("reading: %v", err)
	}
	short := func(string, int64) ([][]byte, error) { return l.bundle(0)[:9], nil }
	if err := search(t.Context(), Query{}, Options{}, short); !errors.Is(err, audit.ErrEntry) {
		t.Errorf("a short bundle: %v", err)
	}
	bad := func(string, int64) ([][]byte, error) { return make([][]byte, BundleSize), nil }
	if err := search(t.Context(), Query{}, Options{}, bad); !errors.Is(err, audit.ErrEntry) {
		t.Errorf("no entries: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		search(t.Context(), Query{}, Options{}, l.read), x.Add("2026", 0, 2, l.bundle(0)), x.Forget("2026", 1),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
	if n := x.Added("2026"); n != 0 {
		t.Errorf("a closed index has %d bundles", n)
	}
}

// A search of a tree that the index has never heard of reads it all.
func TestSearchOfAnUnknownTree(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := newTestTree(t, "2026", 1, BundleSize+5)
	q := Query{Outcome: "o1"}
	got, err := searchAll(x, l.name, q, Options{End: l.size()}, l.read)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameFound(l.naive(q, 0, l.size(), false), got); err != nil {
		t.Error(err)
	}
	if got, err = searchAll(x, l.name, q, Options{}, l.read); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

// Whoever finds a value with another's hash makes a search look in vain, no more.
func TestSearchLooksBehindTheHash(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := newTestTree(t, "2026", 1, BundleSize)
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	key := append(appendPrefix(appendSegment(nil, 1, 0), 0, "collision"), 0, 0)
	if err := x.db.Set(key, span(0, BundleSize).append(nil), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	got, err := searchAll(x, l.name, Query{Request: "collision"}, Options{}, l.read)
	if err != nil || len(got) > 0 {
		t.Errorf("%d were found: %v", len(got), err)
	}
	if l.reads != 1 {
		t.Errorf("%d bundles were read", l.reads)
	}
}

// What one search may cost does not depend on how much there is, nor on how ill a query is made.
func TestSearchIsBounded(t *testing.T) {
	b := budget{bundles: 3, steps: 20, bytes: 50_000}
	x := mustOpen(t, b)
	l := &testTree{name: "2026"}
	for i := range int64(100 * BundleSize) { // no bundle has both
		e := &audit.Entry{Index: i, Version: 2, Operation: fmt.Sprint("op", i/BundleSize%2), Key: fmt.Sprint("k", (i/BundleSize+1)%2)}
		l.entries, l.raw = append(l.entries, e), append(l.raw, e.AppendJSON(nil))
	}
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	for _, descending := range []bool{false, true} {
		for _, q := range []Query{{Operation: "op0", Key: "k0"}, {Operation: "nothing", Key: "k0"}, {Operation: "op0"}, {}} {
			o := Options{Descending: descending}
			pages := 0
			for more := true; more; pages++ {
				l.reads = 0
				p, err := x.Search(t.Context(), l.name, q, o, l.read)
				if err != nil {
					t.Fatal(err)
				}
				if l.reads > b.bundles || len(p.Found) > MaxLimit {
					t.Fatalf("%+v: %d bundles were read, %d entries found", q, l.reads, len(p.Found))
				}
				bytes := 0
				for _, f := range p.Found {
					bytes += len(f.Entry)
				}
				if bytes > b.bytes+audit.MaxEntry {
					t.Fatalf("%+v: %d bytes were found", q, bytes)
				}
				if more = p.More; descending {
					o.End = p.Next
				} else {
					o.Begin = p.Next
				}
			}
			if q.Operation != "nothing" && pages < 4 {
				t.Errorf("%+v: all was done in %d pages", q, pages)
			}
		}
	}
}

func TestSearchLimit(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := newTestTree(t, "2026", 1, 8*BundleSize)
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]int{0: MaxLimit, 1: 1, MaxLimit: MaxLimit, 1 << 40: MaxLimit} {
		p, err := x.Search(t.Context(), l.name, Query{}, Options{Limit: limit}, l.read)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Found) != want || !p.More || p.Next != int64(want) {
			t.Errorf("limit %d: %d were found, and it goes on at %d: %t", limit, len(p.Found), p.Next, p.More)
		}
	}
	// The last page of a search that ends with what was asked for says that it is the last.
	for _, o := range []Options{{Begin: 2043, Limit: 5}, {End: 5, Limit: 5, Descending: true}} {
		if p, err := x.Search(t.Context(), l.name, Query{}, o, l.read); err != nil || len(p.Found) != 5 || p.More {
			t.Errorf("%+v: %d were found, %v, %v", o, len(p.Found), p.More, err)
		}
	}
}

// Of bundles that are all too early or too late none is read.
func TestSearchByTimeReadsLittle(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := &testTree{name: "2026"}
	for i := range int64(100 * BundleSize) {
		e := &audit.Entry{Index: i, Version: 2, Time: 10 * i, Operation: "verify"}
		l.entries, l.raw = append(l.entries, e), append(l.raw, e.AppendJSON(nil))
	}
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	for _, descending := range []bool{false, true} {
		for _, operation := range []string{"", "verify"} {
			l.reads = 0
			q := Query{Operation: operation, From: msec(20 * 2560), To: msec(22*2560 + 1)}
			got, err := searchAll(x, l.name, q, Options{Descending: descending}, l.read)
			if err != nil {
				t.Fatal(err)
			}
			if err := sameFound(l.naive(q, 0, l.size(), descending), got); err != nil {
				t.Error(err)
			}
			if l.reads != 3 {
				t.Errorf("%d bundles were read", l.reads)
			}
		}
	}
}

// Times that run backwards cost a search more, and hide nothing from it.
func TestSearchWhereTimesRunBackwards(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := &testTree{name: "2026"}
	for i := range int64(20 * BundleSize) {
		bundle := i / BundleSize
		e := &audit.Entry{Index: i, Version: 2, Time: 1000 + 10*bundle}
		if i%BundleSize == 77 && bundle%5 == 4 {
			e.Time -= 30
		}
		l.entries, l.raw = append(l.entries, e), append(l.raw, e.AppendJSON(nil))
	}
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	for from := int64(960); from < 1210; from += 10 {
		for _, to := range []int64{from + 1, from + 10, from + 50} {
			for _, descending := range []bool{false, true} {
				q := Query{From: msec(from), To: msec(to)}
				got, err := searchAll(x, l.name, q, Options{Descending: descending}, l.read)
				if err != nil {
					t.Fatal(err)
				}
				if err := sameFound(l.naive(q, 0, l.size(), descending), got); err != nil {
					t.Fatalf("from %d to %d: %v", from, to, err)
				}
			}
		}
	}
}
