package clustertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/cluster"
)

// load adds to a register from several callers until it is stopped, and keeps what was acknowledged.
type load struct {
	c       *Cluster
	stop    atomic.Bool
	wg      sync.WaitGroup
	mu      sync.Mutex // guards what follows
	acked   map[ID]Answer
	started int
}

func (c *Cluster) startLoad(t *testing.T, callers int) *load {
	l := &load{c: c, acked: map[ID]Answer{}}
	ctx := within(t)
	for i := range callers {
		l.wg.Go(func() {
			for !l.stop.Load() {
				id := newID()
				l.mu.Lock()
				l.started++
				l.mu.Unlock()
				a, _, err := c.do(ctx, i%c.Nodes, Add(id, "load", 1))
				if err != nil {
					t.Errorf("caller %d: %v", i, err)
					return
				}
				l.mu.Lock()
				l.acked[id] = a
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// await waits until n more commands are acknowledged.
func (l *load) await(t *testing.T, n int) {
	t.Helper()
	n += l.count()
	eventually(t, fmt.Sprintf("%d commands are acknowledged", n), func() bool { return l.count() >= n })
}

func (l *load) end() map[ID]Answer {
	l.stop.Store(true)
	l.wg.Wait()
	return l.acked
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// testRestart: what was acknowledged is there after all nodes lost power at once.
func testRestart(t *testing.T, c *Cluster) {
	need(t, c.Crash != nil, c.Start != nil)
	l := c.startLoad(t, 8)
	l.await(t, 200)
	acked := l.end()
	for range 2 {
		for node := range c.Nodes {
			c.Crash(node)
		}
		for node := range c.Nodes {
			c.Start(node)
		}
		for node := range c.Nodes {
			if v := c.mustRead(t, node, "load"); v != int64(len(acked)) {
				t.Fatalf("node %d: %d of %d commands are there", node, v, len(acked))
			}
		}
		c.checkLog(t, acked)
		id := newID()
		acked[id], _ = c.must(t, 0, Add(id, "load", 1))
	}
}

// testLeaderCrash: the leader loses power again and again under load; nothing acknowledged is lost, nothing is done twice.
func testLeaderCrash(t *testing.T, c *Cluster) {
	need(t, c.Crash != nil, c.Start != nil, c.Leader != nil)
	l := c.startLoad(t, 12)
	for range 3 {
		l.await(t, 100)
		down := c.Leader()
		c.Crash(down)
		l.await(t, 100)
		c.Start(down)
	}
	acked := l.end()
	for node := range c.Nodes {
		if v := c.mustRead(t, node, "load"); v != int64(l.started) {
			t.Errorf("node %d counts %d; %d commands were proposed until acknowledged", node, v, l.started)
		}
	}
	c.checkLog(t, acked)
}

// testMinority: a leader that is cut off serves nothing, neither reads nor commands; the others go on; after healing it
// takes their state.
func testMinority(t *testing.T, c *Cluster) {
	need(t, c.Cut != nil, c.Heal != nil, c.Leader != nil)
	c.must(t, 0, Set(newID(), "minority", 1))
	old := c.Leader()
	c.Cut(old)
	alone := newID()
	var wg sync.WaitGroup
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.Engine(old).Propose(ctx, Set(alone, "minority", 2))
		if err == nil {
			t.Error("a leader without a majority acknowledged a command")
		} else {
			checkClass(t, err)
		}
	})
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := c.Engine(old).Sync(ctx); !errors.Is(err, cluster.ErrNoEffect) {
			t.Errorf("Sync without a majority: %v", err)
		}
	})
	other := (old + 1) % c.Nodes
	c.must(t, other, Set(newID(), "minority", 3))
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if v, err := c.read(ctx, old, "minority"); err == nil {
		t.Errorf("a node that is cut off reads %d", v)
	}
	c.Heal()
	if v := c.mustRead(t, old, "minority"); v != 3 {
		t.Errorf("after healing it reads %d, not 3", v)
	}
	c.checkLog(t, nil)
}

// testLagging: a node that was away for longer than the log reaches back gets the whole state.
func testLagging(t *testing.T, c *Cluster) {
	need(t, c.Crash != nil, c.Start != nil, c.Leader != nil, c.Overrun != nil)
	c.must(t, 0, Add(newID(), "lagging", 1))
	away := (c.Leader() + 1) % c.Nodes
	c.Crash(away)
	n := int64(1)
	c.Overrun(func() {
		c.must(t, c.Leader(), Add(newID(), "lagging", 1))
		n++
	})
	c.Start(away)
	if v := c.mustRead(t, away, "lagging"); v != n {
		t.Errorf("it reads %d, not %d", v, n)
	}
	c.checkLog(t, nil)
	// It is a full member again: it can make a majority, and it finds its state after a power cut.
	c.Crash((away + 1) % c.Nodes)
	c.must(t, away, Add(newID(), "lagging", 1))
	c.Crash(away)
	c.Start(away)
	if v := c.mustRead(t, away, "lagging"); v != n+1 {
		t.Errorf("after a restart it reads %d, not %d", v, n+1)
	}
	c.Start((away + 1) % c.Nodes)
	c.checkLog(t, nil)
}

// testMembers: a node is added under load and gets everything; the leader is removed and serves no more.
func testMembers(t *testing.T, c *Cluster) {
	need(t, c.Add != nil, c.Remove != nil, c.Leader != nil)
	l := c.startLoad(t, 6)
	l.await(t, 100)
	added := c.Add()
	l.await(t, 100)
	removed := c.Leader()
	c.Remove(removed)
	l.await(t, 100)
	acked := l.end()
	if v := c.mustRead(t, added, "load"); v != int64(l.started) {
		t.Errorf("the new node reads %d, not %d", v, l.started)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Engine(removed).Propose(ctx, Add(newID(), "load", 1)); err == nil {
		t.Error("a node that was removed acknowledged a command")
	}
	ctx2, cancel2 := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel2()
	if err := c.Engine(removed).Sync(ctx2); err == nil {
		t.Error("a node that was removed synchronised")
	}
	if c.Crash != nil {
		c.Crash(removed)
		c.checkLog(t, acked)
	}
}
