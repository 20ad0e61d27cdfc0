package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	layeh "layeh.com/radius"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

const (
	// maxInFlight bounds the requests that are worked on together; more are dropped, and sent again by who wants them.
	maxInFlight = 256
	// askTimeout bounds one request to the cluster. Clients of RADIUS wait a few seconds, then try another server.
	askTimeout = 5 * time.Second
)

// Config is what a Server is made of. All of it is required.
type Config struct {
	// Cluster is asked, as the front-end whose certificate it has. The caller closes it.
	Cluster *client.Client
	// Clients are who may ask; for an address in the networks of several, the narrowest counts.
	Clients []Client
	// Log has how many packets were dropped and why, and that the cluster can't be asked. No name and no password.
	Log hclog.Logger
}

// Server answers RADIUS.
type Server struct {
	cluster *client.Client
	clients clients
	drops   drops
	recent  recent
	slots   chan struct{}
}

// New makes a server. It does not listen.
func New(c Config) (*Server, error) {
	if c.Cluster == nil || c.Log == nil {
		return nil, errors.New("making a RADIUS server: a cluster and a log are needed")
	}
	if err := clients(c.Clients).validate(); err != nil {
		return nil, fmt.Errorf("making a RADIUS server: %w", err)
	}
	return &Server{
		cluster: c.Cluster, clients: c.Clients, drops: drops{log: c.Log}, slots: make(chan struct{}, maxInFlight),
	}, nil
}

// Serve answers what comes in until ctx ends; then it answers what it has begun, which takes at most 5 s, and closes conn.
// It is called once.
func (s *Server) Serve(ctx context.Context, conn *net.UDPConn) error {
	var work sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		work.Wait()
		_ = conn.Close()
		s.drops.flush()
	}()
	buffer := make([]byte, layeh.MaxPacketLength+1) // the one more shows what is too long
	for {
		n, source, err := conn.ReadFromUDPAddrPort(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receiving: %w", err)
		}
		s.receive(buffer[:n], source, &work, func(answer []byte) {
			_, _ = conn.WriteToUDPAddrPort(answer, source) // one that is lost is asked for again
		})
	}
}

// receive takes one packet, which it does not keep.
func (s *Server) receive(b []byte, source netip.AddrPort, work *sync.WaitGroup, reply func([]byte)) {
	who, ok := s.clients.find(source.Addr())
	if !ok {
		s.drops.add("from an unknown network", nil)
		return
	}
	secret := who.Secret.Reveal()
	request, err := read(b, secret)
	if err != nil {
		s.drops.add(err.Error(), nil)
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.drops.add("too many at once", nil)
		return
	}
	raw, _ := request.MarshalBinary() // without what a sender padded it with; what was parsed can be written
	id := identify(secret, source, raw)
	code, fresh := s.recent.begin(id, time.Now())
	work.Go(func() {
		defer func() { <-s.slots }()
		if fresh {
			code = s.ask(who, request, id)
			s.recent.end(id, code)
		}
		if code == 0 {
			return
		}
		if b, err := answer(request, code); err == nil {
			reply(b)
		}
	})
}

// ask has the cluster decide. 0: it didn't, and nothing is answered. It outlives the context of Serve, because what was
// asked is answered before the end.
func (s *Server) ask(who Client, request *layeh.Packet, id identity) layeh.Code {
	account, r, ok := attempt(request)
	if !ok {
		return layeh.CodeAccessReject
	}
	r.Service = who.Service
	ctx, cancel := context.WithTimeout(client.WithIdempotencyKey(context.Background(), id.key()), askTimeout)
	defer cancel()
	v, err := s.cluster.VerifyAppPassword(ctx, account, r)
	if err == nil {
		if v.Outcome == wire.Accepted {
			return layeh.CodeAccessAccept
		}
		return layeh.CodeAccessReject
	}
	var problem *wire.Problem
	if errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrUnknownOutcome) ||
		!errors.As(err, &problem) || problem.Status >= 500 {
		s.drops.add("the cluster could not be asked", err)
		return 0
	}
	if problem.Status == 401 || problem.Status == 403 { // a certificate or a policy that is not right, for whoever runs this
		s.drops.add("rejected because the cluster forbids it", err)
	}
	return layeh.CodeAccessReject
}

// drops counts what was dropped, for a line in the log at most once a minute: whoever can send packets must not fill it.
type drops struct {
	log    hclog.Logger
	mu     sync.Mutex
	counts map[string]int
	cause  error // the last, without the address that was asked, which has the account's name in it
	said   time.Time
}

const sayEvery = time.Minute

func (d *drops) add(why string, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts = make(map[string]int)
	}
	d.counts[why]++
	if cause != nil {
		d.cause = nameless(cause)
	}
	if now := time.Now(); now.Sub(d.said) >= sayEvery {
		d.say()
		d.said = now
	}
}

// flush says what was not said yet.
func (d *drops) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.counts) > 0 {
		d.say()
	}
}

func (d *drops) say() {
	args := []any{"requests", d.counts}
	if d.cause != nil {
		args = append(args, "cause", d.cause)
	}
	d.log.Warn("requests were not answered, or not as asked", args...)
	d.counts, d.cause = nil, nil
}

// nameless is what is left of a client's error without the URL.
func nameless(err error) error {
	var problem *wire.Problem
	if errors.As(err, &problem) {
		return fmt.Errorf("%s (%d)", problem.Title, problem.Status)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return errors.New("the answer was not understood, or none came")
}
