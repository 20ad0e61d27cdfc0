package cluster

import (
	"context"
	"time"
)

// Crash ends the node and leaves on disk what a power cut would leave: the log as far as it was synced, the state as far
// as it was flushed.
func (r *Raft) Crash() {
	r.stopOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r.closeErr = r.stop(ctx, false)
	})
}
