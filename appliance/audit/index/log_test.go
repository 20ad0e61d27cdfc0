package index

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance/audit"
)

// testTree is a tree of a log, and the obvious way to search it.
type testTree struct {
	name    string
	first   int64
	raw     [][]byte
	entries []*audit.Entry
	pruned  int64 // bundles
	reads   int   // of bundles
	clock   int64
}

// grow appends entries with few different values, which are frequent, rare or missing for a while, at times that run
// backwards now and then.
func (l *testTree) grow(r *rand.Rand, n int) {
	var seldom map[string]int // in how many entries a member has a value once
	pick := func(prefix string, of int) string {
		if _, ok := seldom[prefix]; !ok {
			seldom[prefix] = []int{1, 1, 1, 100, 400}[r.IntN(5)]
		}
		if r.IntN(seldom[prefix]) > 0 {
			return ""
		}
		return fmt.Sprint(prefix, 1+r.IntN(of))
	}
	for i := range n {
		if i%BundleSize == 0 {
			seldom = map[string]int{}
		}
		l.clock += int64(r.IntN(3))
		now := l.clock
		if r.IntN(400) == 0 {
			now = max(0, now-int64(r.IntN(2000)))
		}
		e := &audit.Entry{
			Version: 2, Index: l.first + int64(len(l.raw)), Time: now, Tenant: pick("t", 2), Account: pick("account", 5),
			Actor: pick("actor", 2), Request: pick("r", 2000), Operation: pick("op", 3), Key: pick("k", 2), Subject: pick("s", 1),
			Outcome: pick("o", 2), Node: pick("n", 3),
		}
		l.entries = append(l.entries, e)
		l.raw = append(l.raw, e.AppendJSON(nil))
	}
}

func (l *testTree) size() int64 { return int64(len(l.raw)) }
func (l *testTree) full() int64 { return l.size() / BundleSize }

func (l *testTree) read(tree string, bundle int64) ([][]byte, error) {
	if tree != l.name || bundle < l.pruned || bundle*BundleSize >= l.size() {
		return nil, fmt.Errorf("bundle %d of %q is not there", bundle, tree)
	}
	l.reads++
	return l.bundle(bundle), nil
}

func (l *testTree) bundle(n int64) [][]byte {
	return l.raw[n*BundleSize : min((n+1)*BundleSize, l.size())]
}

// naive is what a search that is never too long finds from begin to end-1.
func (l *testTree) naive(q Query, begin, end int64, descending bool) (found []Found) {
	for at := max(begin, l.pruned*BundleSize); at < end; at++ {
		if q.Match(l.entries[at]) {
			found = append(found, Found{at, l.raw[at]})
		}
	}
	if descending {
		slices.Reverse(found)
	}
	return found
}

// sameFound compares what two searches found. cmp alone is slow for many entries.
func sameFound(naive, got []Found) error {
	if slices.EqualFunc(naive, got, func(a, b Found) bool { return a.Position == b.Position && bytes.Equal(a.Entry, b.Entry) }) {
		return nil
	}
	return fmt.Errorf("(-naive +got):\n%s", cmp.Diff(naive, got))
}

// catchUp adds the full bundles that aren't in the index.
func (l *testTree) catchUp(x *Index) error {
	for b := x.Added(l.name); b < l.full(); b++ {
		if err := x.Add(l.name, l.first, b, l.bundle(b)); err != nil {
			return err
		}
	}
	return nil
}

// searchAll follows the pages of a search to their end.
func searchAll(x *Index, tree string, q Query, o Options, read Read) (found []Found, err error) {
	for {
		p, err := x.Search(context.Background(), tree, q, o, read)
		if err != nil {
			return nil, err
		}
		found = append(found, p.Found...)
		if limit := max(o.Limit, 1); o.Limit > 0 && len(p.Found) > limit {
			return nil, fmt.Errorf("a page of %d has %d", limit, len(p.Found))
		}
		if !p.More {
			return found, nil
		}
		switch {
		case o.Descending && (o.End == 0 || p.Next < o.End) && p.Next > o.Begin:
			o.End = p.Next
		case !o.Descending && p.Next > o.Begin && (o.End == 0 || p.Next < o.End):
			o.Begin = p.Next
		default:
			return nil, fmt.Errorf("a page of %+v goes on at %d", o, p.Next)
		}
	}
}

func newTestTree(t testing.TB, name string, seed uint64, entries int) *testTree {
	t.Helper()
	l := &testTree{name: name}
	l.grow(rand.New(rand.NewPCG(seed, 0)), entries)
	return l
}
