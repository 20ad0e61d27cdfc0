package clustertest

import (
	"bytes"
	"encoding/hex"
	"testing"

	"strongroom.internal/appliance/audit"
)

// checkLog compares the logs of the nodes: same size, same root, same bytes, one entry for each acknowledged command at
// the place that its answer named, no id twice, no gap.
func (c *Cluster) checkLog(t *testing.T, acked map[ID]Answer) {
	t.Helper()
	var first [][]byte
	var firstNode int
	for node := range c.Nodes {
		e := c.Engine(node)
		if e == nil {
			continue
		}
		if err := e.Sync(within(t)); err != nil {
			t.Fatalf("node %d: %v", node, err)
		}
		heads, err := e.Log().Heads()
		if err != nil {
			t.Fatalf("node %d: %v", node, err)
		}
		size, root := heads[len(heads)-1].Size, heads[len(heads)-1].Root
		var all [][]byte
		for int64(len(all)) < size {
			more, err := e.Log().Entries(int64(len(all)), int(min(1000, size-int64(len(all)))))
			if err != nil || len(more) == 0 {
				t.Fatalf("node %d: entries from %d of %d: %d came, %v", node, len(all), size, len(more), err)
			}
			all = append(all, more...)
		}
		var tree audit.Tree
		for _, b := range all {
			tree.Append(b)
		}
		if tree.Root() != root {
			t.Errorf("node %d: its %d entries don't give its root", node, size)
		}
		if first == nil {
			first, firstNode = all, node
			continue
		}
		// One may have more than another, of a command that was not acknowledged.
		for i := range min(len(first), len(all)) {
			if !bytes.Equal(first[i], all[i]) {
				t.Fatalf("entry %d:\nnode %d has %s\nnode %d has %s", i, firstNode, first[i], node, all[i])
			}
		}
		if len(all) > len(first) {
			first, firstNode = all, node
		}
	}
	seen := map[string]int64{}
	for i, b := range first {
		e, err := audit.ParseEntry(b)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if e.Index != int64(i) {
			t.Fatalf("entry %d says that it is entry %d", i, e.Index)
		}
		if j, ok := seen[e.Request]; ok {
			t.Errorf("entries %d and %d are of the same command", j, i)
		}
		seen[e.Request] = int64(i)
	}
	for id, a := range acked {
		if at, ok := seen[hex.EncodeToString(id[:])]; !ok || at != a.Entry {
			t.Errorf("command %x was answered with entry %d; it is at %d (%v)", id, a.Entry, at, ok)
		}
	}
}
