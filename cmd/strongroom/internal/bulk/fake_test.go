package bulk

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/otp"
)

// The wire is faked here, and a cluster behind it that keeps what counts for an import: accounts, their authenticators and
// the memory of requests. Faults come in pairs: what failed may have taken effect or not.

type fault int

const (
	works  fault = iota
	undone       // nothing was done, and nobody knows
	done         // it was done, and nobody knows
)

// fakeAuthenticator is an authenticator with its seed.
type fakeAuthenticator struct {
	wire.Credential
	secret string
	uri    otp.URI
}

type fakeCluster struct {
	*httptest.Server
	mu       sync.Mutex
	accounts map[string][]fakeAuthenticator
	memory   map[string]remembered // by account and key
	fault    func(r *http.Request) fault
	closed   bool // policy forbids imports
	limit    int
	now      time.Time
	adds     int // requests to add
	entries  int64
}

// remembered is an answer, or a refusal.
type remembered struct {
	answer  wire.NewAuthenticator
	refusal string
	status  int
	at      time.Time
}

func newFakeCluster(t testing.TB) *fakeCluster {
	t.Helper()
	f := &fakeCluster{}
	f.reset()
	f.Server = httptest.NewUnstartedServer(f)
	f.EnableHTTP2 = true
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func (f *fakeCluster) reset(accounts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accounts, f.memory = make(map[string][]fakeAuthenticator), make(map[string]remembered)
	f.fault, f.closed, f.limit, f.adds = func(*http.Request) fault { return works }, false, 25, 0
	f.now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, a := range accounts {
		f.accounts[a] = nil
	}
}

func (f *fakeCluster) client(t testing.TB) *client.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(f.Certificate())
	c, err := client.New(client.Config{Nodes: []string{strings.TrimPrefix(f.URL, "https://")}, TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (f *fakeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	does := f.fault(r)
	if does == undone {
		problem(w, 500, "internal", wire.EffectUnknown)
		return
	}
	answer := httptest.NewRecorder()
	f.serve(answer, r)
	if does == done {
		problem(w, 500, "internal", wire.EffectUnknown)
		return
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (f *fakeCluster) serve(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/accounts/"), "/")
	have, exists := f.accounts[name]
	switch {
	case r.Method == http.MethodPut:
		f.accounts[name] = have
		_ = json.NewEncoder(w).Encode(wire.Account{Account: name})
	case !exists:
		problem(w, 404, "not-found", "")
	case r.Method == http.MethodGet:
		a := wire.Account{Account: name}
		for _, c := range have {
			a.Credentials = append(a.Credentials, c.Credential)
		}
		_ = json.NewEncoder(w).Encode(a)
	case r.Method == http.MethodPost && rest == "authenticators":
		f.add(w, r, name)
	default:
		problem(w, 404, "no-route", "")
	}
}

func (f *fakeCluster) add(w http.ResponseWriter, r *http.Request, name string) {
	f.adds++
	id := name + " " + r.Header.Get("Idempotency-Key")
	refuse := func(status int, name string) {
		f.memory[id] = remembered{refusal: name, status: status, at: f.now}
		problem(w, status, name, "")
	}
	if m, ok := f.memory[id]; ok && f.now.Sub(m.at) < 10*time.Minute {
		if m.refusal != "" {
			problem(w, m.status, m.refusal, "")
			return
		}
		_ = json.NewEncoder(w).Encode(m.answer)
		return
	}
	var body wire.AuthenticatorRequest
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		problem(w, 400, "malformed", "")
		return
	}
	uri, err := otp.ParseURI(body.URI.Reveal())
	switch {
	case err != nil:
		problem(w, 422, "invalid", "")
		return
	case f.closed:
		refuse(403, "policy")
		return
	case len(f.accounts[name]) >= f.limit:
		refuse(409, "limit")
		return
	}
	f.entries++
	c := wire.Credential{ID: fmt.Sprintf("c%d", f.entries), Kind: wire.KindAuthenticator, Params: params(uri.Params), Added: f.now}
	f.accounts[name] = append(f.accounts[name], fakeAuthenticator{c, string(uri.Secret.Reveal()), uri})
	m := remembered{answer: wire.NewAuthenticator{Authenticator: c, Entry: f.entries}, at: f.now}
	f.memory[id] = m
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(m.answer)
}

// remove takes an authenticator away, as a person would.
func (f *fakeCluster) remove(account, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var kept []fakeAuthenticator
	for _, c := range f.accounts[account] {
		if c.ID != id {
			kept = append(kept, c)
		}
	}
	f.accounts[account] = kept
}

func (f *fakeCluster) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fakeCluster) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// secrets counts, over all accounts, how often each seed is there.
func (f *fakeCluster) secrets() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := make(map[string]int)
	for account, all := range f.accounts {
		for _, c := range all {
			n[account+" "+c.secret]++
		}
	}
	return n
}

func problem(w http.ResponseWriter, status int, name, effect string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(wire.Problem{Type: wire.ProblemPrefix + name, Title: name, Status: status, Effect: effect})
}
