package cluster_test

import (
	"testing"

	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

func TestConformance(t *testing.T) {
	clustertest.Run(t, func(t *testing.T, n int, m cluster.Machine) *clustertest.Cluster {
		return startCluster(t, n, m, func(c *cluster.Config) { c.SnapshotEntries = 16 }).conformance()
	})
}
