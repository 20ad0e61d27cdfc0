// Bench measures what one verification costs: three real nodes on this machine, each a process with a SoftHSM token of its
// own, asked over mutual TLS; and, in the same run, what SoftHSM and Raft alone can do, which is the floor.
//
// The load generator shares the machine with the nodes, so its share is kept small: keep-alive connections, requests
// that are written by hand (wire.go). Numbers from a shared machine are to be compared within one run only.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// options are the command line's.
type options struct {
	accounts int
	large    int
	only     string
	keep     bool
}

func main() { os.Exit(mainCode()) }

func mainCode() int {
	var o options
	flag.IntVar(&o.accounts, "accounts", 24_000, "accounts that are verified, a third on each node")
	flag.IntVar(&o.large, "large", 1_000_000, "accounts of the large state; 0 leaves it out")
	flag.StringVar(&o.only, "only", "", "measure only this part: floor, small, large or log")
	flag.BoolVar(&o.keep, "keep", false, "keep the racks' directories")
	flag.Parse()
	switch {
	case flag.NArg() > 0, o.accounts < 1000, o.large < 0:
		fmt.Fprintln(os.Stderr, "bench: -accounts must be at least 1000, -large not negative, and nothing may follow the flags")
		return 2
	case o.only != "" && o.only != "floor" && o.only != "small" && o.only != "large" && o.only != "log":
		fmt.Fprintln(os.Stderr, "bench: -only must be floor, small, large or log")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func bench(ctx context.Context, o options) error {
	wanted := func(part string) bool { return o.only == "" || o.only == part }
	if wanted("floor") {
		if err := floor(ctx); err != nil {
			return err
		}
	}
	var small, large []row
	var err error
	if wanted("small") {
		if small, err = measureRack(ctx, o, 0); err != nil {
			return err
		}
	}
	if wanted("large") && o.large > 0 {
		if large, err = measureRack(ctx, o, o.large); err != nil {
			return err
		}
	}
	compare(small, large)
	if wanted("log") {
		return measureLog(ctx)
	}
	return nil
}
