package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	long := strings.Repeat("a", 200)
	for _, tc := range []struct {
		name, request, body string
		headers             []string
		status              int
		problem             string
	}{
		{"account too long", "GET /v1/accounts/" + long, "", nil, 422, "invalid"},
		{"account of a control character", "GET /v1/accounts/a%00b", "", nil, 422, "invalid"},
		{"account of a newline", "GET /v1/accounts/a%0Ab", "", nil, 422, "invalid"},
		{"account of a C1 control", "GET /v1/accounts/a%C2%85b", "", nil, 422, "invalid"},
		{"account that is not UTF-8", "GET /v1/accounts/a%FF", "", nil, 422, "invalid"},
		{"account dot dot", "GET /v1/accounts/%2E%2E", "", nil, 422, "invalid"},
		{"unclean path", "GET /v1//accounts/alice", "", nil, 404, "no-route"},
		{"path with dots", "GET /v1/accounts/../cluster", "", nil, 404, "no-route"},
		{"no route", "GET /v2/accounts/alice", "", nil, 404, "no-route"},
		{"method", "POST /v1/accounts/alice", "{}", nil, 405, "method"},
		{"long path", "GET /v1/accounts/" + strings.Repeat("%61", 400), "", nil, 413, "too-large"},
		{"long query", "GET /v1/accounts/alice?" + strings.Repeat("a", 300), "", nil, 413, "too-large"},
		{"unknown query", "GET /v1/accounts/alice?tenant=other", "", nil, 422, "invalid"},
		{"unknown query of a verification", "POST /v1/accounts/alice/verifications?a=b", `{"code":"123456"}`, nil, 422, "invalid"},
		{"device id", "DELETE /v1/accounts/alice/devices/a%20b", "", nil, 422, "invalid"},
		{"body too large", "POST /v1/accounts/alice/verifications", `{"code":"` + strings.Repeat("1", 70000) + `"}`, nil, 413, "too-large"},
		{"media type", "POST /v1/accounts/alice/verifications", `code=123456`, []string{"Content-Type", "text/plain"}, 415, "media-type"},
		{"long idempotency key", "PUT /v1/accounts/alice", "", []string{"Idempotency-Key", strings.Repeat("k", 129)}, 422, "invalid"},
		{"two idempotency keys", "PUT /v1/accounts/alice", "", []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, 422, "invalid"},
		{"idempotency key with a space", "PUT /v1/accounts/alice", "", []string{"Idempotency-Key", "a b"}, 422, "invalid"},
		{"name too long", "POST /v1/accounts/alice/devices", `{"public_key":"AAAA","name":"` + long + `"}`, nil, 422, "invalid"},
		{"name of too many bytes", "POST /v1/accounts/alice/devices", `{"public_key":"AAAA","name":"` + strings.Repeat("é", 100) + `"}`, nil, 422, "invalid"},
		{"label with a control character", "POST /v1/accounts/alice/authenticators", `{"label":"a\nb"}`, nil, 422, "invalid"},
		{"unknown member", "POST /v1/accounts/alice/devices", `{"public_key":"AAAA","nickname":"x"}`, nil, 422, "invalid"},
		{"member in other case", "POST /v1/accounts/alice/devices", `{"public_key":"AAAA","Name":"x"}`, nil, 422, "invalid"},
		{"member twice", "POST /v1/accounts/alice/devices", `{"public_key":"AAAA","name":"x","name":"y"}`, nil, 400, "malformed"},
		{"trailing data", "POST /v1/accounts/alice/devices", `{"public_key":"AAAA"} {}`, nil, 400, "malformed"},
		{"no body", "POST /v1/accounts/alice/devices", ``, nil, 400, "malformed"},
		{"an array", "POST /v1/accounts/alice/devices", `[]`, nil, 422, "invalid"},
		{"too deep", "POST /v1/accounts/alice/authenticators", `{"params":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, nil, 400, "malformed"},
		{"digits", "POST /v1/accounts/alice/authenticators", `{"params":{"digits":12}}`, nil, 422, "invalid"},
		{"uri with other members", "POST /v1/accounts/alice/authenticators", `{"uri":"otpauth://totp/x","issuer":"y"}`, nil, 422, "invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			service.asked = ""
			headers := tc.headers
			got := s.sendRaw(t, c, tc.request, tc.body, headers...)
			if got.status != tc.status || !strings.Contains(got.body, `"urn:strongroom:problem:`+tc.problem+`"`) {
				t.Errorf("%d %s, want %d %s", got.status, got.body, tc.status, tc.problem)
			}
			if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("content type %q", ct)
			}
			if service.asked != "" {
				t.Errorf("it reached %s", service.asked)
			}
		})
	}
	for _, account := range []string{"alice", "a/b", "ä ö", strings.Repeat("x", 128), "alice@example.com", "a%b", "...", "a+b&c"} {
		if got := s.send(t, c, "GET /v1/accounts/"+url.PathEscape(account), ""); got.status != 200 || service.account != account {
			t.Errorf("account %q: %d, the use case saw %q", account, got.status, service.account)
		}
	}
	t.Run("headers", func(t *testing.T) {
		r, _ := http.NewRequest("GET", "https://"+s.addr+"/livez", nil)
		r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
		if answer, err := c.Do(r); err == nil {
			answer.Body.Close()
			if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("64 KiB of headers: %s", answer.Status)
			}
		}
	})
}

// sendRaw is send with a Content-Type only if the headers have none.
func (s *server) sendRaw(t testing.TB, c *http.Client, request, body string, headers ...string) reply {
	t.Helper()
	if len(headers) > 0 && headers[0] == "Content-Type" {
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequest(method, "https://"+s.addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(headers[0], headers[1])
		return do(t, c, r)
	}
	return s.send(t, c, request, body, headers...)
}

// Beyond the bound requests are shed at once and without effect, and health still answers.
func TestOverload(t *testing.T) {
	service := well()
	service.block, service.entered = make(chan struct{}), make(chan struct{}, 8)
	s := serve(t, Config{Service: service, MaxInFlight: 2}, false)
	c := s.client(t, asFrontend)
	done := make(chan reply, 2)
	for range 2 {
		go func() { done <- s.send(t, c, "POST /v1/accounts/alice/verifications", `{"code":"123456"}`) }()
	}
	for range 2 {
		<-service.entered
	}
	got := s.send(t, c, "POST /v1/accounts/alice/verifications", `{"code":"123456"}`)
	if got.status != 503 || !strings.Contains(got.body, `"effect":"none"`) || got.header.Get("Retry-After") != "1" {
		t.Errorf("shed: %d %s %v", got.status, got.body, got.header)
	}
	if got := s.send(t, c, "GET /livez", ""); got.status != 204 {
		t.Errorf("livez under load: %d", got.status)
	}
	close(service.block)
	for range 2 {
		if got := <-done; got.status != 200 {
			t.Errorf("admitted: %d %s", got.status, got.body)
		}
	}
}

// A use case that outlives its time is unknown, not wrong.
func TestRequestTimeout(t *testing.T) {
	service := well()
	service.block, service.entered = make(chan struct{}), make(chan struct{}, 8)
	s := serve(t, Config{Service: service, RequestTimeout: 20 * time.Millisecond}, false)
	got := s.send(t, s.client(t, asFrontend), "POST /v1/accounts/alice/verifications", `{"code":"123456"}`)
	if got.status != 504 || !strings.Contains(got.body, `"effect":"unknown"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}
