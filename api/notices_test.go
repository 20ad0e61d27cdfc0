package api

import (
	"bufio"
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/appliance"
)

func streaming() *scripted {
	service := well()
	service.stay = true
	service.notices = []appliance.NoticeEvent{
		{Number: 41, Type: "sign-in.begun", Body: []byte(`{"type":"sign-in.begun","timestamp":"2026-01-01T00:00:00Z","data":{"account":"alice"}}`)},
		{Number: 42, Type: "sign-in.denied", Body: []byte(`{"type":"sign-in.denied","timestamp":"2026-01-01T00:00:01Z","data":{"account":"alice"}}`)},
	}
	return service
}

// openStream asks for the stream until the test ends.
func openStream(t *testing.T, s *server, after string) (*http.Response, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.addr+"/v1/notices/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	answer, err := s.client(t, asFrontend).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer, cancel
}

// The stream, byte for byte, and its resumption.
func TestNoticesStream(t *testing.T) {
	service := streaming()
	s := serve(t, Config{Service: service, RequestTimeout: 50 * time.Millisecond}, false)
	answer, _ := openStream(t, s, "40")
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	var lines []string
	for b := bufio.NewScanner(answer.Body); len(lines) < 13 && b.Scan(); {
		lines = append(lines, b.Text())
	}
	want := strings.Split(`retry: 1000

event: missed
data: 

id: 41
event: sign-in.begun
data: {"type":"sign-in.begun","timestamp":"2026-01-01T00:00:00Z","data":{"account":"alice"}}

id: 42
event: sign-in.denied
data: {"type":"sign-in.denied","timestamp":"2026-01-01T00:00:01Z","data":{"account":"alice"}}
`, "\n")
	if !slices.Equal(lines, want) {
		t.Errorf("the stream is\n%s", strings.Join(lines, "\n"))
	}
	if service.after == nil || *service.after != 40 || service.caller.Tenant != "acme" {
		t.Errorf("asked after %v as %+v", service.after, service.caller)
	}
	for _, bad := range []string{"x", "-1", "99999999999999999999999"} {
		if answer, _ := openStream(t, s, bad); answer.StatusCode != 422 {
			t.Errorf("Last-Event-ID %q: %d", bad, answer.StatusCode)
		}
	}
}

// A server that ends ends its streams, and does not wait for their readers.
func TestStreamsEndWithTheServer(t *testing.T) {
	s := serve(t, Config{Service: streaming()}, false)
	answer, _ := openStream(t, s, "")
	began := time.Now()
	s.api.Close()
	for b := bufio.NewScanner(answer.Body); b.Scan(); {
		continue
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A stream ends with the certificate that it was allowed by; and its head alone is no stream.
// TestNoticesDontBeginInVain: whoever sees a stream begin misses nothing of what comes; where it can't, it is a problem.
func TestNoticesDontBeginInVain(t *testing.T) {
	service := streaming()
	service.err = appliance.ErrUnavailable
	s := serve(t, Config{Service: service}, false)
	if answer, _ := openStream(t, s, "40"); answer.StatusCode != 503 || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
}

func TestNoticesEndWithTheirCertificate(t *testing.T) {
	service := streaming()
	service.until = make(chan time.Time, 1)
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	if got := s.send(t, c, "HEAD /v1/notices/stream", ""); got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("its head alone: %d %v", got.status, got.header)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.addr+"/v1/notices/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	leaf, err := x509.ParseCertificate(c.Transport.(*http.Transport).TLSClientConfig.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if end := <-service.until; !end.Equal(leaf.NotAfter) {
		t.Errorf("the stream ends at %v, its certificate at %v", end, leaf.NotAfter)
	}
}

// A tenant that has as many requests waiting as it may leaves the others their places, and has its own back when they end.
func TestATenantDoesntWaitForEverybody(t *testing.T) {
	s := serve(t, Config{Service: streaming()}, false)
	var all []func()
	for range maxPatientOfOne - 1 {
		leave, ok := s.api.waitingOf.enter("acme")
		if !ok {
			t.Fatal("it has no place")
		}
		all = append(all, leave)
	}
	c := s.client(t, asFrontend)
	const wait = "GET /v1/accounts/alice/sign-ins/s1?wait=1"
	if got := s.send(t, c, wait, ""); got.status == 503 {
		t.Errorf("the last place: %d", got.status)
	}
	leave, _ := s.api.waitingOf.enter("acme")
	if got := s.send(t, c, wait, ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	if got := s.send(t, s.client(t, "spiffe://test/tenant/other/frontend/web"), wait, ""); got.status == 503 {
		t.Errorf("another tenant: %d %s", got.status, got.body)
	}
	for _, leave := range append(all, leave) {
		leave()
	}
	if n := len(s.api.waitingOf.of); n != 0 {
		t.Errorf("%d tenants are still counted", n)
	}
}

// The client reads it, and goes on where it was when a node ends it.
func TestClientReadsTheStream(t *testing.T) {
	service := streaming()
	service.stay = false // each time, it ends after its two notices
	s := serve(t, Config{Service: service}, false)
	config := s.client(t, asFrontend).Transport.(*http.Transport).TLSClientConfig
	c, err := client.New(client.Config{Nodes: []string{s.addr}, TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	enough := context.Canceled
	err = c.Notices(ctx, "", func(e client.NoticeEvent) error {
		if e.Missed {
			got = append(got, "missed")
		} else {
			got = append(got, e.ID+" "+e.Notice.Type)
		}
		if len(got) == 5 {
			return enough
		}
		return nil
	})
	want := []string{"41 sign-in.begun", "42 sign-in.denied", "missed", "41 sign-in.begun", "42 sign-in.denied"}
	if err != enough || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if service.after == nil || *service.after != 42 {
		t.Errorf("resumed after %v", service.after)
	}
}
