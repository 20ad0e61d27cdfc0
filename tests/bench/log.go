package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	firmwaresim "strongroom.internal/firmware-sim"
)

const (
	logRounds   = 6
	logAccounts = 600 // of a round
	logGuesses  = 25  // at each, below its budget
	logCallers  = 64
)

// measureLog compares nodes that keep the key-usage log with nodes that were built without it (the tag nolog), both racks
// up at once and asked in turn, so that what else the machine does hits both. Each request is a wrong code: computed in the
// module, committed and, where there is a log, an entry, a leaf of the tree, a part of a bundle, and under a checkpoint a
// second.
func measureLog(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "strongroom-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	section("The key-usage log: with it and without")
	var racks [2]*bencher
	for i, tags := range []string{"", "nolog"} {
		binary := filepath.Join(dir, "strongroom"+tags)
		build := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-o", binary, "strongroom.internal/cmd/strongroom")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building strongroom: %w: %s", err, out)
		}
		rack, err := firmwaresim.Create(ctx, firmwaresim.Config{
			Dir: filepath.Join(dir, "rack"+tags), Binary: binary, TrustDomain: benchDomain,
		})
		if err != nil {
			return err
		}
		defer func() { _ = rack.Close() }()
		if err := rack.Up(ctx); err != nil {
			return err
		}
		if racks[i], err = newBencher(ctx, rack); err != nil {
			return err
		}
		if err := racks[i].create(ctx, logRounds*logAccounts); err != nil {
			return err
		}
	}
	var sums [2]struct {
		cpu, elapsed time.Duration
		requests     int
	}
	for round := range logRounds {
		for turn := range racks {
			i := (turn + round) % 2 // who goes first takes turns
			m, err := racks[i].guess(ctx, logCallers, racks[i].accounts[round*logAccounts:(round+1)*logAccounts], logGuesses)
			if err != nil {
				return err
			}
			for _, d := range m.cpu {
				sums[i].cpu += d
			}
			sums[i].elapsed += m.elapsed
			sums[i].requests += m.requests
		}
	}
	var rate, cpu [2]float64
	for i, name := range []string{"with the log", "without"} {
		rate[i] = float64(sums[i].requests) / sums[i].elapsed.Seconds()
		cpu[i] = float64(sums[i].cpu.Microseconds()) / float64(sums[i].requests)
		fmt.Printf("%-14s %8.0f verifications/s  %6.0f us of processor each, client included  (%d requests)\n", name, rate[i], cpu[i], sums[i].requests)
	}
	fmt.Printf("the log costs %.1f %% of the rate, and %.1f %% more processor time\n", 100*(1-rate[0]/rate[1]), 100*(cpu[0]/cpu[1]-1))
	return nil
}
