package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

// public runs an API with a public listener and gives its address.
func public(t *testing.T, service Service) (addr string) {
	t.Helper()
	a, err := New(Config{Service: service, TrustDomain: "test"})
	if err != nil {
		t.Fatal(err)
	}
	p := newPKI(t)
	own := p.issue(t, asNode)
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- (&Server{
			API: a, Listener: listen(t), Public: l, TLS: ServerTLS(func() (*tls.Certificate, error) { return &own, nil }, p.root),
		}).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// plain makes a request "METHOD /path" without TLS.
func plain(t *testing.T, addr, request string, headers ...string) reply {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return do(t, c, r)
}

// The public listener serves the log, with CORS and for shared caches.
func TestPublicLog(t *testing.T) {
	service := well()
	addr := public(t, service)
	for path, want := range map[string][3]string{
		"/log/2026/checkpoint":           {"LogCheckpoint", "text/plain; charset=utf-8", "no-store"},
		"/log/2026/tile/0/000":           {"LogTile", "application/octet-stream", publicCache},
		"/log/2026/tile/entries/000.p/3": {"LogBundle", "application/octet-stream", publicCache},
		"/log/trees":                     {"LogTrees", "application/json", "no-store"},
		"/log/policy":                    {"LogPolicy", "text/plain; charset=utf-8", "no-store"},
	} {
		for _, method := range []string{"GET ", "HEAD "} {
			service.asked = ""
			got := plain(t, addr, method+path)
			h := got.header
			if got.status != 200 || service.asked != want[0] || h.Get("Content-Type") != want[1] || h.Get("Cache-Control") != want[2] ||
				h.Get("Access-Control-Allow-Origin") != "*" || (got.body == "") != (method == "HEAD ") {
				t.Errorf("%s%s: %d %v %q, it reached %s", method, path, got.status, h, got.body, service.asked)
			}
		}
	}
	var trees wire.LogTrees
	if err := json.Unmarshal([]byte(plain(t, addr, "GET /log/trees").body), &trees); err != nil || len(trees.Trees) != 1 || trees.Trees[0].Signed != 4 {
		t.Errorf("trees: %+v, %v", trees, err)
	}
	if got := plain(t, addr, "GET /log/2026/tile/0/000", "Range", "bytes=1-2"); got.status != 206 || got.body != "il" || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a range: %d %q", got.status, got.body)
	}
	got := plain(t, addr, "OPTIONS /log/2026/tile/0/000", "Origin", "https://elsewhere.example", "Access-Control-Request-Headers", "range")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Methods") != "GET, HEAD" || !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "Range") {
		t.Errorf("preflight: %d %v", got.status, got.header)
	}
	service.err = appliance.ErrUnavailable
	if got := plain(t, addr, "GET /log/2026/checkpoint"); got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("unavailable: %d %v", got.status, got.header)
	}
}

// It serves nothing else: no route of the API and nothing of this process.
func TestPublicLogServesNothingElse(t *testing.T) {
	service := well()
	addr := public(t, service)
	for pattern := range access {
		method, path, _ := strings.Cut(fill.Replace(pattern), " ")
		if got := plain(t, addr, method+" "+path+queries[pattern]); got.status != 404 && got.status != 405 {
			t.Errorf("%s: %d %s", pattern, got.status, got.body)
		}
		path = strings.TrimPrefix(path, "/v1")
		if strings.HasPrefix(path, "/log/") && method == "GET" && !strings.Contains(path, "2026") && path != "/log/trees" && path != "/log/policy" {
			if got := plain(t, addr, "GET "+path+queries[pattern]); got.status != 404 {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	}
	service.asked = ""
	for _, request := range []string{
		"GET /", "GET /log", "GET /log/", "GET /log/2026", "GET /log/2026/tile", "GET /log/2026/tile/0/0", "GET /debug/pprof/", "GET /metrics",
		"GET /livez", "GET /log/../v1/cluster", "POST /log/2026/checkpoint", "PUT /log/trees", "DELETE /log/2026/tile/0/000",
		"GET /log/2026/tile/0/000?x=1",
	} {
		got := plain(t, addr, request)
		if got.status < 400 || got.status >= 500 || service.asked != "" || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v %s, it reached %q", request, got.status, got.header, got.body, service.asked)
		}
	}
}

// hanging hangs where a tile is read, until its context ends.
type hanging struct {
	Service
	entered chan struct{}
}

func (h hanging) LogTile(ctx context.Context, _ string, _ int, _ int64, _ int) ([]byte, error) {
	h.entered <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Strangers get a bounded part of the node.
func TestPublicLogIsBounded(t *testing.T) {
	h := hanging{well(), make(chan struct{}, maxPublicInFlight)}
	addr := public(t, h)
	ctx, giveUp := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range maxPublicInFlight {
		asking.Go(func() {
			r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/log/2026/tile/0/000", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if answer, err := c.Do(r); err == nil {
				answer.Body.Close()
			}
		})
	}
	for range maxPublicInFlight {
		<-h.entered
	}
	if got := plain(t, addr, "GET /log/2026/checkpoint"); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	giveUp()
	asking.Wait()
}

// A connection more than may be is accepted when another one ends.
func TestLimitListener(t *testing.T) {
	l := limitListener(listen(t), 2)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var ours, theirs []net.Conn
	for range 3 {
		ours = append(ours, dial())
	}
	for range 2 {
		theirs = append(theirs, <-accepted)
	}
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted")
	case <-time.After(50 * time.Millisecond):
	}
	_ = theirs[0].Close()
	_ = theirs[0].Close() // the place is free once, not twice
	third := <-accepted
	_, _ = ours[2].Write([]byte("x"))
	if b, err := io.ReadAll(io.LimitReader(third, 1)); err != nil || string(b) != "x" {
		t.Errorf("the third: %q, %v", b, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, more := <-accepted; more {
		t.Error("a closed listener accepts")
	}
	for _, c := range append(ours, theirs[1], third) {
		_ = c.Close()
	}
}
