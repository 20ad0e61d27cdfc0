package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// measurement is one closed-loop run: every caller sends its next request when the last was answered.
type measurement struct {
	callers   int
	requests  int
	elapsed   time.Duration
	latencies []time.Duration // sorted
	outcomes  map[string]int
	cpu       map[string]time.Duration // by process
}

func (m *measurement) rate() float64 { return float64(m.requests) / m.elapsed.Seconds() }

func (m *measurement) percentile(p float64) time.Duration {
	if len(m.latencies) == 0 {
		return 0
	}
	return m.latencies[min(len(m.latencies)-1, int(p*float64(len(m.latencies))))]
}

// totalCPU is what all processes together used for one request.
func (m *measurement) totalCPU() time.Duration {
	var sum time.Duration
	for _, d := range m.cpu {
		sum += d
	}
	return sum / time.Duration(max(1, m.requests))
}

// run sends request 0, 1, 2, … below total from the callers, at most for limit, and measures each.
func run(
	ctx context.Context, callers, total int, limit time.Duration, processes cpuClocks,
	do func(ctx context.Context, caller, request int) (outcome string, err error),
) (*measurement, error) {
	var next atomic.Int64
	var mu sync.Mutex
	m := &measurement{callers: callers, outcomes: make(map[string]int)}
	before, err := processes.read()
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for caller := range callers {
		group.Go(func() error {
			latencies := make([]time.Duration, 0, min(total/callers+1, 1<<16))
			outcomes := make(map[string]int)
			for ctx.Err() == nil && time.Since(start) < limit {
				request := int(next.Add(1)) - 1
				if request >= total {
					break
				}
				began := time.Now()
				outcome, err := do(ctx, caller, request)
				if err != nil {
					return fmt.Errorf("request %d: %w", request, err)
				}
				latencies = append(latencies, time.Since(began))
				outcomes[outcome]++
			}
			mu.Lock()
			defer mu.Unlock()
			m.latencies = append(m.latencies, latencies...)
			for o, n := range outcomes {
				m.outcomes[o] += n
			}
			return nil
		})
	}
	err = group.Wait()
	m.elapsed = time.Since(start)
	m.requests = len(m.latencies)
	if err != nil {
		return nil, err
	}
	after, err := processes.read()
	if err != nil {
		return nil, err
	}
	m.cpu = make(map[string]time.Duration)
	for name := range after {
		m.cpu[name] = after[name] - before[name]
	}
	slices.Sort(m.latencies)
	return m, nil
}
