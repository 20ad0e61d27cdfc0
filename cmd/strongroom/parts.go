package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/place"
	"strongroom.internal/cluster"
	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/hsm"
)

// parts are what a node is put together from, once it has an identity and an open module.
type parts struct {
	config  *config.Config
	id      *identity
	log     hclog.Logger
	pool    *hsm.Pool
	machine *appliance.Machine
	engine  *cluster.Raft
	service *appliance.Service
	places  *place.Database
}

// engineConfig is the engine's.
func (p *parts) engineConfig() (cluster.Config, error) {
	certificate, err := moduleCertificate(p.pool, p.id)
	if err != nil {
		return cluster.Config{}, err
	}
	_, authority, err := p.id.certificates()
	if err != nil {
		return cluster.Config{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return cluster.Config{
		NodeID:       p.config.Node.ID,
		DataDir:      filepath.Join(p.config.Node.DataDir, clusterDir),
		Listen:       p.config.Cluster.Listen,
		Advertise:    p.config.ClusterAddress(),
		Certificate:  certificate,
		Roots:        roots,
		TrustDomain:  p.id.TrustDomain,
		Machine:      p.machine,
		SnapshotMAC:  p.snapshotMAC,
		Logger:       p.log.Named("cluster"),
		Heartbeat:    p.config.Cluster.Heartbeat,
		CacheBytes:   int64(p.config.Limits.CacheMiB) << 20,
		MinFreeBytes: uint64(p.config.Limits.MinFreeMiB) << 20,
	}, nil
}

// snapshotTimeout bounds the module's part in sending or taking a snapshot.
const snapshotTimeout = 10 * time.Second

func (p *parts) snapshotMAC(message []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	return p.pool.SnapshotMAC(ctx, message)
}

// openEngine opens the engine. Only a node that joined and has never started gets a new directory: any other whose
// directory is missing has lost its disk, and would vote twice.
func (p *parts) openEngine(ctx context.Context) error {
	c, err := p.engineConfig()
	if err != nil {
		return err
	}
	if !p.id.Started {
		p.engine, err = cluster.OpenJoining(ctx, c)
		if errors.Is(err, cluster.ErrExists) { // the process ended before it could note that it had started
			p.engine, err = cluster.Open(ctx, c)
		}
		if err != nil {
			return err
		}
		p.id.Started = true
		return p.id.write(p.config.Node.DataDir)
	}
	if p.engine, err = cluster.Open(ctx, c); errors.Is(err, cluster.ErrNoNode) {
		return fmt.Errorf("%w. This node had a state and it is gone. It can't go on as %s, which may have voted: remove the "+
			"node with `strongroom node remove %s`, initialise its token again, empty %s, give it a new node.id and join",
			err, p.config.Node.ID, p.config.Node.ID, p.config.Node.DataDir)
	}
	return err
}

// newService makes the use cases over the open engine.
func (p *parts) newService() (err error) {
	c := appliance.Config{
		NodeID: p.config.Node.ID, Pool: p.pool, Engine: p.engine, Members: p.engine, Machine: p.machine,
		Memory: newSignedMemory(p.config.Node.DataDir), Log: p.log.Named("appliance"), Version: version,
	}
	if p.places, err = place.Open(p.config.Place.MMDB); err != nil {
		p.log.Warn("sign-ins will have no place", "error", err)
	}
	c.Locate = p.places.Locate
	if p.config.HasSOPIN() {
		c.Trust = trustInOtherProcess(p.config.Path())
	}
	p.service, err = appliance.New(c)
	return err
}

// trustInOtherProcess has this program mark a transport key trusted in a process of its own: login is a state of the
// process, and on one token the security officer and the user can't both be in it.
func trustInOtherProcess(configPath string) func(context.Context, []byte) error {
	return func(ctx context.Context, pkix []byte) error {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		var said bytes.Buffer
		c := exec.CommandContext(ctx, self, trustCommand, "--config", configPath)
		c.Stdin, c.Stderr = bytes.NewReader(pkix), &said
		if err := c.Run(); err != nil {
			return fmt.Errorf("marking the transport key trusted: %w: %s", err, strings.TrimSpace(said.String()))
		}
		return nil
	}
}

// close ends the engine and the module, in this order.
func (p *parts) close(ctx context.Context) error {
	var errs []error
	if p.engine != nil {
		errs = append(errs, p.engine.Close(ctx))
	}
	errs = append(errs, p.places.Close())
	if p.pool != nil {
		errs = append(errs, p.pool.Close())
	}
	return errors.Join(errs...)
}
