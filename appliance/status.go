package appliance

import (
	"context"
	"errors"
	"fmt"

	"strongroom.internal/hsm"
)

// Status is the cluster as this node sees it, without asking the others.
func (s *Service) Status(ctx context.Context) (ClusterStatus, error) {
	raft := s.members.Status()
	records, err := s.memberRecords()
	if err != nil {
		return ClusterStatus{}, err
	}
	trees, err := s.LogTrees(ctx)
	if err != nil && !errors.Is(err, ErrUnavailable) {
		return ClusterStatus{}, fmt.Errorf("reading the log's head: %w", err)
	}
	status := ClusterStatus{
		Node: s.nodeID, Leader: raft.Leader, Term: raft.Term, Applied: raft.Applied,
		LogSize: raft.LogSize, LogTree: raft.Tree, LogRoot: raft.Root, LogMissing: raft.Missing,
		Module: s.pool.State(), Info: s.pool.Info(), Version: s.version,
	}
	if len(trees) > 0 {
		status.LogSigned = trees[len(trees)-1].Signed
	}
	if status.NoticesWaiting, status.NoticesLost, err = s.outboxTotals(); err != nil {
		return ClusterStatus{}, fmt.Errorf("reading the outboxes: %w", err)
	}
	status.Clock, _ = s.members.ClockOffset()
	if info := s.estate.Load(); info != nil {
		status.ClusterID = info.ID
	}
	voters := make(map[string]bool, len(raft.Members))
	for _, m := range raft.Members {
		voters[m.ID] = m.Voter
	}
	for _, m := range records {
		if m.Retired {
			continue
		}
		status.Members = append(status.Members, Member{
			ID: m.ID, ClusterAddr: m.ClusterAddr, APIAddr: m.APIAddr, Leader: m.ID == raft.Leader, Voter: voters[m.ID],
			ModuleSerial: m.Serial, Module: m.Module, LogKey: m.LogKey,
		})
	}
	return status, nil
}

// Ready says what this node lacks to answer a verification now. It is alive whatever this says.
func (s *Service) Ready(ctx context.Context) []Check {
	checks := []Check{{Name: "module"}, {Name: "keys"}, {Name: "clock", Err: s.members.ClockError()}, {Name: "quorum"}, {Name: "log", Err: s.engine.Log().Health()}}
	if state := s.pool.State(); state.Status != hsm.Ready {
		checks[0].Err = fmt.Errorf("%v since %s: %s", state.Status, state.Since.UTC().Format("15:04:05"), state.Reason)
	}
	if s.estate.Load() == nil {
		checks[1].Err = errors.New("the cluster's keys are not installed yet")
	}
	if err := s.engine.Sync(ctx); err != nil {
		checks[3].Err = err
	}
	return checks
}
