package main

import (
	"context"
	"time"

	"strongroom.internal/hsm"
)

// withoutModule is how long a leader may be without its module before it hands over: it can't sign a new connection's
// handshake, so it must not be the node that all others need. A hiccup shorter than this is not worth an election.
const withoutModule = 2 * time.Second

// yieldWithoutModule hands leadership over while this node's module is gone, until ctx ends.
func (p *parts) yieldWithoutModule(ctx context.Context) {
	tick := time.NewTicker(withoutModule / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		state := p.pool.State()
		if state.Status == hsm.Ready || time.Since(state.Since) < withoutModule || p.engine.Status().State != "leader" {
			continue
		}
		if err := p.engine.TransferLeadership(ctx); err != nil {
			p.log.Warn("the module is gone and leadership could not be handed over; will try again", "error", err)
			continue
		}
		p.log.Warn("handed leadership over: the module is gone", "since", state.Since, "reason", state.Reason)
	}
}
