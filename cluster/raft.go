package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Raft is the engine on hashicorp/raft: one node of a cluster, in this process.
type Raft struct {
	cfg   Config
	id    *identity
	link  *link
	log   raft.LogStore
	store *guardedStore
	fsm   *fsm
	raft  *raft.Raft
	peers *peers
	watch watch

	writer   *logWriter
	minimums minimums
	index    *logIndex

	queue       chan *proposal
	reads       reads         // of Sync here
	leaderReads reads         // of all nodes, while this one leads
	openTerm    atomic.Uint64 // the last term in which this leader's barrier was applied
	adding      sync.Mutex    // held while the leader changes the members

	life     context.Context // ends with the node
	endLife  context.CancelFunc
	stopping chan struct{}  // closed when Close begins
	halted   chan struct{}  // closed when Raft has ended
	dead     chan struct{}  // closed by the first fatal error
	running  sync.WaitGroup // goroutines of this engine
	stopOnce sync.Once
	deadOnce sync.Once
	closeErr error
	cause    atomic.Pointer[error] // why the node is dead

	lmu           sync.Mutex // guards what follows
	leaderChanged chan struct{}
}

var _ Engine = (*Raft)(nil)

// Create makes a new cluster, whose one member is this node, and opens it. It answers ErrExists when the data directory
// has anything in it; an interrupted Create can be repeated.
func Create(cfg Config) (*Raft, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("creating a cluster: %w", err)
	}
	cfg = cfg.withDefaults()
	id, err := prepareNew(&cfg, creating)
	if err != nil {
		return nil, fmt.Errorf("creating a cluster: %w", err)
	}
	r, err := open(cfg, id)
	if err != nil {
		return nil, fmt.Errorf("creating a cluster: %w", err)
	}
	return r, nil
}

// Open opens the node that the data directory has. It answers ErrNoNode when there is none, or when its log is gone: a
// lost disk never becomes a new cluster or a voter without memory. The context bounds nothing but this call.
func Open(ctx context.Context, cfg Config) (*Raft, error) {
	return openWith(ctx, cfg, "opening a node", findExisting)
}

// OpenJoining makes a new node that waits to be added to a cluster by AddNode on one of its nodes. It answers ErrExists
// when the data directory has anything in it. Once it has succeeded, the node is opened by Open, whether it was added
// meanwhile or not. While it waits, any node of its trust domain may talk with it.
func OpenJoining(ctx context.Context, cfg Config) (*Raft, error) {
	return openWith(ctx, cfg, "opening a new node", func(c *Config) (*identity, error) { return prepareNew(c, joining) })
}

func openWith(ctx context.Context, cfg Config, doing string, find func(*Config) (*identity, error)) (*Raft, error) {
	err := errors.Join(ctx.Err(), cfg.Validate())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	cfg = cfg.withDefaults()
	id, err := find(&cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	r, err := open(cfg, id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return r, nil
}

// open starts the node whose file is id.
func open(cfg Config, id *identity) (_ *Raft, err error) {
	r := &Raft{
		cfg: cfg, id: id, queue: make(chan *proposal, queueLength), stopping: make(chan struct{}),
		halted: make(chan struct{}), dead: make(chan struct{}), leaderChanged: make(chan struct{}),
	}
	r.life, r.endLife = context.WithCancel(context.Background())
	var undo []func()
	defer func() {
		if err != nil {
			r.endLife()
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	if err := probeDisk(&r.cfg); err != nil {
		return nil, err
	}
	w, err := openLog(&r.cfg)
	if err != nil {
		return nil, err
	}
	r.store = &guardedStore{logStore: w, deadline: cfg.StoreDeadline, fatal: r.die}
	undo = append(undo, func() { w.Close() })
	if testStore != nil {
		r.store.logStore = testStore(r.cfg.NodeID, w)
	}
	if r.log, err = raft.NewLogCache(128, r.store); err != nil {
		return nil, err
	}
	if r.fsm, err = openFSM(&r.cfg, filepath.Join(cfg.DataDir, stateDir), r.die); err != nil {
		return nil, err
	}
	undo = append(undo, func() { r.fsm.close(false) })
	r.fsm.eraser.r = r
	if r.writer, err = newLogWriter(r); err != nil {
		return nil, err
	}
	if r.index, err = newLogIndex(r); err != nil {
		return nil, err
	}
	undo = append(undo, func() { r.index.x.Close() })
	if err := r.reconcile(); err != nil {
		return nil, err
	}
	if r.link, err = listen(&r.cfg); err != nil {
		return nil, err
	}
	undo = append(undo, r.link.close)
	r.link.allowed = r.allowed
	r.link.forward = func(c net.Conn, id string) { serveForward(c, r.cfg.rpcTimeout(), r.handle) }
	r.peers = &peers{link: r.link, timeout: r.cfg.rpcTimeout(), open: map[raft.ServerAddress]*peerSlot{}}
	r.watch.init()
	r.reads.r, r.reads.ask = r, r.readIndex
	r.leaderReads.r, r.leaderReads.ask = r, r.leaderReadIndex

	trans := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: streamLayer{r.link}, MaxPool: 4, Timeout: r.cfg.rpcTimeout(), Logger: cfg.Logger.Named("transport"),
		MaxRPCsInFlight: 1, // pipelining wedges a follower after its disk stalled (hashicorp/raft issue 612)
	})
	undo = append(undo, func() { trans.Close() })
	conf := r.raftConfig()
	if err := r.checkPhase(conf, trans); err != nil {
		return nil, err
	}
	if r.raft, err = raft.NewRaft(conf, r.fsm, r.log, r.store, snapshots{r.fsm}, trans); err != nil {
		return nil, fmt.Errorf("starting Raft: %w", err)
	}
	observations := make(chan raft.Observation, 16)
	r.raft.RegisterObserver(raft.NewObserver(observations, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	}))
	r.running.Add(6)
	go r.writer.run()
	go r.index.run()
	go r.fsm.eraser.run()
	go r.followLeader(observations)
	go r.pack()
	go r.watchPeers()
	r.link.served.Add(1)
	go r.link.serve()
	return r, nil
}

// testStore lets tests put a faulty disk under a node.
var testStore func(nodeID string, s logStore) logStore

func (r *Raft) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(r.cfg.NodeID)
	c.HeartbeatTimeout = r.cfg.Heartbeat
	c.ElectionTimeout = r.cfg.Heartbeat
	c.LeaderLeaseTimeout = r.cfg.Heartbeat / 2
	c.CommitTimeout = 10 * time.Millisecond
	c.MaxAppendEntries = 64 // of up to 256 KiB
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false // a removed node says that it was removed
	c.SnapshotThreshold = r.cfg.SnapshotEntries
	c.TrailingLogs = 4 * r.cfg.SnapshotEntries // fewer, and a follower that installs a snapshot may need the next one
	c.SnapshotInterval = 2 * r.cfg.Heartbeat   // how often the threshold is looked at
	c.NoSnapshotRestoreOnStart = true          // the state is the snapshot
	c.NoLegacyTelemetry = true
	c.Logger = r.cfg.Logger.Named("raft")
	return c
}

// reconcile clears a log that a crash left behind an installed snapshot. Raft empties its log after it has installed
// one; if the node went down in between, the log ends before the state, or holds at the state's position an entry of
// another term. Everything in such a log is either in the state or was never committed.
func (r *Raft) reconcile() error {
	at := r.fsm.applied
	first, err := r.store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := r.store.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	stale := last < at.index
	if !stale && first <= at.index {
		var l raft.Log
		if err := r.store.GetLog(at.index, &l); err != nil {
			return fmt.Errorf("reading entry %d of the Raft log: %w", at.index, err)
		}
		stale = l.Term != at.term
	}
	if !stale {
		if first > at.index+1 {
			return fmt.Errorf("the Raft log begins at entry %d and the state ends at entry %d: %w", first, at.index, ErrNoNode)
		}
		return nil
	}
	return r.store.DeleteRange(first, last)
}

// checkPhase finishes what a new node needs, and refuses a node that has lost its log.
func (r *Raft) checkPhase(conf *raft.Config, trans raft.Transport) error {
	has, err := raft.HasExistingState(r.log, r.store, snapshots{r.fsm})
	if err != nil {
		return err
	}
	switch r.id.Phase {
	case member:
		// A member has a term since it first heard of a leader. Without it the vote is lost too.
		if term, err := r.store.GetUint64([]byte("CurrentTerm")); !has || err != nil || term == 0 {
			return fmt.Errorf("its log and its vote are gone: %w", ErrNoNode)
		}
	case creating:
		err := raft.BootstrapCluster(conf, r.log, r.store, snapshots{r.fsm}, trans, raft.Configuration{
			Servers: []raft.Server{{ID: conf.LocalID, Address: trans.LocalAddr(), Suffrage: raft.Voter}},
		})
		if err != nil {
			return fmt.Errorf("writing the first entry: %w", err)
		}
		return r.becomeMember()
	}
	return nil
}

func (r *Raft) becomeMember() error {
	r.id.Phase = member
	return r.id.write(r.cfg.DataDir)
}

// die ends the node, once.
func (r *Raft) die(err error) {
	r.deadOnce.Do(func() {
		r.cause.Store(&err)
		close(r.dead)
		r.cfg.Logger.Error("this node must not go on", "error", err)
		go r.cfg.OnFatal(err)
	})
}

// followLeader tells who waits that the leader has changed. Raft may drop an observation, so nothing depends on seeing
// each of them.
func (r *Raft) followLeader(observations <-chan raft.Observation) {
	defer r.running.Done()
	for {
		select {
		case <-observations:
			r.lmu.Lock()
			close(r.leaderChanged)
			r.leaderChanged = make(chan struct{})
			r.lmu.Unlock()
		case <-r.stopping:
			return
		}
	}
}

func (r *Raft) leaderChange() <-chan struct{} {
	r.lmu.Lock()
	defer r.lmu.Unlock()
	return r.leaderChanged
}

// handle answers a request of another node.
func (r *Raft) handle(ctx context.Context, kind byte, payload []byte) ([]byte, error) {
	switch kind {
	case kindPropose:
		return r.handlePropose(ctx, payload)
	case kindReadIndex:
		return r.handleReadIndex(ctx)
	case kindPing:
		return r.handlePing()
	case kindAdmin:
		return r.handleAdmin(ctx, payload)
	case kindLog:
		return r.handleLog(payload)
	}
	return nil, fmt.Errorf("%w: a request of kind %d is not known", ErrNoEffect, kind)
}

// Close hands leadership to another node, if there is one, stops this one, and flushes its state. Calls that are under
// way return ErrUnknown or ErrNoEffect, as the case may be. The context bounds the wait; when it ends first, what is
// still running is left to run. After a fatal error Close does not touch the disk.
func (r *Raft) Close(ctx context.Context) error {
	r.stopOnce.Do(func() {
		if r.raft.State() == raft.Leader && r.otherVoters() {
			if err := r.TransferLeadership(ctx); err != nil {
				r.cfg.Logger.Warn("leadership was not handed over", "error", err)
			}
		}
		r.closeErr = r.stop(ctx, true)
	})
	return r.closeErr
}

// stop ends the node; without flush it leaves on disk what a crash would leave.
func (r *Raft) stop(ctx context.Context, flush bool) error {
	close(r.stopping)
	ended := make(chan error, 1)
	shutdown := r.raft.Shutdown()
	go func() {
		select {
		case <-r.dead: // Raft may be blocked for ever in a write
			r.link.close()
			r.endLife()
			ended <- nil
			return
		default:
		}
		r.endLife()
		r.link.close()
		err := shutdown.Error()
		close(r.halted)
		r.running.Wait()
		ended <- errors.Join(err, r.index.x.Close(), r.fsm.close(flush), r.store.Close())
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("stopping the node: %w", ctx.Err())
	}
}
