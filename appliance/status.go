package appliance

import (
	"context"
	"errors"
	"fmt"

	"strongroom.internal/hsm"
)

// Status is the cluster as this node sees it, without asking the others.
func (s *Service) Status(context.Context) (ClusterStatus, error) {
	raft := s.members.Status()
	records, err := s.memberRecords()
	if err != nil {
		return ClusterStatus{}, err
	}
	size, root, err := s.engine.Log().Head()
	if err != nil {
		return ClusterStatus{}, fmt.Errorf("reading the log's head: %w", err)
	}
	status := ClusterStatus{
		Node: s.nodeID, Leader: raft.Leader, Term: raft.Term, Applied: raft.Applied, LogSize: size, LogRoot: root,
		Module: s.pool.State(), Info: s.pool.Info(), Version: s.version,
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
	checks := []Check{{Name: "module"}, {Name: "keys"}, {Name: "clock", Err: s.members.ClockError()}, {Name: "quorum"}}
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

// LogHead is the size and root of the key-usage log as this node has it.
func (s *Service) LogHead(context.Context) (size int64, root [32]byte, err error) {
	return s.engine.Log().Head()
}

// LogEntries returns the exact bytes of up to n entries.
func (s *Service) LogEntries(_ context.Context, from int64, n int) ([][]byte, error) {
	return s.engine.Log().Entries(from, n)
}
