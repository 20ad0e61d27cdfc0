package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strongroom.internal/api/wire"
)

func newPolicy(t *terminal) *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Show or set a tenant's policy", RunE: needsCommand}
	o := connectionFlags(c)
	c.AddCommand(newPolicyShow(t, o), newPolicySet(t, o))
	return c
}

func newPolicyShow(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "show TENANT",
		Short: "Show a tenant's policy; one that was never set allows nothing",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			p, err := cluster.Policy(ctx, args[0])
			if err != nil {
				return err
			}
			return t.printPolicy(p)
		},
	}
}

func newPolicySet(t *terminal, o *connection) *cobra.Command {
	var p wire.Policy
	c := &cobra.Command{
		Use:   "set TENANT",
		Short: "Change a tenant's policy; what isn't given stays as it is",
		Long: `Two doors through which a seed is seen outside of the hardware are shut unless they are opened here, and each passage is
in the log: --allow-reveal (a new seed is shown once as a QR code) and --allow-import (an existing seed is taken in).
App passwords open a service without a second factor, and are off unless allowed here: --allow-app-passwords. Shut one
again with =false.`,
		Example: "  strongroom policy set acme --allow-reveal\n  strongroom policy set acme --allow-reveal=false",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			given := c.Flags().Changed
			if !given("allow-reveal") && !given("allow-import") && !given("tell-spent") && !given("allow-app-passwords") {
				return usage(c, fmt.Errorf("nothing to set: give --allow-reveal, --allow-import, --tell-spent or --allow-app-passwords"))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			next, err := cluster.Policy(ctx, args[0])
			if err != nil {
				return err
			}
			for name, to := range map[string][2]*bool{
				"allow-reveal": {&next.AllowReveal, &p.AllowReveal},
				"allow-import": {&next.AllowImport, &p.AllowImport},
				"tell-spent":   {&next.TellSpent, &p.TellSpent},

				"allow-app-passwords": {&next.AllowAppPasswords, &p.AllowAppPasswords},
			} {
				if given(name) {
					*to[0] = *to[1]
				}
			}
			if err := cluster.SetPolicy(ctx, args[0], next); err != nil {
				return err
			}
			return t.printPolicy(next)
		},
	}
	c.Flags().BoolVar(&p.AllowReveal, "allow-reveal", false, "new seeds may be shown once as a QR code")
	c.Flags().BoolVar(&p.AllowImport, "allow-import", false, "existing seeds may be imported")
	c.Flags().BoolVar(&p.TellSpent, "tell-spent", false, "front-ends are told that a right code was used before")
	c.Flags().BoolVar(&p.AllowAppPasswords, "allow-app-passwords", false, "app passwords may be made, and open their services")
	return c
}

func (t *terminal) printPolicy(p wire.Policy) error {
	return t.print(p, func(w io.Writer) {
		fmt.Fprintf(w, "allow-reveal\t%v\nallow-import\t%v\ntell-spent\t%v\n", p.AllowReveal, p.AllowImport, p.TellSpent)
		fmt.Fprintf(w, "allow-app-passwords\t%v\n", p.AllowAppPasswords)
	})
}
