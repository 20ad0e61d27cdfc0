package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

func (a *API) registerCluster(h huma.API) {
	huma.Register(h, operation("GET /v1/cluster", "get-cluster", "cluster", "Read the cluster's state",
		"As the node that answers sees it, without asking the others.", http.StatusOK),
		func(ctx context.Context, _ *empty) (*struct{ Body wire.Cluster }, error) {
			s, err := a.service.Status(ctx)
			if err != nil {
				return nil, failed(ctx, err)
			}
			return &struct{ Body wire.Cluster }{wireCluster(s)}, nil
		})
}

func wireCluster(s appliance.ClusterStatus) wire.Cluster {
	w := wire.Cluster{
		ClusterID: s.ClusterID, Node: s.Node, Leader: s.Leader, Term: s.Term, Applied: s.Applied,
		Members: make([]wire.Member, len(s.Members)), LogSize: s.LogSize, LogTree: s.LogTree, LogRoot: s.LogRoot[:], LogSigned: s.LogSigned,
		LogMissing: s.LogMissing,
		Module:     wireModule(s.Module, s.Info), ClockMS: float64(s.Clock.Microseconds()) / 1000, Version: s.Version,
	}
	for i, m := range s.Members {
		w.Members[i] = wire.Member{
			ID: m.ID, ClusterAddr: m.ClusterAddr, APIAddr: m.APIAddr, Leader: m.Leader, Voter: m.Voter,
			ModuleSerial: m.ModuleSerial, Module: m.Module, LogKey: m.LogKey,
		}
	}
	return w
}
