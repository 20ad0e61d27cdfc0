package cluster_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

const trustDomain = "strongroom.test"

// authority issues certificates of nodes.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newAuthority() *authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nodes"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &authority{must(x509.ParseCertificate(der)), key}
}

func (a *authority) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) issue(uris ...string) *tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, u := range uris {
		template.URIs = append(template.URIs, must(url.Parse(u)))
	}
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) node(id string) *tls.Certificate {
	return a.issue("spiffe://" + trustDomain + "/node/" + id)
}

// testNode is one node of a testCluster.
type testNode struct {
	id      string
	dir     string
	address string
	cert    *tls.Certificate
	engine  *cluster.Raft // nil while it is down
	applied uint64        // when it crashed
	fatal   chan error
}

// testCluster is a cluster in this process, over real TCP and TLS on the loopback.
type testCluster struct {
	t       testing.TB
	ca      *authority
	machine cluster.Machine
	tune    func(*cluster.Config)
	net     network
	dir     string

	mu    sync.Mutex // guards what follows
	nodes []*testNode
}

// startCluster starts n nodes. tune, if any, changes each node's configuration.
func startCluster(t testing.TB, n int, m cluster.Machine, tune func(*cluster.Config)) *testCluster {
	c := &testCluster{t: t, ca: newAuthority(), machine: m, tune: tune, dir: t.TempDir()}
	t.Cleanup(c.stop) // before the directory is removed
	first := c.newNode()
	e, err := cluster.Create(c.config(first))
	if err != nil {
		t.Fatal(err)
	}
	c.set(first, e)
	for range n - 1 {
		c.add()
	}
	return c
}

func (c *testCluster) newNode() *testNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := fmt.Sprintf("n%d", len(c.nodes))
	n := &testNode{id: id, dir: filepath.Join(c.dir, id), cert: c.ca.node(id), fatal: make(chan error, 1)}
	c.nodes = append(c.nodes, n)
	return n
}

func (c *testCluster) config(n *testNode) cluster.Config {
	address := n.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	var l net.Listener
	for deadline := time.Now().Add(5 * time.Second); ; {
		var err error
		if l, err = net.Listen("tcp", address); err == nil {
			break
		}
		if time.Now().After(deadline) {
			c.t.Fatal(err)
		}
	}
	n.address = l.Addr().String()
	cfg := cluster.Config{
		NodeID: n.id, DataDir: n.dir, Listener: l, Roots: c.ca.roots(), TrustDomain: trustDomain, Machine: c.machine,
		Certificate: func() (*tls.Certificate, error) { return n.cert, nil },
		Heartbeat:   200 * time.Millisecond,
		CacheBytes:  4 << 20,
		// Other tests share the disk; what a deadline does has tests of its own.
		StoreDeadline: 20 * time.Second,
		OnFatal:       func(err error) { n.fatal <- err },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.net.dial(ctx, n.address, network, address)
		},
	}
	if os.Getenv("CLUSTER_TEST_LOG") != "" {
		cfg.Logger = hclog.New(&hclog.LoggerOptions{Name: n.id, Level: hclog.LevelFromString(os.Getenv("CLUSTER_TEST_LOG"))})
	}
	if c.tune != nil {
		c.tune(&cfg)
	}
	return cfg
}

func (c *testCluster) set(n *testNode, e *cluster.Raft) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.engine = e
}

func (c *testCluster) node(i int) (*testNode, *cluster.Raft) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i], c.nodes[i].engine
}

// join starts a new node that waits to be added.
func (c *testCluster) join() *testNode {
	n := c.newNode()
	e, err := cluster.OpenJoining(c.t.Context(), c.config(n))
	if err != nil {
		c.t.Fatal(err)
	}
	c.set(n, e)
	return n
}

func (c *testCluster) add() int {
	n := c.join()
	_, e := c.node(0)
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	if err := untilKnown(ctx, func() error { return e.AddNode(ctx, n.id, n.address) }); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.nodes) - 1
}

// untilKnown repeats a change of members whose outcome is unknown, as operators do: on a slow machine the leader may
// change under it, and repeating it is harmless.
func untilKnown(ctx context.Context, change func() error) error {
	for {
		err := change()
		if !errors.Is(err, cluster.ErrUnknown) || ctx.Err() != nil {
			return err
		}
	}
}

func (c *testCluster) crash(i int) {
	n, e := c.node(i)
	c.set(n, nil)
	if e != nil {
		e.Crash()
		n.applied = e.Status().Applied
	}
}

// close ends a node in order.
func (c *testCluster) close(i int) {
	n, e := c.node(i)
	c.set(n, nil)
	if err := e.Close(c.t.Context()); err != nil {
		c.t.Fatalf("closing node %d: %v", i, err)
	}
}

func (c *testCluster) start(i int) {
	n, e := c.node(i)
	if e != nil {
		return
	}
	e, err := cluster.Open(c.t.Context(), c.config(n))
	if err != nil {
		c.t.Fatalf("starting node %d: %v", i, err)
	}
	c.set(n, e)
}

func (c *testCluster) remove(i int) {
	n, _ := c.node(i)
	_, e := c.node((i + 1) % 3)
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	if err := untilKnown(ctx, func() error { return e.RemoveNode(ctx, n.id) }); err != nil {
		c.t.Fatal(err)
	}
}

// leader waits until one node that is up and not cut off says that it leads with a majority.
func (c *testCluster) leader() int {
	for deadline := time.Now().Add(20 * time.Second); ; {
		c.mu.Lock()
		nodes := append([]*testNode(nil), c.nodes...)
		c.mu.Unlock()
		for i, n := range nodes {
			_, e := c.node(i)
			if e != nil && !c.net.isCut(n.address) && e.Status().State == "leader" {
				return i
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatal("no node leads")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (c *testCluster) stop() {
	c.net.heal()
	var wg sync.WaitGroup
	for i := range c.nodes {
		n, e := c.node(i)
		if e != nil {
			c.set(n, nil)
			wg.Go(func() { e.Crash() })
		}
	}
	wg.Wait()
	for _, n := range c.nodes {
		select {
		case err := <-n.fatal: // a test that expects it takes it out
			c.t.Errorf("node %s ended itself: %v", n.id, err)
		default:
		}
	}
}

// conformance presents the cluster to the suite.
func (c *testCluster) conformance() *clustertest.Cluster {
	return &clustertest.Cluster{
		Nodes: len(c.nodes),
		Engine: func(i int) cluster.Engine {
			if _, e := c.node(i); e != nil {
				return e
			}
			return nil
		},
		Leader: c.leader,
		Crash:  c.crash,
		Start:  c.start,
		Cut:    func(i int) { n, _ := c.node(i); c.net.cut(n.address) },
		Heal:   c.net.heal,
		Add:    c.add,
		Remove: c.remove,
		Overrun: func(propose func()) {
			var away uint64
			for _, n := range c.nodes {
				if n.engine == nil {
					away = n.applied
				}
			}
			for first := uint64(0); first <= away+1; {
				propose()
				_, e := c.node(c.leader())
				first = e.FirstEntry()
			}
		},
	}
}

// network is the wire between the nodes, with a knife. What is sent over a cut connection is lost without an error, as
// if a cable were pulled.
type network struct {
	mu    sync.Mutex // guards what follows
	off   map[string]bool
	conns map[*wire]bool
}

// wire is one connection, with its two ends.
type wire struct {
	net.Conn
	n        *network
	from, to string
}

func (n *network) dial(ctx context.Context, from, network, to string) (net.Conn, error) {
	if n.isCut(from) || n.isCut(to) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	w := &wire{conn, n, from, to}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = map[*wire]bool{}
	}
	n.conns[w] = true
	return w, nil
}

func (n *network) isCut(address string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.off[address]
}

func (n *network) cut(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.off == nil {
		n.off = map[string]bool{}
	}
	n.off[address] = true
}

// heal reconnects everyone. Connections that lost something are of no more use and end.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.conns {
		if n.off[w.from] || n.off[w.to] {
			w.Conn.Close()
			delete(n.conns, w)
		}
	}
	n.off = nil
}

func (w *wire) isCut() bool { return w.n.isCut(w.from) || w.n.isCut(w.to) }

func (w *wire) Write(b []byte) (int, error) {
	if w.isCut() {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := w.Conn.Read(b)
		if err != nil || !w.isCut() {
			return n, err
		}
	}
}

func (w *wire) Close() error {
	w.n.mu.Lock()
	delete(w.n.conns, w)
	w.n.mu.Unlock()
	return w.Conn.Close()
}
