package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"strongroom.internal/api/wire"
)

// maxAnswer bounds an answer in bytes: 512 entries of the log at their largest.
const maxAnswer = 64 << 20

// Waits between rounds over all nodes.
const (
	minWait = 20 * time.Millisecond
	maxWait = time.Second
)

// repeatable says when a call that may have been done may be sent again.
type repeatable uint8

const (
	never  repeatable = iota // a second time would have a second effect: only what surely was not done is sent again
	keyed                    // with its Idempotency-Key
	always                   // it changes nothing, or the same thing twice
)

// call is one logical request.
type call struct {
	method, path string // path with its query, escaped
	body         any    // nil: none
	repeat       repeatable
	answer       any           // to decode into; nil: none
	raw          *[]byte       // to put an answer into that is not JSON
	patience     time.Duration // what a node may take for it beyond the usual
}

// do sends a call until it is answered, decided on, or out of time.
func (c *Client) do(ctx context.Context, k call) error {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = wire.Marshal(k.body); err != nil {
			return fmt.Errorf("%s %s: %w", k.method, k.path, err)
		}
		defer clear(body)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	key := ""
	if k.repeat == keyed {
		if key, _ = ctx.Value(keyContext{}).(string); key == "" {
			key = rand.Text()
		}
	}
	var (
		unknown error // the first failure after which it may have been done
		last    error
		tried   = make([]bool, len(c.nodes.list)) // in this round
		round   int                               // how many of them
		hopes   int                               // of how many of them more can be hoped
		wait    = minWait
	)
	for {
		at, addr := c.nodes.pick(tried, time.Now())
		tried[at] = true
		round++
		err := c.attempt(ctx, addr, k, body, key)
		failure, again := err.(*attemptError)
		if !again {
			c.nodes.answered(at) // an answer or a decision: the node is well
			var p *Problem
			if unknown != nil && k.method == http.MethodDelete && errors.As(err, &p) && p.Named("not-found") {
				return nil // an earlier attempt did it
			}
			return err
		}
		if ctx.Err() == nil || failure.effect == wire.EffectNone {
			c.nodes.failed(at, failure.retryAfter, time.Now())
		}
		last = failure.err
		if !failure.hopeless {
			hopes++
		}
		if failure.effect == wire.EffectUnknown && k.method != http.MethodGet {
			if unknown == nil {
				unknown = failure.err
			}
			if k.repeat == never {
				return fmt.Errorf("%w: %w", ErrUnknownOutcome, unknown)
			}
		}
		if round == len(tried) {
			if hopes == 0 {
				return exhausted(unknown, last, nil)
			}
			clear(tried)
			round, hopes = 0, 0
			if !sleep(ctx, max(wait/2+mathrand.N(wait/2), time.Millisecond)) {
				return exhausted(unknown, last, ctx.Err())
			}
			wait = min(2*wait, maxWait)
		}
		if ctx.Err() != nil {
			return exhausted(unknown, last, ctx.Err())
		}
	}
}

// exhausted is the error of a call that ran out of time, or of nodes.
func exhausted(unknown, last, end error) error {
	err := fmt.Errorf("%w: %w", ErrUnavailable, last)
	if unknown != nil {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, unknown)
	}
	if end != nil {
		err = fmt.Errorf("%w (%w)", err, end)
	}
	return err
}

// sleep is false when the context ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attemptError is a failure after which the call may be tried elsewhere.
type attemptError struct {
	err        error
	effect     string // wire.EffectNone or wire.EffectUnknown
	hopeless   bool   // this node will say the same again
	retryAfter time.Duration
}

func (e *attemptError) Error() string { return e.err.Error() }

// attempt sends a call to one node. It returns nil, an *attemptError, or what the node decided.
func (c *Client) attempt(ctx context.Context, addr string, k call, body []byte, key string) error {
	ctx, cancel := context.WithTimeout(ctx, c.attemptTimeout+k.patience)
	defer cancel()
	var connected atomic.Bool // from then on the node may have read the request
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	r, err := http.NewRequestWithContext(ctx, k.method, "https://"+addr+k.path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	if body == nil {
		r.Body, r.GetBody, r.ContentLength = nil, nil, 0
	} else {
		r.Header["Content-Type"] = []string{"application/json"}
	}
	if key != "" {
		r.Header["Idempotency-Key"] = []string{key}
	}
	answer, err := c.http.Do(r)
	if err != nil {
		effect := wire.EffectNone
		if connected.Load() {
			effect = wire.EffectUnknown
		}
		hopeless := certificateTrouble(err)
		if hopeless {
			effect = wire.EffectNone // the handshake was not finished on the node's side, whatever it looked like on ours
		}
		return &attemptError{err: fmt.Errorf("asking %s: %w", addr, err), effect: effect, hopeless: hopeless}
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil || len(read) > maxAnswer {
		return &attemptError{err: fmt.Errorf("reading the answer of %s: %w", addr, errors.Join(err, errTooLong(len(read)))), effect: wire.EffectUnknown}
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		if k.raw != nil {
			*k.raw = read
		}
		if k.answer == nil {
			return nil
		}
		if err := json.Unmarshal(read, k.answer); err != nil {
			// Not the cause: it may quote what was read.
			return fmt.Errorf("%w: reading the answer of %s: it is not the JSON that was expected", ErrUnknownOutcome, addr)
		}
		return nil
	}
	return decision(addr, answer, read)
}

func errTooLong(n int) error {
	if n > maxAnswer {
		return errors.New("it is too long")
	}
	return nil
}

// decision is the error of an answer that is no success: a *Problem, in an *attemptError if it may be tried elsewhere.
func decision(addr string, answer *http.Response, body []byte) error {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Type == "" || p.Status != answer.StatusCode {
		p = &Problem{Type: "about:blank", Title: "An answer that is not Strongroom's", Status: answer.StatusCode}
		if answer.StatusCode >= 500 {
			p.Effect = wire.EffectUnknown // of a proxy on the way, say
		}
	}
	retry := answer.StatusCode == http.StatusServiceUnavailable && p.Effect == wire.EffectNone ||
		answer.StatusCode >= 500 && answer.StatusCode != http.StatusInternalServerError && p.Effect == wire.EffectUnknown
	if !retry {
		if p.Effect == wire.EffectUnknown {
			return fmt.Errorf("asking %s: %w: %w", addr, ErrUnknownOutcome, p)
		}
		return p
	}
	seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
	return &attemptError{
		err: fmt.Errorf("asking %s: %w", addr, p), effect: p.Effect, retryAfter: time.Duration(max(seconds, 0)) * time.Second,
	}
}
