package hsm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// watcher asks a pool's module whether it is there, from a session of its own, and brings it back.
type watcher struct {
	pool    *Pool
	session Session
	pending chan error // of a ping or recovery that has not ended yet
}

func (w *watcher) watch(ctx context.Context) {
	defer func() {
		if w.session != nil && w.pending == nil {
			_ = w.session.Close()
		}
	}()
	for {
		wait := w.pool.config.PingEvery
		status := w.pool.State().Status
		if status != Ready {
			wait = w.pool.config.RecoverEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		switch w.pool.State().Status {
		case PINRefused:
			continue // only a restart with another PIN helps
		case Ready:
			w.judge(ctx, w.ping(ctx))
		default:
			w.judge(ctx, w.bringBack(ctx))
		}
	}
}

// judge turns the answer to a ping or a recovery into a state.
func (w *watcher) judge(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	switch {
	case err == nil:
		w.pool.setState(Ready, nil)
	case errors.Is(err, ErrPIN):
		w.pool.setState(PINRefused, err)
	default:
		w.pool.setState(Gone, err)
	}
}

// within runs fn and gives it until the deadline; while an earlier one is still inside the module, no other is begun.
func (w *watcher) within(ctx context.Context, deadline time.Duration, fn func() error) error {
	if w.pending == nil {
		pending := make(chan error, 1)
		w.pending = pending
		go func() { pending <- fn() }()
	}
	select {
	case err := <-w.pending:
		w.pending = nil
		return err
	case <-time.After(deadline):
		return fmt.Errorf("%w: it has not answered for %v", ErrGone, deadline)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *watcher) ping(ctx context.Context) error {
	return w.within(ctx, pingDeadline, func() error {
		if w.session == nil {
			session, err := w.pool.backend.OpenSession(context.WithoutCancel(ctx))
			if err != nil {
				return err
			}
			w.session = session
		}
		err := w.session.Ping()
		if err != nil {
			_ = w.session.Close()
			w.session = nil
		}
		return err
	})
}

// bringBack recovers the module, installs the cluster's keys again, and lets the callers in.
func (w *watcher) bringBack(ctx context.Context) error {
	return w.within(ctx, 10*time.Second, func() error {
		w.session = nil
		if err := w.pool.backend.Recover(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		session, err := w.pool.backend.OpenSession(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		w.session = session
		if err := session.Ping(); err != nil {
			return err
		}
		w.pool.mu.Lock()
		keys := w.pool.installed
		w.pool.mu.Unlock()
		for _, k := range keys {
			if err := session.InstallClusterKey(k); err != nil {
				return fmt.Errorf("installing the %s key again: %w", k.Name, err)
			}
		}
		w.pool.resident.clear()
		w.pool.counters.recoveries.Add(1)
		w.pool.epoch.Add(1)
		return nil
	})
}
