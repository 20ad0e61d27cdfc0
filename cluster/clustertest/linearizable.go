package clustertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"strongroom.internal/cluster"
)

// registerInput is one operation on a register.
type registerInput struct {
	register string
	write    bool
	value    int64
}

// registers is porcupine's model: each register by itself, a write that succeeded or is unknown, a read that gives the
// last value written.
var registers = porcupine.Model{
	Partition: func(h []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range h {
			r := op.Input.(registerInput).register
			by[r] = append(by[r], op)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		in := input.(registerInput)
		if in.write {
			return true, in.value
		}
		return output.(int64) == state.(int64), state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %v", input, output) },
}

// testLinearizable: reads after Sync and writes by Propose, on all nodes, while the leader is cut off and crashes, are
// one history. A write whose outcome is unknown may take effect at any later time.
func testLinearizable(t *testing.T, c *Cluster) {
	need(t, c.Cut != nil, c.Heal != nil, c.Leader != nil)
	const clients, each = 8, 60
	var mu sync.Mutex
	var history []porcupine.Operation
	begin := time.Now()
	now := func() int64 { return int64(time.Since(begin)) }
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := range each {
				in := registerInput{register: fmt.Sprint("x", (client+i)%3), write: i%2 == 0, value: int64(client*each + i + 1)}
				op := porcupine.Operation{ClientId: client, Input: in, Call: now()}
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				node := (client + i) % c.Nodes
				var err error
				if in.write {
					_, err = c.Engine(node).Propose(ctx, Set(newID(), in.register, in.value))
					if err != nil {
						checkClass(t, err)
					}
				} else {
					op.Output, err = c.read(ctx, node, in.register)
				}
				cancel()
				op.Return = now()
				if err != nil {
					if !in.write || isNoEffect(err) {
						continue
					}
					op.Return = int64(time.Hour) // unknown: at any time from here on
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	for range 3 {
		c.Cut(c.Leader())
		c.must(t, c.Leader(), Add(newID(), "unrelated", 1))
		c.Heal()
		c.must(t, c.Leader(), Add(newID(), "unrelated", 1))
	}
	wg.Wait()
	result, info := porcupine.CheckOperationsVerbose(registers, history, patience)
	switch result {
	case porcupine.Illegal:
		path := t.TempDir() + "/history.html"
		t.Errorf("the history of %d operations is not linearizable: %s (%v)", len(history), path,
			porcupine.VisualizePath(registers, info, path))
	case porcupine.Unknown:
		t.Errorf("whether the history of %d operations is linearizable could not be told in %v", len(history), patience)
	}
	t.Logf("%d operations", len(history))
}

func isNoEffect(err error) bool { return errors.Is(err, cluster.ErrNoEffect) }
