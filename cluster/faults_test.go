package cluster_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"strongroom.internal/cluster"
	"strongroom.internal/cluster/clustertest"
)

// Raft's own transport has the optional interfaces: without the first one, pre-vote would be off.
var (
	_ raft.WithPreVote = (*raft.NetworkTransport)(nil)
	_ raft.WithClose   = (*raft.NetworkTransport)(nil)
)

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func id(n int) (id clustertest.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// write proposes until it is acknowledged.
func write(t *testing.T, e *cluster.Raft, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("command %d is acknowledged", n), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := e.Propose(ctx, clustertest.Add(id(n), "x", 1))
		return err == nil
	})
}

func count(t *testing.T, e *cluster.Raft) (v int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := e.View(func(r cluster.Reader) (err error) { v, err = clustertest.ReadRegister(r, "x"); return }); err != nil {
		t.Fatal(err)
	}
	return v
}

// disk is a log under a node, that fails as it is told.
type disk struct {
	cluster.LogStore
	mu    sync.Mutex // guards what follows
	fault func(write func() error) error
}

func (d *disk) StoreLogs(l []*raft.Log) error {
	d.mu.Lock()
	fault := d.fault
	d.mu.Unlock()
	write := func() error { return d.LogStore.StoreLogs(l) }
	if fault == nil {
		return write()
	}
	return fault(write)
}

func (d *disk) fail(fault func(write func() error) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// The leader's disk fails under load: it ends itself, what was under way there is unknown, the others go on, and nothing
// acknowledged is lost.
func TestLeaderDisk(t *testing.T) {
	broken := errors.New("I/O error")
	for name, fault := range map[string]func(func() error) error{
		"failed and not written": func(func() error) error { return broken },
		"failed but written":     func(write func() error) error { return errors.Join(write(), broken) },
		"hung":                   func(func() error) error { select {} },
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			disks := map[string]*disk{}
			cluster.SetTestStore(func(node string, s cluster.LogStore) cluster.LogStore {
				mu.Lock()
				defer mu.Unlock()
				disks[node] = &disk{LogStore: s}
				return disks[node]
			})
			defer cluster.SetTestStore(nil)
			c := startCluster(t, 3, clustertest.Machine{}, func(c *cluster.Config) { c.StoreDeadline = 300 * time.Millisecond })
			at := c.leader()
			node, e := c.node(at)
			write(t, e, 1)
			mu.Lock()
			d := disks[node.id]
			mu.Unlock()
			d.fail(fault)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := e.Propose(ctx, clustertest.Add(id(2), "x", 1)); !errors.Is(err, cluster.ErrUnknown) {
				t.Errorf("the command that met the fault: %v", err)
			}
			select {
			case err := <-node.fatal:
				t.Log(err)
			case <-ctx.Done():
				t.Fatal("the node did not end itself")
			}
			if err := e.Health(); err == nil {
				t.Error("a node that failed is healthy")
			}
			if _, err := e.Propose(ctx, clustertest.Add(id(3), "x", 1)); !errors.Is(err, cluster.ErrNoEffect) {
				t.Errorf("a later command on the failed node: %v", err)
			}
			c.crash(at) // the process is gone
			_, other := c.node((at + 1) % 3)
			write(t, other, 2)
			write(t, other, 3)
			if v := count(t, other); v != 3 {
				t.Errorf("the register is %d, not 3", v)
			}
		})
	}
}

// A command that can't be decided ends every node, rather than being skipped by some.
func TestUnknownCommandEndsTheNodes(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, nil)
	_, e := c.node(c.leader())
	write(t, e, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := e.Propose(ctx, clustertest.Halt()); !errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("the command: %v", err)
	}
	for i := range 3 {
		n, _ := c.node(i)
		select {
		case <-n.fatal:
		case <-ctx.Done():
			t.Fatalf("node %d goes on", i)
		}
	}
}

// Followers forward over connections that are cut again and again: each error is of one class, each command is done once.
func TestForwardOverLostConnections(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, nil)
	_, follower := c.node((c.leader() + 1) % 3)
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				follower.CutForward()
			case <-stop:
				return
			}
		}
	})
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range 25 {
				n := caller*25 + i
				for done := false; !done; {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					_, err := follower.Propose(ctx, clustertest.Add(id(n), "x", 1))
					cancel()
					if done = err == nil; !done && errors.Is(err, cluster.ErrNoEffect) == errors.Is(err, cluster.ErrUnknown) {
						t.Errorf("not of one class: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	cutter.Wait()
	if v := count(t, follower); v != 200 {
		t.Errorf("200 commands counted %d", v)
	}
}

// dialAs connects to a node with a certificate, and returns the error that it gets.
func dialAs(t *testing.T, address string, cert *tls.Certificate, alpn string, max uint16) error {
	t.Helper()
	conf := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, MaxVersion: max}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, conf)
	if err != nil {
		return err
	}
	defer conn.Close()
	// In TLS 1.3 the client learns what the server thinks of its certificate when it reads.
	conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return nil // it was let in, and waits for us
	}
	return err
}

func TestWhoMayConnect(t *testing.T) {
	c := startCluster(t, 2, clustertest.Machine{}, nil)
	n, _ := c.node(0)
	stranger := newAuthority()
	for what, tc := range map[string]struct {
		cert *tls.Certificate
		alpn string
		max  uint16
		ok   bool
	}{
		"a member":                     {c.ca.node("n1"), cluster.ALPNForward, 0, true},
		"a member, for Raft":           {c.ca.node("n1"), cluster.ALPNRaft, 0, true},
		"TLS 1.2":                      {c.ca.node("n1"), cluster.ALPNForward, tls.VersionTLS12, false},
		"no certificate":               {nil, cluster.ALPNForward, 0, false},
		"another authority":            {stranger.node("n1"), cluster.ALPNForward, 0, false},
		"no member":                    {c.ca.node("n7"), cluster.ALPNForward, 0, false},
		"no member, for Raft":          {c.ca.node("n7"), cluster.ALPNRaft, 0, false},
		"the node itself":              {c.ca.node("n0"), cluster.ALPNForward, 0, false},
		"a front-end":                  {c.ca.issue("spiffe://" + trustDomain + "/frontend/acme/n1"), cluster.ALPNForward, 0, false},
		"another trust domain":         {c.ca.issue("spiffe://other.test/node/n1"), cluster.ALPNForward, 0, false},
		"an id that looks like a path": {c.ca.issue("spiffe://" + trustDomain + "/node/x/../n1"), cluster.ALPNForward, 0, false},
		"two identities": {
			c.ca.issue("spiffe://"+trustDomain+"/node/n1", "spiffe://"+trustDomain+"/node/n2"),
			cluster.ALPNForward, 0, false,
		},
		"another protocol": {c.ca.node("n1"), "h2", 0, false},
	} {
		if err := dialAs(t, n.address, tc.cert, tc.alpn, tc.max); (err == nil) != tc.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A node that answers at a member's address with another node's certificate gets nothing.
func TestWhoMayAnswer(t *testing.T) {
	c := startCluster(t, 2, clustertest.Machine{}, nil)
	n, _ := c.node(1)
	c.crash(1)
	l, err := net.Listen("tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan error, 10)
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			conn := tls.Server(raw, &tls.Config{
				Certificates: []tls.Certificate{*c.ca.node("n2")}, ClientAuth: tls.RequestClientCert,
				NextProtos: []string{cluster.ALPNForward, cluster.ALPNRaft},
			})
			_, err = io.ReadFull(conn, make([]byte, 1))
			conn.Close()
			select {
			case got <- err:
			default:
			}
		}
	}()
	for range 4 {
		select {
		case err := <-got:
			if err == nil {
				t.Error("a node talked to a false peer")
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the node did not try its peer")
		}
	}
}

// A removed node is disconnected and says that it was removed.
func TestRemovedNodeIsDisconnected(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, nil)
	at := (c.leader() + 1) % 3
	n, e := c.node(at)
	keeper, _ := c.node(c.leader())
	if err := dialAs(t, keeper.address, n.cert, cluster.ALPNForward, 0); err != nil {
		t.Fatal(err)
	}
	c.remove(at)
	if err := dialAs(t, keeper.address, n.cert, cluster.ALPNForward, 0); err == nil {
		t.Error("it may still connect")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := e.Sync(ctx); err == nil {
		t.Error("it still serves")
	}
	if s := keeper.engine.Status(); len(s.Members) != 2 {
		t.Errorf("members %+v", s.Members)
	}
	if err := keeper.engine.RemoveNode(t.Context(), n.id); err != nil {
		t.Errorf("removing it again: %v", err)
	}
}

func TestCreateAndOpen(t *testing.T) {
	c := startCluster(t, 1, clustertest.Machine{}, nil)
	n, e := c.node(0)
	write(t, e, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
	c.set(n, nil)
	refused := func(what string, want error, open func(cluster.Config) (*cluster.Raft, error), change func(*cluster.Config)) {
		t.Helper()
		cfg := c.config(n)
		defer cfg.Listener.Close()
		if change != nil {
			change(&cfg)
		}
		e, err := open(cfg)
		if err == nil {
			e.Crash()
			t.Fatalf("%s: it opened", what)
		}
		if want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	open := func(cfg cluster.Config) (*cluster.Raft, error) { return cluster.Open(ctx, cfg) }
	join := func(cfg cluster.Config) (*cluster.Raft, error) { return cluster.OpenJoining(ctx, cfg) }
	refused("creating twice", cluster.ErrExists, cluster.Create, nil)
	refused("joining with a disk", cluster.ErrExists, join, nil)
	refused("another id", nil, open, func(c *cluster.Config) { c.NodeID = "other" })
	refused("another cluster", nil, open, func(c *cluster.Config) { c.TrustDomain = "other.test" })
	refused("nothing there", cluster.ErrNoNode, open, func(c *cluster.Config) { c.DataDir = t.TempDir() })
	refused("a full disk", nil, open, func(c *cluster.Config) { c.MinFreeBytes = 1 << 62 })

	c.start(0)
	_, e = c.node(0)
	if v := count(t, e); v != 1 {
		t.Errorf("the register is %d", v)
	}
	c.crash(0)
	for _, lost := range []string{"log", "state"} {
		dir := filepath.Join(n.dir, lost)
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		refused("no "+lost, cluster.ErrNoNode, open, nil)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		refused("an empty "+lost, cluster.ErrNoNode, open, nil)
	}
}

func TestConfigReportsEverything(t *testing.T) {
	err := (&cluster.Config{NodeID: "No", Heartbeat: time.Nanosecond, CacheBytes: -1}).Validate()
	for _, want := range []string{
		"NodeID", "DataDir", "Listen", "Certificate", "Roots", "TrustDomain", "Machine", "Heartbeat",
		"CacheBytes",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported: %v", want, err)
		}
	}
}

// Of three nodes one has a wrong clock: it says so, and the others don't.
func TestClock(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, func(c *cluster.Config) {
		if c.NodeID == "n1" {
			c.Clock = func() time.Time { return time.Now().Add(time.Hour) }
		}
	})
	for i := range 3 {
		_, e := c.node(i)
		eventually(t, "the clocks were compared", func() bool { _, ok := e.ClockOffset(); return ok && len(e.Status().Members) == 3 })
		// Until both peers were heard, it can't be told which of two clocks is wrong.
		want := time.Duration(0)
		if i == 1 {
			want = time.Hour
		}
		eventually(t, "the offset is right", func() bool { o, _ := e.ClockOffset(); return (o - want).Abs() < time.Second })
		if err := e.ClockError(); (err != nil) != (i == 1) {
			t.Errorf("node %d: %v", i, err)
		}
	}
}

// A leader that closes hands over: the next command waits for no election timeout.
func TestCloseHandsOver(t *testing.T) {
	c := startCluster(t, 3, clustertest.Machine{}, func(c *cluster.Config) { c.Heartbeat = 3 * time.Second })
	at := c.leader()
	n, e := c.node(at)
	write(t, e, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
	c.set(n, nil)
	_, other := c.node((at + 1) % 3)
	begin := time.Now()
	write(t, other, 2)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the next command took %v", took)
	}
	if _, err := e.Propose(ctx, clustertest.Add(id(9), "x", 1)); !errors.Is(err, cluster.ErrNoEffect) {
		t.Errorf("a closed node: %v", err)
	}
	if err := e.View(func(cluster.Reader) error { return nil }); err == nil {
		t.Error("a closed node serves views")
	}
}
