package client

import (
	"context"
	"net/http"
	"net/url"

	"strongroom.internal/api/wire"
)

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
