package demo

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/client"
)

// node is a scripted node: it answers by method and path, and notes what it was asked.
type node struct {
	mu      sync.Mutex // guards what follows
	answers map[string]string
	asked   []string // method, path and body
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, r.Method+" "+r.URL.Path+" "+string(body))
	answer, there := n.answers[r.Method+" "+r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	if !there {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		answer = `{"type":"urn:strongroom:problem:not-found","title":"Not found","status":404}`
	}
	_, _ = w.Write([]byte(answer))
}

func (n *node) was(parts ...string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.asked, func(asked string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(asked, p) })
	})
}

// withNode is newSite whose node is scripted.
func withNode(t *testing.T, answers map[string]string) (*Site, *home, *node) {
	t.Helper()
	n := &node{answers: answers}
	server := httptest.NewUnstartedServer(n)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s, h := newSite(t)
	api, err := client.New(client.Config{Nodes: []string{server.Listener.Addr().String()}, TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	s.api = api
	return s, h, n
}

func (s *Site) submit(path string, form url.Values, cookies ...*http.Cookie) *http.Response {
	if form == nil {
		form = url.Values{}
	}
	form.Set("csrf", s.csrfToken(ours))
	return askWithin(10*time.Second, s, http.MethodPost, path, ours, form, func(r *http.Request) {
		for _, c := range cookies {
			r.AddCookie(c)
		}
	})
}

func answered(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
