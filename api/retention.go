package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/audit"
)

// registerRetention registers what operators do with the log: for how long it is kept, and who else signs it.
func (a *API) registerRetention(h huma.API) {
	huma.Register(h, operation("GET /v1/log/retention", "get-log-retention", "log", "Read for how long the log is kept", "", http.StatusOK),
		func(ctx context.Context, _ *empty) (*struct{ Body wire.LogRetention }, error) {
			r, err := a.service.LogRetention(ctx)
			if err != nil {
				return nil, failed(ctx, err)
			}
			return &struct{ Body wire.LogRetention }{wire.LogRetention{KeepDays: r.KeepDays}}, nil
		})

	huma.Register(h, operation("PUT /v1/log/retention", "put-log-retention", "log", "Say for how long the log is kept",
		"Nothing goes by this alone: only what is older, archived, and pruned by an operator.", http.StatusOK),
		func(ctx context.Context, in *struct{ Body wire.LogRetention }) (*struct{ Body wire.LogRetention }, error) {
			if err := a.service.SetLogRetention(ctx, exchangeOf(ctx).caller, appliance.Retention{KeepDays: in.Body.KeepDays}); err != nil {
				return nil, failed(ctx, err)
			}
			return in, nil
		})

	huma.Register(h, operation("GET /v1/log/witnesses", "get-log-witnesses", "log", "List the witnesses that cosign the log", "", http.StatusOK),
		func(ctx context.Context, _ *empty) (*struct{ Body wire.LogWitnesses }, error) {
			list, err := a.service.LogWitnesses(ctx)
			if err != nil {
				return nil, failed(ctx, err)
			}
			w := wire.LogWitnesses{Witnesses: make([]wire.LogWitness, len(list))}
			for i, x := range list {
				w.Witnesses[i] = wire.LogWitness(x)
			}
			return &struct{ Body wire.LogWitnesses }{w}, nil
		})

	huma.Register(h, operation("PUT /v1/log/witnesses", "put-log-witnesses", "log", "Replace the list of witnesses",
		"They speak C2SP tlog-witness. One that is away holds nothing up.", http.StatusOK),
		func(ctx context.Context, in *struct{ Body wire.LogWitnesses }) (*struct{ Body wire.LogWitnesses }, error) {
			list := make([]audit.Witness, len(in.Body.Witnesses))
			for i, w := range in.Body.Witnesses {
				list[i] = audit.Witness(w)
			}
			if err := a.service.SetLogWitnesses(ctx, exchangeOf(ctx).caller, list); err != nil {
				return nil, failed(ctx, err)
			}
			return in, nil
		})

	huma.Register(h, operation("POST /v1/log/archives", "record-log-archive", "log", "Record that entries are in an archive",
		"A checkpoint of that size or a larger one must count, and the root must be the log's own. Repeating it is harmless.", http.StatusCreated),
		func(ctx context.Context, in *struct{ Body wire.LogArchive }) (*struct{ Body wire.LogArchive }, error) {
			r := appliance.Archive{Tree: in.Body.Tree, Size: in.Body.Size, Where: in.Body.Where}
			if len(in.Body.Root) != len(r.Root) {
				return nil, failed(ctx, invalid("root", "must be the base64 of 32 bytes"))
			}
			copy(r.Root[:], in.Body.Root)
			if err := a.service.RecordArchive(ctx, exchangeOf(ctx).caller, r); err != nil {
				return nil, failed(ctx, err)
			}
			return in, nil
		})

	huma.Register(h, operation("POST /v1/log/prunings", "prune-log", "log", "Remove old entries from all nodes",
		"Only what is older than the retention says and archived; problem policy otherwise. Proofs of what stays still work. Repeating it is harmless.",
		http.StatusCreated),
		func(ctx context.Context, in *struct{ Body wire.LogPruning }) (*struct{ Body wire.LogPruning }, error) {
			if err := a.service.PruneLog(ctx, exchangeOf(ctx).caller, in.Body.Tree, in.Body.Position); err != nil {
				return nil, failed(ctx, err)
			}
			return in, nil
		})
}
