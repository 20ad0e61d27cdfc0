package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// pki is a cluster's authority for tests.
type pki struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pki{root, key}
}

// issue makes a certificate with the given URI names, for servers and clients alike.
func (p *pki) issue(t testing.TB, identities ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, identity := range identities {
		u, err := url.Parse(identity)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.root, &key.PublicKey, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// server is a running Server and its authority.
type server struct {
	*pki
	api  *API
	addr string
}

// serve runs an API on a free port until the test ends.
func serve(t testing.TB, c Config, plain bool) *server {
	t.Helper()
	c.TrustDomain = "test"
	a, err := build(c, plain)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{pki: newPKI(t), api: a}
	own := s.issue(t, "spiffe://test/node/n1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- (&Server{
			API: a, Listener: listener,
			TLS: ServerTLS(func() (*tls.Certificate, error) { return &own, nil }, s.root),
		}).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running the server: %v", err)
		}
	})
	return s
}

// client has a certificate with the given URI names, or none.
func (s *server) client(t testing.TB, identities ...string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(s.root)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	if len(identities) > 0 {
		config.Certificates = []tls.Certificate{s.issue(t, identities...)}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request "METHOD /path" with a JSON body, or none; headers are name, value, name, value.
func (s *server) send(t testing.TB, c *http.Client, request, body string, headers ...string) reply {
	t.Helper()
	return do(t, c, s.request(t, request, body, headers...))
}

func (s *server) request(t testing.TB, request, body string, headers ...string) *http.Request {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func do(t testing.TB, c *http.Client, r *http.Request) reply {
	t.Helper()
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return read(t, answer)
}

func read(t testing.TB, answer *http.Response) reply {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(body)}
}

const (
	asFrontend = "spiffe://test/tenant/acme/frontend/web"
	asHelpdesk = "spiffe://test/tenant/acme/helpdesk/desk"
	asOperator = "spiffe://test/operator/olga"
	asAuditor  = "spiffe://test/auditor/ann"
	asNode     = "spiffe://test/node/n2"
)

func parse(t testing.TB, c tls.Certificate) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
