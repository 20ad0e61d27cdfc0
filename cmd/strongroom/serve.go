package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"strongroom.internal/api"
	"strongroom.internal/appliance"
	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/hsm"
)

// closeTimeout bounds an orderly end: hand over the lead, finish requests, flush the state.
const closeTimeout = 30 * time.Second

func newServe(t *terminal) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run this node",
		Long: `Runs this node until SIGTERM or SIGINT: then it hands leadership over, finishes the requests under way, and ends.

It starts without its module and says so until the module is there: api.metrics_listen answers /livez and /readyz
meanwhile; the API, whose key is in the module, doesn't listen yet.

Under systemd use Type=notify, Restart=always and RestartPreventExitStatus=78; WatchdogSec= works too. Exit code 78:
the configuration, the PIN or the module is wrong, and starting again can't help; a PIN that is tried again and again
locks the token. Exit code 70: the node must not go on, because its disk failed or hung, or because its state was changed,
damaged or set back: the log says which.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return &exitError{exitConfig, err}
			}
			log := newLogger(cfg, t.err)
			if err := harden(); err != nil {
				log.Warn("this process could not be hardened", "error", err)
			}
			err = serve(c.Context(), cfg, log)
			if errors.Is(err, hsm.ErrPIN) || errors.Is(err, hsm.ErrUnfit) || errors.Is(err, errNoIdentity) {
				err = &exitError{exitConfig, errors.New(explain(err))}
			}
			if errors.Is(err, appliance.ErrRolledBack) {
				err = &exitError{exitFatal, err}
			}
			return err
		},
	}
	configFlag(c, &path)
	return c
}

// collectAt lets garbage grow to four times what is alive before it is collected, unless GOGC says otherwise. A node
// keeps little alive on Go's heap, the state's cache being outside of it: at the default of 100 a busy node collects
// several times a second.
const collectAt = 400

// serve runs a node until ctx ends.
func serve(ctx context.Context, cfg *config.Config, log hclog.Logger) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	unlock, err := lockDataDir(cfg.Node.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	id, err := servable(cfg)
	if err != nil {
		return err
	}
	health, err := listenHealth(cfg, log)
	if err != nil {
		return err
	}
	defer health.close()
	system := newSystemd()
	log.Info("starting", "node", id.NodeID, "cluster", id.ClusterID, "version", version)

	p := &parts{config: cfg, id: id, log: log, machine: &appliance.Machine{}}
	p.pool, err = awaitModule(ctx, cfg, log, func(err error) { system.status("waiting for the module: " + err.Error()) })
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to end while it waited
		}
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, p.close(end))
		log.Info("ended", "node", id.NodeID)
	}()
	if err := p.openEngine(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // told to end while it opened
		}
		return err
	}
	if err := p.newService(); err != nil {
		return err
	}
	server, err := p.newServer()
	if err != nil {
		return err
	}
	health.serve(server.API.Metrics(), p.service.Ready)
	return p.run(ctx, server, system)
}

// servable reads the identity and refuses a data directory that is not this node's, or not ready.
func servable(cfg *config.Config) (*identity, error) {
	dir := cfg.Node.DataDir
	if _, err := os.Stat(filepath.Join(dir, foundingFile)); err == nil {
		return nil, fmt.Errorf("`strongroom init` was interrupted on this node; run it again, it goes on where it was")
	}
	id, err := readIdentity(dir)
	if errors.Is(err, errNoIdentity) {
		return nil, fmt.Errorf("%w: found a cluster with `strongroom init`, or join one with `strongroom join`", err)
	}
	if err != nil {
		return nil, err
	}
	if id.NodeID != cfg.Node.ID {
		return nil, fmt.Errorf("%s is of node %s, and node.id is %s: put node.id back, an id is never changed", dir, id.NodeID,
			cfg.Node.ID)
	}
	return id, nil
}

func (p *parts) newServer() (*api.Server, error) {
	certificate, err := moduleCertificate(p.pool, p.id)
	if err != nil {
		return nil, err
	}
	_, authority, err := p.id.certificates()
	if err != nil {
		return nil, err
	}
	handler, err := api.New(api.Config{
		Service: p.service, TrustDomain: p.id.TrustDomain, Log: p.log.Named("api"),
		MaxInFlight: p.config.Limits.RequestsInFlight,
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", p.config.API.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for clients (api.listen): %w", err)
	}
	server := &api.Server{API: handler, TLS: api.ServerTLS(certificate, authority), Listener: listener}
	if address := p.config.Audit.PublicListen; address != "" {
		if server.Public, err = net.Listen("tcp", address); err != nil {
			return nil, errors.Join(fmt.Errorf("listening for the public (audit.public_listen): %w", err), listener.Close())
		}
	}
	return server, nil
}

// run serves until ctx ends or a part fails, and ends the parts in order: the lead goes to another node while this one
// still answers, then the API finishes what it has, then upkeep stops. The engine and the module are closed by serve.
func (p *parts) run(ctx context.Context, server *api.Server, system *systemd) error {
	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	serving, stopServing := context.WithCancel(failed)
	working, stopWorking := context.WithCancel(failed)
	defer stopServing()
	defer stopWorking()
	apiEnded := make(chan struct{})
	group.Go(func() error {
		defer close(apiEnded)
		return server.Run(serving)
	})
	group.Go(func() error { return p.service.Run(working) })
	group.Go(func() error { p.yieldWhenUnfit(working); return nil })
	group.Go(func() error { system.run(working, p.statusLine, p.responsive); return nil })
	system.ready()
	p.log.Info("serving", "api", p.config.API.Listen, "cluster", p.config.Cluster.Listen)
	if p.config.Audit.PublicListen != "" {
		p.log.Info("the key-usage log is public", "address", p.config.Audit.PublicListen)
	}
	select {
	case <-ctx.Done():
		p.log.Info("ending: told to")
	case <-failed.Done():
		p.log.Error("ending: a part failed")
	}
	system.stopping()
	handOver, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout/3)
	if err := p.engine.TransferLeadership(handOver); err != nil {
		p.log.Debug("leadership was not handed over", "error", err) // a cluster of one has nobody to take it
	}
	cancel()
	stopServing()
	<-apiEnded
	stopWorking()
	return group.Wait()
}

// statusLine is for systemctl status.
func (p *parts) statusLine() string {
	s := p.engine.Status()
	return fmt.Sprintf("%s; leader %s; module %v; %d log entries", s.State, or(s.Leader, "unknown"), p.pool.State().Status, s.LogSize)
}

// responsive is for the watchdog: it returns when the engine answers, and hangs when the engine does.
func (p *parts) responsive() { _ = p.engine.Status() }

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
