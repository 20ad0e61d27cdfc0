package main

import (
	"context"
	"time"

	"strongroom.internal/hsm"
)

// unfitFor is how long a leader may be without its module, or without a disk that takes the key-usage log, before it hands
// over: it can't sign a new connection's handshake, or keep what it decides for others to read, so it must not be the node
// that all others need. A hiccup shorter than this is not worth an election.
const unfitFor = 2 * time.Second

// yieldWhenUnfit hands leadership over while this node's module is gone or its log's files can't be written, until ctx
// ends.
func (p *parts) yieldWhenUnfit(ctx context.Context) {
	tick := time.NewTicker(unfitFor / 4)
	defer tick.Stop()
	var since time.Time // of trouble with the log
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why := ""
		if state := p.pool.State(); state.Status != hsm.Ready && time.Since(state.Since) >= unfitFor {
			why = "the module is gone: " + state.Reason
		}
		err := p.engine.Log().Health()
		switch {
		case err == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= unfitFor:
			why = "the key-usage log: " + err.Error()
		}
		if why == "" || p.engine.Status().State != "leader" {
			continue
		}
		if err := p.engine.TransferLeadership(ctx); err != nil {
			p.log.Warn("leadership should be handed over and could not be; will try again", "why", why, "error", err)
			continue
		}
		p.log.Warn("handed leadership over", "why", why)
	}
}
