package cluster_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/tiles"
	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

// writeMany proposes commands from first to last, many at once.
func writeMany(t *testing.T, e *cluster.Raft, first, last int) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 64 {
		wg.Go(func() {
			for n := range next {
				write(t, e, n)
			}
		})
	}
	for n := first; n <= last; n++ {
		next <- n
	}
	close(next)
	wg.Wait()
}

// decide repeats a command, which has an id, until its outcome is known.
func decide(t *testing.T, e *cluster.Raft, command []byte) error {
	t.Helper()
	return untilKnown(t.Context(), func() error {
		_, err := e.Propose(t.Context(), command)
		return err
	})
}

// awaitFiles waits until a node has all that it can have in files, and returns the heads of its trees.
func awaitFiles(t *testing.T, n *testNode, e *cluster.Raft) (heads []audit.Head) {
	t.Helper()
	eventually(t, "the log of "+n.id+" is in files", func() bool {
		var err error
		if heads, err = e.Log().Heads(); err != nil {
			t.Fatal(err)
		}
		for i, h := range heads {
			last := h.Size/tiles.BundleSize - 1
			if i < len(heads)-1 && h.Size%tiles.BundleSize > 0 {
				last++
			}
			if last >= 0 && !exists(filepath.Join(files(n, h.Tree), bundlePath(last, i < len(heads)-1 && (last+1)*tiles.BundleSize > h.Size, h.Size))) {
				return false
			}
		}
		return e.Status().Missing == 0
	})
	return heads
}

func files(n *testNode, tree string) string { return filepath.Join(n.dir, "key-usage-log", tree) }

func bundlePath(n int64, partial bool, size int64) string {
	t := tlog.Tile{H: 8, L: -1, N: n, W: tiles.BundleSize}
	if partial {
		t.W = int(size % tiles.BundleSize)
	}
	p := filepath.FromSlash(t.Path())                                // tile/8/data/000, as the checksum database has it
	return filepath.Join("tile", "entries", p[len("tile/8/data/"):]) // as C2SP tlog-tiles has it
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// checkWhole reads a whole log from a node's files and state, entry by entry and tile by tile, against its heads.
func checkWhole(t *testing.T, e *cluster.Raft, heads []audit.Head) {
	t.Helper()
	for _, h := range heads {
		r, err := e.Log().Tree(h.Tree)
		if err != nil {
			t.Fatal(err)
		}
		var tree audit.Tree
		for at := int64(0); at < h.Size; {
			entries, err := e.Log().Entries(h.First+at, 1000)
			if err != nil || len(entries) == 0 {
				t.Fatalf("entries from %d of tree %s: %d, %v", at, h.Tree, len(entries), err)
			}
			for _, b := range entries[:min(int64(len(entries)), h.Size-at)] {
				parsed, err := audit.ParseEntry(b)
				if err != nil || parsed.Index != h.First+at {
					t.Fatalf("entry %d: %+v, %v", h.First+at, parsed, err)
				}
				tree.Append(b)
				at++
			}
		}
		if tree.Root() != h.Root {
			t.Errorf("the entries of tree %s don't give its root", h.Tree)
		}
		if root, err := tlog.TreeHash(h.Size, r); err != nil || root != tlog.Hash(h.Root) {
			t.Errorf("the tiles of tree %s don't give its root: %v", h.Tree, err)
		}
		proof, err := tlog.ProveRecord(h.Size, h.Size/2, r)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := r.Entries(h.Size/2, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(proof, h.Size, tlog.Hash(h.Root), h.Size/2, tlog.RecordHash(entry[0])); err != nil {
			t.Errorf("entry %d of tree %s: %v", h.Size/2, h.Tree, err)
		}
	}
}

// Entries go to files and leave the state; a crash at any time loses none and doubles none.
func TestLogGoesToFiles(t *testing.T) {
	c := startCluster(t, 1, clustertest.Machine{}, nil)
	n, e := c.node(0)
	writeMany(t, e, 1, 1500)
	heads := awaitFiles(t, n, e)
	checkWhole(t, e, heads)
	for round := range 3 {
		var wg sync.WaitGroup
		for worker := range 16 {
			wg.Go(func() { // until the node is gone
				for i := 0; ; i++ {
					if _, err := e.Propose(t.Context(), clustertest.Add(id(10_000*(1+16*round+worker)+i), "x", 1)); err != nil {
						return
					}
				}
			})
		}
		from := heads[0].Size
		eventually(t, "some more are written", func() bool { return e.Status().LogSize > from+300 })
		c.crash(0)
		wg.Wait()
		c.start(0)
		_, e = c.node(0)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		heads = awaitFiles(t, n, e)
		checkWhole(t, e, heads)
	}
}

// The trees of a log follow one another, on every node, also on one that gets them by snapshot, and after a restart.
func TestTreesFollowOneAnother(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, nil)
	_, e := c.node(0)
	writeMany(t, e, 1, 300)
	for i, tree := range []string{"2026", "2027", "2028"} {
		if err := decide(t, e, clustertest.Begin(id(1000+i), tree)); err != nil {
			t.Fatal(err)
		}
		writeMany(t, e, 2000+1000*i, 2000+1000*i+255*i)
	}
	newcomer := c.add()
	c.crash(1)
	c.start(1)
	for _, i := range []int{0, 1, 2, newcomer} {
		n, e := c.node(i)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		heads := awaitFiles(t, n, e)
		if len(heads) != 4 {
			t.Fatalf("node %d has the trees %+v", i, heads)
		}
		checkWhole(t, e, heads)
		for k, h := range heads[1:] {
			begin, err := e.Log().Entries(h.First, 1)
			if err != nil || !bytes.Contains(begin[0], []byte(hex.EncodeToString(heads[k].Root[:]))) {
				t.Errorf("node %d: tree %s begins with %s (%v), without the root of %s", i, h.Tree, begin, err, heads[k].Tree)
			}
		}
	}
	if err := decide(t, e, clustertest.Begin(id(9999), "new")); err != nil {
		t.Fatal(err)
	}
}

// A node that was away so long that it gets a snapshot fetches the files of what it missed, and so does a new one before
// it votes. What a peer's disk has spoilt is taken from another.
func TestLogIsFetchedFromPeers(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, func(cfg *cluster.Config) { cfg.SnapshotEntries = 16 })
	_, e := c.node(0)
	writeMany(t, e, 1, 300)
	c.crash(2)
	n := 1000
	for away := c.nodes[2].applied; ; n++ {
		write(t, e, n)
		_, leader := c.node(c.leader())
		if leader.FirstEntry() > away+1 {
			break
		}
	}
	writeMany(t, e, 100_000, 101_000)
	first, e := c.node(c.leader())
	heads := awaitFiles(t, first, e)
	// The leader's copy of a bundle that the others lack is spoilt: of the same length, so that it is served.
	spoilt := filepath.Join(files(first, heads[0].Tree), bundlePath(2, false, 0))
	raw, err := os.ReadFile(spoilt)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(raw)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(spoilt, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(2)
	newcomer := c.add()
	for _, i := range []int{2, newcomer} {
		n, e := c.node(i)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		heads := awaitFiles(t, n, e)
		checkWhole(t, e, heads)
		if got, err := os.ReadFile(filepath.Join(files(n, heads[0].Tree), bundlePath(2, false, 0))); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("node %d has another bundle: %v", i, err)
		}
	}
	// Who has lost a tree's files, or has removed them because one was spoilt, gets them all.
	lost, _ := c.node(2)
	c.crash(2)
	if err := os.RemoveAll(files(lost, heads[0].Tree)); err != nil {
		t.Fatal(err)
	}
	c.start(2)
	_, e = c.node(2)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, e, awaitFiles(t, lost, e))
}

// Files that can't be written make the node say so; nothing is lost, and when they can, it catches up.
func TestLogWaitsForItsDisk(t *testing.T) {
	c := startCluster(t, 1, clustertest.Machine{}, nil)
	n, e := c.node(0)
	writeMany(t, e, 1, 300)
	heads := awaitFiles(t, n, e)
	if err := e.Log().Health(); err != nil {
		t.Fatal(err)
	}
	entries := filepath.Join(files(n, heads[0].Tree), "tile", "entries")
	if err := os.Rename(entries, entries+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entries, nil, 0o600); err != nil { // nothing can be made under a file
		t.Fatal(err)
	}
	writeMany(t, e, 1000, 2000)
	eventually(t, "the node says that it can't write", func() bool { return e.Log().Health() != nil })
	writeMany(t, e, 3000, 3100) // and goes on deciding: nothing is lost by waiting
	if err := os.Remove(entries); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(entries+".away", entries); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node is well again", func() bool { return e.Log().Health() == nil })
	checkWhole(t, e, awaitFiles(t, n, e))
}

// The hash of all effects is the same on every node, whatever snapshots and restarts it went through, and changes with
// each write.
func TestEffectsAreTheSameEverywhere(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, func(cfg *cluster.Config) { cfg.SnapshotEntries = 16 })
	_, e := c.node(0)
	writeMany(t, e, 1, 100)
	c.crash(1)
	c.start(1)
	newcomer := c.add()
	seen := map[int64]bool{}
	for round := range 3 {
		_, e := c.node(c.leader())
		register := fmt.Sprint("mark", round)
		if err := decide(t, e, clustertest.Mark(id(5000+round), register)); err != nil {
			t.Fatal(err)
		}
		var first int64
		for _, i := range []int{0, 1, 2, newcomer} {
			_, e := c.node(i)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if err := e.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			var mark int64
			if err := e.View(func(r cluster.Reader) (err error) { mark, err = clustertest.ReadRegister(r, register); return err }); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = mark
			}
			if mark != first || mark == 0 {
				t.Errorf("round %d: node %d has %x, node 0 %x", round, i, mark, first)
			}
		}
		if seen[first] {
			t.Error("a write changed nothing")
		}
		seen[first] = true
	}
}
