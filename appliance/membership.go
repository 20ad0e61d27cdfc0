package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

const (
	// reconcileEvery is how often a node compares the state with what it has done about it.
	reconcileEvery = time.Second
	// addTimeout bounds how long one new member may hold up the next: it has to fetch the whole state.
	addTimeout = 10 * time.Minute
	// reachTimeout bounds the look whether a new member listens.
	reachTimeout = 2 * time.Second
)

// Run does a node's own upkeep until ctx ends: it installs the cluster's keys once they have been replicated, drops the
// resident seeds of changed accounts, signs the log's checkpoints, writes down what was refused, and, on the leader, brings Raft's members in line with
// the state's. It returns an error only when this node must not go on: ErrRolledBack.
func (s *Service) Run(ctx context.Context) error {
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return s.forgetChanged(working) })
	group.Go(func() error { return s.repeat(working, s.installKeys) })
	group.Go(func() error { return s.repeat(working, s.watchLog) })
	group.Go(func() error { return s.repeat(working, s.recordKeys) })
	group.Go(func() error { return s.repeat(working, s.reconcile) })
	group.Go(func() error { return s.repeat(working, s.pruneFiles) })
	group.Go(func() error { return s.repeat(working, s.askWitnesses) })
	group.Go(func() error { return s.repeat(working, s.keepDays) })
	group.Go(func() error { return s.repeat(working, s.recordRefusals) })
	group.Go(func() error { return s.signLog(working) })
	group.Go(func() error { return s.deliver(working) })
	err := group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Service) forgetChanged(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-s.changed:
			s.pool.Forget(a.tenant, a.account)
		}
	}
}

// repeat calls fn now and then again; what it could not do this time it does the next.
func (s *Service) repeat(ctx context.Context, fn func(context.Context) error) error {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	var last string
	for {
		if err := fn(ctx); err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			s.log.Warn("upkeep: will try again", "error", err)
		} else if err == nil {
			last = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// installKeys is done once: the cluster's keys are made at its birth. The Pool installs them again after a module's
// return.
func (s *Service) installKeys(ctx context.Context) error {
	if s.estate.Load() != nil {
		return nil
	}
	var info clusterInfo
	var known bool
	var keys []hsm.SealedKey
	err := s.engine.View(func(r cluster.Reader) (err error) {
		if info, known, err = readRecord[clusterInfo](r, clusterRecord); err != nil {
			return err
		}
		return scanRecords(r, sealedPrefix, func(_ string, k hsm.SealedKey) { keys = append(keys, k) })
	})
	if err != nil || !known {
		return err
	}
	if err := s.pool.InstallClusterKeys(ctx, keys); err != nil {
		return moduleError("installing the cluster's keys", err)
	}
	s.estate.Store(&info)
	s.log.Info("the cluster's keys are installed", "cluster", info.ID, "keys", len(keys))
	return nil
}

// recordKeys puts on the log, once each time that this node starts, that its module holds the cluster's keys.
func (s *Service) recordKeys(ctx context.Context) error {
	if s.estate.Load() == nil || s.recorded {
		return nil
	}
	_, _, err := s.proposeEstate(ctx, estate{Installed: &installed{Node: s.nodeID}})
	s.recorded = err == nil
	return err
}

// reconcile is the leader's: members of the state that are not in Raft are added, retired ones are removed.
func (s *Service) reconcile(ctx context.Context) error {
	status := s.members.Status()
	if status.Leader != s.nodeID {
		return nil
	}
	inRaft := make(map[string]bool, len(status.Members))
	for _, m := range status.Members {
		inRaft[m.ID] = m.Voter
	}
	members, err := s.memberRecords()
	if err != nil {
		return err
	}
	var problems []error // one member's must not keep the others waiting
	for _, m := range members {
		voter, known := inRaft[m.ID]
		switch {
		case m.Retired && known:
			if err := s.members.RemoveNode(ctx, m.ID); err != nil {
				problems = append(problems, err)
				continue
			}
			s.log.Info("removed a node", "node", m.ID)
		case !m.Retired && !voter:
			problems = append(problems, s.add(ctx, m))
		}
	}
	return errors.Join(problems...)
}

// add marks the member as joined before Raft hears of it: an id that may have voted is never given again. Nobody listens
// at its address before it has its identity on disk: a join whose answer was lost costs no id.
func (s *Service) add(ctx context.Context, m member) error {
	if !m.Joined {
		probe, err := (&net.Dialer{Timeout: reachTimeout}).DialContext(ctx, "tcp", m.ClusterAddr)
		if err != nil {
			return fmt.Errorf("waiting for node %s: %w", m.ID, err)
		}
		_ = probe.Close()
		if _, _, err := s.proposeEstate(ctx, estate{Joined: &joined{ID: m.ID}}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, addTimeout)
	defer cancel()
	if err := s.members.AddNode(ctx, m.ID, m.ClusterAddr); err != nil {
		return err
	}
	s.log.Info("added a node", "node", m.ID)
	return nil
}

func (s *Service) memberRecords() (members []member, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		return scanRecords(r, memberPrefix, func(_ string, m member) { members = append(members, m) })
	})
	return members, err
}

// RemoveNode ends a node's membership. Its module keeps the keys until they are destroyed there: a node that was stolen
// needs the wrapping key rotated as well.
func (s *Service) RemoveNode(ctx context.Context, c Caller, id string) error {
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, Retire: &retire{ID: id}})
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}
