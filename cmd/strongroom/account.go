package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// accountOptions are what the commands of accounts share.
type accountOptions struct {
	*connection
	key string // Idempotency-Key
}

func newAccount(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "account",
		Short: "Enrol, verify and remove accounts, with a front-end's certificate",
		Long: `What a front-end does, by hand. Codes, URIs and seeds are read from stdin or from the terminal without echo, never from
a flag.`,
		RunE: needsCommand,
	}
	o := &accountOptions{connection: connectionFlags(c)}
	c.PersistentFlags().StringVar(&o.key, "idempotency-key", "",
		"names the request: repeated with the same key, it is done once and answered alike (default: a new one)")
	c.AddCommand(newAccountCreate(t, o), newAccountShow(t, o), newAccountDelete(t, o), newAccountDevices(t, o),
		newAccountEnrolDevice(t, o), newAccountAddAuthenticator(t, o), newAccountImport(t, o), newAccountImportTwoStep(t, o), newAccountRemove(t, o),
		newAccountVerify(t, o), newAccountResynchronise(t, o), newAccountReceipt(t, o), newAccountAppPassword(t, o), newAccountRecovery(t, o))
	return c
}

// open is connection.open with the request's key in the context.
func (o *accountOptions) open(c *cobra.Command) (*client.Client, context.Context, func(), error) {
	cluster, ctx, end, err := o.connection.open(c)
	if err == nil && o.key != "" {
		ctx = client.WithIdempotencyKey(ctx, o.key)
	}
	return cluster, ctx, end, err
}

func newAccountCreate(t *terminal, o *accountOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "create ACCOUNT",
		Short: "Make sure that an account exists",
		Args:  cobra.ExactArgs(1),
		RunE:  callsOn(o, (*client.Client).PutAccount, t.printAccount),
	}
}

func newAccountShow(t *terminal, o *accountOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "show ACCOUNT",
		Short: "Show an account, its devices and authenticators, and whether it is locked",
		Args:  cobra.ExactArgs(1),
		RunE:  callsOn(o, (*client.Client).Account, t.printAccount),
	}
}

func newAccountDelete(t *terminal, o *accountOptions) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete ACCOUNT",
		Short: "Delete an account with its devices and authenticators, for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			account := args[0]
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			consequence := fmt.Sprintf("This deletes account %s with all its devices and authenticators. Nothing brings them back.", account)
			if err := t.confirm(yes, account, consequence); err != nil {
				return err
			}
			if err := cluster.DeleteAccount(ctx, account); err != nil {
				return err
			}
			return t.print(map[string]string{"deleted": account}, func(w io.Writer) { fmt.Fprintf(w, "deleted %s\n", account) })
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without being asked")
	return c
}

func newAccountDevices(t *terminal, o *accountOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "devices ACCOUNT",
		Short: "List an account's devices and authenticators",
		Args:  cobra.ExactArgs(1),
		RunE: callsOn(o, (*client.Client).Account, func(a wire.Account) error {
			return t.print(a.Credentials, func(w io.Writer) { credentialTable(w, a.Credentials) })
		}),
	}
}

func (t *terminal) printAccount(a wire.Account) error {
	return t.print(a, func(w io.Writer) {
		fmt.Fprintf(w, "account\t%s\ncreated\t%s\nfailures\t%d\nlocked\t%s\n", a.Account, a.Created.Format(time.RFC3339), a.Failures,
			lockedText(a.Locked, a.RetryAt))
		if len(a.Credentials) > 0 {
			fmt.Fprintln(w)
			credentialTable(w, a.Credentials)
		}
	})
}

func lockedText(locked bool, retryAt time.Time) string {
	switch {
	case !locked:
		return "no"
	case retryAt.IsZero():
		return "yes, until its devices and authenticators are replaced"
	}
	return "yes, until " + retryAt.Format(time.RFC3339)
}

func credentialTable(w io.Writer, all []wire.Credential) {
	fmt.Fprintln(w, "ID\tKIND\tNAME\tMODEL\tCODES\tADDED\tLAST USED\tSIGNED IN\tLAST SEEN")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Kind, or(c.Name, "-"), or(c.Model, "-"), paramsText(c.Params),
			moment(c.Added), moment(c.LastUsed), signedInText(c.SignedIn), moment(c.LastSeen))
	}
}

// signedInText tells what isn't known from what is not so.
func signedInText(in *bool) string {
	switch {
	case in == nil:
		return "-"
	case *in:
		return "yes"
	}
	return "no"
}

func paramsText(p wire.Params) string {
	if p.Type == "hotp" {
		return fmt.Sprintf("hotp %s, %d digits", p.Algorithm, p.Digits)
	}
	return fmt.Sprintf("%s %s, %d digits, %d s", p.Type, p.Algorithm, p.Digits, p.Period)
}

func moment(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.Format(time.RFC3339)
}
