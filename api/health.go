package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
)

// readinessAge bounds how old an answer of readyz may be: it asks the cluster, and strangers may ask it.
const readinessAge = 250 * time.Millisecond

// readiness remembers the last answer for a moment, and has callers wait for the one who asks.
type readiness struct {
	mu     sync.Mutex
	at     time.Time
	answer wire.Readiness
}

func (a *API) ready(ctx context.Context) wire.Readiness {
	r := &a.readiness
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && time.Since(r.at) < readinessAge {
		return r.answer
	}
	answer := wire.Readiness{Ready: true}
	// The answer is for everybody who waits: that the first one goes away must not spoil it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	for _, c := range a.service.Ready(ctx) {
		check := wire.Check{Name: c.Name, OK: c.Err == nil}
		if c.Err != nil {
			answer.Ready, check.Error = false, c.Err.Error()
		}
		answer.Checks = append(answer.Checks, check)
	}
	r.answer, r.at = answer, time.Now()
	return answer
}

func (a *API) registerHealth(h huma.API) {
	huma.Register(h, operation("GET /livez", "livez", "cluster", "Is the process alive?",
		"It is, if this answers; whether it can verify codes is readyz.", http.StatusNoContent),
		func(context.Context, *empty) (*empty, error) { return nil, nil })

	huma.Register(h, operation("GET /readyz", "readyz", "cluster", "Can this node verify codes now?",
		"200 when it can, 503 when not. With a certificate it lists what was checked.", http.StatusOK),
		func(ctx context.Context, _ *empty) (*struct {
			Status int
			Body   wire.Readiness
		}, error,
		) {
			answer, status := a.ready(ctx), http.StatusOK
			if !answer.Ready {
				status = http.StatusServiceUnavailable
			}
			if !exchangeOf(ctx).identified {
				answer.Checks = nil
			}
			return &struct {
				Status int
				Body   wire.Readiness
			}{status, answer}, nil
		})
}
