package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/wire"
)

// issued is a client's new credentials.
type issued struct {
	Identity    string    `json:"identity"`
	NotAfter    time.Time `json:"not_after"`
	Entry       int64     `json:"entry"`
	Credentials string    `json:"credentials"`
}

func newClient(t *terminal) *cobra.Command {
	c := &cobra.Command{Use: "client", Short: "Issue client certificates", RunE: needsCommand}
	o := connectionFlags(c)
	c.AddCommand(newClientIssue(t, o))
	return c
}

func newClientIssue(t *terminal, o *connection) *cobra.Command {
	var r wire.CertificateRequest
	var lifetime time.Duration
	var out string
	c := &cobra.Command{
		Use:   "issue --role ROLE --name NAME --out DIR",
		Short: "Issue a certificate for a front-end, help desk, operator or auditor",
		Long: `Makes a key on this machine, has the cluster's authority sign its certificate in the hardware, and writes cert.pem,
key.pem (readable by its owner only) and authority.pem to --out. The key leaves this machine only with you. There is no
revocation list: a certificate ends with its lifetime, so keep it short.`,
		Example: `  strongroom client issue --role frontend --tenant acme --name web-1 --out web-1
  strongroom client issue --role auditor --name jo --lifetime 720h --out jo`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if tenanted := r.Role == "frontend" || r.Role == "helpdesk"; tenanted != (r.Tenant != "") {
				return usage(c, fmt.Errorf("--tenant goes with the roles frontend and helpdesk, and with them it is needed"))
			}
			if lifetime < time.Minute {
				return usage(c, fmt.Errorf("--lifetime %v is shorter than 1m", lifetime))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			if r.PublicKey, err = clientKey(out); err != nil {
				return err
			}
			r.Lifetime = int64(lifetime / time.Second)
			got, err := cluster.IssueCertificate(ctx, r)
			if err != nil {
				return err
			}
			if err := keepCredentials(out, []byte(got.Certificate), []byte(got.Authority)); err != nil {
				return err
			}
			result := issued{got.Identity, got.NotAfter, got.Entry, out}
			return t.print(result, func(w io.Writer) {
				fmt.Fprintf(w, "identity\t%s\nvalid until\t%s\nlog entry\t%d\ncredentials\t%s\n", result.Identity,
					result.NotAfter.Format(time.RFC3339), result.Entry, result.Credentials)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Role, "role", "", "frontend, helpdesk, operator or auditor")
	f.StringVar(&r.Tenant, "tenant", "", "tenant of a front-end or help desk")
	f.StringVar(&r.Name, "name", "", "last part of the identity, such as web-1")
	f.StringVar(&out, "out", "", "directory for the credentials")
	f.DurationVar(&lifetime, "lifetime", 90*24*time.Hour, "how long it is valid, at most 8784h")
	_ = c.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"frontend", "helpdesk", "operator", "auditor"},
		cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"role", "name", "out"} {
		_ = c.MarkFlagRequired(name)
	}
	_ = c.MarkFlagDirname("out")
	return c
}
