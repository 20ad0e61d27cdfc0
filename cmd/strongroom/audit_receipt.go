package main

import (
	"github.com/spf13/cobra"

	"strongroom.internal/appliance/audit/export"
)

func newAuditReceipt(t *terminal) *cobra.Command {
	v := export.ReceiptCommand{}
	c := &cobra.Command{
		Use:   "receipt FILE --policy FILE",
		Short: "Verify a receipt, and show its entry",
		Long: `Verifies a receipt (a C2SP tlog-proof) offline: its checkpoint is signed as the policy wants, and its entry is in that
log. Exit code 4: it must not be believed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			v.Path, v.JSON = args[0], t.format == "json"
			return refused(v.Run(t.out))
		},
	}
	c.Flags().StringVar(&v.Policy, "policy", "", "policy file: the keys that you trust, and how many have to have signed")
	_ = c.MarkFlagRequired("policy")
	return c
}
