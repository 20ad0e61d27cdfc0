// Package client is the Go client of Strongroom's API, for front-ends and for operators.
//
// A [Client] knows the nodes of one cluster and keeps to one that answers. Each call of it is one logical request: it has
// one Idempotency-Key, and is repeated on other nodes, with that key, for as long as its context allows and only when a
// repetition can't have a second effect. What comes back is an answer, a *[Problem] that a node decided on, or an error
// that matches [ErrUnavailable] (nothing was done) or [ErrUnknownOutcome] (it may have been done). The last is never a
// wrong code: call again with the same key (see [WithIdempotencyKey]) or tell the person that it is unknown.
//
// Nothing here logs, and codes, URIs and tokens are in a type that doesn't print.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"strongroom.internal/api/wire"
)

// Problem is an RFC 9457 problem that a node answered with.
type Problem = wire.Problem

// Secret is text that doesn't print: a code, an otpauth URI, a join token.
type Secret = wire.Secret

var (
	// ErrUnavailable: no node could do it before the context ended or the attempts were used up. Nothing was done.
	ErrUnavailable = errors.New("no node is available, nothing was done")
	// ErrUnknownOutcome: it may have been done. Repeat it with the same Idempotency-Key to find out.
	ErrUnknownOutcome = errors.New("the outcome is unknown")
)

// Config is what a Client is made of. Nodes and TLS are required.
type Config struct {
	// Nodes are the nodes' API addresses, host:port, best first.
	Nodes []string
	// TLS has the client's certificate and the cluster's authority as RootCAs. TLS 1.3 is asked for whatever it says.
	TLS *tls.Config
	// Timeout bounds a call whose context has no deadline; 0: 10 s.
	Timeout time.Duration
	// AttemptTimeout bounds one attempt on one node, so that a node that hangs leaves time for another; 0: 3 s. An attempt
	// that waits for a receipt has 3 s more.
	AttemptTimeout time.Duration
	// HTTP1 uses a pool of HTTP/1.1 connections instead of one HTTP/2 connection a node: about a quarter less
	// processor time for a busy front-end, at a connection for each concurrent request.
	HTTP1 bool
}

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	if len(c.Nodes) == 0 {
		errs = append(errs, errors.New("nodes: at least one is required"))
	}
	for _, n := range c.Nodes {
		if u, err := url.Parse("https://" + n); err != nil || u.Host != n || u.Port() == "" || strings.HasPrefix(n, ":") {
			errs = append(errs, fmt.Errorf("nodes: %q must be host:port", n))
		}
	}
	if c.TLS == nil {
		errs = append(errs, errors.New("TLS: is required"))
	}
	if c.Timeout < 0 || c.AttemptTimeout < 0 {
		errs = append(errs, errors.New("timeouts: must not be negative"))
	}
	return errors.Join(errs...)
}

// Client calls one cluster. It is safe for concurrent use.
type Client struct {
	http           *http.Client
	transport      *http.Transport
	nodes          nodes
	timeout        time.Duration
	attemptTimeout time.Duration
}

// New makes a client. It does not connect.
func New(c Config) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	config := c.TLS.Clone()
	config.MinVersion = tls.VersionTLS13
	if config.ClientSessionCache == nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(len(c.Nodes)) // spares the node's module a signature
	}
	client := &Client{timeout: c.Timeout, attemptTimeout: c.AttemptTimeout}
	if client.timeout == 0 {
		client.timeout = 10 * time.Second
	}
	if client.attemptTimeout == 0 {
		client.attemptTimeout = 3 * time.Second
	}
	client.transport = &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: !c.HTTP1, MaxIdleConnsPerHost: 256,
		TLSHandshakeTimeout: 3 * time.Second, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 2 * time.Second},
	}
	client.http = &http.Client{Transport: client.transport, CheckRedirect: noRedirect}
	client.nodes.init(c.Nodes)
	return client, nil
}

// noRedirect: a node never redirects, and a request with a code in it follows nobody.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes the connections that are idle.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

type keyContext struct{}

// WithIdempotencyKey sets the key of the calls made with the context, 1 to 128 visible ASCII characters. Without it each
// call draws a key of its own. Use it to repeat a call whose outcome was unknown, also from another process.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyContext{}, key)
}
