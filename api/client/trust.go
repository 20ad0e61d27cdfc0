package client

import (
	"context"
	"net/http"

	"strongroom.internal/api/wire"
)

// TrustBrowser trusts the browser in which r.SignIn was just verified. The answer has its token.
func (c *Client) TrustBrowser(ctx context.Context, account string, r wire.TrustBrowserRequest) (wire.TrustedBrowser, error) {
	var b wire.TrustedBrowser
	return b, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "browsers"), body: r, repeat: keyed, answer: &b})
}

// Browsers lists the browsers that are trusted.
func (c *Client) Browsers(ctx context.Context, account string) ([]wire.Browser, error) {
	var l wire.Browsers
	err := c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "browsers"), repeat: always, answer: &l})
	return l.Browsers, err
}

// VerifyBrowser asks whether a browser is trusted now. That it isn't is an answer: see wire.BrowserVerification.Outcome. If it
// is, give it the token of the answer: the one that it showed is worth nothing soon.
func (c *Client) VerifyBrowser(ctx context.Context, account string, r wire.VerifyBrowserRequest) (wire.BrowserVerification, error) {
	var v wire.BrowserVerification
	return v, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "browsers", "verifications"), body: r, repeat: keyed, answer: &v,
	})
}

// RevokeBrowser ends trust in a browser; no node trusts it when this returns.
func (c *Client) RevokeBrowser(ctx context.Context, account, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "browsers", id), repeat: keyed})
}

// RevokeBrowsers ends trust in all browsers. It is no error if there are none.
func (c *Client) RevokeBrowsers(ctx context.Context, account string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "browsers"), repeat: keyed})
}

// SignOutBrowser ends trust in the browser that somebody signs out of completely, by the front-end's id of it. It is no error
// if it was not trusted.
func (c *Client) SignOutBrowser(ctx context.Context, account string, browser wire.Secret) error {
	return c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "browsers", "sign-outs"), body: wire.SignOutBrowserRequest{Browser: browser},
		repeat: keyed,
	})
}

// VerifyDevice asks whether a device is trusted now, by what it signed. That it isn't is an answer.
func (c *Client) VerifyDevice(ctx context.Context, account, device string, r wire.VerifyDeviceRequest) (wire.DeviceVerification, error) {
	var v wire.DeviceVerification
	return v, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "devices", device, "verifications"), body: r, repeat: keyed, answer: &v,
	})
}

// SignOutDevice ends trust in the device that somebody signs out of completely; its codes are dead on every node when this
// returns.
func (c *Client) SignOutDevice(ctx context.Context, account, device string) error {
	return c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "devices", device, "sign-outs"), repeat: keyed})
}

// ChangePassword says that the account's password was changed: app passwords are revoked and open sign-ins cancelled, and
// with r.Security nothing is trusted any more but r.Device.
func (c *Client) ChangePassword(ctx context.Context, account string, r wire.PasswordChange) error {
	return c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "password-changes"), body: r, repeat: keyed})
}

// EnrolAnotherDevice enrols a device for an account that has one already or is protected. signIn is one that was verified of
// late.
func (c *Client) EnrolAnotherDevice(ctx context.Context, account, signIn string, r wire.DeviceRequest) (wire.EnrolledDevice, error) {
	var d wire.EnrolledDevice
	return d, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "devices"), body: wire.DeviceEnrolment{DeviceRequest: r, SignIn: signIn},
		repeat: keyed, answer: &d,
	})
}
