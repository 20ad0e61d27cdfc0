// Command firmware-sim powers up a rack of virtual Strongroom appliances and does to them what one does to real boxes:
// kill, pause, pull the token.
//
// `firmware-sim up` runs in the foreground and holds the nodes: when it ends, they end. The other commands ask it, over
// a socket in the rack's directory. Data alone goes to stdout, messages to stderr with the program's name in front.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the next one ends the program at once, and the nodes with it.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program, without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "firmware-sim: %v\n", err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "firmware-sim",
		Short: "A rack of virtual Strongroom appliances on this machine",
		Long: `Each chassis has a SoftHSM token, a disk, a configuration and addresses of its own, in a directory of the rack.
"up" powers the rack up and holds it; the other commands are for another terminal meanwhile. N is 1, 2, ... or a node's id.

Virtual hardware protects nothing: the PINs lie next to the tokens.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
	}
	var dir string
	root.PersistentFlags().StringVar(&dir, "rack", "run", "the rack's directory")
	root.AddCommand(newUp(&dir), newStatus(&dir), newLeader(&dir))
	for _, verb := range verbs {
		root.AddCommand(newVerb(&dir, verb))
	}
	return root
}
