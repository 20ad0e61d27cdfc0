package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

// receiptTimeout bounds how long an answer waits for a checkpoint.
const receiptTimeout = 3 * time.Second

// registerLog registers what there is of the log but for tiles (tiles.go), the stream (stream.go), the search
// (search.go) and what operators do with it (retention.go).
func (a *API) registerLog(h huma.API) {
	huma.Register(h, operation("GET /v1/log/trees", "get-log-trees", "log", "List the log's trees",
		"Oldest first. A tree's resources are under /v1/log/{tree}, as C2SP tlog-tiles has them.", http.StatusOK),
		func(ctx context.Context, _ *empty) (*struct{ Body wire.LogTrees }, error) {
			trees, err := a.logTrees(ctx)
			if err != nil {
				return nil, failed(ctx, err)
			}
			return &struct{ Body wire.LogTrees }{trees}, nil
		})

	huma.Register(h, textual(operation("GET /v1/log/policy", "get-log-policy", "log", "Read the keys that sign the log",
		"A C2SP tlog-policy: the nodes' keys, a majority of which has to sign a checkpoint. Compare it with what the nodes' owners say by another way before you trust it.",
		http.StatusOK), "A C2SP tlog-policy file."),
		func(ctx context.Context, _ *empty) (*textOutput, error) {
			return text(a.service.LogPolicy(ctx))(ctx)
		})

	huma.Register(h, operation("GET /v1/log/head", "get-log-head", "log", "Read the log's size and root", "", http.StatusOK),
		func(ctx context.Context, _ *empty) (*struct{ Body wire.LogHead }, error) {
			trees, err := a.service.LogTrees(ctx)
			if err != nil {
				return nil, failed(ctx, err)
			}
			t := trees[len(trees)-1]
			return &struct{ Body wire.LogHead }{wire.LogHead{
				Size: t.First + t.Size, Tree: t.Tree, Root: t.Root[:], Signed: appliance.SignedUpTo(trees),
			}}, nil
		})

	huma.Register(h, operation("GET /v1/log/entries", "get-log-entries", "log", "Read entries of the log",
		"Fewer than n entries come at a tree's end, and none past the log's.", http.StatusOK),
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

	huma.Register(h, textual(operation("GET /v1/log/proofs", "get-log-proof", "log", "Prove that an entry is on the log",
		"By the entry's index, or by the request that it records. A request that used several keys has several entries: this is the first one's proof, and the header Strongroom-Entries has the indexes of all.",
		http.StatusOK), receiptDoc),
		a.getProof)

	huma.Register(h, textual(operation("GET /v1/accounts/{account}/receipts/{entry}", "get-receipt", "verifications", "Prove that an entry about an account is on the log",
		"For entries of the caller's tenant about that account. Tenants that are not told spent from wrong get none of attempts whose code was not accepted (problem policy): the entry tells.",
		http.StatusOK), receiptDoc),
		func(ctx context.Context, in *struct {
			AccountPath
			Entry int64 `path:"entry" minimum:"0" doc:"Index of the entry, as answers have it." example:"4711"`
		},
		) (*textOutput, error) {
			ctx, cancel := context.WithTimeout(ctx, receiptTimeout)
			defer cancel()
			return text(a.service.AccountReceipt(ctx, exchangeOf(ctx).caller, in.Account, in.Entry))(ctx)
		})
}

const receiptDoc = "A C2SP tlog-proof: the entry in its extra line, the inclusion proof, and a checkpoint that counts."

// proofOutput is a proof and what else the same request left.
type proofOutput struct {
	Entries string `header:"Strongroom-Entries" doc:"Indexes of the request's entries, with commas. Only when asked for by request."`
	Body    func(huma.Context)
}

func (a *API) getProof(ctx context.Context, in *struct {
	Entry   string `query:"entry" maxLength:"19" doc:"Index of the entry." example:"4711"`
	Request string `query:"request" maxLength:"32" doc:"Request id, 32 hex digits, as entries have it."`
},
) (*proofOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, receiptTimeout)
	defer cancel()
	out := &proofOutput{}
	var entry int64
	var err error
	switch {
	case (in.Entry == "") == (in.Request == ""):
		err = invalid("entry", "must be given, or request, and not both")
	case in.Entry != "":
		if entry, err = parseIndex(in.Entry); err != nil {
			err = invalid("entry", indexRule)
		}
	default:
		var all []int64
		if all, err = a.entriesOf(ctx, in.Request); err == nil {
			entry, out.Entries = all[0], joinIndexes(all)
		}
	}
	if err != nil {
		return nil, failed(ctx, err)
	}
	receipt, err := text(a.service.LogReceipt(ctx, entry))(ctx)
	if err != nil {
		return nil, err
	}
	out.Body = receipt.Body
	return out, nil
}

func (a *API) logTrees(ctx context.Context) (wire.LogTrees, error) {
	trees, err := a.service.LogTrees(ctx)
	if err != nil {
		return wire.LogTrees{}, err
	}
	w := wire.LogTrees{Trees: make([]wire.LogTree, len(trees))}
	for i, t := range trees {
		w.Trees[i] = wire.LogTree{
			Name: t.Tree, Origin: t.Origin, First: t.First, Size: t.Size, Root: t.Root[:], Closed: t.Closed, Minimum: t.Minimum,
			Signed: t.Signed,
		}
	}
	return w, nil
}

// textOutput is an answer that is not JSON.
type textOutput struct{ Body func(huma.Context) }

// textType is what C2SP tlog-tiles wants of checkpoints.
const textType = "text/plain; charset=utf-8"

// text adapts bytes and their error to huma.
func text(b []byte, err error) func(context.Context) (*textOutput, error) {
	return func(ctx context.Context) (*textOutput, error) {
		if err != nil {
			return nil, failed(ctx, err)
		}
		return &textOutput{func(ctx huma.Context) {
			ctx.SetHeader("Content-Type", textType)
			ctx.SetHeader("Content-Length", strconv.Itoa(len(b)))
			_, _ = ctx.BodyWriter().Write(b) // the client has gone: nobody is left to tell
		}}, nil
	}
}

// textual documents an operation that answers with text.
func textual(op huma.Operation, description string) huma.Operation {
	return answering(op, "text/plain", description, &huma.Schema{Type: huma.TypeString})
}

// answering documents an operation that answers with something else than JSON.
func answering(op huma.Operation, contentType, description string, schema *huma.Schema) huma.Operation {
	op.Responses = map[string]*huma.Response{
		"200": {Description: description, Content: map[string]*huma.MediaType{contentType: {Schema: schema}}},
	}
	return op
}
