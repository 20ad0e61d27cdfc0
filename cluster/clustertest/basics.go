package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom.internal/cluster"
)

// testBasics: every node proposes; every node sees what was proposed, at once after WaitApplied and after Sync.
func testBasics(t *testing.T, c *Cluster) {
	acked := map[ID]Answer{}
	for i := range 3 * c.Nodes {
		node, id := i%c.Nodes, newID()
		a, r := c.must(t, node, Add(id, "basics", 1))
		if a.Value != int64(i+1) || a.Entry != int64(i) {
			t.Fatalf("command %d was answered %+v", i, a)
		}
		acked[id] = a
		for other := range c.Nodes {
			e := c.Engine(other)
			if err := e.WaitApplied(within(t), r.Position); err != nil {
				t.Fatal(err)
			}
			if err := e.View(func(r cluster.Reader) error {
				v, err := ReadRegister(r, "basics")
				if err == nil && v < a.Value {
					err = fmt.Errorf("it reads %d after %d was applied", v, a.Value)
				}
				return err
			}); err != nil {
				t.Fatalf("node %d: %v", other, err)
			}
		}
		if v := c.mustRead(t, (node+1)%c.Nodes, "basics"); v != a.Value {
			t.Fatalf("after Sync it reads %d, not %d", v, a.Value)
		}
		// The same command again, elsewhere: the same answer, no second entry.
		if again, _ := c.must(t, (node+1)%c.Nodes, Add(id, "basics", 1)); again != a {
			t.Fatalf("the same command was answered %+v and then %+v", a, again)
		}
	}
	testScan(t, c)
	c.checkLog(t, acked)
}

// testScan: a view scans keys with a prefix, from a key on, in order, until told to stop.
func testScan(t *testing.T, c *Cluster) {
	for _, name := range []string{"scan\xff", "scan\xffb", "scan\xffa", "scan", "scao"} {
		c.must(t, 0, Set(newID(), name, 1))
	}
	c.mustRead(t, 0, "scan")
	scan := func(prefix, from string, n int) (keys []string) {
		if err := c.Engine(0).View(func(r cluster.Reader) error {
			return r.Scan([]byte(prefix), []byte(from), func(k, v []byte) bool {
				keys = append(keys, string(k[2:]))
				return len(keys) < n
			})
		}); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	for _, s := range []struct {
		prefix, from string
		n            int
		want         []string
	}{
		{"r/scan", "", 9, []string{"scan", "scan\xff", "scan\xffa", "scan\xffb"}},
		{"r/scan\xff", "", 9, []string{"scan\xff", "scan\xffa", "scan\xffb"}},
		{"r/scan", "r/scan\xffa", 9, []string{"scan\xffa", "scan\xffb"}},
		{"r/scan", "r/scan\xff", 2, []string{"scan\xff", "scan\xffa"}},
		{"r/scan", "r/scao", 9, nil},
		{"r/none", "", 9, nil},
	} {
		if got := scan(s.prefix, s.from, s.n); fmt.Sprint(got) != fmt.Sprint(s.want) {
			t.Errorf("scanning %q from %q: %q, want %q", s.prefix, s.from, got, s.want)
		}
	}
}

// testConcurrent: 200 callers over all nodes count exactly, each result once, and every node has the same order.
func testConcurrent(t *testing.T, c *Cluster) {
	const callers, each = 200, 10
	acked := map[ID]Answer{}
	values := map[int64]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx := within(t)
	for i := range callers {
		wg.Go(func() {
			for range each {
				id := newID()
				a, _, err := c.do(ctx, i%c.Nodes, Add(id, "count", 1))
				mu.Lock()
				if err != nil {
					t.Errorf("caller %d: %v", i, err)
				} else if values[a.Value] {
					t.Errorf("two commands were answered %d", a.Value)
				}
				values[a.Value] = true
				acked[id] = a
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for node := range c.Nodes {
		if v := c.mustRead(t, node, "count"); v != callers*each {
			t.Errorf("node %d counts %d, not %d", node, v, callers*each)
		}
	}
	for v := int64(1); v <= callers*each; v++ {
		if !values[v] {
			t.Errorf("no command was answered %d", v)
		}
	}
	c.checkLog(t, acked)
}

// testErrors: what is refused is of one class and has no effect.
func testErrors(t *testing.T, c *Cluster) {
	c.must(t, 0, Set(newID(), "errors", 7))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for node := range c.Nodes {
		e := c.Engine(node)
		big := append(Set(newID(), "errors", 8), bytes.Repeat([]byte("x"), cluster.MaxCommand)...)
		if _, err := e.Propose(within(t), big); !errors.Is(err, cluster.ErrNoEffect) {
			t.Errorf("a command that is too large: %v", err)
		} else {
			checkClass(t, err)
		}
		if _, err := e.Propose(gone, Set(newID(), "errors", 9)); !errors.Is(err, cluster.ErrNoEffect) {
			t.Errorf("a context that has ended: %v", err)
		}
		if err := e.Sync(gone); !errors.Is(err, cluster.ErrNoEffect) {
			t.Errorf("Sync under a context that has ended: %v", err)
		}
		// A context that ends at any moment gives a result, or an error of one class.
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			if _, err := e.Propose(ctx, Set(newID(), "cancelled", 1)); err != nil {
				checkClass(t, err)
			}
		}
		if v := c.mustRead(t, node, "errors"); v != 7 {
			t.Errorf("node %d: the register is %d", node, v)
		}
		// The largest command that is allowed goes through.
		full := Set(newID(), "errors", 7)
		name := bytes.Repeat([]byte("y"), cluster.MaxCommand-len(full))
		c.must(t, node, append(full, name...))
		if all, err := e.Log().Entries(-1, 10); err != nil || len(all) != 0 {
			t.Errorf("entries from -1: %d, %v", len(all), err)
		}
		if all, err := e.Log().Entries(1<<40, 10); err != nil || len(all) != 0 {
			t.Errorf("entries beyond the end: %d, %v", len(all), err)
		}
	}
}
