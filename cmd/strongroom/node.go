package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newNode(t *terminal) *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Remove nodes", RunE: needsCommand}
	o := connectionFlags(c)
	c.AddCommand(newNodeRemove(t, o))
	return c
}

func newNodeRemove(t *terminal, o *connection) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove NODE",
		Short: "Remove a node from the cluster for good",
		Long: `Ends the node's membership: it has no vote and is talked to no more, and its id is never given again. Its module keeps
the keys until its token is initialised again; of a node that was stolen, the wrapping key has to be rotated as well.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id := args[0]
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			consequence := fmt.Sprintf("This removes node %s from the cluster for good; its id can't come back.", id)
			if err := t.confirm(yes, id, consequence); err != nil {
				return err
			}
			if err := cluster.RemoveNode(ctx, id); err != nil {
				return err
			}
			return t.print(map[string]string{"removed": id}, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", id) })
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without being asked")
	return c
}
