package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Nodes talk over one TCP port, TLS 1.3 with certificates on both sides. ALPN tells the two protocols apart.
const (
	alpnRaft    = "strongroom-raft/1"
	alpnForward = "strongroom-forward/1"

	maxHandshakes    = 32 // at once
	maxConnections   = 256
	handshakeTimeout = 5 * time.Second
)

// errPeer: the other side is not the node that it should be.
var errPeer = errors.New("peer refused")

// link accepts and opens connections between nodes, and knows who is at the other end of each. A connection is kept
// only while its peer is a member.
type link struct {
	cfg       *Config
	listener  net.Listener
	advertise string
	allowed   func(id string) bool   // whether a node may talk with this one now
	forward   func(net.Conn, string) // serves a connection of the forward protocol until it ends
	raftConns chan net.Conn          // accepted, for Raft
	closed    chan struct{}          // by close
	served    sync.WaitGroup         // everything that serve started
	slots     chan struct{}          // one for each connection that was accepted
	mu        sync.Mutex             // guards what follows
	conns     map[*peerConn]struct{} // open ones, of both directions
	once      sync.Once
}

// peerConn is a connection to the node id.
type peerConn struct {
	net.Conn
	id    string
	link  *link
	freed func()
	once  sync.Once
}

func (c *peerConn) Close() error {
	c.once.Do(func() {
		c.link.mu.Lock()
		delete(c.link.conns, c)
		c.link.mu.Unlock()
		if c.freed != nil {
			c.freed()
		}
	})
	return c.Conn.Close()
}

func listen(cfg *Config) (*link, error) {
	l := cfg.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("listening for nodes: %w", err)
		}
	}
	advertise := cfg.Advertise
	if advertise == "" {
		advertise = l.Addr().String()
	}
	return &link{
		cfg: cfg, listener: l, advertise: advertise, raftConns: make(chan net.Conn), closed: make(chan struct{}),
		slots: make(chan struct{}, maxConnections), conns: map[*peerConn]struct{}{},
	}, nil
}

// address is how Raft names a server: who must answer, and where.
func address(id, hostPort string) raft.ServerAddress { return raft.ServerAddress(id + "@" + hostPort) }

func splitAddress(a raft.ServerAddress) (id, hostPort string, err error) {
	id, hostPort, ok := strings.Cut(string(a), "@")
	if !ok || !nodeID.MatchString(id) {
		return "", "", fmt.Errorf("%q is not an address of a node", a)
	}
	return id, hostPort, nil
}

// verify checks the peer's certificate and returns the id in it.
func (l *link) verify(s tls.ConnectionState, usage x509.ExtKeyUsage) (string, error) {
	if len(s.PeerCertificates) == 0 {
		return "", fmt.Errorf("%w: no certificate", errPeer)
	}
	leaf := s.PeerCertificates[0]
	intermediates := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: l.cfg.Roots, Intermediates: intermediates,
		KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return "", fmt.Errorf("%w: %v", errPeer, err)
	}
	// SPIFFE X.509-SVID, Section 2: exactly one URI SAN.
	if len(leaf.URIs) != 1 {
		return "", fmt.Errorf("%w: its certificate has %d URIs", errPeer, len(leaf.URIs))
	}
	u := leaf.URIs[0].String()
	id, ok := strings.CutPrefix(u, "spiffe://"+l.cfg.TrustDomain+"/node/")
	if !ok || !nodeID.MatchString(id) {
		return "", fmt.Errorf("%w: %q is no node of %s", errPeer, u, l.cfg.TrustDomain)
	}
	return id, nil
}

func (l *link) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true, // each connection shows its certificate
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.cfg.Certificate() },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return l.cfg.Certificate() },
	}
}

// dial connects to a node and makes sure that it is the one.
func (l *link) dial(ctx context.Context, a raft.ServerAddress, alpn string) (net.Conn, error) {
	id, hostPort, err := splitAddress(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	raw, err := l.cfg.Dial(ctx, "tcp", hostPort)
	if err != nil {
		return nil, err
	}
	c := l.config()
	c.NextProtos = []string{alpn}
	c.ServerName = id // not checked as a name: the identity in the certificate is
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error {
		got, err := l.verify(s, x509.ExtKeyUsageServerAuth)
		if err == nil && got != id {
			err = fmt.Errorf("%w: %s answers at the address of %s", errPeer, got, id)
		}
		if err == nil && s.NegotiatedProtocol != alpn {
			err = fmt.Errorf("%w: it does not speak %s", errPeer, alpn)
		}
		return err
	}
	t := tls.Client(raw, c)
	if err := t.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("connecting to node %s: %w", id, err)
	}
	return l.keep(t, id, nil)
}

// keep puts a connection under watch.
func (l *link) keep(c net.Conn, id string, freed func()) (net.Conn, error) {
	p := &peerConn{Conn: c, id: id, link: l, freed: freed}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		c.Close()
		return nil, net.ErrClosed
	default:
	}
	l.conns[p] = struct{}{}
	return p, nil
}

// serve accepts connections until close.
func (l *link) serve() {
	defer l.served.Done()
	handshakes := make(chan struct{}, maxHandshakes)
	for {
		raw, err := l.listener.Accept()
		if err != nil {
			select {
			case <-l.closed:
				return
			case <-time.After(50 * time.Millisecond): // out of descriptors: let some be freed
				continue
			}
		}
		select {
		case l.slots <- struct{}{}:
		default:
			raw.Close()
			continue
		}
		select {
		case handshakes <- struct{}{}:
		case <-l.closed:
			raw.Close()
			return
		}
		l.served.Add(1)
		go func() {
			defer l.served.Done()
			c, alpn, err := l.accept(raw)
			<-handshakes
			if err != nil {
				<-l.slots
				raw.Close()
				l.cfg.Logger.Warn("a connection was refused", "from", raw.RemoteAddr().String(), "error", err)
				return
			}
			l.hand(c, alpn)
		}()
	}
}

// accept does the handshake with a node that connects.
func (l *link) accept(raw net.Conn) (c *peerConn, alpn string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	var id string
	conf := l.config()
	conf.NextProtos = []string{alpnRaft, alpnForward}
	conf.ClientAuth = tls.RequireAnyClientCert // and verify does the rest
	conf.VerifyConnection = func(s tls.ConnectionState) (err error) {
		if id, err = l.verify(s, x509.ExtKeyUsageClientAuth); err != nil {
			return err
		}
		if id == l.cfg.NodeID {
			return fmt.Errorf("%w: it has this node's own identity", errPeer)
		}
		if !l.allowed(id) {
			return fmt.Errorf("%w: %s is not a member", errPeer, id)
		}
		if s.NegotiatedProtocol == "" {
			return fmt.Errorf("%w: it speaks no protocol of ours", errPeer)
		}
		return nil
	}
	t := tls.Server(raw, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, "", err
	}
	kept, err := l.keep(t, id, func() { <-l.slots })
	if err != nil {
		return nil, "", err
	}
	return kept.(*peerConn), t.ConnectionState().NegotiatedProtocol, nil
}

// hand gives a connection to whom it is for.
func (l *link) hand(c *peerConn, alpn string) {
	if alpn == alpnForward {
		l.forward(c, c.id)
		c.Close()
		return
	}
	select {
	case l.raftConns <- c:
	case <-l.closed:
		c.Close()
	}
}

// sweep closes the connections of nodes that aren't members any more.
func (l *link) sweep() {
	l.closeWhere("it is not a member", func(id string) bool { return !l.allowed(id) })
}

// drop closes all connections with a node that does not answer. Raft reads a snapshot in its main loop and with no
// deadline: a leader that vanished half-way would hold the follower up until TCP gives in.
func (l *link) drop(node string) {
	l.closeWhere("it does not answer", func(id string) bool { return id == node })
}

func (l *link) closeWhere(why string, is func(id string) bool) {
	l.mu.Lock()
	var gone []*peerConn
	for c := range l.conns {
		if is(c.id) {
			gone = append(gone, c)
		}
	}
	l.mu.Unlock()
	for _, c := range gone {
		l.cfg.Logger.Info("closing a connection", "node", c.id, "why", why)
		c.Close()
	}
}

// close ends all connections and waits for what serve started.
func (l *link) close() {
	l.once.Do(func() {
		l.mu.Lock()
		close(l.closed)
		var all []*peerConn
		for c := range l.conns {
			all = append(all, c)
		}
		l.mu.Unlock()
		l.listener.Close()
		for _, c := range all {
			c.Close()
		}
	})
	l.served.Wait()
}

// streamLayer gives Raft its connections. Raft's own network transport over it has all optional interfaces (pre-vote,
// close): a wrapper around the transport that forgot one would switch pre-vote off without a word.
type streamLayer struct{ *link }

func (s streamLayer) Accept() (net.Conn, error) {
	select {
	case c := <-s.raftConns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s streamLayer) Close() error   { return nil } // the link is closed by its owner
func (s streamLayer) Addr() net.Addr { return nodeAddr(address(s.cfg.NodeID, s.advertise)) }

func (s streamLayer) Dial(a raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.dial(ctx, a, alpnRaft)
}

// nodeAddr is a raft.ServerAddress as a net.Addr.
type nodeAddr string

func (nodeAddr) Network() string  { return "strongroom" }
func (a nodeAddr) String() string { return string(a) }
