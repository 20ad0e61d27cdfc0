package appliance

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"net/url"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

const maxWebhookURL = 512

// Webhook is where a tenant's notices are posted. The secret is shown once, when it is made here, and never again.
type Webhook struct {
	Destination string // "frontend": notices of sign-ins, devices and phones; "gateway": codes to be sent
	URL         string
	Secret      *hsm.Secret // nil: not to be shown
	Entry       int64
}

// setWebhook sets or, without a URL, removes where notices go.
type setWebhook struct {
	Tenant      string      `cbor:"1,keyasint"`
	Destination destination `cbor:"2,keyasint"`
	Webhook     webhook     `cbor:"3,keyasint"`
}

func (w *setWebhook) decide(tx cluster.Tx) (estateDecision, error) {
	d := estateDecision{operation: "set-webhook", subject: w.Tenant, outcome: account.Done, key: hsm.KeyWrapping}
	d.detail = fmt.Sprintf("%v at %s", w.Destination, hostOf(w.Webhook.URL))
	key := webhookKey(w.Tenant, w.Destination)
	if w.Webhook.URL != "" {
		d.write = func() { tx.Set([]byte(key), mustEncode(w.Webhook)) }
		return d, nil
	}
	d.operation, d.key, d.detail = "remove-webhook", "", w.Destination.String()
	_, found, err := readRecord[webhook](tx, key)
	if err != nil || !found {
		d.outcome = account.NotFound
		return d, err
	}
	head, err := readHead(tx, w.Tenant)
	if err != nil {
		return d, err
	}
	var pending [][]byte
	err = tx.Scan([]byte(pendingPrefixOf(w.Tenant, w.Destination)), nil, func(k, _ []byte) bool {
		pending = append(pending, bytes.Clone(k))
		return true
	})
	if err != nil {
		return d, err
	}
	d.write = func() {
		tx.Delete([]byte(key))
		for _, k := range pending {
			tx.Delete(k)
		}
		head.Waiting[w.Destination] = 0
		tx.Set([]byte(headKey(w.Tenant)), mustEncode(head))
	}
	return d, nil
}

// hostOf is what the log says of a URL: its path may hold a secret.
func hostOf(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Host
	}
	return ""
}

// webhookBinding is what a webhook's secret is bound to. No account has such a name: they have no control characters.
func webhookBinding(tenant string, d destination, version uint32) hsm.Binding {
	return hsm.Binding{Tenant: tenant, Account: "\x00webhook", Credential: d.String(), Version: version}
}

func parseDestination(s string) (destination, error) {
	for _, d := range destinations {
		if d.String() == s {
			return d, nil
		}
	}
	return invalidDestination, ErrNotFound
}

// Webhooks lists where a tenant's notices are posted, without their secrets.
func (s *Service) Webhooks(ctx context.Context, _ Caller, tenant string) (list []Webhook, err error) {
	if err := s.engine.Sync(ctx); err != nil {
		return nil, engineError(err)
	}
	for _, d := range destinations {
		w, found, err := s.webhook(tenant, d)
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, Webhook{Destination: d.String(), URL: w.URL})
		}
	}
	return list, nil
}

func (s *Service) webhook(tenant string, d destination) (w webhook, found bool, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		w, found, err = readRecord[webhook](r, webhookKey(tenant, d))
		return err
	})
	return w, found, err
}

// SetWebhook has notices posted to a URL, signed by the module with the secret. Without a secret one is made inside and
// shown in the answer, this once.
func (s *Service) SetWebhook(ctx context.Context, c Caller, tenant, to, address string, secret *hsm.Secret) (Webhook, error) {
	d, err := parseDestination(to)
	if err != nil {
		return Webhook{}, err
	}
	if err := checkWebhookURL(address); err != nil {
		return Webhook{}, err
	}
	if err := s.usable(); err != nil {
		return Webhook{}, err
	}
	if err := s.engine.Sync(ctx); err != nil {
		return Webhook{}, engineError(err)
	}
	old, _, err := s.webhook(tenant, d)
	if err != nil {
		return Webhook{}, err
	}
	next := webhook{URL: address, Version: old.Version + 1}
	answer := Webhook{Destination: to, URL: address}
	var sealed hsm.SealedSeed
	if secret != nil {
		if n := len(secret.Reveal()); n < 24 || n > 64 {
			return Webhook{}, &InvalidError{Field: "secret", Reason: "must be 24 to 64 bytes"} // Standard Webhooks
		}
		sealed, err = s.pool.ImportSeed(ctx, webhookBinding(tenant, d, next.Version), hsm.SHA256, secret)
	} else {
		sealed, answer.Secret, err = s.pool.RevealSeed(ctx, webhookBinding(tenant, d, next.Version), hsm.SHA256)
	}
	if err != nil {
		return Webhook{}, moduleError("sealing a webhook's secret", err)
	}
	next.Seed = mustEncode(sealed)
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, SetWebhook: &setWebhook{tenant, d, next}})
	if err != nil {
		return Webhook{}, err
	}
	answer.Entry = result.Entry
	return answer, refusal(result.Outcome)
}

// RemoveWebhook ends the posting of notices; those that wait for it are dropped.
func (s *Service) RemoveWebhook(ctx context.Context, c Caller, tenant, to string) error {
	d, err := parseDestination(to)
	if err != nil {
		return err
	}
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, SetWebhook: &setWebhook{Tenant: tenant, Destination: d}})
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// checkWebhookURL wants TLS, but for a gateway on the node itself.
func checkWebhookURL(raw string) error {
	u, err := url.Parse(raw)
	wrong := &InvalidError{Field: "url", Reason: "must be an https URL of at most 512 characters, or http to a loopback address"}
	if err != nil || len(raw) > maxWebhookURL || u.Host == "" || u.User != nil || u.Fragment != "" {
		return wrong
	}
	if u.Scheme == "https" {
		return nil
	}
	if ip, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback()) {
		return nil
	}
	return wrong
}
