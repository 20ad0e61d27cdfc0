package firmwaresim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

// TestRackOfRealNodes does to a rack of real nodes what the rack offers, one thing after the other, and finds three
// ready nodes after each: powering a rack up takes seconds.
func TestRackOfRealNodes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	binary, err := TestBinary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r, err := Create(ctx, Config{Dir: dir, Binary: binary, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		noProcessLeft(t, dir)
	}()
	up := func(t *testing.T, r *Rack) {
		t.Helper()
		if err := r.Up(ctx); err != nil {
			t.Fatal(err)
		}
	}
	up(t, r)

	t.Run("killing the leader", func(t *testing.T) {
		leader := leaderOf(ctx, t, r)
		if err := leader.Kill(); err != nil {
			t.Fatal(err)
		}
		if next := leaderOf(ctx, t, r); next == leader {
			t.Errorf("%s leads and is off", next.ID())
		}
		up(t, r)
	})
	t.Run("pausing the leader", func(t *testing.T) {
		leader := leaderOf(ctx, t, r)
		if err := leader.Pause(); err != nil {
			t.Fatal(err)
		}
		if got := leader.Power(); got != Paused {
			t.Errorf("it is %v", got)
		}
		if next := leaderOf(ctx, t, r); next == leader {
			t.Errorf("%s leads and is paused", next.ID())
		}
		if err := leader.Resume(); err != nil {
			t.Fatal(err)
		}
		up(t, r)
		if err := leader.AwaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("pulling a token", func(t *testing.T) {
		c := r.Chassis[1]
		if err := c.PullToken(); err != nil {
			t.Fatal(err)
		}
		soon, cancel := context.WithTimeout(ctx, 2*time.Second) // what is promised
		defer cancel()
		if err := c.AwaitNotReady(soon); err != nil {
			t.Error(err)
		}
		for _, other := range []*Chassis{r.Chassis[0], r.Chassis[2]} {
			if err := other.AwaitReady(ctx); err != nil {
				t.Error(err)
			}
		}
		if err := c.InsertToken(); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitReady(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("issuing certificates", func(t *testing.T) {
		issued, err := r.IssueClient(ctx, Frontend, "acme", "web")
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.IssueClient(ctx, Frontend, "acme", "web")
		if err != nil || again != issued {
			t.Errorf("issued twice: %v, %v, %v", issued, again, err)
		}
		frontend, err := r.Client(issued)
		if err != nil {
			t.Fatal(err)
		}
		defer frontend.Close()
		if _, err := frontend.PutAccount(ctx, "alice"); err != nil {
			t.Error(err)
		}
		// The same certificate in the hands of the command line.
		out, err := r.RunAs(ctx, issued, "000000\n", "account", "verify", "alice", "--output", "json")
		if !strings.Contains(out, wire.Wrong) {
			t.Errorf("a code of an account without seeds: %s, %v", out, err)
		}
	})
	t.Run("dumping memory", func(t *testing.T) {
		core, err := r.Chassis[0].CoreDump(ctx, filepath.Join(t.TempDir(), "core"))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(core)
		if err != nil || !bytes.Contains(raw, []byte(r.Chassis[0].APIAddr())) {
			t.Errorf("%d bytes, %v: the node's address is not in its memory", len(raw), err)
		}
	})
	t.Run("wiping a disk", func(t *testing.T) {
		c := r.Chassis[2]
		if err := c.WipeDisk(); !errors.Is(err, ErrOn) {
			t.Errorf("wiped while on: %v", err)
		}
		if err := errors.Join(c.Kill(), c.WipeDisk()); err != nil {
			t.Fatal(err)
		}
		if err := c.PowerOn(ctx); err == nil || !strings.Contains(err.Error(), "in no cluster") {
			t.Errorf("a node without a disk: %v", err)
		}
		up(t, r)
		if got := c.ID(); got != "n3-2" {
			t.Errorf("it came back as %s", got)
		}
	})
	t.Run("finding it again", func(t *testing.T) {
		before, err := r.Cluster(ctx, r.Chassis[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Chassis[0].PullToken(), r.Close()); err != nil {
			t.Fatal(err)
		}
		if r, err = Open(Config{Dir: dir, Binary: binary, Progress: t.Output()}); err != nil {
			t.Fatal(err)
		}
		up(t, r)
		after, err := r.Cluster(ctx, leaderOf(ctx, t, r))
		if err != nil || after.ClusterID != before.ClusterID || after.LogSize < before.LogSize || len(after.Members) != 3 {
			t.Errorf("before %+v, after %+v, %v", before, after, err)
		}
	})
}

func leaderOf(ctx context.Context, t *testing.T, r *Rack) *Chassis {
	t.Helper()
	leader, err := r.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return leader
}

// noProcessLeft looks for processes that were started with a path in dir.
func noProcessLeft(t *testing.T, dir string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			t.Error(fmt.Errorf("left behind: %q", line))
		}
	}
}
