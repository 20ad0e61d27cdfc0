// Package clustertest is the contract of cluster.Engine as a test suite. An engine passes it with a few lines:
//
//	func TestConformance(t *testing.T) { clustertest.Run(t, newCluster) }
//
// The suite drives a small machine of its own. What an engine can't do (be crashed, be cut off) it leaves nil in
// [Cluster]; the tests that need it are skipped and say so.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"strongroom.internal/cluster"
)

// Cluster is a cluster of engines under test. Nodes are counted from 0.
type Cluster struct {
	Nodes  int
	Engine func(node int) cluster.Engine
	// Leader returns the node that leads; nil for engines without a leader. It waits until there is one among the nodes
	// that are neither down nor cut off.
	Leader func() int

	Crash func(node int) // as if by a power cut
	Start func(node int) // from its disk
	Cut   func(node int) // separate it from all others, so that what is sent is lost without an error
	Heal  func()         // undo every Cut

	Add    func() int     // a new node, which is a member with a vote on return
	Remove func(node int) // make it no member; it goes on running

	// Overrun writes so much that a node which is down meanwhile can't catch up from the log alone. It is given a
	// function that proposes one command.
	Overrun func(propose func())
}

// Factory starts a cluster of n nodes. It is stopped by t.Cleanup.
type Factory func(t *testing.T, n int, m cluster.Machine) *Cluster

// patience bounds everything that must happen in the end.
const patience = 20 * time.Second

// Run tests an engine.
func Run(t *testing.T, start Factory) {
	for _, test := range []struct {
		name string
		fn   func(*testing.T, *Cluster)
	}{
		{"Basics", testBasics},
		{"Concurrent", testConcurrent},
		{"Errors", testErrors},
		{"Restart", testRestart},
		{"LeaderCrash", testLeaderCrash},
		{"Linearizable", testLinearizable},
		{"Minority", testMinority},
		{"Lagging", testLagging},
		{"Members", testMembers},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.fn(t, start(t, 3, Machine{}))
		})
	}
}

// need skips a test whose faults the engine can't be given.
func need(t *testing.T, have ...bool) {
	t.Helper()
	for _, h := range have {
		if !h {
			t.Skip("this engine can't be given the faults of this test: set the functions of clustertest.Cluster that it needs")
		}
	}
}

func newID() (id ID) {
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	return id
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// checkClass fails the test unless the error is of exactly one class.
func checkClass(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, cluster.ErrNoEffect) == errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("the error is not of exactly one class: %v", err)
	}
}

// do proposes a command until its outcome is known: again after an error, with the same id.
func (c *Cluster) do(ctx context.Context, node int, command []byte) (Answer, cluster.Result, error) {
	for {
		e := c.Engine(node)
		if e != nil {
			try, cancel := context.WithTimeout(ctx, 3*time.Second)
			r, err := e.Propose(try, command)
			cancel()
			if err == nil {
				a, err := ParseAnswer(r.Data)
				return a, r, err
			}
			if errors.Is(err, cluster.ErrNoEffect) == errors.Is(err, cluster.ErrUnknown) {
				return Answer{}, r, fmt.Errorf("not of one class: %w", err)
			}
		}
		node = (node + 1) % c.Nodes
		select {
		case <-ctx.Done():
			return Answer{}, cluster.Result{}, ctx.Err()
		case <-time.After(5 * time.Millisecond): // a node that is down answers at once
		}
	}
}

func (c *Cluster) must(t *testing.T, node int, command []byte) (Answer, cluster.Result) {
	t.Helper()
	a, r, err := c.do(within(t), node, command)
	if err != nil {
		t.Fatalf("proposing on node %d: %v", node, err)
	}
	return a, r
}

// read reads a register on a node, with everything that was committed before.
func (c *Cluster) read(ctx context.Context, node int, register string) (v int64, err error) {
	e := c.Engine(node)
	if e == nil {
		return 0, fmt.Errorf("%w: node %d is down", cluster.ErrNoEffect, node)
	}
	if err := e.Sync(ctx); err != nil {
		return 0, err
	}
	err = e.View(func(r cluster.Reader) error {
		v, err = ReadRegister(r, register)
		return err
	})
	return v, err
}

// mustRead is read, until it succeeds.
func (c *Cluster) mustRead(t *testing.T, node int, register string) int64 {
	t.Helper()
	v, err := c.read(within(t), node, register)
	if err != nil {
		t.Fatalf("reading on node %d: %v", node, err)
	}
	return v
}
