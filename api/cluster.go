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

	huma.Register(h, operation("GET /v1/log/head", "get-log-head", "log", "Read the log's size and root", "", http.StatusOK),
		func(ctx context.Context, _ *empty) (*struct{ Body wire.LogHead }, error) {
			trees, err := a.service.LogTrees(ctx)
			if err != nil {
				return nil, failed(ctx, err)
			}
			t := trees[len(trees)-1]
			return &struct{ Body wire.LogHead }{wire.LogHead{Size: t.First + t.Size, Tree: t.Tree, Root: t.Root[:], Signed: t.First + t.Signed}}, nil
		})

	huma.Register(h, operation("GET /v1/log/entries", "get-log-entries", "log", "Read entries of the log",
		"Fewer than n entries come at the log's end, and none past it.", http.StatusOK),
		func(ctx context.Context, in *struct {
			From int64 `query:"from" minimum:"0" doc:"Index of the first entry." default:"0"`
			N    int   `query:"n" minimum:"1" maximum:"512" doc:"How many." default:"100"`
		},
		) (*struct{ Body wire.LogEntries }, error) {
			entries, err := a.service.LogEntries(ctx, in.From, min(in.N, maxEntries))
			if err != nil {
				return nil, failed(ctx, err)
			}
			if entries == nil {
				entries = [][]byte{}
			}
			return &struct{ Body wire.LogEntries }{wire.LogEntries{From: in.From, Entries: entries}}, nil
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
