package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/index"
	"strongroom.internal/appliance/audit/tiles"
	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

// checkSearch compares searches with what the entries say, page by page and in both orders.
func checkSearch(t *testing.T, e *cluster.Raft, pruned int64, queries ...index.Query) {
	t.Helper()
	heads, err := e.Log().Heads()
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range heads {
		r, err := e.Log().Tree(h.Tree)
		if err != nil {
			t.Fatal(err)
		}
		from := int64(0)
		if i == 0 {
			from = pruned
		}
		entries, err := r.Entries(from, int(h.Size-from))
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queries {
			var want []int64
			for at, b := range entries {
				parsed, err := audit.ParseEntry(b)
				if err != nil {
					t.Fatal(err)
				}
				if q.Match(parsed) {
					want = append(want, from+int64(at))
				}
			}
			for _, descending := range []bool{false, true} {
				var got []int64
				o := index.Options{End: h.Size, Descending: descending, Limit: 50}
				for more := true; more; {
					p, err := e.Log().Search(t.Context(), h.Tree, q, o)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range p.Found {
						got = append(got, f.Position)
					}
					if more = p.More; descending {
						o.End = p.Next
					} else {
						o.Begin = p.Next
					}
				}
				if descending {
					slices.Reverse(got)
				}
				if !slices.Equal(got, want) {
					t.Errorf("tree %s, %+v, descending %v: %d entries were found, want %d", h.Tree, q, descending, len(got), len(want))
				}
			}
		}
	}
}

// A search finds all and nothing else, at any time: while the index is behind, after a crash, without the index, and on a
// node that was pruned.
func TestSearchIsExact(t *testing.T) {
	c := startCluster(t, 1, clustertest.Machine{}, nil)
	n, e := c.node(0)
	propose := func(i int) {
		if _, err := e.Propose(t.Context(), clustertest.Set(id(i), fmt.Sprint("r", i%7), int64(i%11))); err != nil {
			t.Error(err)
		}
	}
	queries := []index.Query{
		{}, {Key: "r3"}, {Key: "r3", Outcome: "5"}, {Operation: "end-tree"}, {Request: fmt.Sprintf("%x", id(100))}, {Key: "none"}, {Node: "n1"},
	}
	at := 0
	for i, tree := range []string{"2026", "2027"} {
		var wg sync.WaitGroup
		for range 30 {
			from, n := at, 10*(i+1)
			at += n
			wg.Go(func() {
				for k := range n {
					propose(from + k)
				}
			})
		}
		wg.Wait()
		checkSearch(t, e, 0, queries...)
		if err := decide(t, e, clustertest.Begin(id(10_000+i), tree)); err != nil {
			t.Fatal(err)
		}
	}
	checkSearch(t, e, 0, queries...)
	awaitFiles(t, n, e)
	c.crash(0)
	c.start(0)
	_, e = c.node(0)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkSearch(t, e, 0, queries...)

	c.crash(0)
	dir := filepath.Join(n.dir, "key-usage-log-index")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c.start(0)
	_, e = c.node(0)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkSearch(t, e, 0, queries...)

	heads, err := e.Log().Heads()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Log().Prune(heads[0].Tree, tiles.BundleSize); err != nil {
		t.Fatal(err)
	}
	checkSearch(t, e, tiles.BundleSize, queries...)
	if _, err := e.Log().Search(t.Context(), "1999", index.Query{}, index.Options{}); !errors.Is(err, cluster.ErrNoTree) {
		t.Errorf("a tree that isn't there: %v", err)
	}
}
