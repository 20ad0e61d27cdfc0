package main

import (
	"github.com/spf13/cobra"

	"strongroom.internal/appliance/audit/export"
)

func newAuditVerify(t *terminal) *cobra.Command {
	v := export.VerifyCommand{}
	c := &cobra.Command{
		Use:   "verify DIR|FILE.tar --policy FILE",
		Short: "Verify an export: signatures, tiles, every entry, and that the range is whole",
		Long: `Verifies an export offline. The first thing that is wrong is named, with its place, and ends it with exit code 4; exit
code 1 says that the export could not be read. What it shows is printed: who signed, first and last entry, and totals
for each operation, day and key (text has the most used keys, --output json has all).`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v.Path, v.JSON = args[0], t.format == "json"
			return refused(v.Run(c.Context(), t.out, export.Progress(t.say)))
		},
	}
	c.Flags().StringVar(&v.Policy, "policy", "", "policy file: the keys that you trust, and how many have to have signed")
	c.Flags().StringVar(&v.Since, "since", "", "earlier export or checkpoint file that it has to be consistent with")
	_ = c.MarkFlagRequired("policy")
	return c
}

// refused gives what must not be believed an exit code of its own.
func refused(err error) error {
	if err != nil && export.Refused(err) {
		return &exitError{exitRefused, err}
	}
	return err
}
