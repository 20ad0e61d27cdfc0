package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// LogEvent is what a follower of the key-usage log hears: an entry or a checkpoint.
type LogEvent struct {
	Index      int64  // of the entry
	Entry      []byte // its exact bytes; nil for a checkpoint
	Checkpoint []byte // the signed note; nil for an entry. It is not verified
}

// followSilence is how long a node may say nothing before it is given up: it says something every 15 s.
const followSilence = 45 * time.Second

// FollowLog calls fn for each entry from an index on, each once and in their order, and for each newer checkpoint after
// the entries that it covers. A negative index stands for the next entry that is logged. When a node goes away it goes on
// with another where it was, for as long as it takes. It ends with ctx, with an error of fn, or with a *Problem that a
// node decided on, such as that the entries were pruned.
func (c *Client) FollowLog(ctx context.Context, from int64, fn func(LogEvent) error) error {
	if from < 0 {
		head, err := c.LogHead(ctx)
		if err != nil {
			return err
		}
		from = head.Size
	}
	f := &follower{client: c, next: from, fn: fn}
	tried, wait, hopes := make([]bool, len(c.nodes.list)), minWait, 0
	for round := 0; ; {
		at, addr := c.nodes.pick(tried, time.Now())
		tried[at] = true
		round++
		heard, err := f.follow(ctx, addr)
		failure, again := err.(*attemptError)
		if !again {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if heard {
			c.nodes.answered(at)
			wait = minWait
		}
		c.nodes.failed(at, failure.retryAfter, time.Now())
		if !failure.hopeless {
			hopes++
		}
		if round < len(tried) {
			continue
		}
		if hopes == 0 {
			return exhausted(nil, failure.err, nil)
		}
		clear(tried)
		round, hopes = 0, 0
		if !sleep(ctx, max(wait/2+mathrand.N(wait/2), time.Millisecond)) {
			return ctx.Err()
		}
		wait = min(2*wait, maxWait)
	}
}

// follower is where a FollowLog stands.
type follower struct {
	client *Client
	next   int64 // the entry that comes next
	origin []byte
	size   int64 // of the last checkpoint, under that origin
	fn     func(LogEvent) error
}

// errOurs is an error of fn.
type errOurs struct{ error }

// follow listens to one node. Its error is never nil; it is an *attemptError when the next node may be asked. heard says
// that the node told something.
func (f *follower) follow(ctx context.Context, addr string) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(f.client.attemptTimeout, cancel)
	defer silence.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/v1/log/stream?from="+strconv.FormatInt(f.next, 10), nil)
	if err != nil {
		return false, fmt.Errorf("following the log: %w", err)
	}
	answer, err := f.client.http.Do(r)
	if err != nil {
		return false, &attemptError{err: fmt.Errorf("asking %s: %w", addr, err), hopeless: certificateTrouble(err)}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, maxEventData))
		return false, decision(addr, answer, body)
	}
	err = readEvents(answer.Body, func() { silence.Reset(followSilence) }, func(e serverEvent) error {
		err := f.take(e)
		heard = heard || err == nil
		return err
	})
	if own, ok := err.(errOurs); ok {
		return heard, own.error
	}
	return heard, &attemptError{err: fmt.Errorf("following the log at %s: %w", addr, err)}
}

// take passes an event on.
func (f *follower) take(e serverEvent) error {
	switch e.name {
	case "entry":
		if e.id != strconv.FormatInt(f.next, 10) {
			return fmt.Errorf("%w: entry %.32q came where entry %d was next", errEvent, e.id, f.next)
		}
		if err := f.fn(LogEvent{Index: f.next, Entry: e.data}); err != nil {
			return errOurs{err}
		}
		f.next++
	case "checkpoint":
		origin, rest, _ := bytes.Cut(e.data, []byte("\n"))
		number, _, _ := bytes.Cut(rest, []byte("\n"))
		size, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: a checkpoint without a size", errEvent)
		}
		if bytes.Equal(origin, f.origin) && size <= f.size {
			return nil // of a node that is behind the one before
		}
		f.origin, f.size = bytes.Clone(origin), size
		if err := f.fn(LogEvent{Checkpoint: e.data}); err != nil {
			return errOurs{err}
		}
	}
	return nil
}
