package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"strongroom.internal/api/wire"
)

// LogHead reads the size and root of the key-usage log.
func (c *Client) LogHead(ctx context.Context) (wire.LogHead, error) {
	var h wire.LogHead
	return h, c.do(ctx, call{method: http.MethodGet, path: "/v1/log/head", repeat: always, answer: &h})
}

// LogEntries reads up to n entries of the log, at most 512: the exact bytes that were hashed. Fewer come at a tree's end.
func (c *Client) LogEntries(ctx context.Context, from int64, n int) ([][]byte, error) {
	var l wire.LogEntries
	path := fmt.Sprintf("/v1/log/entries?from=%d&n=%d", from, n)
	err := c.do(ctx, call{method: http.MethodGet, path: path, repeat: always, answer: &l})
	return l.Entries, err
}

// LogTrees lists the trees of the key-usage log, oldest first.
func (c *Client) LogTrees(ctx context.Context) ([]wire.LogTree, error) {
	var l wire.LogTrees
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/log/trees", repeat: always, answer: &l})
	return l.Trees, err
}

// LogResource reads a resource of a tree as C2SP tlog-tiles names it: "checkpoint", "tile/0/x001/067",
// "tile/entries/000.p/12".
func (c *Client) LogResource(ctx context.Context, tree, path string) ([]byte, error) {
	var raw []byte
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/log/" + url.PathEscape(tree) + "/" + path, repeat: always, raw: &raw})
	return raw, err
}

// LogPolicy reads the C2SP tlog-policy that the cluster proposes: its nodes' keys, a majority of which has to sign. An
// auditor compares it with what the nodes' owners say by another way, and keeps it.
func (c *Client) LogPolicy(ctx context.Context) ([]byte, error) {
	var raw []byte
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/log/policy", repeat: always, raw: &raw})
	return raw, err
}

// LogProof proves that an entry is on the log: a C2SP tlog-proof with the entry, its inclusion proof, and a checkpoint.
func (c *Client) LogProof(ctx context.Context, entry int64) ([]byte, error) {
	return c.logProof(ctx, fmt.Sprintf("entry=%d", entry))
}

// LogProofOf is LogProof of the first entry that a request left, by its id in the log: see audit.RequestID.
func (c *Client) LogProofOf(ctx context.Context, request string) ([]byte, error) {
	return c.logProof(ctx, "request="+url.QueryEscape(request))
}

func (c *Client) logProof(ctx context.Context, query string) ([]byte, error) {
	var raw []byte
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/log/proofs?" + query, repeat: always, raw: &raw, longer: receiptTime})
	return raw, err
}

// LogRetention reads for how long the log is kept.
func (c *Client) LogRetention(ctx context.Context) (wire.LogRetention, error) {
	var r wire.LogRetention
	return r, c.do(ctx, call{method: http.MethodGet, path: "/v1/log/retention", repeat: always, answer: &r})
}

// SetLogRetention says for how long the log is kept.
func (c *Client) SetLogRetention(ctx context.Context, r wire.LogRetention) error {
	return c.do(ctx, call{method: http.MethodPut, path: "/v1/log/retention", body: r, repeat: always})
}

// LogWitnesses lists the witnesses that cosign the log.
func (c *Client) LogWitnesses(ctx context.Context) ([]wire.LogWitness, error) {
	var l wire.LogWitnesses
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/log/witnesses", repeat: always, answer: &l})
	return l.Witnesses, err
}

// SetLogWitnesses replaces the list.
func (c *Client) SetLogWitnesses(ctx context.Context, list []wire.LogWitness) error {
	if list == nil {
		list = []wire.LogWitness{}
	}
	return c.do(ctx, call{method: http.MethodPut, path: "/v1/log/witnesses", body: wire.LogWitnesses{Witnesses: list}, repeat: always})
}

// RecordLogArchive records that entries of the log are in an archive. Repeating it is harmless.
func (c *Client) RecordLogArchive(ctx context.Context, a wire.LogArchive) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/v1/log/archives", body: a, repeat: always})
}

// PruneLog removes a tree's entries below a position from all nodes. Repeating it is harmless.
func (c *Client) PruneLog(ctx context.Context, p wire.LogPruning) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/v1/log/prunings", body: p, repeat: always})
}
