package client

import (
	"context"
	"net/http"

	"strongroom.internal/api/wire"
)

// CreateAppPassword makes an app password, which is in the answer, once. Should the first answer be lost on the way, the
// repetition brings the rest without it: revoke it then and make another. It opens its service without a second factor: see
// before that the person has just shown one.
func (c *Client) CreateAppPassword(ctx context.Context, account string, r wire.AppPasswordRequest) (wire.NewAppPassword, error) {
	var a wire.NewAppPassword
	return a, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "app-passwords"), body: r, repeat: keyed, answer: &a})
}

// AppPasswords lists an account's app passwords, oldest first.
func (c *Client) AppPasswords(ctx context.Context, account string) ([]wire.AppPassword, error) {
	var l wire.AppPasswords
	err := c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "app-passwords"), repeat: always, answer: &l})
	return l.AppPasswords, err
}

// RevokeAppPassword ends an app password; it is dead on every node when this returns.
func (c *Client) RevokeAppPassword(ctx context.Context, account, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "app-passwords", id), repeat: keyed})
}

// RevokeAppPasswords ends all of an account's app passwords, because its password was changed. It is no error if there are
// none.
func (c *Client) RevokeAppPasswords(ctx context.Context, account string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "app-passwords"), repeat: keyed})
}

// VerifyAppPassword asks whether r.Password is one of the account's, for r.Service and from r.SourceIP. A wrong one is an
// answer: see wire.AppPasswordVerification.Outcome. A text that can't be an app password is a problem named invalid.
func (c *Client) VerifyAppPassword(
	ctx context.Context, account string, r wire.VerifyAppPasswordRequest,
) (wire.AppPasswordVerification, error) {
	var v wire.AppPasswordVerification
	return v, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "app-passwords", "verifications"), body: r, repeat: keyed, answer: &v,
	})
}
