package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

func newAccountAppPassword(t *terminal, o *accountOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "app-password",
		Short: "Make, list, revoke and verify passwords of programs that can't ask for a code",
		RunE:  needsCommand,
	}
	c.AddCommand(newAppPasswordCreate(t, o), newAppPasswordList(t, o), newAppPasswordRevoke(t, o), newAppPasswordVerify(t, o))
	return c
}

func newAppPasswordCreate(t *terminal, o *accountOptions) *cobra.Command {
	var r wire.AppPasswordRequest
	var lifetime time.Duration
	c := &cobra.Command{
		Use:   "create ACCOUNT --label TEXT",
		Short: "Make an app password and show it, once",
		Long: `Prints 16 letters, once: they can't be had again. They open their service without a second factor. The tenant's policy
must allow it (strongroom policy set TENANT --allow-app-passwords).`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("lifetime") {
				if lifetime <= 0 {
					return usage(c, errors.New("--lifetime must be above zero"))
				}
				r.Expires = time.Now().Add(lifetime).UTC().Truncate(time.Second)
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			a, err := cluster.CreateAppPassword(ctx, args[0], r)
			if err != nil {
				return err
			}
			if a.Password.IsZero() {
				return fmt.Errorf("app password %s was shown before and can't be had again; revoke it and make another", a.AppPassword.ID)
			}
			t.say("made app password %s; what follows is shown this once", a.AppPassword.ID)
			return t.printSecret(a, func(w io.Writer) { fmt.Fprintln(w, a.Password.Reveal()) })
		},
	}
	f := c.Flags()
	f.StringVar(&r.Label, "label", "", "what its owner calls the application")
	f.StringVar(&r.Service, "service", "", "the only service that it opens (default: any)")
	f.StringVar(&r.Network, "network", "", "the only network that it is heard from, CIDR (default: any)")
	f.DurationVar(&lifetime, "lifetime", 0, "for how long it lives (default: until it is revoked)")
	_ = c.MarkFlagRequired("label")
	return c
}

func newAppPasswordList(t *terminal, o *accountOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "list ACCOUNT",
		Short: "List an account's app passwords",
		Args:  cobra.ExactArgs(1),
		RunE: callsOn(o, (*client.Client).AppPasswords, func(list []wire.AppPassword) error {
			return t.print(list, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tLABEL\tSERVICE\tNETWORK\tADDED\tEXPIRES\tLAST USED\tFROM")
				for _, k := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Label, or(k.Service, "any"), or(k.Network, "any"),
						moment(k.Added), moment(k.Expires), moment(k.LastUsed), or(k.LastFrom, "-"))
				}
			})
		}),
	}
}

func newAppPasswordRevoke(t *terminal, o *accountOptions) *cobra.Command {
	var all, yes bool
	c := &cobra.Command{
		Use:   "revoke ACCOUNT [ID]",
		Short: "Revoke an app password, or all of them with --all; they are dead at once",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 2) {
				return usage(c, errors.New("give an app password's id, or --all"))
			}
			account, id, name := args[0], "", args[0]
			consequence := fmt.Sprintf("This revokes all app passwords of account %s for good.", account)
			if !all {
				id, name = args[1], args[1]
				consequence = fmt.Sprintf("This revokes app password %s of account %s for good.", id, account)
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			if err := t.confirm(yes, name, consequence); err != nil {
				return err
			}
			if all {
				err = cluster.RevokeAppPasswords(ctx, account)
			} else {
				err = cluster.RevokeAppPassword(ctx, account, id)
			}
			if err != nil {
				return err
			}
			revoked := or(id, "all")
			return t.print(map[string]string{"revoked": revoked}, func(w io.Writer) { fmt.Fprintf(w, "revoked %s\n", revoked) })
		},
	}
	c.Flags().BoolVar(&all, "all", false, "revoke all, because the account's password was changed")
	c.Flags().BoolVar(&yes, "yes", false, "do it without being asked")
	return c
}

func newAppPasswordVerify(t *terminal, o *accountOptions) *cobra.Command {
	var r wire.VerifyAppPasswordRequest
	c := &cobra.Command{
		Use:   "verify ACCOUNT",
		Short: "Verify an app password from stdin: one attempt",
		Long: `Reads an app password from stdin, or from the terminal without echo, and prints the outcome: accepted, wrong or locked.
Exit code 4: it was not accepted.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if r.Password, err = t.secretOnWire("App password"); err != nil {
				return err
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			v, err := cluster.VerifyAppPassword(ctx, args[0], r)
			if err != nil {
				return err
			}
			return t.printAttempt(v, attempt{"app password", "app password", v.AppPassword, v.Outcome, v.RetryAt, v.Replayed, v.Entry})
		},
	}
	c.Flags().StringVar(&r.Service, "service", "", "the service that is being opened")
	c.Flags().StringVar(&r.SourceIP, "source-ip", "", "the application's address")
	return c
}
