// Command strongroom-verify verifies exports of the key-usage log, and receipts, with nothing but a policy file. It is for
// auditors: it has the same verify and receipt as `strongroom audit`, no network, no hardware, nothing of the appliance,
// and builds anywhere without cgo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"strongroom.internal/appliance/audit/export"
)

// version is set by the linker.
var version = "dev"

// Exit codes, those of strongroom.
const (
	exitFailure = 1 // it could not be read
	exitUsage   = 2
	exitRefused = 4 // it must not be believed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program, without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "strongroom-verify: "+format+"\n", args...) }
	root, began := newRoot(stdout, say), false
	for _, c := range root.Commands() {
		work := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error {
			began = true
			return work(c, args)
		}
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !began:
		say("%v; see `strongroom-verify --help`", err)
		return exitUsage
	}
	say("%v", err)
	if export.Refused(err) {
		return exitRefused
	}
	return exitFailure
}

func newRoot(stdout io.Writer, say func(string, ...any)) *cobra.Command {
	root := &cobra.Command{
		Use:   "strongroom-verify",
		Short: "Verifies exports of a Strongroom cluster's key-usage log, and receipts",
		Long: `Verifies exports of a Strongroom cluster's key-usage log, and receipts, offline. The policy file has the keys that you
trust, and how many of them have to have signed; get it from the nodes' owners and keep it yourself.

Exit code 4: what was to be verified must not be believed. Exit code 1: it could not be read.`,
		Args:              cobra.NoArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		Version:           fmt.Sprintf("%s (%s)", version, runtime.Version()),
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	output := root.PersistentFlags().String("output", "text", "how data is written: text or json")
	policy := root.PersistentFlags().String("policy", "", "policy file (C2SP tlog-policy); required")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		switch {
		case *output != "text" && *output != "json":
			return errors.New("--output must be text or json")
		case c != root && *policy == "":
			return errors.New("--policy is needed")
		}
		return nil
	}
	v := &export.VerifyCommand{}
	verify := &cobra.Command{
		Use:   "verify DIR|FILE.tar --policy FILE",
		Short: "Verify an export: signatures, tiles, every entry, and that the range is whole",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v.Path, v.Policy, v.JSON = args[0], *policy, *output == "json"
			return v.Run(c.Context(), stdout, export.Progress(say))
		},
	}
	verify.Flags().StringVar(&v.Since, "since", "", "earlier export or checkpoint file that it has to be consistent with")
	receipt := &cobra.Command{
		Use:   "receipt FILE --policy FILE",
		Short: "Verify a receipt, and show its entry",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return export.ReceiptCommand{Path: args[0], Policy: *policy, JSON: *output == "json"}.Run(stdout)
		},
	}
	root.AddCommand(verify, receipt)
	return root
}
