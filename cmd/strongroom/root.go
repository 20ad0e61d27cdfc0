package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailure  = 1
	exitUsage    = 2
	exitNoQuorum = 3  // status and health: no quorum, or a node is not ready
	exitRefused  = 4  // account verify: the code was not accepted; audit: what was looked at must not be believed
	exitFatal    = 70 // serve: this node must not go on (EX_SOFTWARE), as package cluster ends it
	exitConfig   = 78 // serve: starting it again can't help (EX_CONFIG); for RestartPreventExitStatus=
)

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// run is the program, without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &terminal{in: stdin, out: stdout, err: stderr}
	root := newRoot(t)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	t.say("%s", explain(err))
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitFailure
}

// Groups of commands in the help.
const (
	groupNode    = "node"
	groupCluster = "cluster"
	groupTenant  = "tenant"
)

func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "strongroom",
		Short: "Verifies sign-in codes in hardware, on every node of a cluster",
		Long: `Strongroom answers one question for sign-in services: is the person who is signing in really the owner of this
account? Seeds stay in hardware, codes are computed there, each opens one sign-in, and each key use is in a log.

Commands of a node take --config. Commands of a client take --nodes and --credentials, or a client configuration
(default ~/.config/strongroom/client.toml).`,
		Args:              cobra.NoArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		RunE:              needsCommand,
	}
	root.PersistentFlags().Var(&t.format, "output", "how data is written: text or json")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err) })
	root.AddGroup(
		&cobra.Group{ID: groupNode, Title: "On a node:"},
		&cobra.Group{ID: groupCluster, Title: "For operators and auditors:"},
		&cobra.Group{ID: groupTenant, Title: "For front-ends:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupNode, newConfig(t), newInit(t), newJoin(t), newServe(t), newHealth(t), newVersion(t))
	add(groupCluster, newStatus(t), newToken(t), newNode(t), newClient(t), newPolicy(t), newWebhook(t), newLog(t), newAudit(t))
	add(groupTenant, newAccount(t), newDevice(t), newRadius(t))
	root.AddCommand(newTrust(t))
	wrapArgs(root)
	return root
}

// needsCommand answers a command that is only a heading.
func needsCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, fmt.Errorf("unknown command %q", args[0]))
	}
	return c.Help()
}

// usage is a mistake on the command line.
func usage(c *cobra.Command, err error) error {
	return &exitError{exitUsage, fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
}

// wrapArgs makes mistakes in arguments and missing flags usage errors, with cobra's suggestions where it has some.
func wrapArgs(c *cobra.Command) {
	check := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if check == nil {
			check = cobra.ArbitraryArgs
		}
		if c.HasSubCommands() && len(args) > 0 {
			err := fmt.Errorf("unknown command %q", args[0])
			c.SuggestionsMinimumDistance = 2 // edits
			if like := c.SuggestionsFor(args[0]); len(like) > 0 {
				err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(like, ", "))
			}
			return usage(c, err)
		}
		if err := check(c, args); err != nil {
			return usage(c, fmt.Errorf("%w: %s", err, c.UseLine()))
		}
		if err := c.ValidateRequiredFlags(); err != nil {
			return usage(c, err)
		}
		return nil
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}
