package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"strongroom.internal/appliance"
)

// exchange is one request and what became of it.
type exchange struct {
	requestID      string
	route          string // pattern; empty while none matched
	caller         appliance.Caller
	identified     bool // caller is set
	idempotencyKey string
	body           []byte
	outcome        string // of an attempt
	problem        string // name of the problem that was answered
	err            error  // its cause
	status         int
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
}

// recorder notes the status.
type recorder struct {
	http.ResponseWriter
	e *exchange
}

func (w *recorder) WriteHeader(status int) {
	if w.e.status == 0 {
		w.e.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.e.status == 0 {
		w.e.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP is the way in for every request of the API.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(a.mux, w, r) }

// serve names a request, routes it, and notes what became of it.
func (a *API) serve(mux *http.ServeMux, rw http.ResponseWriter, r *http.Request) {
	start := time.Now()
	e := &exchange{requestID: requestID(r.Header)}
	w := &recorder{ResponseWriter: rw, e: e}
	h := rw.Header()
	h["X-Request-Id"] = []string{e.requestID}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e))
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			err := fmt.Errorf("panic: %v", p)
			a.log.Error("panic while answering", "request", e.requestID, "route", e.route, "panic", p, "stack", string(debug.Stack()))
			if e.status == 0 {
				a.fail(w, r, err)
			}
		}
		a.finish(r, e, time.Since(start))
	}()
	if err := checkPath(r); err != nil {
		a.fail(w, r, err)
		return
	}
	mux.ServeHTTP(w, r)
}

// Shared header values; nothing writes to them.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// requestID is the client's, if it is well-formed, or 16 random bytes.
func requestID(h http.Header) string {
	if v := h["X-Request-Id"]; len(v) == 1 && len(v[0]) <= maxRequestID && validID(v[0]) {
		return v[0]
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// guard is what stands before each route's handler: overload, role, inputs that all routes share, a deadline.
func (a *API) guard(pattern string, next http.Handler) http.Handler {
	allowed, known := access[pattern]
	if !known {
		panic("api: no row in the access table for " + pattern)
	}
	lean := pattern == verifyRoute && !a.plain
	limited := !unlimited[pattern]
	timeout, waits := patient[pattern]
	if !waits {
		timeout = a.requestTimeout
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := exchangeOf(r.Context())
		e.route = pattern
		if waits {
			if a.waiting.Add(1) > maxPatient {
				a.waiting.Add(-1)
				a.fail(w, r, errOverloaded)
				return
			}
			defer a.waiting.Add(-1)
			// What bounds other requests would end these. Not every ResponseWriter has deadlines; a server's has.
			control := http.NewResponseController(w)
			_ = control.SetReadDeadline(time.Time{})
			_ = control.SetWriteDeadline(time.Now().Add(timeout + writeTimeout))
		} else if limited {
			if a.inFlight.Add(1) > a.maxInFlight {
				a.inFlight.Add(-1)
				a.fail(w, r, errOverloaded)
				return
			}
			defer a.inFlight.Add(-1)
		}
		if err := a.admit(e, r, allowed); err != nil {
			a.fail(w, r, err)
			return
		}
		if waits {
			leave, ok := a.waitingOf.enter(e.caller.Tenant)
			if !ok {
				a.fail(w, r, errOverloaded)
				return
			}
			defer leave()
		}
		if err := checkPathValues(r); err != nil {
			a.fail(w, r, err)
			return
		}
		var err error
		if e.idempotencyKey, err = idempotencyKey(r.Header); err != nil {
			a.fail(w, r, err)
			return
		}
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			if e.body, err = readBody(w, r); err != nil {
				a.fail(w, r, err)
				return
			}
			if !lean {
				if err := a.replayBody(e, r); err != nil {
					a.fail(w, r, err)
					return
				}
			}
		}
		ctx, cancel := r.Context(), context.CancelFunc(func() {})
		if timeout > 0 {
			ctx, cancel = context.WithTimeout(ctx, timeout)
		}
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// places counts the requests of each tenant that wait.
type places struct {
	mu sync.Mutex // guards what follows
	of map[string]int
}

// enter takes a place, until leave is called. It is false when the tenant has as many as it may. Operators and auditors are
// of no tenant, and count as one.
func (p *places) enter(tenant string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[tenant] >= maxPatientOfOne {
		return nil, false
	}
	if p.of == nil {
		p.of = map[string]int{}
	}
	p.of[tenant]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.of[tenant]--; p.of[tenant] == 0 {
			delete(p.of, tenant)
		}
	}, true
}

// admit fills in who asks and refuses whom the table does not name.
func (a *API) admit(e *exchange, r *http.Request, allowed roles) error {
	caller, err := a.caller(r)
	if err == nil {
		e.caller, e.identified = caller, true
	}
	switch {
	case allowed == nobody:
		return nil
	case err != nil:
		return err
	case !allowed.has(caller.Role):
		a.service.NoteRefusal(caller, e.route)
		return fmt.Errorf("%v asks for %s: %w", caller.Role, e.route, errForbidden)
	}
	return nil
}

// replayBody checks the body's names and lets the handler read it again.
func (a *API) replayBody(e *exchange, r *http.Request) error {
	r.Body = http.NoBody
	if len(e.body) == 0 {
		return nil
	}
	if err := checkNames(e.body); err != nil {
		return err
	}
	r.Body = newBody(e.body)
	return nil
}

// unrouted answers what no pattern matches.
func (a *API) unrouted(w http.ResponseWriter, r *http.Request) {
	probe := &http.Request{URL: r.URL, Host: r.Host}
	for _, probe.Method = range [...]string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		if _, pattern := a.mux.Handler(probe); pattern != "/" {
			w.Header().Add("Allow", probe.Method)
		}
	}
	if w.Header().Get("Allow") != "" {
		a.fail(w, r, errMethod)
		return
	}
	a.fail(w, r, errNoRoute)
}

// finish counts the request and logs what an operator has to know. The key-usage log has the rest.
func (a *API) finish(r *http.Request, e *exchange, took time.Duration) {
	a.metrics.observe(e, took)
	level := a.log.Debug
	switch {
	case e.problem == internalKind.name:
		level = a.log.Error
	case e.status >= 500:
		level = a.log.Warn
	case errors.Is(e.err, errForbidden):
		level = a.log.Warn
	case !a.debug:
		return
	}
	args := []any{"request", e.requestID, "method", r.Method, "route", e.route, "status", e.status, "took", took}
	if e.identified {
		args = append(args, "identity", e.caller.Identity)
	}
	if e.problem != "" {
		args = append(args, "problem", e.problem, "error", e.err)
	}
	level("request", args...)
}
