package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	pollEvery    = 20 * time.Millisecond
	probeTimeout = 3 * time.Second
)

// poll asks check until it answers nil, and gives up when ctx ends or fatal answers an error.
func poll(ctx context.Context, fatal func() error, check func(context.Context) error) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var last error
	for {
		if err := fatal(); err != nil {
			return err
		}
		probe, cancel := context.WithTimeout(ctx, probeTimeout)
		err := check(probe)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // a check that ran out of our time says less than the one before
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), last)
		case <-ticker.C:
		}
	}
}

var probes = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// probe asks a path of the monitoring listener.
func (c *Chassis) probe(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.MetricsAddr()+path, nil)
	if err != nil {
		return err
	}
	answer, err := probes.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return nil
}

func (c *Chassis) live(ctx context.Context) error { return c.probe(ctx, "/livez") }

// Ready asks the node once whether it can verify codes; the error says what it lacks.
func (c *Chassis) Ready(ctx context.Context) error {
	if c.PID() == 0 {
		return ErrOff
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return c.probe(ctx, "/readyz")
}

// AwaitReady returns once the node can verify codes. It ends early when the node's process does.
func (c *Chassis) AwaitReady(ctx context.Context) error {
	c.mu.Lock()
	p, id := c.running, c.ID()
	c.mu.Unlock()
	if p == nil {
		return fmt.Errorf("waiting for %s: %w", id, ErrOff)
	}
	err := poll(ctx, func() error { return c.ended(p) }, func(ctx context.Context) error { return c.probe(ctx, "/readyz") })
	if err != nil {
		return c.withLog(fmt.Errorf("waiting for %s to be ready: %w", id, err))
	}
	return nil
}

// AwaitNotReady returns once the node says that it can't verify codes.
func (c *Chassis) AwaitNotReady(ctx context.Context) error {
	err := poll(ctx, func() error { return nil }, func(ctx context.Context) error {
		if c.Ready(ctx) == nil {
			return errors.New("it says that it is ready")
		}
		return nil
	})
	if err != nil {
		return c.withLog(fmt.Errorf("waiting for %s to be not ready: %w", c.ID(), err))
	}
	return nil
}

func (c *Chassis) ended(p *process) error {
	if !p.ended() {
		return nil
	}
	return fmt.Errorf("the node ended: %s", p.cmd.ProcessState)
}
