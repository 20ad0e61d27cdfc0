package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// Members is what the appliance asks of an engine whose nodes come and go.
type Members interface {
	// AddNode makes a node a member: first without a vote, with one when it has caught up. Repeating it is harmless.
	AddNode(ctx context.Context, id, addr string) error
	// RemoveNode ends a membership. Repeating it is harmless.
	RemoveNode(ctx context.Context, id string) error
	Status() cluster.Status
	// ClockError says that this node's clock is off its peers' median by more than a second.
	ClockError() error
	// ClockOffset is how far this clock is from that median; false when too few peers were heard.
	ClockOffset() (time.Duration, bool)
}

// Config is what a Service is made of. Pool, Engine, Members and NodeID are required.
type Config struct {
	NodeID  string
	Pool    *hsm.Pool
	Engine  cluster.Engine
	Members Members
	// Trust has the security officer mark a joiner's transport key (PKIX DER) trusted in this node's module. Nil: this
	// node can't admit others.
	Trust   func(ctx context.Context, transportKey []byte) error
	Machine *Machine     // that Engine runs; its hooks are set by New
	Memory  Memory       // of what this node signed; nil: it signs no checkpoints
	Log     hclog.Logger // nil: none
	// Locate says about where an address is used; the zero Place when that isn't known. Nil: it never is.
	Locate  func(netip.Addr) account.Place
	Now     func() time.Time // nil: time.Now
	Rand    io.Reader        // nil: crypto/rand.Reader
	Version string
}

// Service is the use cases of one node. Its methods are safe for concurrent use.
type Service struct {
	nodeID  string
	pool    *hsm.Pool
	engine  cluster.Engine
	members Members
	trust   func(ctx context.Context, transportKey []byte) error
	log     hclog.Logger
	now     func() time.Time
	rand    io.Reader
	version string

	joining sync.Mutex // one joiner's key is trusted in the module at a time
	gate    gate
	decoys  decoys
	estate  atomic.Pointer[clusterInfo] // set once the cluster keys are installed

	logTrouble atomic.Pointer[error] // why the log's files can't be kept; nil: they can
	changed    chan changedAccount

	recorded   bool             // recordKeys has done its part; of its goroutine alone
	pruned     map[string]int64 // by tree; of pruneFiles's goroutine alone
	seen       map[string]int64 // sizes that witnesses saw; of askWitnesses's goroutine alone
	http       *http.Client     // for witnesses
	memory     Memory
	logChanged chan struct{} // of capacity 1
	published  bell          // rung when there may be a new checkpoint

	refusals refusals
	noticed  bell // rung when there may be new notices
	delivery delivery
	days     dayKeeping
	locate   func(netip.Addr) account.Place
}

type changedAccount struct{ tenant, account string }

// New makes a Service; Run has to be called for it to become ready.
func New(c Config) (*Service, error) {
	if c.NodeID == "" || c.Pool == nil || c.Engine == nil || c.Members == nil {
		return nil, errors.New("making the appliance: NodeID, Pool, Engine and Members are required")
	}
	s := &Service{
		nodeID: c.NodeID, pool: c.Pool, engine: c.Engine, members: c.Members, trust: c.Trust,
		log: c.Log, now: c.Now, rand: c.Rand, version: c.Version,
		changed: make(chan changedAccount, 1024), memory: c.Memory, logChanged: make(chan struct{}, 1),
		pruned: map[string]int64{}, seen: map[string]int64{},
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.locate = c.Locate; s.locate == nil {
		s.locate = func(netip.Addr) account.Place { return account.Place{} }
	}
	if c.Machine != nil {
		// A full queue only means that a seed stays resident until it is the least recently used: no state names it.
		c.Machine.Changed = func(tenant, name string) {
			select {
			case s.changed <- changedAccount{tenant, name}:
			default:
			}
		}
		c.Machine.Noticed = s.noticed.tell
		c.Machine.LogChanged = func() {
			select {
			case s.logChanged <- struct{}{}:
			default:
			}
		}
	}
	return s, nil
}

// command starts an account command with what every one needs.
func (s *Service) command(c Caller, idempotencyKey, name string) (*account.Command, error) {
	if err := s.onTime(); err != nil {
		return nil, err
	}
	salt := make([]byte, 16)
	if _, err := io.ReadFull(s.rand, salt); err != nil {
		return nil, fmt.Errorf("drawing a salt: %w", err)
	}
	return &account.Command{
		Time:   account.Time(s.now().UnixMilli()),
		Tenant: c.Tenant, Account: name, Actor: c.Identity,
		Request: audit.RequestID(c.Identity, idempotencyKey),
		Salt:    salt,
		Node:    s.nodeID, Module: s.pool.Info().Serial,
	}, nil
}

// newID draws an id of 80 random bits: 16 lower-case base32 characters.
func (s *Service) newID() (string, error) {
	var b [10]byte
	if _, err := io.ReadFull(s.rand, b[:]); err != nil {
		return "", fmt.Errorf("drawing an id: %w", err)
	}
	return idEncoding.EncodeToString(b[:]), nil
}

// state reads an account from this node's state, which may be behind; nil when there is none.
func (s *Service) state(tenant, name string) (state *account.State, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		state, err = readAccount(r, tenant, name)
		return err
	})
	return state, err
}

// stateAt reads an account from a state that contains the given position.
func (s *Service) stateAt(ctx context.Context, position uint64, tenant, name string) (*account.State, error) {
	if err := s.engine.WaitApplied(ctx, position); err != nil {
		return nil, engineError(err)
	}
	return s.state(tenant, name)
}

// current reads an account linearizably; phantoms are ErrNotFound.
func (s *Service) current(ctx context.Context, tenant, name string) (*account.State, error) {
	if err := s.engine.Sync(ctx); err != nil {
		return nil, engineError(err)
	}
	state, err := s.state(tenant, name)
	if err != nil {
		return nil, err
	}
	if state == nil || state.Phantom {
		return nil, ErrNotFound
	}
	return state, nil
}

var errNoKeys = fmt.Errorf("the cluster's keys are not installed yet: %w", ErrUnavailable)

// usable says whether this node may compute codes.
func (s *Service) usable() error {
	if s.estate.Load() == nil {
		return errNoKeys
	}
	if trouble := s.logTrouble.Load(); trouble != nil {
		return fmt.Errorf("the key-usage log: %w: %w", *trouble, ErrUnavailable)
	}
	return s.onTime()
}

// onTime says whether this node's clock may stand in a command: the log's times never run backwards, so that a clock far
// ahead would hold them for all.
func (s *Service) onTime() error {
	if err := s.members.ClockError(); err != nil {
		return fmt.Errorf("%w: %w", err, ErrUnavailable)
	}
	return nil
}

// watchLog notes whether this node can keep the log's files. One that can't computes no codes: it must not go blind.
func (s *Service) watchLog(context.Context) error {
	err := s.engine.Log().Health()
	if err == nil {
		s.logTrouble.Store(nil)
		return nil
	}
	s.logTrouble.Store(&err)
	return nil
}

// engineError and moduleError translate the two classes below into the two classes above.
func engineError(err error) error {
	switch {
	case errors.Is(err, cluster.ErrNoEffect):
		return fmt.Errorf("%w: %w", err, ErrUnavailable)
	case errors.Is(err, cluster.ErrUnknown):
		return fmt.Errorf("%w: %w", err, ErrUnknown)
	}
	return err
}

func moduleError(doing string, err error) error {
	for _, transient := range []error{hsm.ErrGone, hsm.ErrBusy, hsm.ErrPIN, hsm.ErrSession, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, transient) {
			return fmt.Errorf("%s: %w: %w", doing, err, ErrUnavailable)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// refusal is the error of an outcome that is no success.
func refusal(o account.Outcome) error {
	switch o {
	case account.Done, account.Accepted, account.Exists:
		return nil
	case account.NotFound:
		return ErrNotFound
	case account.RefusedByPolicy:
		return ErrPolicy
	case account.TooMany:
		return ErrTooMany
	case account.Conflict:
		return ErrConflict
	case account.Ended:
		return ErrEnded
	case account.BadSignature:
		return ErrSignature
	case account.NotEligible:
		return ErrNotEligible
	case account.LastPhone:
		return ErrLastPhone
	case account.StepUp:
		return ErrStepUp
	case account.Full:
		return ErrNoticesFull
	case account.NoPhone:
		return ErrPhoneNeeded
	case account.Permanent:
		return ErrPermanent
	case account.Ineligible:
		return ErrIneligible
	case account.Stale:
		return fmt.Errorf("the account kept changing: %w", ErrUnavailable)
	}
	return fmt.Errorf("unexpected outcome %v", o)
}
