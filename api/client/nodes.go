package client

import (
	"math/rand/v2"
	"sync"
	"time"
)

// How long a node that failed is left alone: it doubles with each failure in a row.
const (
	minRest = 250 * time.Millisecond
	maxRest = 15 * time.Second
)

// nodes chooses. It keeps to a node that answers; one that fails rests, and is asked all the same when all do.
type nodes struct {
	mu      sync.Mutex
	list    []nodeState
	current int
}

type nodeState struct {
	addr     string
	failures int       // in a row
	until    time.Time // it rests
}

func (n *nodes) init(addrs []string) {
	for _, a := range addrs {
		n.list = append(n.list, nodeState{addr: a})
	}
}

// pick gives the current node if it does not rest, else the next that doesn't, else the one that has rested most. A node
// of tried is left out while there is another.
func (n *nodes) pick(tried []bool, now time.Time) (int, string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	best := -1
	for i := range n.list {
		at := (n.current + i) % len(n.list)
		if tried[at] {
			continue
		}
		if !n.list[at].until.After(now) {
			best = at
			break
		}
		if best < 0 || n.list[at].until.Before(n.list[best].until) {
			best = at
		}
	}
	if best < 0 {
		best = n.current
	}
	return best, n.list[best].addr
}

// answered makes a node the current one.
func (n *nodes) answered(at int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list[at].failures, n.list[at].until = 0, time.Time{}
	n.current = at
}

// failed lets a node rest, for at least as long as it asked for.
func (n *nodes) failed(at int, asked time.Duration, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &n.list[at]
	rest := min(minRest<<min(s.failures, 10), maxRest)
	s.failures++
	// Between half and all of it, so that clients do not come back together.
	s.until = now.Add(max(rest/2+rand.N(rest/2), min(asked, maxRest)))
	if n.current == at {
		n.current = (at + 1) % len(n.list)
	}
}
