package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

// The demo's names.
const (
	demoTenant  = "demo"
	demoAccount = "alice"
	demoDir     = "demo" // in the rack
	uriFile     = "otpauth"
	seedFile    = "seed"
	curlFile    = "curl"
	tomlFile    = "auditor.toml"
)

// demo is an account whose authenticator's seed we know, because the demo tenant's policy opens the door through which
// a seed is shown once. It is kept on disk for the lines that are printed: this is what the product never does.
type demo struct {
	rack     *firmwaresim.Rack
	frontend firmwaresim.Credentials
	auditor  firmwaresim.Credentials
	uri      wire.Secret
}

// newDemo makes the demo, or finds it.
func newDemo(ctx context.Context, r *firmwaresim.Rack) (*demo, error) {
	d := &demo{rack: r}
	if err := d.make(ctx); err != nil {
		return nil, fmt.Errorf("preparing the demo: %w", err)
	}
	return d, nil
}

func (d *demo) make(ctx context.Context) (err error) {
	if d.frontend, err = d.rack.IssueClient(ctx, firmwaresim.Frontend, demoTenant, "web"); err != nil {
		return err
	}
	if d.auditor, err = d.rack.IssueClient(ctx, firmwaresim.Auditor, "", "demo"); err != nil {
		return err
	}
	operator, err := d.rack.Client(d.rack.Operator())
	if err != nil {
		return err
	}
	defer operator.Close()
	if err := operator.SetPolicy(ctx, demoTenant, wire.Policy{AllowReveal: true, TellSpent: true}); err != nil {
		return fmt.Errorf("opening the QR door: %w", err)
	}
	frontend, err := d.rack.Client(d.frontend)
	if err != nil {
		return err
	}
	defer frontend.Close()
	if _, err := frontend.PutAccount(ctx, demoAccount); err != nil {
		return fmt.Errorf("making the account: %w", err)
	}
	if err := d.authenticator(ctx, frontend); err != nil {
		return fmt.Errorf("adding the authenticator: %w", err)
	}
	return d.writeConfigs()
}

// authenticator finds the one of an earlier run, or adds one.
func (d *demo) authenticator(ctx context.Context, frontend *client.Client) error {
	if err := os.MkdirAll(d.path(""), 0o700); err != nil {
		return err
	}
	raw, err := os.ReadFile(d.path(uriFile))
	if err == nil {
		d.uri = wire.NewSecret(strings.TrimSpace(string(raw)))
		return d.writeSeed()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// One whose URI we never got, or lost, is of no use to anybody.
	former, err := frontend.Authenticators(ctx, demoAccount)
	if err != nil {
		return err
	}
	for _, a := range former {
		if err := frontend.RemoveAuthenticator(ctx, demoAccount, a.ID); err != nil {
			return err
		}
	}
	added, err := frontend.AddAuthenticator(ctx, demoAccount, wire.AuthenticatorRequest{Issuer: "Strongroom demo", Label: demoAccount})
	if err != nil {
		return err
	}
	d.uri = added.URI
	if err := os.WriteFile(d.path(uriFile), []byte(d.uri.Reveal()+"\n"), 0o600); err != nil {
		return err
	}
	return d.writeSeed()
}

// writeSeed writes what oathtool reads: the seed in base32.
func (d *demo) writeSeed() error {
	parsed, err := url.Parse(d.uri.Reveal())
	if err != nil || parsed.Query().Get("secret") == "" {
		return fmt.Errorf("%s has no seed", d.path(uriFile)) // the cause would quote it
	}
	return os.WriteFile(d.path(seedFile), []byte(parsed.Query().Get("secret")+"\n"), 0o600)
}

// writeConfigs writes what keeps the printed lines short: the front-end's certificate for curl, and the auditor's for
// strongroom.
func (d *demo) writeConfigs() error {
	var b strings.Builder
	for _, line := range [][2]string{
		{"cert", d.frontend.CertFile()},
		{"key", d.frontend.KeyFile()},
		{"cacert", d.frontend.AuthorityFile()},
	} {
		fmt.Fprintf(&b, "%s = \"%s\"\n", line[0], line[1])
	}
	// 503 and 504 are tried again, which the Idempotency-Key makes safe: an election takes a moment.
	b.WriteString("silent\nshow-error\nretry = 8\nretry-delay = 1\nmax-time = 20\n")
	if err := os.WriteFile(d.path(curlFile), []byte(b.String()), 0o600); err != nil {
		return err
	}
	var nodes []string
	for _, c := range d.rack.Chassis {
		nodes = append(nodes, fmt.Sprintf("%q", c.APIAddr()))
	}
	auditor := fmt.Sprintf("nodes = [%s]\ncredentials = %q\n", strings.Join(nodes, ", "), d.auditor.Dir)
	return os.WriteFile(d.path(tomlFile), []byte(auditor), 0o600)
}

func (d *demo) path(name string) string { return filepath.Join(d.rack.Dir(), demoDir, name) }
