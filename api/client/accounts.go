package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"strongroom.internal/api/wire"
)

func accountPath(account string, rest ...string) string {
	path := "/v1/accounts/" + url.PathEscape(account)
	for _, r := range rest {
		path += "/" + url.PathEscape(r)
	}
	return path
}

// PutAccount makes sure that an account exists.
func (c *Client) PutAccount(ctx context.Context, account string) (wire.Account, error) {
	var a wire.Account
	return a, c.do(ctx, call{method: http.MethodPut, path: accountPath(account), repeat: keyed, answer: &a})
}

// Account reads an account.
func (c *Client) Account(ctx context.Context, account string) (wire.Account, error) {
	var a wire.Account
	return a, c.do(ctx, call{method: http.MethodGet, path: accountPath(account), repeat: always, answer: &a})
}

// DeleteAccount deletes an account with its credentials.
func (c *Client) DeleteAccount(ctx context.Context, account string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account), repeat: keyed})
}

// EnrolDevice enrols a device by its public key.
func (c *Client) EnrolDevice(ctx context.Context, account string, r wire.DeviceRequest) (wire.EnrolledDevice, error) {
	var d wire.EnrolledDevice
	return d, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "devices"), body: r, repeat: keyed, answer: &d})
}

// Devices lists an account's devices.
func (c *Client) Devices(ctx context.Context, account string) ([]wire.Credential, error) {
	var l wire.Credentials
	err := c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "devices"), repeat: always, answer: &l})
	return l.Credentials, err
}

// RemoveDevice removes a device; its codes are dead on every node when it returns.
func (c *Client) RemoveDevice(ctx context.Context, account, device string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "devices", device), repeat: keyed})
}

// AddAuthenticator adds an authenticator app. Without r.URI a seed is made and shown in the answer, once. Should the first
// answer be lost on the way, the repetition brings the authenticator without its URI: remove it then and add another.
func (c *Client) AddAuthenticator(ctx context.Context, account string, r wire.AuthenticatorRequest) (wire.NewAuthenticator, error) {
	var a wire.NewAuthenticator
	return a, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "authenticators"), body: r, repeat: keyed, answer: &a})
}

// Authenticators lists an account's authenticator apps.
func (c *Client) Authenticators(ctx context.Context, account string) ([]wire.Credential, error) {
	var l wire.Credentials
	err := c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "authenticators"), repeat: always, answer: &l})
	return l.Credentials, err
}

// RemoveAuthenticator removes an authenticator app; its codes are dead on every node when it returns.
func (c *Client) RemoveAuthenticator(ctx context.Context, account, authenticator string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "authenticators", authenticator), repeat: keyed})
}

// Verify asks whether r.Code, 6 to 8 digits and nothing else, is one of the account's now. A wrong code is an answer: see
// wire.Verification.Outcome. The call is one attempt, however often it had to be sent. With r.Receipt it takes until the
// log's next checkpoint, and its receipt may be absent all the same: see wire.Verification.Receipt.
func (c *Client) Verify(ctx context.Context, account string, r wire.VerifyRequest) (wire.Verification, error) {
	var v wire.Verification
	k := call{method: http.MethodPost, path: accountPath(account, "verifications"), body: r, repeat: keyed, answer: &v}
	if r.Receipt {
		k.longer = receiptTime
	}
	return v, c.do(ctx, k)
}

// Receipt proves that an entry about an account is on the log: a C2SP tlog-proof with the entry, its inclusion proof, and
// a checkpoint. Package audit and any tool that knows the format verify it.
func (c *Client) Receipt(ctx context.Context, account string, entry int64) ([]byte, error) {
	var raw []byte
	err := c.do(ctx, call{
		method: http.MethodGet, path: accountPath(account, "receipts", strconv.FormatInt(entry, 10)), repeat: always, raw: &raw,
		longer: receiptTime,
	})
	return raw, err
}

// Resynchronise finds an authenticator again by two consecutive codes.
func (c *Client) Resynchronise(ctx context.Context, account, authenticator string, r wire.ResyncRequest) (wire.Verification, error) {
	var v wire.Verification
	return v, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "authenticators", authenticator, "resynchronisations"),
		body: r, repeat: keyed, answer: &v,
	})
}
