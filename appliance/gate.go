package appliance

import (
	"context"
	"fmt"
	"sync"
)

// maxWaiting bounds how many attempts on one account may wait on one node. A person has one at a time; a flood is told
// to come back and costs nothing.
const maxWaiting = 256

// gate lets one attempt an account through at a time on this node. What a node computes for a guess beyond the budget
// would never leave it, but need not be computed: the attempt before has been applied when the next one is let in.
type gate struct {
	mu    sync.Mutex
	inUse map[string]*turnstile // of accounts with attempts now
}

type turnstile struct {
	token   chan struct{} // holds one value when free
	holders int           // inside and waiting
}

// enter waits for the account's turn. The caller must call leave once.
func (g *gate) enter(ctx context.Context, tenant, name string) (leave func(), err error) {
	key := tenant + "\x00" + name
	g.mu.Lock()
	t := g.inUse[key]
	if t == nil {
		t = &turnstile{token: make(chan struct{}, 1)}
		t.token <- struct{}{}
		if g.inUse == nil {
			g.inUse = make(map[string]*turnstile)
		}
		g.inUse[key] = t
	}
	if t.holders >= maxWaiting {
		g.mu.Unlock()
		return nil, fmt.Errorf("%d attempts on this account are waiting: %w", maxWaiting, ErrUnavailable)
	}
	t.holders++
	g.mu.Unlock()

	done := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if t.holders--; t.holders == 0 {
			delete(g.inUse, key)
		}
	}
	select {
	case <-t.token:
		return func() { t.token <- struct{}{}; done() }, nil
	case <-ctx.Done():
		done()
		return nil, fmt.Errorf("waiting for earlier attempts on this account: %w: %w", ctx.Err(), ErrUnavailable)
	}
}
