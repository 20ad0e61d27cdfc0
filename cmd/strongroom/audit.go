package main

import "github.com/spf13/cobra"

func newAudit(t *terminal) *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Keep and check evidence of the key-usage log", RunE: needsCommand}
	o := connectionFlags(c)
	c.AddCommand(newAuditArchive(t, o))
	return c
}
