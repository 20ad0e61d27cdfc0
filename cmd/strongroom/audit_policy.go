package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"strongroom.internal/appliance/audit"
)

func newAuditPolicy(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Print the policy that the cluster proposes: its nodes' keys, a majority of which has to sign",
		Long: `Prints the policy that the cluster proposes, as it is, whatever --output says. It is only as good as the way it came:
compare each key with what the node's owner says by another way, then keep the file where nobody else can write.`,
		Args: cobra.NoArgs,
	}
	o := connectionFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cluster, ctx, end, err := o.open(c)
		if err != nil {
			return err
		}
		defer end()
		b, err := cluster.LogPolicy(ctx)
		if err != nil {
			return err
		}
		if _, err := audit.ParsePolicy(b); err != nil {
			return fmt.Errorf("the cluster proposes what is no policy: %w", err)
		}
		_, err = t.out.Write(b)
		return err
	}
	return c
}
