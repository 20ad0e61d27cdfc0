package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"strongroom.internal/api/wire"
)

// BeginSignIn opens a sign-in and has the account's devices told of it. A name that isn't an account is answered alike.
func (c *Client) BeginSignIn(ctx context.Context, account string, r wire.SignInRequest) (wire.SignIn, error) {
	var s wire.SignIn
	return s, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "sign-ins"), body: r, repeat: keyed, answer: &s})
}

// SignIns lists the sign-ins of an account that are open.
func (c *Client) SignIns(ctx context.Context, account string) ([]wire.SignIn, error) {
	var l wire.SignIns
	err := c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "sign-ins"), repeat: always, answer: &l})
	return l.SignIns, err
}

// SignIn reads a sign-in.
func (c *Client) SignIn(ctx context.Context, account, id string) (wire.SignIn, error) {
	var s wire.SignIn
	return s, c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "sign-ins", id), repeat: always, answer: &s})
}

// signInWait is how long one request waits for a sign-in to change.
const signInWait = 20 * time.Second

// AwaitSignIn reads a sign-in once it is no longer in the state was, "begun" or "allowed". It asks until ctx ends.
func (c *Client) AwaitSignIn(ctx context.Context, account, id, was string) (wire.SignIn, error) {
	path := accountPath(account, "sign-ins", id) + fmt.Sprintf("?wait=%d&was=%s", int(signInWait/time.Second), was)
	for {
		var s wire.SignIn
		wait, cancel := context.WithTimeout(ctx, c.timeout+signInWait)
		err := c.do(wait, call{method: http.MethodGet, path: path, repeat: always, answer: &s, longer: signInWait})
		cancel()
		if err != nil || s.State != was {
			return s, err
		}
	}
}

// CancelSignIn ends a sign-in that nobody waits for any more.
func (c *Client) CancelSignIn(ctx context.Context, account, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "sign-ins", id), repeat: keyed})
}

// DecideSignIn carries what a device decided and signed.
func (c *Client) DecideSignIn(ctx context.Context, account, id string, r wire.DecisionRequest) (wire.Decision, error) {
	var d wire.Decision
	return d, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "sign-ins", id, "decisions"), body: r, repeat: keyed, answer: &d})
}

// SendCode has a code sent to a phone. That none may be sent now is an answer: see wire.Sending.Outcome.
func (c *Client) SendCode(ctx context.Context, account, id string, r wire.SendCodeRequest) (wire.Sending, error) {
	var s wire.Sending
	return s, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "sign-ins", id, "codes"), body: r, repeat: keyed, answer: &s})
}

// FetchCode carries a device's request for the code of a sign-in that it allowed.
func (c *Client) FetchCode(ctx context.Context, account, id, device string, r wire.FetchCodeRequest) (wire.SealedCode, error) {
	var s wire.SealedCode
	return s, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "sign-ins", id, "codes", device), body: r, repeat: always, answer: &s})
}

// VerifySignIn is one attempt with a code, or with a text proof, on a sign-in. With r.NewDevice that device becomes
// trusted in the same step. A wrong code is an answer.
func (c *Client) VerifySignIn(ctx context.Context, account, id string, r wire.EnterRequest) (wire.Entered, error) {
	var e wire.Entered
	return e, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "sign-ins", id, "verifications"), body: r, repeat: keyed, answer: &e})
}

// VerifyCombined is one attempt with a text that ends with a code. wire.Combined.Remainder says how much of it stands
// before the code: that is the password, which the caller checks.
func (c *Client) VerifyCombined(ctx context.Context, account string, text wire.Secret) (wire.Combined, error) {
	var v wire.Combined
	return v, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "combined-verifications"), body: wire.CombinedRequest{Text: text},
		repeat: keyed, answer: &v,
	})
}

// AddPhone adds a phone, pending until its code is typed.
func (c *Client) AddPhone(ctx context.Context, account string, r wire.PhoneRequest) (wire.Phone, error) {
	var p wire.Phone
	return p, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "phones"), body: r, repeat: keyed, answer: &p})
}

// Phones lists an account's phones.
func (c *Client) Phones(ctx context.Context, account string) ([]wire.Phone, error) {
	var l wire.Phones
	err := c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "phones"), repeat: always, answer: &l})
	return l.Phones, err
}

// ChangePhone sets a phone's label and place in the list.
func (c *Client) ChangePhone(ctx context.Context, account, phone string, r wire.PhoneChange) (wire.Phone, error) {
	var p wire.Phone
	return p, c.do(ctx, call{method: http.MethodPut, path: accountPath(account, "phones", phone), body: r, repeat: keyed, answer: &p})
}

// RemovePhone removes a phone; the last verified one can't be. signIn is one that was verified of late, where the
// tenant's policy asks for it.
func (c *Client) RemovePhone(ctx context.Context, account, phone, signIn string) error {
	path := accountPath(account, "phones", phone)
	if signIn != "" {
		path += "?sign_in=" + url.QueryEscape(signIn)
	}
	return c.do(ctx, call{method: http.MethodDelete, path: path, repeat: keyed})
}

// SendPhoneCode has the code sent that verifies a phone, by "text" or "voice".
func (c *Client) SendPhoneCode(ctx context.Context, account, phone, channel string) (wire.Sending, error) {
	var s wire.Sending
	return s, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "phones", phone, "codes"),
		body: wire.SendPhoneCodeRequest{Channel: channel}, repeat: keyed, answer: &s,
	})
}

// VerifyPhone is one attempt with that code.
func (c *Client) VerifyPhone(ctx context.Context, account, phone string, code wire.Secret) (wire.PhoneVerification, error) {
	return c.verifyPhone(ctx, account, phone, wire.VerifyPhoneRequest{Code: code})
}

// VerifyPhoneAndProtect is VerifyPhone that turns protection on in the same step, or does neither.
func (c *Client) VerifyPhoneAndProtect(
	ctx context.Context, account, phone string, code wire.Secret, r wire.ProtectionRequest,
) (wire.PhoneVerification, error) {
	return c.verifyPhone(ctx, account, phone, wire.VerifyPhoneRequest{Code: code, Protection: &r})
}

func (c *Client) verifyPhone(ctx context.Context, account, phone string, r wire.VerifyPhoneRequest) (wire.PhoneVerification, error) {
	var v wire.PhoneVerification
	return v, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "phones", phone, "verifications"), body: r, repeat: keyed, answer: &v,
	})
}
