package client

import (
	"context"
	"net/http"
	"net/url"

	"strongroom.internal/api/wire"
)

// Protect turns protection on. Its answer has the token of the link by which the person can change their mind.
func (c *Client) Protect(ctx context.Context, account string, r wire.ProtectionRequest) (wire.ProtectionAnswer, error) {
	var a wire.ProtectionAnswer
	return a, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "protection"), body: r, repeat: keyed, answer: &a})
}

// Protection says how an account is protected.
func (c *Client) Protection(ctx context.Context, account string) (wire.Protection, error) {
	var p wire.Protection
	return p, c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "protection"), repeat: always, answer: &p})
}

// UndoProtection turns protection off again by the link's token, within two weeks.
func (c *Client) UndoProtection(ctx context.Context, account string, token wire.Secret) (wire.UndoAnswer, error) {
	var a wire.UndoAnswer
	return a, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "protection", "undo"), body: wire.UndoRequest{Token: token}, repeat: keyed, answer: &a,
	})
}

// SetClass says which class of accounts one is of, for the tenant's policy; empty: none.
func (c *Client) SetClass(ctx context.Context, account, class string) (wire.Protection, error) {
	var p wire.Protection
	return p, c.do(ctx, call{
		method: http.MethodPut, path: accountPath(account, "class"), body: wire.ClassRequest{Class: class}, repeat: keyed, answer: &p,
	})
}

// Eligibility says whether a device of a platform and version, and an account, may have protection. Empty parts are not
// asked about.
func (c *Client) Eligibility(ctx context.Context, platform, version, account string) (wire.Eligibility, error) {
	q := url.Values{}
	for name, value := range map[string]string{"platform": platform, "version": version, "account": account} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var e wire.Eligibility
	return e, c.do(ctx, call{method: http.MethodGet, path: "/v1/eligibility?" + q.Encode(), repeat: always, answer: &e})
}

// Device reads a device.
func (c *Client) Device(ctx context.Context, account, device string) (wire.Credential, error) {
	var d wire.Credential
	return d, c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "devices", device), repeat: always, answer: &d})
}

// ChangeDevice notes a device's new name or system version. The answer has its seed, if it may show codes now.
func (c *Client) ChangeDevice(ctx context.Context, account, device string, r wire.DeviceChange) (wire.EnrolledDevice, error) {
	var d wire.EnrolledDevice
	return d, c.do(ctx, call{method: http.MethodPut, path: accountPath(account, "devices", device), body: r, repeat: keyed, answer: &d})
}

// ReportPresence says that a device is signed in and was just seen, or that it was signed out. It may be said with each of
// the device's requests.
func (c *Client) ReportPresence(ctx context.Context, account, device string, signedIn bool) (wire.Credential, error) {
	var d wire.Credential
	return d, c.do(ctx, call{
		method: http.MethodPut, path: accountPath(account, "devices", device, "presence"), body: wire.PresenceReport{SignedIn: signedIn},
		repeat: keyed, answer: &d,
	})
}

// ReportDevice says that a device is "lost", or that it was "erased": nothing of it is trusted when this returns.
func (c *Client) ReportDevice(ctx context.Context, account, device, state string) (wire.Credential, error) {
	var d wire.Credential
	return d, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "devices", device, "reports"), body: wire.DeviceReport{State: state},
		repeat: keyed, answer: &d,
	})
}

// PutAccountOf makes sure that an account exists; a new one is of that class.
func (c *Client) PutAccountOf(ctx context.Context, account, class string) (wire.Account, error) {
	var a wire.Account
	return a, c.do(ctx, call{
		method: http.MethodPut, path: accountPath(account), body: wire.AccountRequest{Class: class}, repeat: keyed, answer: &a,
	})
}
