package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

func newWebhook(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "webhook",
		Short: "Say where a tenant's notices go, and how their delivery stands",
		Long: `Notices of sign-ins, devices and phones go to the destination frontend, which tells people's devices. Codes for text
messages and calls go to the destination gateway, and to nobody else. Both are posted by the Standard Webhooks
specification, signed in the hardware.`,
		RunE: needsCommand,
	}
	o := connectionFlags(c)
	c.AddCommand(newWebhookSet(t, o), newWebhookList(t, o), newWebhookRemove(t, o), newWebhookStatus(t, o))
	return c
}

func newWebhookSet(t *terminal, o *connection) *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use:   "set TENANT frontend|gateway URL",
		Short: "Have notices posted to a URL, and print the new secret once",
		Long: `The URL is https, or http to a loopback address. The secret that signs is made in the hardware and printed, this once;
with --secret-stdin it is read from stdin instead (whsec_ and 24 to 64 bytes in base64) and not printed.`,
		Example: "  (umask 077; strongroom webhook set acme gateway https://sms.example.com/strongroom >gateway-secret)",
		Args:    cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			r := wire.WebhookRequest{URL: args[2]}
			if stdin {
				secret, err := t.secretOnWire("Secret")
				if err != nil {
					return err
				}
				r.Secret = secret
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			w, err := cluster.SetWebhook(ctx, args[0], args[1], r)
			if err != nil {
				return err
			}
			t.say("notices of %s for the %s are posted from now on; recorded in log entry %d", args[0], w.Destination, w.Entry)
			if w.Secret.IsZero() {
				return nil
			}
			return t.printSecret(w, func(out io.Writer) { fmt.Fprintln(out, w.Secret.Reveal()) })
		},
	}
	c.Flags().BoolVar(&stdin, "secret-stdin", false, "take the secret from stdin")
	return c
}

func newWebhookList(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "list TENANT",
		Short: "List where a tenant's notices go",
		Args:  cobra.ExactArgs(1),
		RunE: callsOn(o, (*client.Client).Webhooks, func(list []wire.WebhookInfo) error {
			return t.print(list, func(w io.Writer) {
				for _, x := range list {
					fmt.Fprintf(w, "%s\t%s\n", x.Destination, x.URL)
				}
			})
		}),
	}
}

func newWebhookRemove(t *terminal, o *connection) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove TENANT frontend|gateway",
		Short: "End the posting; what waits for it is dropped",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.confirm(yes, args[0], "Notices of "+args[0]+" for the "+args[1]+" that wait are dropped."); err != nil {
				return err
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			return cluster.RemoveWebhook(ctx, args[0], args[1])
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without being asked")
	return c
}

func newWebhookStatus(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "status TENANT",
		Short: "Show what waits to be delivered, and why",
		Args:  cobra.ExactArgs(1),
		RunE: callsOn(o, (*client.Client).Outbox, func(box wire.Outbox) error {
			return t.print(box, func(w io.Writer) {
				for _, d := range box.Destinations {
					fmt.Fprintf(w, "%s\t%d waiting", d.Destination, d.Waiting)
					if !d.Oldest.IsZero() {
						fmt.Fprintf(w, " since %s", d.Oldest.Format(time.RFC3339))
					}
					if d.Failure != "" {
						fmt.Fprintf(w, ": %s", d.Failure)
					}
					fmt.Fprintln(w)
				}
				if box.Lost > 0 {
					fmt.Fprintf(w, "lost\t%d, because too many waited\n", box.Lost)
				}
			})
		}),
	}
}
