package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Status is a node's view of itself and its cluster.
type Status struct {
	ID        string         `json:"id"`
	State     string         `json:"state"`  // "leader", "follower", "candidate", "joining", "removed" or "stopped"
	Leader    string         `json:"leader"` // its id; empty when none is known
	Term      uint64         `json:"term"`
	Commit    uint64         `json:"commit"`     // last entry known to be committed
	Applied   uint64         `json:"applied"`    // last entry that views contain
	HasQuorum bool           `json:"has_quorum"` // a majority of the voters, this node counted, was heard in the last seconds
	LogSize   int64          `json:"log_size"`   // entries of the key-usage log, in all its trees
	Tree      string         `json:"tree"`       // that grows
	Root      [32]byte       `json:"root"`       // its RFC 6962 root: equal sizes must have equal roots
	Missing   int64          `json:"missing"`    // entries whose files this node has still to fetch from others
	Members   []MemberStatus `json:"members"`
	FreeBytes uint64         `json:"free_bytes"` // on the disk of DataDir
}

// MemberStatus is what a node knows of a member.
type MemberStatus struct {
	Member
	LastContact time.Time     `json:"last_contact"` // when it last answered this node; zero: not since this node started
	ClockOffset time.Duration `json:"clock_offset"` // its clock minus this node's, in nanoseconds
	Applied     uint64        `json:"applied"`
}

// Status tells how this node sees things now. It asks nobody.
func (r *Raft) Status() Status {
	_, leader := r.raft.LeaderWithID()
	s := Status{
		ID: r.cfg.NodeID, State: r.state(), Leader: string(leader), Term: r.raft.CurrentTerm(),
		Commit: r.raft.CommitIndex(), Applied: r.fsm.progress.now(),
	}
	if heads, err := r.Log().Heads(); err == nil { // of a node that stops: zero
		h := heads[len(heads)-1]
		s.LogSize, s.Tree, s.Root = h.First+h.Size, h.Tree, h.Root
	}
	s.Missing = r.writer.missing()
	s.FreeBytes, _ = freeBytes(r.cfg.DataDir)
	voters, heardOf := 0, 0
	for _, m := range r.known() {
		ms := MemberStatus{Member: m}
		fresh := m.ID == r.cfg.NodeID
		if fresh {
			ms.LastContact, ms.Applied = r.cfg.Clock(), s.Applied
		}
		r.watch.mu.Lock()
		if h, ok := r.watch.heard[m.ID]; ok && !fresh {
			age := time.Since(h.at)
			ms.LastContact, ms.ClockOffset, ms.Applied = r.cfg.Clock().Add(-age), h.offset, h.applied
			fresh = age < heardFor
		}
		r.watch.mu.Unlock()
		if m.Voter {
			voters++
			if fresh {
				heardOf++
			}
		}
		s.Members = append(s.Members, ms)
	}
	s.HasQuorum = voters > 0 && 2*heardOf > voters
	return s
}

func (r *Raft) state() string {
	select {
	case <-r.stopping:
		return "stopped"
	case <-r.dead:
		return "stopped"
	default:
	}
	all := r.known()
	switch {
	case len(all) == 0:
		return "joining"
	case !has(all, r.cfg.NodeID):
		return "removed"
	}
	switch r.raft.State() {
	case raft.Leader:
		return "leader"
	case raft.Candidate:
		return "candidate"
	case raft.Follower:
		return "follower"
	}
	return "stopped"
}

// Health returns nil when this node can serve: it is a member, knows a leader and has disk space. All that is wrong is
// reported, joined. The clock has a report of its own, ClockError.
func (r *Raft) Health() error {
	if cause := r.cause.Load(); cause != nil {
		return fmt.Errorf("this node has failed: %w", *cause)
	}
	var errs []error
	switch state := r.state(); state {
	case "joining":
		errs = append(errs, errors.New("this node waits to be added to a cluster"))
	case "removed":
		errs = append(errs, errors.New("this node was removed from the cluster"))
	case "stopped":
		return errStopped
	default:
		if leader, _ := r.raft.LeaderWithID(); leader == "" {
			errs = append(errs, errors.New("no leader is known"))
		}
	}
	free, err := freeBytes(r.cfg.DataDir)
	if err != nil {
		errs = append(errs, err)
	} else if free < r.cfg.MinFreeBytes {
		errs = append(errs, fmt.Errorf("the disk has %d MiB free, %d MiB are needed", free>>20, r.cfg.MinFreeBytes>>20))
	}
	return errors.Join(errs...)
}
