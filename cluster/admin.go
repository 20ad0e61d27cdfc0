package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"
)

const (
	// maxMembers bounds a cluster: more make each commit slower and nothing safer.
	maxMembers = 7
	// caughtUp is how many entries behind a new node may be when it becomes a voter.
	caughtUp = 256
)

// adminRequest changes the members; a node that isn't the leader sends it to the leader.
type adminRequest struct {
	Op      string        `cbor:"1,keyasint"` // "add", "remove" or "transfer"
	ID      string        `cbor:"2,keyasint"`
	Address string        `cbor:"3,keyasint"`
	Within  time.Duration `cbor:"4,keyasint"`
}

// AddNode makes a node that was opened with OpenJoining a member: first one that has no vote, and a voter when it has
// caught up, so that a slow newcomer never holds up a commit. address is its host:port. It may be called on any node,
// and again after an error: it goes on where it was. Errors are of Propose's two classes.
func (r *Raft) AddNode(ctx context.Context, id, address string) error {
	return r.admin(ctx, adminRequest{Op: "add", ID: id, Address: address})
}

// RemoveNode removes a member. Its id must never be used again. It may be called on any node, and for a node that isn't
// a member it does nothing. Errors are of Propose's two classes.
func (r *Raft) RemoveNode(ctx context.Context, id string) error {
	return r.admin(ctx, adminRequest{Op: "remove", ID: id})
}

// TransferLeadership has another voter take over, if this node leads.
func (r *Raft) TransferLeadership(ctx context.Context) error {
	if r.raft.State() != raft.Leader {
		return nil
	}
	ctx, cancel := r.bound(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.raft.LeadershipTransfer().Error() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("transferring leadership: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("transferring leadership: %w", ctx.Err())
	}
}

func (r *Raft) otherVoters() bool {
	for _, m := range members(r.latest()) {
		if m.Voter && m.ID != r.cfg.NodeID {
			return true
		}
	}
	return false
}

// admin has the leader do what is asked, trying again while there is none.
func (r *Raft) admin(ctx context.Context, q adminRequest) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	for {
		err := r.adminOnce(ctx, q)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errNoLeader) || !r.retry(ctx) {
			return fmt.Errorf("changing the members (%s %s): %w", q.Op, q.ID, err)
		}
	}
}

func (r *Raft) adminOnce(ctx context.Context, q adminRequest) error {
	if r.raft.State() == raft.Leader {
		return r.lead(ctx, q)
	}
	leader, id := r.raft.LeaderWithID()
	if leader == "" || id == raft.ServerID(r.cfg.NodeID) {
		return errNoLeader
	}
	if deadline, ok := ctx.Deadline(); ok {
		q.Within = time.Until(deadline)
	}
	b, err := cbor.Marshal(q)
	if err != nil {
		return err
	}
	_, err = r.peers.call(ctx, leader, kindAdmin, b)
	return err
}

func (r *Raft) handleAdmin(ctx context.Context, payload []byte) ([]byte, error) {
	var q adminRequest
	if err := cbor.Unmarshal(payload, &q); err != nil {
		return nil, fmt.Errorf("%w: reading the request: %v", ErrNoEffect, err)
	}
	if r.raft.State() != raft.Leader {
		return nil, errNoLeader
	}
	ctx, cancel := context.WithTimeout(ctx, min(q.Within, time.Hour))
	defer cancel()
	return nil, r.lead(ctx, q)
}

// lead does on the leader what is asked. One change at a time.
func (r *Raft) lead(ctx context.Context, q adminRequest) error {
	if !r.adding.TryLock() {
		return fmt.Errorf("%w: another change of the members is under way", ErrNoEffect)
	}
	defer r.adding.Unlock()
	switch q.Op {
	case "add":
		return r.leadAdd(ctx, q)
	case "remove":
		return r.leadRemove(ctx, q)
	}
	return fmt.Errorf("%w: %q is not known", ErrNoEffect, q.Op)
}

func (r *Raft) leadAdd(ctx context.Context, q adminRequest) error {
	if !nodeID.MatchString(q.ID) {
		return fmt.Errorf("%w: %q is not an id of a node", ErrNoEffect, q.ID)
	}
	if _, port, err := net.SplitHostPort(q.Address); err != nil || port == "" {
		return fmt.Errorf("%w: %q is not a host:port", ErrNoEffect, q.Address)
	}
	a := address(q.ID, q.Address)
	c := r.latest()
	var found *raft.Server
	for i, s := range c.Servers {
		if _, hostPort, _ := splitAddress(s.Address); s.ID != raft.ServerID(q.ID) && hostPort == q.Address {
			return fmt.Errorf("%w: node %s has the address %s", ErrNoEffect, s.ID, q.Address)
		}
		if s.ID == raft.ServerID(q.ID) {
			found = &c.Servers[i]
		}
	}
	switch {
	case found == nil && len(c.Servers) >= maxMembers:
		return fmt.Errorf("%w: the cluster has %d nodes, which is the most", ErrNoEffect, maxMembers)
	case found == nil:
		// Reach it first: a typing error in an address must not become a member.
		r.watch.setNewcomer(q.ID)
		defer r.watch.setNewcomer("")
		if _, err := r.peers.call(ctx, a, kindPing, nil); err != nil {
			return fmt.Errorf("%w: reaching the new node: %v", ErrNoEffect, err)
		}
		if err := r.change(ctx, func(t time.Duration) raft.IndexFuture {
			return r.raft.AddNonvoter(raft.ServerID(q.ID), a, 0, t)
		}); err != nil {
			return err
		}
	case found.Address != a:
		return fmt.Errorf("%w: node %s is a member at %s", ErrNoEffect, q.ID, found.Address)
	case found.Suffrage == raft.Voter:
		return nil
	}
	if err := r.catchUp(ctx, a); err != nil {
		return err
	}
	return r.change(ctx, func(t time.Duration) raft.IndexFuture {
		return r.raft.AddVoter(raft.ServerID(q.ID), a, 0, t)
	})
}

// catchUp waits until the node has applied nearly what this leader has committed, and has the whole key-usage log: a
// voter is one that nothing is lost with but itself.
func (r *Raft) catchUp(ctx context.Context, a raft.ServerAddress) error {
	for {
		target := r.fsm.progress.now()
		body, err := r.peers.call(ctx, a, kindPing, nil)
		var p pong
		if err == nil && cbor.Unmarshal(body, &p) == nil && p.Applied+caughtUp >= target && p.Applied > 0 && p.LogMissing == 0 {
			return nil
		}
		if r.raft.State() != raft.Leader {
			return errNoLeader
		}
		timer := time.NewTimer(r.cfg.Heartbeat / 4)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: the new node is a member without a vote, and has not caught up: %w", ErrUnknown, ctx.Err())
		case <-r.stopping:
			return fmt.Errorf("%w: %w", ErrUnknown, errStopped)
		}
	}
}

func (r *Raft) leadRemove(ctx context.Context, q adminRequest) error {
	all := members(r.latest())
	if !has(all, q.ID) {
		return nil
	}
	voters := 0
	for _, m := range all {
		if m.Voter && m.ID != q.ID {
			voters++
		}
	}
	if voters == 0 {
		return fmt.Errorf("%w: %s is the only voter", ErrNoEffect, q.ID)
	}
	if q.ID == r.cfg.NodeID {
		// The next leader removes it; the caller tries there.
		if err := r.TransferLeadership(ctx); err != nil {
			return fmt.Errorf("%w: %v", ErrNoEffect, err)
		}
		return errNoLeader
	}
	return r.change(ctx, func(t time.Duration) raft.IndexFuture {
		return r.raft.RemoveServer(raft.ServerID(q.ID), 0, t)
	})
}

// change has Raft commit a configuration.
func (r *Raft) change(ctx context.Context, fn func(time.Duration) raft.IndexFuture) error {
	timeout := r.cfg.rpcTimeout()
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	if timeout <= 0 {
		return fmt.Errorf("%w: %w", ErrNoEffect, context.DeadlineExceeded)
	}
	f := fn(timeout)
	if err := r.await(f, 2*timeout); err != nil {
		return raftError(err)
	}
	// This node's own view of the members follows when it has applied the entry.
	if err := r.fsm.progress.wait(ctx, r.stopping, f.Index()); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	r.link.sweep()
	return nil
}
