package cluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

// A leader whose main loop stands still (here in a write to its disk) and whose cables are pulled does not step down: it
// goes on believing that it leads while the others elect another and commit. It must not serve a read from the past.
func TestStuckLeaderServesNoReads(t *testing.T) {
	var mu sync.Mutex
	disks := map[string]*disk{}
	cluster.SetTestStore(func(node string, s cluster.LogStore) cluster.LogStore {
		mu.Lock()
		defer mu.Unlock()
		disks[node] = &disk{LogStore: s}
		return disks[node]
	})
	defer cluster.SetTestStore(nil)
	c := startCluster(t, 3, clustertest.Machine{}, nil)
	at := c.leader()
	n, old := c.node(at)
	write(t, old, 1)
	if v := count(t, old); v != 1 {
		t.Fatalf("the register is %d", v)
	}
	mu.Lock()
	d := disks[n.id]
	mu.Unlock()
	stuck, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.fail(func(write func() error) error {
		once.Do(func() { close(stuck) })
		<-release
		return write()
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		old.Propose(ctx, clustertest.Add(id(2), "stuck", 1)) // stands in the write
	})
	<-stuck
	c.net.cut(n.address)
	_, other := c.node((at + 1) % 3)
	write(t, other, 3)
	if s := old.Status().State; s != "leader" {
		t.Fatalf("the stuck leader is a %s: this test proves nothing", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := old.Sync(ctx); !errors.Is(err, cluster.ErrNoEffect) {
		t.Errorf("Sync on the stuck leader: %v", err)
	}
	c.net.heal()
	close(release)
	wg.Wait()
	if v := count(t, old); v != 2 {
		t.Errorf("afterwards it reads %d, not 2", v)
	}
}
