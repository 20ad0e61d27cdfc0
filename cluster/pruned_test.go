package cluster_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit/index"
	"strongroom.internal/appliance/audit/tiles"
	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

// A node that hasn't the files of a tree that was pruned, because it is new or was away, can't fetch them anywhere. It takes
// the hashes that the others have kept of what was pruned, is whole with that, and serves and proves what is left, also
// after a restart, and when the tree has grown.
func TestAPrunedTreeIsFetched(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, func(cfg *cluster.Config) { cfg.SnapshotEntries = 16 })
	_, e := c.node(0)
	writeMany(t, e, 1, 1000)
	if err := decide(t, e, clustertest.Begin(id(100_000), "2027")); err != nil {
		t.Fatal(err)
	}
	writeMany(t, e, 2000, 2999)
	marks := map[string]int64{"0": 3*tiles.BundleSize + 7, "2027": 2 * tiles.BundleSize}
	prune := func(i int) {
		t.Helper()
		n, e := c.node(i)
		for _, tree := range slices.Sorted(maps.Keys(marks)) { // a node fetches them in this order
			before := marks[tree]
			eventually(t, n.id+" has pruned tree "+tree, func() bool { return e.Log().Prune(tree, before) == nil })
		}
	}
	next, end := 10_000, e.Status().Applied
	for i := range 3 {
		n, node := c.node(i)
		for node.FirstEntry() <= end { // later, all of it is in the state that is on the disk, or in files
			write(t, e, next)
			next++
		}
		awaitFiles(t, n, node)
		prune(i)
	}
	for range 2 {
		lost, _ := c.node(2)
		c.crash(2)
		for tree := range marks {
			if err := os.RemoveAll(files(lost, tree)); err != nil {
				t.Fatal(err)
			}
		}
		c.start(2)
		prune(2)
		checkPruned(t, c, 2, marks)
		c.crash(2)
		c.start(2)
		prune(2)
		checkPruned(t, c, 2, marks)
		writeMany(t, e, next, next+600)
		next += 1000
		checkPruned(t, c, 2, marks)
		marks["2027"] += 2 * tiles.BundleSize
		for i := range 3 {
			prune(i)
		}
	}
}

// checkPruned compares a node with the first, which had all entries once.
func checkPruned(t *testing.T, c *testCluster, node int, marks map[string]int64) {
	t.Helper()
	_, first := c.node(0)
	n, e := c.node(node)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, h := range awaitFiles(t, n, e) {
		r, err := e.Log().Tree(h.Tree)
		if err != nil {
			t.Fatal(err)
		}
		if root, err := tlog.TreeHash(h.Size, r); err != nil || root != tlog.Hash(h.Root) {
			t.Errorf("the tiles of tree %s don't give its root: %v", h.Tree, err)
		}
		lowest := marks[h.Tree] &^ (tiles.BundleSize - 1)
		if _, err := r.Entries(lowest-1, 1); !errors.Is(err, tiles.ErrPruned) {
			t.Errorf("an entry of tree %s that was pruned: %v", h.Tree, err)
		}
		for at := lowest; at < h.Size; at++ {
			got, err := e.Log().Entries(h.First+at, 1)
			if err != nil {
				t.Fatalf("entry %d of tree %s: %v", at, h.Tree, err)
			}
			want, err := first.Log().Entries(h.First+at, 1)
			if err != nil || !bytes.Equal(got[0], want[0]) {
				t.Fatalf("entry %d of tree %s is another: %v", at, h.Tree, err)
			}
		}
		for _, at := range []int64{lowest, h.Size - 1} {
			proof, err := tlog.ProveRecord(h.Size, at, r)
			if err != nil {
				t.Fatal(err)
			}
			entry, err := r.Entries(at, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, h.Size, tlog.Hash(h.Root), at, tlog.RecordHash(entry[0])); err != nil {
				t.Errorf("entry %d of tree %s: %v", at, h.Tree, err)
			}
		}
		p, err := e.Log().Search(t.Context(), h.Tree, index.Query{}, index.Options{Limit: 1})
		if err != nil || len(p.Found) != 1 || p.Found[0].Position != lowest {
			t.Errorf("the first entry of tree %s that is found: %+v, %v", h.Tree, p.Found, err)
		}
	}
}
