package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	firmwaresim "strongroom.internal/firmware-sim"
)

// socketName is the socket in the rack's directory, whose owner alone can reach it.
const socketName = "control.sock"

// verb is something that is done to one chassis.
type verb struct {
	name, short string
	do          func(context.Context, *firmwaresim.Rack, *firmwaresim.Chassis) error
}

var verbs = []verb{
	{"power-on", "Power a chassis on", func(ctx context.Context, _ *firmwaresim.Rack, c *firmwaresim.Chassis) error {
		return c.PowerOn(ctx)
	}},
	{"power-off", "Shut a chassis down in order", onChassis((*firmwaresim.Chassis).PowerOff)},
	{"kill", "Take the power of a chassis away (SIGKILL)", onChassis((*firmwaresim.Chassis).Kill)},
	{"pause", "Have a chassis hang (SIGSTOP)", onChassis((*firmwaresim.Chassis).Pause)},
	{"resume", "Let a paused chassis go on", onChassis((*firmwaresim.Chassis).Resume)},
	{"pull-token", "Pull the token out of a chassis", onChassis((*firmwaresim.Chassis).PullToken)},
	{"insert-token", "Put the token back", onChassis((*firmwaresim.Chassis).InsertToken)},
	{"wipe", "Erase the disk of a chassis that is off", onChassis((*firmwaresim.Chassis).WipeDisk)},
	{"replace", "Put a new box in the place of a chassis that is off: it joins as a new node", replace},
}

func onChassis(do func(*firmwaresim.Chassis) error) func(context.Context, *firmwaresim.Rack, *firmwaresim.Chassis) error {
	return func(_ context.Context, _ *firmwaresim.Rack, c *firmwaresim.Chassis) error { return do(c) }
}

// replace does what an operator does whose box burned down.
func replace(ctx context.Context, r *firmwaresim.Rack, c *firmwaresim.Chassis) error {
	if err := r.Replace(ctx, c); err != nil {
		return err
	}
	if err := r.Join(ctx, c); err != nil {
		return err
	}
	return c.PowerOn(ctx)
}

// operationTimeout bounds one operation.
const operationTimeout = 90 * time.Second

// control is the server that the other commands ask.
type control struct {
	rack   *firmwaresim.Rack
	server *http.Server
	done   chan struct{}
}

func listen(r *firmwaresim.Rack) (*control, error) {
	path := filepath.Join(r.Dir(), socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an up that was killed
		return nil, fmt.Errorf("listening for commands: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening for commands: %w", err)
	}
	c := &control{rack: r, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.status)
	mux.HandleFunc("GET /leader", c.leader)
	for _, v := range verbs {
		mux.HandleFunc("POST /chassis/{n}/"+v.name, c.do(v))
	}
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(c.done)
		_ = c.server.Serve(listener) // ends with close
	}()
	return c, nil
}

func (c *control) close() {
	_ = c.server.Close()
	<-c.done
}

// rackStatus is the rack as `status` shows it.
type rackStatus struct {
	Chassis []firmwaresim.Status `json:"chassis"`
	Leader  string               `json:"leader,omitempty"`
}

func (c *control) status(w http.ResponseWriter, request *http.Request) {
	s := rackStatus{Chassis: c.rack.Status(request.Context())}
	if leader, err := c.findLeader(request.Context(), 2*time.Second); err == nil {
		s.Leader = leader.ID()
	}
	answer(w, s)
}

func (c *control) leader(w http.ResponseWriter, request *http.Request) {
	leader, err := c.findLeader(request.Context(), 15*time.Second)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, leader.ID())
}

func (c *control) findLeader(ctx context.Context, timeout time.Duration) (*firmwaresim.Chassis, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.rack.Leader(ctx)
}

func (c *control) do(v verb) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		chassis, err := c.rack.Find(request.PathValue("n"))
		if err != nil {
			refuse(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(request.Context(), operationTimeout)
		defer cancel()
		if err := v.do(ctx, c.rack, chassis); err != nil {
			refuse(w, err)
			return
		}
		answer(w, chassis.Status(ctx))
	}
}

func answer(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(data)
}

func refuse(w http.ResponseWriter, err error) {
	w.WriteHeader(http.StatusConflict)
	_, _ = w.Write([]byte(err.Error()))
}
