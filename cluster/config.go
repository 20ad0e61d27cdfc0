package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Config says how a node of a Raft cluster is run. Fields without a default are required.
type Config struct {
	// NodeID names this node for as long as its disk lives. A node whose disk was lost gets a new one: an id that comes
	// back with an empty disk could vote twice in a term. Lower-case letters, digits and hyphens, at most 63.
	NodeID string
	// DataDir holds the node's log and state; it is made when it isn't there. Nothing else may be kept in it.
	DataDir string
	// Listen is the host:port to listen on for other nodes.
	Listen string
	// Listener is used instead of Listen when it is set, such as a socket that systemd opened. The node closes it.
	Listener net.Listener
	// Advertise is the host:port at which other nodes reach this one. Default: the address of the listener.
	Advertise string

	// Certificate returns the node's certificate, chain and key, for each handshake, so that it can be renewed. Its one
	// URI SAN is spiffe://<TrustDomain>/node/<NodeID>. The key may be a crypto.Signer in hardware.
	Certificate func() (*tls.Certificate, error)
	// Roots are the authorities of nodes' certificates.
	Roots *x509.CertPool
	// TrustDomain names the cluster: no node talks with one of another trust domain, or takes a snapshot from it.
	TrustDomain string

	// Machine decides commands.
	Machine Machine
	// SnapshotMAC computes a MAC of 32 bytes under a key that all nodes have and nobody else. Snapshots are sent with it
	// and refused without it. Default: none; a snapshot is then protected by the nodes' mutual TLS and its own hash.
	SnapshotMAC func(message []byte) ([]byte, error)

	// Logger gets what operators should see. Default: nothing is logged.
	Logger hclog.Logger
	// Clock is the node's wall clock, which is compared with those of its peers. Default: time.Now.
	Clock func() time.Time
	// Heartbeat is how long a follower waits for its leader before it seeks election. Default: 1 s.
	Heartbeat time.Duration
	// StoreDeadline is how long one write to the disk may take before the node ends itself. Default: 3 s.
	StoreDeadline time.Duration
	// ProposeTimeout bounds Propose and Sync whose context has no deadline. Default: 10 s.
	ProposeTimeout time.Duration
	// CacheBytes is the memory for blocks of the state. Default: 64 MiB.
	CacheBytes int64
	// SnapshotEntries is the number of Raft entries after which the state is flushed to disk and older entries may go;
	// four times as many are kept for followers that are behind. An entry holds up to 256 commands. Default: 4096.
	SnapshotEntries uint64
	// EraseEvery is how often what commands have erased (Applied.Erases) is cleared from the disk, and how long it waits for
	// that at least. Default: 2 s.
	EraseEvery time.Duration
	// MinFreeBytes is the free disk space below which the node does not start and Health complains. Default: 256 MiB.
	MinFreeBytes uint64

	// OnFatal is called once, in a goroutine of its own, when the node must not go on: its disk failed or hung, or a
	// command could not be decided. It must end the process. Default: log the error and exit with status 70.
	OnFatal func(error)
	// Dial opens connections to other nodes. Default: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

var nodeID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Validate reports everything that is wrong, joined.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !nodeID.MatchString(c.NodeID) {
		wrong("NodeID %q: 1 to 63 lower-case letters, digits and inner hyphens are needed", c.NodeID)
	}
	if c.DataDir == "" {
		wrong("DataDir is needed")
	}
	if c.Listener == nil {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			wrong("Listen %q: %v", c.Listen, err)
		}
	}
	if c.Advertise != "" || c.Listener == nil {
		address := c.Advertise
		if address == "" {
			address = c.Listen
		}
		host, port, err := net.SplitHostPort(address)
		switch ip := net.ParseIP(host); {
		case err != nil:
			if c.Advertise != "" {
				wrong("Advertise %q: %v", c.Advertise, err)
			}
		case host == "" || ip != nil && ip.IsUnspecified():
			wrong("Advertise: other nodes can't reach %q; a host name or an address is needed", address)
		case port == "0" && c.Advertise != "":
			wrong("Advertise %q: a port is needed", address)
		}
	}
	if c.Certificate == nil {
		wrong("Certificate is needed")
	}
	if c.Roots == nil {
		wrong("Roots are needed")
	}
	if c.TrustDomain == "" {
		wrong("TrustDomain is needed")
	}
	if c.Machine == nil {
		wrong("Machine is needed")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"Heartbeat", c.Heartbeat, 20 * time.Millisecond},
		{"StoreDeadline", c.StoreDeadline, 10 * time.Millisecond},
		{"ProposeTimeout", c.ProposeTimeout, 10 * time.Millisecond},
		{"EraseEvery", c.EraseEvery, 10 * time.Millisecond},
	} {
		if d.value != 0 && d.value < d.least {
			wrong("%s %v: at least %v, or 0 for the default", d.name, d.value, d.least)
		}
	}
	if c.CacheBytes < 0 {
		wrong("CacheBytes %d is negative", c.CacheBytes)
	}
	return errors.Join(errs...)
}

// withDefaults returns a copy in which each field has its value.
func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Heartbeat, time.Second)
	def(&c.StoreDeadline, 3*time.Second)
	def(&c.ProposeTimeout, 10*time.Second)
	def(&c.EraseEvery, 2*time.Second)
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.SnapshotEntries == 0 {
		c.SnapshotEntries = 4096
	}
	if c.MinFreeBytes == 0 {
		c.MinFreeBytes = 256 << 20
	}
	if c.OnFatal == nil {
		log := c.Logger
		c.OnFatal = func(err error) {
			log.Error("this node must not go on", "error", err)
			fmt.Fprintln(os.Stderr, "strongroom: this node must not go on:", err)
			os.Exit(70) // EX_SOFTWARE
		}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	return c
}

// rpcTimeout bounds one exchange with another node.
func (c *Config) rpcTimeout() time.Duration { return max(5*c.Heartbeat, time.Second) }
