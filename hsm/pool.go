package hsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// PoolConfig bounds a Pool. Its zero value is good.
type PoolConfig struct {
	// Sessions is how many may be open; 0: as many as the module allows, at most 16.
	Sessions int
	// Resident is how many unsealed seeds stay in the module; 0: 4096. Never more than the module allows.
	Resident int
	// PingEvery is how often the module is asked whether it is there; 0: 500 ms.
	PingEvery time.Duration
	// RecoverEvery is how often a module that is gone is looked for; 0: 1 s.
	RecoverEvery time.Duration
	// OnChange, when set, is told of every change of state, one at a time, from the Pool's own goroutine.
	OnChange func(State)
}

const (
	defaultSessions     = 16
	defaultResident     = 4096
	defaultPingEvery    = 500 * time.Millisecond
	defaultRecoverEvery = time.Second
	// pingDeadline is how long a module may take to say that it is there.
	pingDeadline = 1500 * time.Millisecond
)

// Pool shares one module between all who need it. Waiting for a session is fair and ends with the context. A call that
// has begun in the module can't be ended: the caller leaves when its context does, and the call's session is free again
// when the module answers.
type Pool struct {
	backend  Backend
	config   PoolConfig
	slots    chan *slot // free ones, in the order in which they came free
	resident *resident
	counters counters

	mu        sync.Mutex
	state     State
	down      chan struct{} // closed while the module is not usable
	installed []SealedKey   // to be installed again after a recovery

	// epoch counts the times at which all sessions may have died together: a recovery, or one that was found dead.
	epoch atomic.Uint64

	stop  context.CancelFunc
	done  chan struct{}
	close func() error
}

// slot holds at most one session; who has the slot has the session.
type slot struct {
	session Session
	born    uint64 // the epoch in which it was opened
}

type counters struct {
	open, inUse, waiting    atomic.Int64
	hits, misses, evictions atomic.Uint64
	recoveries              atomic.Uint64
}

// NewPool makes a pool over an open backend, which it closes in the end. Start has to be called.
func NewPool(b Backend, c PoolConfig) *Pool {
	limits := b.Limits()
	if c.Sessions <= 0 {
		c.Sessions = defaultSessions
	}
	c.Sessions = max(1, min(c.Sessions, limits.Sessions-1)) // the watcher has one of its own
	if c.Resident <= 0 {
		c.Resident = defaultResident
	}
	c.Resident = max(1, min(c.Resident, limits.Resident))
	if c.PingEvery <= 0 {
		c.PingEvery = defaultPingEvery
	}
	if c.RecoverEvery <= 0 {
		c.RecoverEvery = defaultRecoverEvery
	}
	p := &Pool{
		backend: b, config: c, slots: make(chan *slot, c.Sessions), down: make(chan struct{}),
		state: State{Status: Starting, Since: time.Now()}, done: make(chan struct{}),
	}
	close(p.down)
	p.close = sync.OnceValue(p.end)
	p.resident = newResident(c.Resident, &p.counters)
	for range c.Sessions {
		p.slots <- &slot{}
	}
	return p
}

// Start asks the module once and begins to watch it. A module that does not answer now is watched all the same.
func (p *Pool) Start(ctx context.Context) error {
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	w := watcher{pool: p}
	err := w.ping(ctx)
	w.judge(ctx, err)
	go func() {
		defer close(p.done)
		w.watch(ctx)
	}()
	return err
}

// Close ends the watching, waits for calls under way, and closes the backend. It may be called more than once.
func (p *Pool) Close() error { return p.close() }

func (p *Pool) end() error {
	if p.stop != nil {
		p.stop()
		<-p.done
	}
	deadline := time.After(5 * time.Second)
	for range cap(p.slots) {
		select {
		case s := <-p.slots:
			p.drop(s)
		case <-deadline:
			return errors.New("closing the module: a call in it does not end")
		}
	}
	return p.backend.Close()
}

// Info describes the module.
func (p *Pool) Info() Info { return p.backend.Info() }

// call runs fn in a session. A session that died is replaced and fn is run once more; a module that is gone is latched,
// and every call fails at once until it is back.
func call[T any](ctx context.Context, p *Pool, fn func(Session) (T, error)) (T, error) {
	result, err := callOnce(ctx, p, fn)
	if errors.Is(err, ErrSession) && ctx.Err() == nil {
		return callOnce(ctx, p, fn)
	}
	return result, err
}

type outcome[T any] struct {
	value T
	err   error
}

func callOnce[T any](ctx context.Context, p *Pool, fn func(Session) (T, error)) (zero T, err error) {
	s, err := p.acquire(ctx)
	if err != nil {
		return zero, err
	}
	finished := make(chan outcome[T], 1)
	go func() {
		value, err := run(ctx, p, s, fn)
		p.counters.inUse.Add(-1)
		p.slots <- s
		finished <- outcome[T]{value, err}
	}()
	select {
	case o := <-finished:
		return o.value, o.err
	case <-ctx.Done():
		select {
		case o := <-finished: // both were ready: the answer counts
			return o.value, o.err
		default:
		}
		return zero, fmt.Errorf("waiting for the module: %w: %w", ErrBusy, ctx.Err())
	}
}

// acquire waits for a slot, for as long as the module is there and the context lasts.
func (p *Pool) acquire(ctx context.Context) (*slot, error) {
	p.mu.Lock()
	down, state := p.down, p.state
	p.mu.Unlock()
	if state.Status != Ready {
		return nil, state.err()
	}
	p.counters.waiting.Add(1)
	defer p.counters.waiting.Add(-1)
	select {
	case s := <-p.slots:
		p.counters.inUse.Add(1)
		return s, nil
	case <-down:
		return nil, p.State().err()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a session: %w: %w", ErrBusy, ctx.Err())
	}
}

// run has fn's call in the slot's session, opening one if it has none.
func run[T any](ctx context.Context, p *Pool, s *slot, fn func(Session) (T, error)) (zero T, err error) {
	if s.born != p.epoch.Load() {
		p.drop(s) // dead since the module came back, or in doubt since another one was found dead
	}
	if s.session == nil {
		s.born = p.epoch.Load()
		session, err := p.backend.OpenSession(context.WithoutCancel(ctx))
		if err != nil {
			p.noteFailure(err)
			return zero, err
		}
		s.session = session
		p.counters.open.Add(1)
	}
	value, err := fn(s.session)
	if errors.Is(err, ErrSession) || errors.Is(err, ErrGone) {
		// The seeds that this session loaded are dead with it, and whose they were nobody noted: all are loaded again.
		// Sessions die together, so the others are replaced too before they are used: one retry is enough.
		p.epoch.CompareAndSwap(s.born, s.born+1)
		p.resident.clear()
		p.drop(s)
		p.noteFailure(err)
	}
	return value, err
}

func (p *Pool) drop(s *slot) {
	if s.session == nil {
		return
	}
	_ = s.session.Close() // dead or unneeded
	s.session = nil
	p.counters.open.Add(-1)
}

// noteFailure latches a module that is gone.
func (p *Pool) noteFailure(err error) {
	switch {
	case errors.Is(err, ErrPIN):
		p.setState(PINRefused, err)
	case errors.Is(err, ErrGone):
		p.setState(Gone, err)
	}
}
