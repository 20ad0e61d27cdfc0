// Package site runs the demo's sign-in site (api/demo) on a rack: it does what an operator does for a customer, who gives
// them a certificate, a policy and two webhooks, and then serves the site on a loopback address.
package site

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/demo"
	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

// Config is what a site is made of. Tenant is required.
type Config struct {
	Tenant string
	// SendCooldown is the time between two codes to one number, in whole seconds. Default: 5 s.
	SendCooldown time.Duration
	// PasswordRounds is the cost of people's passwords. Default: demo's.
	PasswordRounds int
	// Log hears what goes wrong. Default: nobody.
	Log *slog.Logger
}

// Site is a site that is served.
type Site struct {
	URL    string // http://127.0.0.1:port/
	demo   *demo.Site
	client *client.Client
	server *http.Server
	served chan error
}

// dir is the site's, in the rack's; addressFile has the address that it had the last time.
const (
	dir         = "site"
	addressFile = "address"
)

// Start serves a site on a rack that is up. What it had the last time, it finds: its people, and its address if that is
// free.
func Start(ctx context.Context, r *firmwaresim.Rack, c Config) (_ *Site, err error) {
	at := filepath.Join(r.Dir(), dir)
	if err := os.MkdirAll(at, 0o700); err != nil {
		return nil, fmt.Errorf("making the site's directory: %w", err)
	}
	credentials, err := r.IssueClient(ctx, firmwaresim.Frontend, c.Tenant, "site")
	if err != nil {
		return nil, err
	}
	s := &Site{served: make(chan error, 1)}
	if s.client, err = r.Client(credentials); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.client.Close()
		}
	}()
	frontend, gateway := newSecret(), newSecret()
	s.demo, err = demo.Open(demo.Config{
		Client: s.client, Tenant: c.Tenant, Dir: at, FrontendSecret: frontend, GatewaySecret: gateway, Log: c.Log,
		PasswordRounds: c.PasswordRounds,
	})
	if err != nil {
		return nil, err
	}
	listener, err := listen(filepath.Join(at, addressFile))
	if err != nil {
		return nil, err
	}
	s.URL = "http://" + listener.Addr().String() + "/"
	s.server = &http.Server{Handler: s.demo, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	s.server.RegisterOnShutdown(s.demo.EndStreams)
	go func() { s.served <- s.server.Serve(listener) }()
	if err := s.connect(ctx, r, c, frontend, gateway); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect is the operator's part. The secrets are new each time; the nodes sign with them from then on.
func (s *Site) connect(ctx context.Context, r *firmwaresim.Rack, c Config, frontend, gateway client.Secret) error {
	operator, err := r.Client(r.Operator())
	if err != nil {
		return err
	}
	defer operator.Close()
	policy, err := operator.Policy(ctx, c.Tenant)
	if err != nil {
		return fmt.Errorf("reading the tenant's policy: %w", err)
	}
	policy.CodeDomain, policy.SendCooldownSeconds = "example.com", int(cmp.Or(c.SendCooldown, 5*time.Second)/time.Second)
	policy.SendsPerSignIn, policy.SendsPerPhone, policy.SendsPerAccount = 20, 20, 40
	policy.AllowAppPasswords, policy.AllowReveal, policy.Platforms = true, true, platforms
	policy.TellPhones = true
	policy.Recovery = wire.RecoveryPolicy{Allow: true, Shorten: wire.EvidenceWeights{PhoneCode: 5 * 24, Email: 2 * 24, Password: 24}}
	policy.PasswordReset.LocalPresence = true
	if err := operator.SetPolicy(ctx, c.Tenant, policy); err != nil {
		return fmt.Errorf("setting the tenant's policy: %w", err)
	}
	for _, hook := range []struct {
		destination, path string
		secret            client.Secret
	}{{"frontend", demo.FrontendHook, frontend}, {"gateway", demo.GatewayHook, gateway}} {
		url := strings.TrimSuffix(s.URL, "/") + hook.path
		if _, err := operator.SetWebhook(ctx, c.Tenant, hook.destination, wire.WebhookRequest{URL: url, Secret: hook.secret}); err != nil {
			return fmt.Errorf("setting the webhook for the %s: %w", hook.destination, err)
		}
	}
	return nil
}

// platforms are the systems of devices that show codes, from their first versions on.
var platforms = []wire.Platform{
	{Name: "iOS", Minimum: "9"},
	{Name: "iPadOS"},
	{Name: "OS X", Minimum: "10.11"},
	{Name: "macOS"},
	{Name: "watchOS", Minimum: "2"},
	{Name: "tvOS"},
	{Name: "iCloud for Windows", Minimum: "5"},
}

// newSecret is one of Standard Webhooks.
func newSecret() client.Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return wire.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(key))
}

// listen takes the address of the last time, or another.
func listen(file string) (net.Listener, error) {
	former, err := os.ReadFile(file)
	if host, _, bad := net.SplitHostPort(strings.TrimSpace(string(former))); err == nil && bad == nil && host == "127.0.0.1" {
		if listener, err := net.Listen("tcp", strings.TrimSpace(string(former))); err == nil {
			return listener, nil
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the site: %w", err)
	}
	if err := os.WriteFile(file, []byte(listener.Addr().String()+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping the site's address: %w", err), listener.Close())
	}
	return listener, nil
}

// Close ends the site and waits for its end.
func (s *Site) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.demo.Close()
	s.client.Close()
	if err != nil {
		return fmt.Errorf("closing the site: %w", err)
	}
	return nil
}
