package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func newToken(t *terminal) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make tokens that let nodes join", RunE: needsCommand}
	o := connectionFlags(c)
	c.AddCommand(newTokenCreate(t, o))
	return c
}

func newTokenCreate(t *terminal, o *connection) *cobra.Command {
	var lifetime time.Duration
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a token that lets one node join once",
		Long: `Prints the token, once. Whoever holds it can bring the wrapping key into a module of theirs: pass it on like a key,
and never on a command line. It is used up by the first node that joins with it.`,
		Example: "  (umask 077; strongroom token create >token)",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if lifetime < time.Minute || lifetime > 24*time.Hour {
				return usage(c, fmt.Errorf("--lifetime %v is not between 1m and 24h", lifetime))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			token, err := cluster.CreateJoinToken(ctx, lifetime)
			if err != nil {
				return err
			}
			t.say("this token lets one node join until %s", token.Expires.Format(time.RFC3339))
			return t.printSecret(token, func(w io.Writer) { fmt.Fprintln(w, token.Token.Reveal()) })
		},
	}
	c.Flags().DurationVar(&lifetime, "lifetime", time.Hour, "from 1m to 24h")
	return c
}
