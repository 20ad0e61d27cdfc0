package radius

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2869"

	"strongroom.internal/api/client"
	"strongroom.internal/hsm"
)

// node answers as a node does, and keeps what it was asked.
type node struct {
	*httptest.Server
	mu                  sync.Mutex
	keys, paths, bodies []string
	answer              func(w http.ResponseWriter)
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{answer: outcome("wrong")}
	n.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.keys = append(n.keys, r.Header.Get("Idempotency-Key"))
		n.paths, n.bodies = append(n.paths, r.URL.Path), append(n.bodies, string(body))
		n.answer(w)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *node) says(answer func(http.ResponseWriter)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = answer
}

func (n *node) asked() int { n.mu.Lock(); defer n.mu.Unlock(); return len(n.keys) }

func outcome(o string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { fmt.Fprintf(w, `{"outcome":%q,"entry":1}`, o) }
}

func problem(status int, name, effect string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":%q,"title":"No","status":%d,"effect":%q}`, name, status, effect)
	}
}

// rig is a server with one client, on loopback, whose packets come from a socket.
type rig struct {
	node   *node
	server *Server
	log    *bytes.Buffer // to be read after stop
	conn   net.Conn
	stop   func()
}

func newRig(t *testing.T, n *node) *rig {
	t.Helper()
	r := &rig{node: n, log: &bytes.Buffer{}}
	roots := x509.NewCertPool()
	roots.AddCert(n.Certificate())
	cluster, err := client.New(client.Config{Nodes: []string{strings.TrimPrefix(n.URL, "https://")}, TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	r.server, err = New(Config{
		Cluster: cluster, Log: hclog.New(&hclog.LoggerOptions{Output: r.log}),
		Clients: []Client{{netip.MustParsePrefix("127.0.0.0/8"), hsm.NewSecret([]byte(testSecret)), "vpn"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.server.Serve(ctx, conn) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
		cluster.Close()
	})
	t.Cleanup(r.stop)
	if r.conn, err = net.Dial("udp", conn.LocalAddr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	return r
}

func (r *rig) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := r.conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request and waits for its answer.
func (r *rig) ask(t *testing.T, b []byte) []byte {
	t.Helper()
	r.send(t, b)
	_ = r.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, layeh.MaxPacketLength)
	n, err := r.conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	if !layeh.IsAuthenticResponse(buffer[:n], b, []byte(testSecret)) {
		t.Fatal("the answer is not to this request")
	}
	return buffer[:n]
}

func TestServer(t *testing.T) {
	n := newNode(t)
	r := newRig(t, n)
	const password = "abcd-efgh-ijkm-npqr"
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		want   layeh.Code
	}{
		{"accepted", outcome("accepted"), layeh.CodeAccessAccept},
		{"wrong", outcome("wrong"), layeh.CodeAccessReject},
		{"locked", outcome("locked"), layeh.CodeAccessReject},
		{"an outcome of tomorrow", outcome("nearly"), layeh.CodeAccessReject},
		{"none", outcome(""), layeh.CodeAccessReject},
		{"invalid", problem(422, "invalid", "none"), layeh.CodeAccessReject},
		{"forbidden", problem(403, "forbidden", "none"), layeh.CodeAccessReject},
	} {
		n.says(c.answer)
		b := r.ask(t, newRequest(t, "alice", password, nil))
		if layeh.Code(b[0]) != c.want || len(b) != 20+18 || b[20] != byte(rfc2869.MessageAuthenticator_Type) {
			t.Errorf("%s: code %d, %d bytes; want %d and nothing but Message-Authenticator", c.name, b[0], len(b), c.want)
		}
	}
	n.says(outcome("accepted"))
	before := n.asked()
	if b := r.ask(t, newRequest(t, "", password, nil)); layeh.Code(b[0]) != layeh.CodeAccessReject || n.asked() != before {
		t.Errorf("no name: code %d, asked %d times; want a reject without asking", b[0], n.asked()-before)
	}
	r.stop()
	if n.paths[0] != "/v1/accounts/alice/app-passwords/verifications" || !strings.Contains(n.bodies[0], `"service":"vpn"`) {
		t.Errorf("asked %s %s", n.paths[0], n.bodies[0])
	}
	if s := r.log.String(); !strings.Contains(s, "forbids") || strings.Contains(s, password) || strings.Contains(s, "alice") ||
		strings.Contains(s, testSecret) {
		t.Errorf("the log says %s", s)
	}
}

// TestServerAsksOnce: a retransmission is the same answer, and for a server that was started again the same key.
func TestServerAsksOnce(t *testing.T) {
	n := newNode(t)
	n.says(outcome("accepted"))
	r := newRig(t, n)
	b := newRequest(t, "alice", "p", nil)
	first := r.ask(t, b)
	n.says(outcome("wrong"))
	if again := r.ask(t, b); !bytes.Equal(first, again) || n.asked() != 1 {
		t.Errorf("the same request: the same answer %v, the cluster was asked %d times", bytes.Equal(first, again), n.asked())
	}
	if other := r.ask(t, newRequest(t, "alice", "p", nil)); layeh.Code(other[0]) != layeh.CodeAccessReject {
		t.Errorf("another request has the answer of the first: %d", other[0])
	}
	r.stop()
	if n.keys[0] == n.keys[1] || len(n.keys[0]) > 128 {
		t.Errorf("keys %q", n.keys)
	}
	source := netip.MustParseAddrPort(r.conn.LocalAddr().String())
	if id := identify([]byte(testSecret), source, b); n.keys[0] != id.key() {
		t.Errorf("the key is %q, and would be %q after a restart", n.keys[0], id.key())
	}
}

// TestServerIsSilent: about what isn't signed, and while the cluster can't be asked; then it asks again, with the same key.
func TestServerIsSilent(t *testing.T) {
	n := newNode(t)
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	n.says(func(w http.ResponseWriter) { problem(500, "internal", "unknown")(w); once() })
	r := newRig(t, n)
	unsigned := newRequest(t, "alice", "p", func(p *layeh.Packet) { p.Del(rfc2869.MessageAuthenticator_Type) })
	r.send(t, unsigned)
	b := newRequest(t, "alice", "p", nil)
	r.send(t, b)
	<-asked
	n.says(outcome("accepted"))
	// Should this arrive before the first is over, it is dropped and sent again, as clients do.
	var answered []byte
	for range 100 {
		r.send(t, b)
		_ = r.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		buffer := make([]byte, layeh.MaxPacketLength)
		if k, err := r.conn.Read(buffer); err == nil {
			answered = buffer[:k]
			break
		}
	}
	if answered == nil || layeh.Code(answered[0]) != layeh.CodeAccessAccept || !layeh.IsAuthenticResponse(answered, b, []byte(testSecret)) {
		t.Fatalf("the first answer is %x, want an accept of the signed request", answered)
	}
	r.stop()
	if len(n.keys) != 2 || n.keys[0] != n.keys[1] {
		t.Errorf("asked with the keys %q, want one, twice", n.keys)
	}
	if s := r.log.String(); strings.Count(s, "\n") > 2 || !strings.Contains(s, errUnsigned.Error()) ||
		!strings.Contains(s, "could not be asked") || strings.Contains(s, "alice") {
		t.Errorf("the log says %s", s)
	}
}

func TestRecent(t *testing.T) {
	var r recent
	now := time.Unix(1e9, 0)
	a := identity{1}
	if _, fresh := r.begin(a, now); !fresh {
		t.Error("the first is not fresh")
	}
	if code, fresh := r.begin(a, now.Add(time.Second)); fresh || code != 0 {
		t.Error("while it is asked about, a second is begun")
	}
	r.end(a, 0)
	if _, fresh := r.begin(a, now.Add(2*time.Second)); !fresh {
		t.Error("one that was not answered is not asked again")
	}
	r.end(a, layeh.CodeAccessAccept)
	if code, fresh := r.begin(a, now.Add(remember+time.Second)); fresh || code != layeh.CodeAccessAccept {
		t.Errorf("29 s later: %d, fresh %v; want the answer", code, fresh)
	}
	if _, fresh := r.begin(a, now.Add(remember+2*time.Second)); !fresh {
		t.Error("30 s later it is still remembered")
	}
	for i := range maxRecent + 10 {
		r.begin(identity{2, byte(i), byte(i >> 8), byte(i >> 16)}, now.Add(remember+2*time.Second))
	}
	if len(r.order) > maxRecent || len(r.seen) > maxRecent {
		t.Errorf("%d are remembered", len(r.seen))
	}
}

func TestClients(t *testing.T) {
	secret := func() *hsm.Secret { return hsm.NewSecret([]byte(testSecret)) }
	wide := Client{netip.MustParsePrefix("192.0.2.0/24"), secret(), "wide"}
	narrow := Client{netip.MustParsePrefix("192.0.2.16/28"), secret(), "narrow"}
	l := clients{wide, narrow}
	if err := l.validate(); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"192.0.2.1": "wide", "192.0.2.17": "narrow", "::ffff:192.0.2.17": "narrow", "198.51.100.1": "", "2001:db8::1": "",
	} {
		if c, ok := l.find(netip.MustParseAddr(address)); c.Service != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", address, c.Service, want)
		}
	}
	for name, bad := range map[string]clients{
		"none":         {},
		"twice":        {wide, wide},
		"no network":   {{Secret: secret(), Service: "x"}},
		"bits behind":  {{netip.MustParsePrefix("192.0.2.1/24"), secret(), "x"}},
		"mapped":       {{netip.MustParsePrefix("::ffff:192.0.2.0/120"), secret(), "x"}},
		"no secret":    {{Network: wide.Network, Service: "x"}},
		"short secret": {{wide.Network, hsm.NewSecret([]byte("fifteen bytes..")), "x"}},
		"no service":   {{Network: wide.Network, Secret: secret()}},
	} {
		if bad.validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
