package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
)

// follower reads a stream of the log.
type follower struct {
	answer *http.Response
	lines  *bufio.Reader
}

func (s *server) follow(t *testing.T, c *http.Client, path string, headers ...string) *follower {
	t.Helper()
	answer, err := c.Do(s.request(t, "GET "+path, "", headers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("following: %v", read(t, answer))
	}
	return &follower{answer, bufio.NewReader(answer.Body)}
}

// event gives the next one as it was sent, without its empty line. Comments are left out.
func (f *follower) event(t *testing.T) string {
	t.Helper()
	var event strings.Builder
	for {
		line, err := f.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", event.String(), err)
		}
		switch {
		case line == "\n" && event.Len() > 0:
			return event.String()
		case line != "\n" && line[0] != ':':
			event.WriteString(line)
		}
	}
}

func entryEvent(index int) string {
	return fmt.Sprintf("event: entry\nid: %d\ndata: {\"v\":2,\"index\":%[1]d,\"detail\":\"<&> \u2028\"}\n", index)
}

func checkpointEvent(tree string, size int) string {
	return fmt.Sprintf("event: checkpoint\ndata: test/log/%s\ndata: %d\ndata: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\ndata: \n"+
		"data: \u2014 test/log/%[1]s AAAA\ndata: \n", tree, size)
}

func (f *follower) want(t *testing.T, events ...string) {
	t.Helper()
	for _, want := range events {
		if got := f.event(t); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// Entries come in their order over the trees' ends, checkpoints after what they cover, over HTTP/2 and 1.1.
func TestStream(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		service := well()
		service.log = newFakeLog()
		s := serve(t, Config{Service: service}, false)
		c := s.client(t, asAuditor)
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
		f := s.follow(t, c, "/v1/log/stream?from=1")
		f.want(t, entryEvent(1), entryEvent(2), entryEvent(3))
		service.log.sign()
		f.want(t, checkpointEvent("a", 3), checkpointEvent("b", 1))
		service.log.grow(2)
		f.want(t, entryEvent(4), entryEvent(5))
		service.log.grow(600)
		service.log.sign()
		for i := 6; i < 606; i++ {
			f.want(t, entryEvent(i))
		}
		f.want(t, checkpointEvent("b", 603))
		service.log.grow(1)
		f.want(t, entryEvent(606))
		if n := s.api.streams.Load(); n != 1 {
			t.Errorf("%d streams are counted", n)
		}
	}
}

// Who comes again goes on after the last entry that was seen, whatever the address says; who doesn't say gets what is new.
func TestStreamResumes(t *testing.T) {
	service := well()
	service.log = newFakeLog()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	s.follow(t, c, "/v1/log/stream?from=0", "Last-Event-ID", "2").want(t, entryEvent(3))
	f := s.follow(t, c, "/v1/log/stream")
	<-service.log.waiting
	late := s.follow(t, c, "/v1/log/stream?from=6")
	service.log.grow(3)
	f.want(t, entryEvent(4), entryEvent(5), entryEvent(6))
	late.want(t, entryEvent(6))
	for path, headers := range map[string][]string{
		"?from=-1": nil, "?from=x": nil, "?from=": nil, "?from=01": nil, "?from=9223372036854775807": nil, "?from=1&from=2": nil, "?form=1": nil,
		"?from=1": {"Last-Event-ID", "x"}, "": {"Last-Event-ID", "1", "Last-Event-ID", "2"},
	} {
		if got := s.send(t, c, "GET /v1/log/stream"+path, "", headers...); got.status != 422 {
			t.Errorf("%q %v: %d %s", path, headers, got.status, got.body)
		}
	}
}

func TestStreamRoles(t *testing.T) {
	for identity, status := range map[string]int{asFrontend: 403, asHelpdesk: 403, asNode: 403, "": 403, asOperator: 200, asAuditor: 200} {
		service := well()
		service.log = newFakeLog()
		s := serve(t, Config{Service: service}, false)
		c := s.client(t)
		if identity != "" {
			c = s.client(t, identity)
		}
		if status == 200 {
			s.follow(t, c, "/v1/log/stream?from=0").want(t, entryEvent(0))
			continue
		}
		if got := s.send(t, c, "GET /v1/log/stream?from=0", ""); got.status != status {
			t.Errorf("as %q: %d %s", identity, got.status, got.body)
		}
	}
}

// Before a stream begins, what can't be had is a problem like another.
func TestStreamProblems(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	for err, status := range map[error]int{appliance.ErrPruned: 410, appliance.ErrUnavailable: 503} {
		service.err = err
		if got := s.send(t, s.client(t, asAuditor), "GET /v1/log/stream?from=0", ""); got.status != status {
			t.Errorf("%v: %d %s", err, got.status, got.body)
		}
	}
	service.err = nil
	if got := s.send(t, s.client(t, asAuditor), "HEAD /v1/log/stream?from=0", ""); got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("its head alone: %d %v", got.status, got.header)
	}
	if n := s.api.streams.Load(); n != 0 {
		t.Errorf("%d streams are counted", n)
	}
}

// A client that goes away frees its place, and there are only so many.
func TestStreamsAreBounded(t *testing.T) {
	service := well()
	service.log = newFakeLog()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	var all []*follower
	for range maxLogStreams {
		all = append(all, s.follow(t, c, "/v1/log/stream?from=3"))
	}
	for _, f := range all {
		f.want(t, entryEvent(3))
	}
	if got := s.send(t, c, "GET /v1/log/stream?from=3", ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	if got := s.send(t, c, "GET /v1/log/head", ""); got.status != 200 {
		t.Errorf("another request meanwhile: %d %s", got.status, got.body)
	}
	all[0].answer.Body.Close()
	for s.api.streams.Load() == maxLogStreams { // until the node has noticed
		service.log.grow(1)
	}
	s.follow(t, c, "/v1/log/stream?from=3").want(t, entryEvent(3))
}

// A server that ends doesn't wait for streams: they end whole.
func TestStreamEndsWithTheServer(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		service := well()
		service.log = newFakeLog()
		a, err := New(Config{Service: service, TrustDomain: "test"})
		if err != nil {
			t.Fatal(err)
		}
		s := &server{pki: newPKI(t), api: a}
		own := s.issue(t, asNode)
		l := listen(t)
		s.addr = l.Addr().String()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- (&Server{API: a, Listener: l, TLS: ServerTLS(func() (*tls.Certificate, error) { return &own, nil }, s.root)}).Run(ctx)
		}()
		c := s.client(t, asAuditor)
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
		f := s.follow(t, c, "/v1/log/stream?from=3")
		f.want(t, entryEvent(3))
		<-service.log.waiting
		begin := time.Now()
		cancel()
		if rest, err := io.ReadAll(f.lines); err != nil || len(rest) != 0 {
			t.Errorf("HTTP/2 %v: the stream ended with %q, %v", http2, rest, err)
		}
		if err := <-ended; err != nil || time.Since(begin) > shutdownTimeout/2 {
			t.Errorf("HTTP/2 %v: the server ended after %v: %v", http2, time.Since(begin), err)
		}
	}
}

// The server's deadlines, which are for answers that end, don't cut a stream that is silent or not.
func TestStreamOutlivesTheServersDeadlines(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		service := well()
		service.log = newFakeLog()
		a, err := New(Config{Service: service, TrustDomain: "test"})
		if err != nil {
			t.Fatal(err)
		}
		a.heartbeat = 150 * time.Millisecond
		p := newPKI(t)
		leaf := parse(t, p.issue(t, asAuditor))
		web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, leaf)
			r.TLS.VerifiedChains = append(r.TLS.VerifiedChains, r.TLS.PeerCertificates)
			a.ServeHTTP(w, r)
		}))
		web.EnableHTTP2 = http2
		web.Config.ReadTimeout, web.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
		web.StartTLS()
		defer web.Close()
		answer, err := web.Client().Get(web.URL + "/v1/log/stream?from=3")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if wantMajor := map[bool]int{true: 2, false: 1}[http2]; answer.ProtoMajor != wantMajor {
			t.Fatalf("HTTP/%d was spoken", answer.ProtoMajor)
		}
		lines := bufio.NewReader(answer.Body)
		beats := 0
		for beats < 4 { // each later than a deadline of the server
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("HTTP/2 %v: after %d heartbeats: %v", http2, beats, err)
			}
			if line == ":\n" {
				beats++
			}
		}
		service.log.grow(1)
		(&follower{lines: lines}).want(t, entryEvent(4))
	}
}

// A client that doesn't read is given up, and gives its place back.
func TestStreamOfWhoDoesNotRead(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		service := well()
		service.log = newFakeLog()
		service.log.more = strings.Repeat("x", 8000)
		service.log.grow(2000) // more than all buffers on the way hold
		s := serve(t, Config{Service: service}, false)
		s.api.patience = 100 * time.Millisecond
		c := s.client(t, asAuditor)
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
		f := s.follow(t, c, "/v1/log/stream?from=3")
		for deadline := time.Now().Add(20 * time.Second); s.api.streams.Load() > 0; time.Sleep(time.Millisecond) { // nothing tells when it has ended
			if time.Now().After(deadline) {
				t.Fatal("the stream goes on")
			}
		}
		n, err := io.Copy(io.Discard, f.answer.Body)
		if err == nil || n > 15<<20 {
			t.Errorf("HTTP/2 %v: all %d bytes came, %v", http2, n, err)
		}
	}
}

// A stream ends with the certificate that it was allowed by.
func TestStreamEndsWithItsCertificate(t *testing.T) {
	leaf := parse(t, newPKI(t).issue(t, asAuditor))
	r := httptest.NewRequest("GET", "/v1/log/stream", nil)
	r.TLS = &tls.ConnectionState{}
	r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, leaf)
	ctx, cancel := streamContext(r)
	defer cancel()
	if end, ok := ctx.Deadline(); !ok || !end.Equal(leaf.NotAfter) {
		t.Errorf("the stream ends at %v, its certificate at %v", end, leaf.NotAfter)
	}
}
