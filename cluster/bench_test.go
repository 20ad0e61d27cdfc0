package cluster_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

// BenchmarkPropose commits commands on three nodes in this process, over TLS and with fsync, from many callers, on the
// leader or spread over all nodes; "alone" puts each command into an entry of its own, for comparison.
func BenchmarkPropose(b *testing.B) {
	for _, where := range []string{"leader", "spread", "alone"} {
		for _, callers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/callers=%d", where, callers), func(b *testing.B) {
				c := startCluster(b, 3, clustertest.Machine{}, func(c *cluster.Config) { c.Heartbeat = time.Second })
				var engines []*cluster.Raft
				for i := range 3 {
					_, e := c.node(i)
					engines = append(engines, e)
				}
				if where != "spread" {
					_, e := c.node(c.leader())
					engines = []*cluster.Raft{e}
				}
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for i := range callers {
					wg.Go(func() {
						e := engines[i%len(engines)]
						propose := e.Propose
						if where == "alone" {
							propose = e.ProposeAlone
						}
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							var id clustertest.ID
							copy(id[:], fmt.Sprintf("%015d", n))
							if _, err := propose(b.Context(), clustertest.Add(id, "bench", 1)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}
