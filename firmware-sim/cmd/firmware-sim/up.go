package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	firmwaresim "strongroom.internal/firmware-sim"
	"strongroom.internal/firmware-sim/site"
)

// upTimeout bounds the way to three ready nodes and the demo.
const upTimeout = 3 * time.Minute

type upOptions struct {
	dir    string
	binary string
	nodes  int
	demo   bool
}

func newUp(dir *string) *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use:   "up",
		Short: "Power the rack up and hold it until Ctrl-C",
		Long: `Builds the rack the first time, founds a cluster on it and joins all nodes; later finds it as it was. Tokens that were
left out are put back, and a node whose disk was wiped comes back as a new one. A second Ctrl-C ends everything at once.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.dir = *dir
			if o.binary == "" {
				own, err := os.Executable()
				if err != nil {
					return fmt.Errorf("finding strongroom: %w", err)
				}
				o.binary = filepath.Join(filepath.Dir(own), "strongroom")
			}
			return up(c, o)
		},
	}
	c.Flags().StringVar(&o.binary, "binary", "", "the strongroom program (default: the one beside this program)")
	c.Flags().IntVar(&o.nodes, "nodes", 3, "chassis of a new rack")
	c.Flags().BoolVar(&o.demo, "demo", false, "enrol a demo account, serve the demo's sign-in site and print what to try")
	return c
}

func up(c *cobra.Command, o upOptions) (err error) {
	ctx := c.Context()
	unlock, err := lock(o.dir)
	if err != nil {
		return err
	}
	defer unlock()
	starting, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	rack, err := firmwaresim.OpenOrCreate(starting, firmwaresim.Config{
		Dir: o.dir, Binary: o.binary, Nodes: o.nodes, Progress: prefixed{c.ErrOrStderr()},
	})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(c.ErrOrStderr(), "firmware-sim: powering off")
		err = errors.Join(err, rack.Close())
	}()
	control, err := listen(rack)
	if err != nil {
		return err
	}
	defer control.close()
	if o.demo {
		if err := site.WritePlaces(rack); err != nil {
			return err
		}
	}
	if err := rack.Up(starting); err != nil {
		if ctx.Err() != nil {
			return nil // told to end while it started
		}
		return err
	}
	if o.demo {
		d, err := newDemo(starting, rack)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		served, err := site.Start(starting, rack, site.Config{Tenant: demoTenant, Log: slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))})
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("starting the demo's site: %w", err)
		}
		defer func() { err = errors.Join(err, served.Close()) }()
		if err := d.print(c.OutOrStdout()); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "The demo's sign-in site, with a new Mac and a trusted phone side by side: %s\n", served.URL)
	}
	fmt.Fprintln(c.OutOrStdout(), "Strongroom is ready. Ctrl-C takes it down; the same command finds it as it was.")
	<-ctx.Done()
	return nil
}

// lock keeps a second program from powering the same rack up.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the rack's directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the rack: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the rack in %s is up already; `firmware-sim status --rack %[1]s` shows it", dir)
		}
		return nil, fmt.Errorf("locking the rack: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// prefixed puts the program's name in front of each message.
type prefixed struct {
	to interface{ Write([]byte) (int, error) }
}

func (p prefixed) Write(b []byte) (int, error) {
	if _, err := p.to.Write(append([]byte("firmware-sim: "), b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}
