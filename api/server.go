package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
)

// Server runs an API on its listeners. API, TLS and Listener are required.
type Server struct {
	API      *API
	TLS      *tls.Config  // of ServerTLS
	Listener net.Listener // TCP; TLS is put on it here
	// Metrics, if set, serves /metrics and nothing else, in clear and to everybody who reaches it.
	Metrics net.Listener
	// Public, if set, serves the log's checkpoints and tiles and nothing else, in clear and to everybody who reaches it; see
	// API.Public.
	Public net.Listener
}

// Run serves until ctx ends, then lets the requests that are under way finish, for at most 15 s, and closes the
// listeners. It returns nil after such an end.
func (s *Server) Run(ctx context.Context) error {
	own := newHTTPServer(s.API, s.API.log)
	own.RegisterOnShutdown(s.API.end)
	servers := map[*http.Server]net.Listener{own: tls.NewListener(s.Listener, s.TLS)}
	if s.Metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.API.Metrics())
		servers[newHTTPServer(mux, s.API.log)] = s.Metrics
	}
	if s.Public != nil {
		public := newHTTPServer(s.API.Public(), s.API.log)
		public.IdleTimeout = publicTimeout // connections are few
		servers[public] = limitListener(s.Public, maxPublicConnections)
	}
	group, ctx := errgroup.WithContext(ctx)
	for server, listener := range servers {
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving on %v: %w", listener.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			s.API.Close()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
			defer cancel()
			if err := server.Shutdown(grace); err != nil {
				_ = server.Close()
				return fmt.Errorf("shutting down %v: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

func newHTTPServer(h http.Handler, log hclog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withPeer,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          log.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
}
