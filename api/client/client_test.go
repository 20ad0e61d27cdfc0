package client_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// node is a server whose answers a test writes: each request takes the next one, the last stays.
type node struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc
	keys    []string
	bodies  []string
	paths   []string
}

func newNode(t testing.TB, answers ...http.HandlerFunc) *node {
	t.Helper()
	n := &node{answers: answers}
	n.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n.mu.Lock()
		n.keys = append(n.keys, r.Header.Get("Idempotency-Key"))
		n.bodies = append(n.bodies, string(body))
		n.paths = append(n.paths, r.Method+" "+r.URL.RequestURI())
		answer := n.answers[0]
		if len(n.answers) > 1 {
			n.answers = n.answers[1:]
		}
		n.mu.Unlock()
		answer(w, r)
	}))
	n.EnableHTTP2 = true
	n.StartTLS()
	t.Cleanup(n.Close)
	return n
}

func (n *node) addr() string { return strings.TrimPrefix(n.URL, "https://") }

func (n *node) requests() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.keys)
}

func says(status int, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
}

func accepted() http.HandlerFunc {
	return says(200, wire.Verification{Outcome: wire.Accepted, Device: "d", Entry: 9})
}

func problem(status int, name, effect string) http.HandlerFunc {
	return says(status, wire.Problem{Type: wire.ProblemPrefix + name, Title: name, Status: status, Effect: effect})
}

// hangsUp reads the request and drops the connection: it may have been done.
func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hangs until the client gives up.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// refusing is an address at which nobody listens.
func refusing(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func connect(t testing.TB, some *node, addrs ...string) *client.Client {
	t.Helper()
	config := &tls.Config{}
	if some != nil {
		config = some.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}
	c, err := client.New(client.Config{Nodes: addrs, TLS: config, Timeout: 4 * time.Second, AttemptTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var attempt = wire.VerifyRequest{Code: wire.NewSecret("123456")}

// Whatever happens to the first node, the second one answers the same logical request: same key, same body.
func TestVerifyGoesElsewhere(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{
		"unavailable": problem(503, "unavailable", wire.EffectNone),
		"unknown":     problem(504, "unknown", wire.EffectUnknown),
		"hangs up":    hangsUp,
		"hangs":       hangs,
		"proxy":       says(502, "bad gateway"),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newNode(t, first), newNode(t, accepted())
			c := connect(t, a, a.addr(), b.addr())
			v, err := c.Verify(t.Context(), "alice", attempt)
			if err != nil || v.Outcome != wire.Accepted || v.Entry != 9 {
				t.Fatalf("got %+v, %v", v, err)
			}
			if a.requests() == 0 || b.requests() != 1 {
				t.Fatalf("%d and %d requests", a.requests(), b.requests())
			}
			for _, key := range append(a.keys, b.keys...) {
				if key == "" || key != b.keys[0] {
					t.Errorf("keys %q and %q", a.keys, b.keys)
				}
			}
			if b.bodies[0] != "{\"code\":\"123456\"}\n" {
				t.Errorf("body %q", b.bodies[0])
			}
		})
	}
}

func TestNodeThatRefusesConnections(t *testing.T) {
	b := newNode(t, accepted())
	c := connect(t, b, refusing(t), b.addr())
	for range 3 {
		if _, err := c.Verify(t.Context(), "alice", attempt); err != nil {
			t.Fatal(err)
		}
	}
}

// A node that answers stays the one that is asked; a dead one is not tried first again.
func TestStaysWithTheNodeThatAnswers(t *testing.T) {
	a, b := newNode(t, problem(503, "unavailable", wire.EffectNone)), newNode(t, accepted())
	c := connect(t, a, a.addr(), b.addr())
	for range 5 {
		if _, err := c.Verify(t.Context(), "alice", attempt); err != nil {
			t.Fatal(err)
		}
	}
	if a.requests() != 1 || b.requests() != 5 {
		t.Errorf("%d and %d requests, want 1 and 5", a.requests(), b.requests())
	}
}

// What a node decided is final.
func TestDecisionsAreNotRepeated(t *testing.T) {
	for _, p := range []http.HandlerFunc{
		problem(404, "not-found", ""), problem(422, "invalid", ""), problem(403, "forbidden", ""), problem(409, "limit", ""),
	} {
		a, b := newNode(t, p), newNode(t, accepted())
		_, err := connect(t, a, a.addr(), b.addr()).Verify(t.Context(), "alice", attempt)
		var got *client.Problem
		if !errors.As(err, &got) || errors.Is(err, client.ErrUnknownOutcome) || errors.Is(err, client.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if a.requests() != 1 || b.requests() != 0 {
			t.Errorf("%d and %d requests", a.requests(), b.requests())
		}
	}
}

func TestErrorsSayWhatMayHaveBeenDone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"nothing", problem(503, "unavailable", wire.EffectNone), client.ErrUnavailable},
		{"unknown", problem(504, "unknown", wire.EffectUnknown), client.ErrUnknownOutcome},
		{"hangs up", hangsUp, client.ErrUnknownOutcome},
		{"defect", problem(500, "internal", wire.EffectUnknown), client.ErrUnknownOutcome},
		{"nonsense", says(200, "a string"), client.ErrUnknownOutcome},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, tc.answer)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := connect(t, n, n.addr()).Verify(ctx, "alice", attempt)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "123456") {
				t.Errorf("the error shows the code: %v", err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := connect(t, nil, refusing(t)).Verify(ctx, "alice", attempt); !errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("nobody listens: got %v", err)
	}
}

// An unknown outcome stays unknown when all that follows is that no node is available.
func TestUnknownIsNotForgotten(t *testing.T) {
	a, b := newNode(t, hangsUp), newNode(t, problem(503, "unavailable", wire.EffectNone))
	a.answers = append(a.answers, problem(503, "unavailable", wire.EffectNone))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	// net/http itself repeats a keyed request once when its connection dies, so the first answer may serve two requests.
	_, err := connect(t, a, a.addr(), b.addr()).Verify(ctx, "alice", attempt)
	if !errors.Is(err, client.ErrUnknownOutcome) || errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// A call that has a second effect if sent twice goes on only if it surely was not done.
func TestIssuingIsNotRepeatedBlindly(t *testing.T) {
	issued := says(201, wire.IssuedCertificate{Identity: "spiffe://test/operator/o"})
	a, b := newNode(t, hangsUp), newNode(t, issued)
	_, err := connect(t, a, a.addr(), b.addr()).IssueCertificate(t.Context(), wire.CertificateRequest{})
	if !errors.Is(err, client.ErrUnknownOutcome) || b.requests() != 0 || a.requests() != 1 {
		t.Errorf("got %v after %d and %d requests", err, a.requests(), b.requests())
	}
	a, b = newNode(t, problem(503, "unavailable", wire.EffectNone)), newNode(t, issued)
	if _, err := connect(t, a, a.addr(), b.addr()).IssueCertificate(t.Context(), wire.CertificateRequest{}); err != nil {
		t.Errorf("after a refusal without effect: %v", err)
	}
}

// A deletion whose first attempt was lost finds nothing: it was done.
func TestLostDeletion(t *testing.T) {
	a, b := newNode(t, hangsUp), newNode(t, problem(404, "not-found", ""))
	if err := connect(t, a, a.addr(), b.addr()).DeleteAccount(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	var p *client.Problem
	if err := connect(t, b, b.addr()).DeleteAccount(t.Context(), "alice"); !errors.As(err, &p) || !p.Named("not-found") {
		t.Errorf("without a lost attempt: %v", err)
	}
}

func TestGivenKeyAndEscapedAccount(t *testing.T) {
	n := newNode(t, accepted())
	ctx := client.WithIdempotencyKey(t.Context(), "my-key")
	if _, err := connect(t, n, n.addr()).Verify(ctx, "a/b c?", attempt); err != nil {
		t.Fatal(err)
	}
	if n.keys[0] != "my-key" || n.paths[0] != "POST /v1/accounts/a%2Fb%20c%3F/verifications" {
		t.Errorf("key %q, path %q", n.keys[0], n.paths[0])
	}
}

func TestConfigReportsEverything(t *testing.T) {
	_, err := client.New(client.Config{Nodes: []string{"https://n1:1", "n2"}, Timeout: -1})
	for _, part := range []string{"https://n1:1", `"n2"`, "TLS", "timeouts"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not mention %s", err, part)
		}
	}
}
