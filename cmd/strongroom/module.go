package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/hsm"
	"strongroom.internal/hsm/pkcs11"
)

// openModule opens the configured module and the pool over it. A refused PIN is hsm.ErrPIN, a module that can't keep a
// promise hsm.ErrUnfit, one that is not there hsm.ErrGone.
func openModule(ctx context.Context, c *config.Config, log hclog.Logger) (*hsm.Pool, error) {
	if err := setSoftHSM(c); err != nil {
		return nil, err
	}
	backend, err := pkcs11.Open(ctx, pkcs11Config(c))
	if err != nil {
		return nil, fmt.Errorf("opening the module: %w", err)
	}
	pool := hsm.NewPool(backend, hsm.PoolConfig{
		Sessions: c.Module.Sessions, Resident: c.Module.Resident, OnChange: func(s hsm.State) {
			if s.Status == hsm.Ready {
				log.Info("the module is ready")
				return
			}
			log.Error("the module can't be used", "status", s.Status, "reason", s.Reason)
		},
	})
	if err := pool.Start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the module: %w", err), pool.Close())
	}
	return pool, nil
}

func pkcs11Config(c *config.Config) pkcs11.Config {
	return pkcs11.Config{
		Module: c.Module.Path, TokenLabel: c.Module.TokenLabel, TokenSerial: c.Module.Serial, PIN: c.PIN,
	}
}

// errModuleUsed: the token belongs to a cluster, or to a founding or joining that was interrupted.
var errModuleUsed = errors.New("the token holds a cluster's wrapping key already; if that is of an init or a join that was " +
	"interrupted, and of no node that runs, initialise the token again")

// moduleUnused refuses a token that holds a wrapping key: errModuleUsed.
func moduleUnused(ctx context.Context, pool *hsm.Pool) error {
	checks, err := pool.KeyChecks(ctx)
	switch {
	case errors.Is(err, hsm.ErrNoKey) || err == nil && len(checks) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("looking for keys on the token: %w", err)
	}
	return errModuleUsed
}

// setSoftHSM sets SOFTHSM2_CONF, for C as well: the library reads it when it is loaded, which is once.
func setSoftHSM(c *config.Config) error {
	if c.Module.SoftHSM2Conf == "" {
		return nil
	}
	if err := os.Setenv("SOFTHSM2_CONF", c.Module.SoftHSM2Conf); err != nil {
		return fmt.Errorf("setting SOFTHSM2_CONF: %w", err)
	}
	return nil
}

// Waiting for a module that is not there.
const (
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// awaitModule opens the module, and waits while it is not there: a node whose module comes back late must not need
// anybody's hand. A refused PIN is final at once: trying again would lock it.
func awaitModule(ctx context.Context, c *config.Config, log hclog.Logger, waiting func(error)) (*hsm.Pool, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		pool, err := openModule(ctx, c, log)
		if err == nil || !errors.Is(err, hsm.ErrGone) || ctx.Err() != nil {
			return pool, err
		}
		waiting(err)
		log.Warn("the module is not there; will try again", "in", wait, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// moduleCertificate is the node's certificate with its key in the module.
func moduleCertificate(pool *hsm.Pool, id *identity) (func() (*tls.Certificate, error), error) {
	chain, _, err := id.certificates()
	if err != nil {
		return nil, err
	}
	return func() (*tls.Certificate, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		signer, err := pool.Signer(ctx, hsm.KeyIdentity)
		if err != nil {
			return nil, fmt.Errorf("finding the identity key: %w", err)
		}
		return &tls.Certificate{Certificate: chain, PrivateKey: signer}, nil
	}, nil
}
