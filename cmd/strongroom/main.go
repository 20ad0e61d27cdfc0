// Command strongroom is the one binary: it serves a node, founds and joins clusters, and is what operators type.
//
// Data alone goes to stdout, so that it can be piped; everything else goes to stderr with the program's name in front.
// Nothing secret is ever taken from a flag or the environment: it is read from a file, from stdin, or from the terminal
// without echo.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
