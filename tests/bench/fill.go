package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/cluster"
	firmwaresim "strongroom.internal/firmware-sim"
)

// fill grows the state of a founded node that is off by n accounts with an authenticator each. It is a fast path of the
// bench's own: the commands go straight to the node's engine, run in this process, and the seeds are random bytes that
// no module sealed. Nobody verifies these accounts; they are there to be in the way.
func fill(ctx context.Context, c *firmwaresim.Chassis, n int) error {
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	config := authority.engine(c.ID(), filepath.Join(c.DataDir(), "cluster"), &appliance.Machine{})
	config.Listen, config.Advertise = c.ClusterAddr(), c.ClusterAddr()
	node, err := cluster.Open(ctx, config)
	if err != nil {
		return fmt.Errorf("opening the engine of %s: %w", c.ID(), err)
	}
	if err := awaitLeader(ctx, node); err != nil {
		return err
	}
	var next atomic.Int64
	start := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	for range 512 {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= int64(n) || groupCtx.Err() != nil {
					return groupCtx.Err()
				}
				if i > 0 && i%200_000 == 0 {
					fmt.Printf("  %d accounts after %s\n", i, time.Since(start).Round(time.Second))
				}
				if err := fillOne(groupCtx, node, i); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("filling: %w", err)
	}
	fmt.Printf("  %d accounts in %s (fast path: straight into the engine, seeds of random bytes)\n",
		n, time.Since(start).Round(time.Second))
	return node.Close(ctx)
}

func fillOne(ctx context.Context, node *cluster.Raft, i int64) error {
	command := account.Command{
		Time: account.Time(time.Now().UnixMilli()), Tenant: benchTenant, Account: fmt.Sprintf("f%07d", i),
		Actor: "spiffe://" + benchDomain + "/operator/bench", Salt: random(account.SaltSize), Node: "n1", Module: "none",
	}
	create, enrol := command, command
	create.Create = &account.Create{}
	enrol.Enrol = &account.Enrol{Door: account.SealedDoor, Credential: account.Credential{
		ID: "filler", Kind: account.Device, SeedVersion: 1, KeyVersion: 1, Seed: random(110), PublicKey: random(91),
		Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30},
	}}
	for _, c := range []*account.Command{&create, &enrol} {
		if _, err := node.Propose(ctx, append([]byte{'a'}, account.EncodeCommand(c)...)); err != nil {
			return err
		}
	}
	return nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
