package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/wire"
)

func newAccountRecovery(t *terminal, o *accountOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "recovery ACCOUNT",
		Short: "Show how the newest recovery of an account stands, with an explanation to read out",
		Long: `For the help desk: a helpdesk's certificate is enough. There is no command that makes a recovery faster: its date follows
from its start, the policy of that day, and the evidence that the person gives to the front-end.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			r, err := cluster.Recovery(ctx, args[0])
			if err != nil {
				return err
			}
			return t.print(r, func(w io.Writer) { recoveryTable(w, r) })
		},
	}
}

func recoveryTable(w io.Writer, r wire.Recovery) {
	var helps []string
	for _, h := range r.Helps {
		helps = append(helps, fmt.Sprintf("%s (%d h)", h.Kind, h.Hours))
	}
	fmt.Fprintf(w, "recovery\t%s\nstate\t%s\nstarted\t%s\nready\t%s\nexpires\t%s\nevidence\t%s\nwould help\t%s\n", r.ID, r.State,
		r.Started.Format(time.RFC3339), r.Ready.Format(time.RFC3339), r.Expires.Format(time.RFC3339),
		or(strings.Join(r.Evidence, ", "), "none"), or(strings.Join(helps, ", "), "nothing"))
	if !r.Ended.IsZero() {
		fmt.Fprintf(w, "ended\t%s\n", r.Ended.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "\n%s\n", r.Explanation)
}
