package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/appliance"
	"strongroom.internal/cmd/strongroom/internal/config"
)

// healthServer answers monitoring in clear on api.metrics_listen, from the first moment on: it needs no key, so it also
// answers while the module is gone. It tells nothing that has to be kept from who can reach it.
type healthServer struct {
	server *http.Server
	whole  atomic.Pointer[http.ServeMux] // once the node is up
}

// readyTimeout bounds the question whether there is a quorum.
const readyTimeout = 2 * time.Second

// listenHealth starts the server if one is configured.
func listenHealth(cfg *config.Config, log hclog.Logger) (*healthServer, error) {
	h := &healthServer{}
	if cfg.API.MetricsListen == "" {
		return h, nil
	}
	listener, err := net.Listen("tcp", cfg.API.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("listening for monitoring (api.metrics_listen): %w", err)
	}
	h.server = &http.Server{
		Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 8 << 10,
	}
	go func() {
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("monitoring is not answered any more", "error", err)
		}
	}()
	return h, nil
}

// serve takes the node's own answers once it is up.
func (h *healthServer) serve(metrics http.Handler, ready func(context.Context) []appliance.Check) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		for _, c := range ready(ctx) {
			if c.Err != nil {
				notReady(w, c.Name)
				return
			}
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	h.whole.Store(mux)
}

func (h *healthServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if mux := h.whole.Load(); mux != nil {
		mux.ServeHTTP(w, r)
		return
	}
	switch r.URL.Path {
	case "/livez":
		live(w, r)
	case "/readyz":
		notReady(w, "module")
	default:
		http.NotFound(w, r)
	}
}

func live(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// notReady names the check that failed and nothing more.
func notReady(w http.ResponseWriter, check string) {
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, "not ready: "+check+"\n")
}

func (h *healthServer) close() {
	if h.server != nil {
		_ = h.server.Close()
	}
}
