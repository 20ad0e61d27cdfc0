// Package demo is a reference front-end: the sign-in site of a service that has Strongroom as its second proof, written as
// a customer would write it. It uses the public API through api/client and nothing else of Strongroom.
//
// Three parts are kept apart, as they are in life:
//
//   - The service: it owns passwords and sessions ([people], signin.go, account.go), begins and ends sign-ins through the
//     API, and receives signed webhooks (webhook.go, hooks.go), which it passes on to devices.
//   - What people hold: a phone and a Mac, package app. They run on this server as stand-ins. The service gives them
//     notices, and carries what they sign and what is sealed to them (relay.go).
//   - The telephone company: messages.go shows the texts and calls that the operator's gateway was asked for.
//
// A [home] is one visitor's set of these: a person with a password, a phone, a Mac, and their messages. It is found by a
// cookie and kept on disk, so that a restart finds it.
//
// Pages are HTML forms and work without JavaScript; a small script keeps them live. There is no outside asset and no
// build step. The account page is a list of panels: a panel is one file panel_*.go and one template of that name.
package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"strongroom.internal/api/client"
)

// Config is what a Site is made of. Client, Tenant, Dir and the secrets are required.
type Config struct {
	// Client has the credentials of a front-end of the tenant.
	Client *client.Client
	// Tenant is the tenant's name, which devices sign.
	Tenant string
	// Dir is where homes are kept: keys of virtual devices among them, so it is for nobody else to read.
	Dir string
	// FrontendSecret and GatewaySecret are those of the webhooks, whsec_ and base64 (Standard Webhooks).
	FrontendSecret, GatewaySecret client.Secret
	// PasswordRounds is the cost of new passwords, PBKDF2 with SHA-256. Default: 600,000.
	PasswordRounds int
	// Log hears what went wrong, without secrets. Default: nobody.
	Log *slog.Logger
}

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Client == nil {
		errs = append(errs, errors.New("client: is required"))
	}
	if c.Tenant == "" {
		errs = append(errs, errors.New("tenant: is required"))
	}
	if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
		errs = append(errs, fmt.Errorf("dir: %q must be a directory", c.Dir))
	}
	for name, secret := range map[string]client.Secret{"frontend secret": c.FrontendSecret, "gateway secret": c.GatewaySecret} {
		if _, err := parseSecret(secret); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if c.PasswordRounds < 0 {
		errs = append(errs, errors.New("password rounds: must not be negative"))
	}
	return errors.Join(errs...)
}

// Site is the site. It serves HTTP; put it on a loopback address, or behind TLS.
type Site struct {
	api               *client.Client
	tenant            string
	log               *slog.Logger
	homes             *homes
	sessions          sessions // on Macs
	visits            sessions // in browsers
	csrfKey           [32]byte
	frontend, gateway hook
	handler           http.Handler

	closing context.Context // ends with Close
	close   context.CancelFunc
	work    sync.WaitGroup // what goes on after its request was answered
}

// Open makes a site and reads the homes of an earlier one.
func Open(c Config) (*Site, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("opening the demo's site: %w", err)
	}
	s := &Site{api: c.Client, tenant: c.Tenant, log: c.Log, visits: sessions{cookie: visitCookie}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.homes, err = openHomes(c.Dir, cmp.Or(c.PasswordRounds, defaultRounds), s.log); err != nil {
		return nil, fmt.Errorf("opening the demo's site: %w", err)
	}
	_, _ = rand.Read(s.csrfKey[:])
	s.closing, s.close = context.WithCancel(context.Background())
	frontendKey, _ := parseSecret(c.FrontendSecret) // Validate has seen both
	gatewayKey, _ := parseSecret(c.GatewaySecret)
	s.frontend, s.gateway = hook{key: frontendKey, take: s.takeNotice}, hook{key: gatewayKey, take: s.takeJob}
	s.handler = s.routes()
	return s, nil
}

// EndStreams ends the pages' event streams, which last as long as the pages are open: a server that is shut down waits for
// them.
func (s *Site) EndStreams() { s.close() }

// Close waits for what goes on after its request was answered. The server has to have ended before.
func (s *Site) Close() {
	s.close()
	s.work.Wait()
}

// ServeHTTP makes a Site a handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Paths of the webhooks, for whoever registers them.
const (
	FrontendHook = "/hooks/frontend"
	GatewayHook  = "/hooks/gateway"
)

// callTimeout bounds what one page asks of the API: an election fits in.
const callTimeout = 12 * time.Second
