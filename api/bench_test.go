package api

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

// BenchmarkVerify is the cost of one verification in the HTTP layer, by huma and by hand, alone and over TLS and HTTP/2
// with the client's share.
func BenchmarkVerify(b *testing.B) {
	service := &scripted{answer: appliance.Verification{Outcome: account.Accepted, Credential: "mfzgk5dfon2gs3th", Entry: 7}}
	for _, way := range []struct {
		name  string
		plain bool
	}{{"lean", false}, {"huma", true}} {
		b.Run(way.name+"/handler", func(b *testing.B) {
			s := serve(b, Config{Service: service}, way.plain)
			cert := s.issue(b, asFrontend)
			state := &tls.ConnectionState{}
			leaf := parse(b, cert)
			state.PeerCertificates, state.VerifiedChains = append(state.PeerCertificates, leaf), append(state.VerifiedChains, append(state.PeerCertificates, leaf))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/v1/accounts/alice/verifications", strings.NewReader(`{"code":"123456"}`))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Idempotency-Key", "0b51a5f1d0d04c5c9c1d3b8f2a6e7c44")
				r.TLS = state
				r = r.WithContext(withPeer(r.Context(), nil))
				w := httptest.NewRecorder()
				s.api.ServeHTTP(w, r)
				if w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
		b.Run(way.name+"/http1", func(b *testing.B) {
			s := serve(b, Config{Service: service}, way.plain)
			c := s.client(b, asFrontend)
			transport := c.Transport.(*http.Transport)
			transport.ForceAttemptHTTP2, transport.MaxIdleConnsPerHost = false, 64
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					verifyOnce(b, c, s.addr)
				}
			})
		})
		b.Run(way.name+"/http2", func(b *testing.B) {
			s := serve(b, Config{Service: service}, way.plain)
			c := s.client(b, asFrontend)
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					verifyOnce(b, c, s.addr)
				}
			})
		})
	}
	b.Run("floor/http2", func(b *testing.B) { // what net/http itself costs
		p := newPKI(b)
		own := p.issue(b, "spiffe://test/node/n1")
		listener, err := tls.Listen("tcp", "127.0.0.1:0", ServerTLS(func() (*tls.Certificate, error) { return &own, nil }, p.root))
		if err != nil {
			b.Fatal(err)
		}
		s := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write([]byte(`{"outcome":"accepted","device":"mfzgk5dfon2gs3th","entry":7}`))
		}), hclog.NewNullLogger())
		go func() { _ = s.Serve(listener) }()
		defer s.Close()
		c := (&server{pki: p}).client(b, asFrontend)
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				verifyOnce(b, c, listener.Addr().String())
			}
		})
	})
}

func verifyOnce(b *testing.B, c *http.Client, addr string) {
	r, err := http.NewRequest("POST", "https://"+addr+"/v1/accounts/alice/verifications", strings.NewReader(`{"code":"123456"}`))
	if err != nil {
		b.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "0b51a5f1d0d04c5c9c1d3b8f2a6e7c44")
	answer, err := c.Do(r)
	if err != nil {
		b.Error(err)
		return
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != 200 {
		b.Error(answer.Status, err)
	}
	answer.Body.Close()
}
