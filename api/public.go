package api

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"

	"strongroom.internal/api/wire"
)

// The public listener is for mirrors, monitors and witnesses: the log as C2SP tlog-tiles has it, to everybody, without a
// certificate, in clear (signatures protect it), and with CORS, so that a page in a browser can verify it. A tree is at
// /log/<tree>, so that its origin is its address without a scheme when the trust domain is the host's name.
//
// It can't be reached through it that anything but the log is there.

// publicRoutes are all that it serves.
var publicRoutes = [...]string{
	"GET /log/{tree}/checkpoint", "GET /log/{tree}/tile/{path...}", "GET /log/trees", "GET /log/policy",
}

// Public is the handler of the public listener.
func (a *API) Public() http.Handler {
	mux := http.NewServeMux()
	for i, serve := range [...]http.HandlerFunc{a.serveCheckpoint, a.serveTile(publicCache), a.servePublicTrees, a.servePublicPolicy} {
		mux.Handle(publicRoutes[i], a.public(publicRoutes[i], serve))
	}
	mux.HandleFunc("GET /log/{tree}/tile", a.nothing)
	mux.HandleFunc("OPTIONS /log/", preflight)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			a.fail(w, r, errMethod)
			return
		}
		a.fail(w, r, errNoRoute)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "ETag, Content-Range, Retry-After, X-Request-Id")
		a.serve(mux, w, r)
	})
}

// public is what stands before each public route: a bound and a deadline.
func (a *API) public(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r.Context()).route = pattern
		if a.publicInFlight.Add(1) > maxPublicInFlight {
			a.publicInFlight.Add(-1)
			a.fail(w, r, errOverloaded)
			return
		}
		defer a.publicInFlight.Add(-1)
		ctx, cancel := context.WithTimeout(r.Context(), publicTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// preflight answers browsers that ask before they send a Range or an If-None-Match.
func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD")
	h.Set("Access-Control-Allow-Headers", "Range, If-None-Match")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) servePublicTrees(w http.ResponseWriter, r *http.Request) {
	trees, err := a.logTrees(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	body, err := wire.Marshal(trees)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, "application/json", body)
}

func (a *API) servePublicPolicy(w http.ResponseWriter, r *http.Request) {
	policy, err := a.service.LogPolicy(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer(w, textType, policy)
}

func answer(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client has gone: nobody is left to tell
}

// limitListener accepts at most n connections at a time: strangers must not use up what the node's own need.
func limitListener(l net.Listener, n int) net.Listener {
	return &limitedListener{Listener: l, free: make(chan struct{}, n), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	free   chan struct{} // holds one for each open connection
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, leave: func() { <-l.free }}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.once.Do(c.leave)
	return c.Conn.Close()
}
