package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"strongroom.internal/api/wire"
)

// Policy reads a tenant's policy.
func (c *Client) Policy(ctx context.Context, tenant string) (wire.Policy, error) {
	var p wire.Policy
	return p, c.do(ctx, call{method: http.MethodGet, path: policyPath(tenant), repeat: always, answer: &p})
}

// SetPolicy replaces a tenant's policy.
func (c *Client) SetPolicy(ctx context.Context, tenant string, p wire.Policy) error {
	return c.do(ctx, call{method: http.MethodPut, path: policyPath(tenant), body: p, repeat: always})
}

func policyPath(tenant string) string { return "/v1/tenants/" + url.PathEscape(tenant) + "/policy" }

// Cluster reads the state of the cluster as one node sees it.
func (c *Client) Cluster(ctx context.Context) (wire.Cluster, error) {
	var s wire.Cluster
	return s, c.do(ctx, call{method: http.MethodGet, path: "/v1/cluster", repeat: always, answer: &s})
}

// IssueCertificate has the cluster's authority sign a client certificate. It is not repeated when its outcome is unknown.
func (c *Client) IssueCertificate(ctx context.Context, r wire.CertificateRequest) (wire.IssuedCertificate, error) {
	var i wire.IssuedCertificate
	return i, c.do(ctx, call{method: http.MethodPost, path: "/v1/clients", body: r, answer: &i})
}

// CreateJoinToken makes a token that lets one node join once; 0 is a lifetime of one hour. It is not repeated when its
// outcome is unknown: a token that nobody saw runs out.
func (c *Client) CreateJoinToken(ctx context.Context, lifetime time.Duration) (wire.JoinToken, error) {
	var t wire.JoinToken
	return t, c.do(ctx, call{
		method: http.MethodPost, path: "/v1/join-tokens",
		body: wire.JoinTokenRequest{Lifetime: int64(lifetime / time.Second)}, answer: &t,
	})
}

// RemoveNode takes a node out of the cluster. Repeating it is harmless.
func (c *Client) RemoveNode(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/nodes/" + url.PathEscape(id), repeat: always})
}
