package cluster

import (
	"context"
	"time"
)

// Crash ends the node and leaves on disk what a power cut would leave: the log as far as it was synced, the state as far
// as it was flushed.
func (r *Raft) Crash() {
	r.stopOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r.closeErr = r.stop(ctx, false)
	})
}

// FirstEntry is the first entry that Raft's log still has.
func (r *Raft) FirstEntry() uint64 {
	first, err := r.store.FirstIndex()
	if err != nil {
		return 0
	}
	return first
}

// ProposeAlone is Propose without batches, on the leader: one entry for one command.
func (r *Raft) ProposeAlone(ctx context.Context, command []byte) (Result, error) {
	p := &proposal{command: command, done: make(chan outcome, 1)}
	r.commitHere([]*proposal{p})
	o := <-p.done
	return o.result, o.err
}

// SetTestStore puts a faulty disk under the nodes that are opened from now on.
func SetTestStore(fn func(nodeID string, s LogStore) LogStore) { testStore = fn }

// LogStore is logStore.
type LogStore = logStore

// CutForward ends this node's connections on which it asks others.
func (r *Raft) CutForward() {
	r.peers.mu.Lock()
	defer r.peers.mu.Unlock()
	for _, slot := range r.peers.open {
		if slot.mu.TryLock() {
			if slot.p != nil {
				slot.p.end()
			}
			slot.mu.Unlock()
		}
	}
}

// ALPN of the two protocols.
const (
	ALPNRaft    = alpnRaft
	ALPNForward = alpnForward
)
