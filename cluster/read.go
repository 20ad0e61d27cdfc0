package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// View is of Engine.
func (r *Raft) View(fn func(Reader) error) error {
	st, err := r.fsm.current()
	if err != nil {
		return err
	}
	defer st.release()
	snap := st.db.NewSnapshot()
	defer snap.Close()
	return fn(&reader{src: snap})
}

// WaitApplied is of Engine.
func (r *Raft) WaitApplied(ctx context.Context, position uint64) error {
	return r.fsm.progress.wait(ctx, r.stopping, position)
}

// Sync is of Engine: the ReadIndex of the Raft thesis, Section 6.4. The clock plays no part in it, because a node that
// was paused does not know how long.
func (r *Raft) Sync(ctx context.Context) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	for {
		index, err := r.reads.join(ctx)
		if err == nil {
			err = r.fsm.progress.wait(ctx, r.stopping, index)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, errNoLeader) || !r.retry(ctx) {
			return fmt.Errorf("synchronising: %w: %v", ErrNoEffect, err)
		}
	}
}

// reads lets callers of Sync share rounds. A round that has begun before a call is of no use to it: it may have taken
// its index before a command that the caller knows of. So a caller joins the next one.
type reads struct {
	ask func(context.Context) (uint64, error) // one round
	r   *Raft

	mu      sync.Mutex // guards what follows
	next    *round     // nil while nobody waits
	running bool
}

type round struct {
	done  chan struct{}
	index uint64
	err   error
}

// join waits for the index that must be applied before a read that begins now.
func (s *reads) join(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &round{done: make(chan struct{})}
	}
	mine := s.next
	if !s.running {
		s.running = true
		go s.run()
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.index, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.r.stopping:
		return 0, errStopped
	}
}

// run does rounds while somebody waits for one.
func (s *reads) run() {
	for {
		s.mu.Lock()
		now := s.next
		s.next = nil
		if now == nil {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(s.r.life, s.r.cfg.rpcTimeout())
		now.index, now.err = s.ask(ctx)
		cancel()
		close(now.done)
	}
}

// readIndex asks the leader, which may be this node.
func (r *Raft) readIndex(ctx context.Context) (uint64, error) {
	if r.raft.State() == raft.Leader {
		return r.leaderReads.join(ctx)
	}
	leader, id := r.raft.LeaderWithID()
	if leader == "" || id == raft.ServerID(r.cfg.NodeID) {
		return 0, errNoLeader
	}
	body, err := r.peers.call(ctx, leader, kindReadIndex, nil)
	if err != nil {
		return 0, fmt.Errorf("%w: %v", errNoLeader, err) // a read has no effect whatever happened
	}
	if len(body) != 8 {
		return 0, fmt.Errorf("%w: the leader's answer has %d bytes", ErrNoEffect, len(body))
	}
	return binary.BigEndian.Uint64(body), nil
}

// leaderReadIndex returns an index that holds everything that was committed before the call. It asks nobody else for it:
// two nodes that take each other for the leader would wait for each other.
func (r *Raft) leaderReadIndex(ctx context.Context) (uint64, error) {
	term := r.raft.CurrentTerm()
	timeout := r.cfg.rpcTimeout()
	// A new leader does not know what of the earlier terms is committed until an entry of its own term is.
	if r.openTerm.Load() != term {
		if err := r.await(r.raft.Barrier(timeout), timeout); err != nil {
			return 0, fmt.Errorf("%w: opening the term: %v", errNoLeader, err)
		}
		if r.raft.CurrentTerm() != term {
			return 0, errNoLeader
		}
		r.openTerm.Store(term)
	}
	index, err := r.visible(r.raft.CommitIndex())
	if err != nil {
		return 0, fmt.Errorf("%w: %v", ErrNoEffect, err)
	}
	// A majority says that this node was still its leader after the index was taken.
	if err := r.await(r.raft.VerifyLeader(), timeout); err != nil {
		return 0, fmt.Errorf("%w: verifying the leadership: %v", errNoLeader, err)
	}
	if r.raft.CurrentTerm() != term {
		return 0, errNoLeader
	}
	return index, nil
}

// visible returns the last index, up to the given one, of an entry that the state machine gets to see: it can't wait for
// a barrier or for the entry that opens a term.
func (r *Raft) visible(index uint64) (uint64, error) {
	for ; index > r.fsm.progress.now(); index-- {
		var l raft.Log
		if err := r.log.GetLog(index, &l); err != nil {
			if first, ferr := r.log.FirstIndex(); ferr == nil && index < first {
				return r.fsm.progress.now(), nil // truncated, so it is in the state
			}
			return 0, fmt.Errorf("reading entry %d: %w", index, err)
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			break
		}
	}
	return index, nil
}

func (r *Raft) handleReadIndex(ctx context.Context) ([]byte, error) {
	if r.raft.State() != raft.Leader {
		return nil, errNoLeader
	}
	index, err := r.leaderReads.join(ctx)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(nil, index), nil
}
