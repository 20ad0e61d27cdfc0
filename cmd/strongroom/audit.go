package main

import "github.com/spf13/cobra"

func newAudit(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Export, verify and archive the key-usage log",
		Long: `What an auditor does. export, policy and archive ask the cluster, with an auditor's certificate; verify and receipt need
no network and no node, and are also in the small program strongroom-verify.`,
		Example: `  strongroom audit policy > strongroom.policy      # once; compare it with what the nodes' owners say
  strongroom audit export --from 2026-01-01 --to 2026-03-31 --out q1.tar
  strongroom audit verify q1.tar --policy strongroom.policy`,
		RunE: needsCommand,
	}
	c.AddCommand(newAuditExport(t), newAuditVerify(t), newAuditReceipt(t), newAuditPolicy(t), newAuditArchive(t))
	return c
}
