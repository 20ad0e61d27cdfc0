package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// askTimeout bounds the question to one node, so that a dead one doesn't hold up the table.
const askTimeout = 3 * time.Second

// clusterStatus is the cluster, with what each node says of itself.
type clusterStatus struct {
	ClusterID string       `json:"cluster_id"`
	Leader    string       `json:"leader,omitempty"`
	Term      uint64       `json:"term"`
	Quorum    bool         `json:"quorum"`
	LogSize   int64        `json:"log_size"`
	LogTree   string       `json:"log_tree"`
	LogRoot   []byte       `json:"log_root"`
	LogSigned int64        `json:"log_signed"` // entries up to which a checkpoint counts
	Nodes     []nodeStatus `json:"nodes"`
}

// nodeStatus is one member.
type nodeStatus struct {
	ID           string  `json:"id"`
	Role         string  `json:"role"` // leader, voter, learner
	APIAddr      string  `json:"api_addr"`
	ClusterAddr  string  `json:"cluster_addr"`
	ModuleSerial string  `json:"module_serial"`
	Reachable    bool    `json:"reachable"`
	Ready        bool    `json:"ready"`
	Problems     string  `json:"problems,omitempty"`
	Module       string  `json:"module_status,omitempty"`
	Applied      uint64  `json:"applied,omitempty"`
	LogSize      int64   `json:"log_size,omitempty"`
	LogTree      string  `json:"log_tree,omitempty"`
	LogRoot      []byte  `json:"log_root,omitempty"`
	LogSigned    int64   `json:"log_signed,omitempty"`
	LogMissing   int64   `json:"log_missing,omitempty"` // entries that it has still to fetch from others
	ClockMS      float64 `json:"clock_offset_ms,omitempty"`
	Version      string  `json:"version,omitempty"`
}

func newStatus(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the cluster: members, leader, modules, the log's size and root, clocks",
		Long:  "Asks each member what it says of itself. Exit code 3: no node that answers has a quorum.",
		Args:  cobra.NoArgs,
	}
	o := connectionFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		nodes, config, err := o.resolve()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
		defer cancel()
		s, err := askCluster(ctx, nodes, config)
		if err != nil {
			return err
		}
		if err := t.print(s, s.table); err != nil {
			return err
		}
		for _, warning := range s.warnings() {
			t.say("%s", warning)
		}
		if !s.Quorum {
			return &exitError{exitNoQuorum, errors.New("the cluster has no quorum: too few of its voters are up, nothing can be verified")}
		}
		return nil
	}
	return c
}

// askCluster learns the members from the first node that answers, then asks each of them.
func askCluster(ctx context.Context, nodes []string, config *tls.Config) (*clusterStatus, error) {
	first, err := client.New(client.Config{Nodes: nodes, TLS: config, AttemptTimeout: askTimeout})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	defer first.Close()
	// A short round over all nodes: whoever is up answers at once.
	short, cancel := context.WithTimeout(ctx, time.Duration(len(nodes))*askTimeout)
	defer cancel()
	seen, err := first.Cluster(short)
	if err != nil {
		return nil, err
	}
	s := &clusterStatus{
		ClusterID: seen.ClusterID, Leader: seen.Leader, Term: seen.Term, LogSize: seen.LogSize, LogTree: seen.LogTree,
		LogRoot: seen.LogRoot, LogSigned: seen.LogSigned, Nodes: make([]nodeStatus, len(seen.Members)),
	}
	quorum := make([]bool, len(seen.Members))
	var asking sync.WaitGroup
	for i, m := range seen.Members {
		s.Nodes[i] = nodeStatus{ID: m.ID, Role: "learner", APIAddr: m.APIAddr, ClusterAddr: m.ClusterAddr, ModuleSerial: m.ModuleSerial}
		switch {
		case m.Leader:
			s.Nodes[i].Role = "leader"
		case m.Voter:
			s.Nodes[i].Role = "voter"
		}
		asking.Go(func() { quorum[i] = s.Nodes[i].ask(ctx, config) })
	}
	asking.Wait()
	s.Quorum = slices.Contains(quorum, true)
	for _, n := range s.Nodes {
		if n.LogSize > s.LogSize {
			s.LogSize, s.LogTree, s.LogRoot = n.LogSize, n.LogTree, n.LogRoot
		}
		s.LogSigned = max(s.LogSigned, n.LogSigned)
	}
	return s, nil
}

// ask has a node say how it is; quorum is whether it has one.
func (n *nodeStatus) ask(ctx context.Context, config *tls.Config) (quorum bool) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ready, err := askReady(ctx, n.APIAddr, config)
	if err != nil {
		n.Problems = err.Error()
		return false
	}
	n.Reachable, n.Ready = true, ready.Ready
	var problems []string
	for _, c := range ready.Checks {
		if !c.OK {
			problems = append(problems, c.Name+": "+c.Error)
		} else if c.Name == "quorum" {
			quorum = true
		}
	}
	n.Problems = strings.Join(problems, "; ")
	one, err := client.New(client.Config{Nodes: []string{n.APIAddr}, TLS: config})
	if err != nil {
		return quorum
	}
	defer one.Close()
	if own, err := one.Cluster(ctx); err == nil {
		n.Module, n.Applied, n.LogSize, n.LogRoot = own.Module.Status, own.Applied, own.LogSize, own.LogRoot
		n.LogTree, n.LogSigned, n.LogMissing = own.LogTree, own.LogSigned, own.LogMissing
		n.ClockMS, n.Version = own.ClockMS, own.Version
	}
	return quorum
}

// askReady asks one node's /readyz.
func askReady(ctx context.Context, address string, config *tls.Config) (ready wire.Readiness, err error) {
	transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true, DisableKeepAlives: true} // it changes its own
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", nil)
	if err != nil {
		return ready, fmt.Errorf("asking %s: %w", address, err)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return ready, fmt.Errorf("asking %s: %w", address, err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&ready); err != nil {
		return ready, fmt.Errorf("reading the answer of %s: %w", address, err)
	}
	return ready, nil
}

func (s *clusterStatus) table(w io.Writer) {
	fmt.Fprintf(w, "cluster\t%s\nleader\t%s, term %d\nquorum\t%s\nlog\t%d entries, %d of them signed; tree %s, root %x\n\n",
		s.ClusterID, or(s.Leader, "none known"), s.Term, yesNo(s.Quorum), s.LogSize, s.LogSigned, s.LogTree, s.LogRoot)
	fmt.Fprintln(w, "NODE\tROLE\tAPI\tREADY\tMODULE\tSERIAL\tAPPLIED\tLOG\tSIGNED\tMISSING\tCLOCK\tVERSION")
	for _, n := range s.Nodes {
		if !n.Reachable {
			fmt.Fprintf(w, "%s\t%s\t%s\tno answer\t-\t%s\t-\t-\t-\t-\t-\t-\n", n.ID, n.Role, n.APIAddr, n.ModuleSerial)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%+.1f ms\t%s\n", n.ID, n.Role, n.APIAddr, yesNo(n.Ready),
			or(n.Module, "-"), n.ModuleSerial, n.Applied, n.LogSize, n.LogSigned, n.LogMissing, n.ClockMS, or(n.Version, "-"))
	}
}

// warnings are what an operator must not overlook.
func (s *clusterStatus) warnings() (all []string) {
	roots := make(map[int64]nodeStatus)
	for _, n := range s.Nodes {
		if n.Problems != "" {
			all = append(all, fmt.Sprintf("node %s: %s", n.ID, n.Problems))
		}
		if !n.Reachable || n.LogSize == 0 {
			continue
		}
		if other, known := roots[n.LogSize]; known && !slices.Equal(other.LogRoot, n.LogRoot) {
			all = append(all, fmt.Sprintf("nodes %s and %s disagree about the log at %d entries: STOP and call for help", other.ID, n.ID,
				n.LogSize))
		}
		roots[n.LogSize] = n
	}
	return all
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
