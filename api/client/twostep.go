package client

import (
	"context"
	"net/http"

	"strongroom.internal/api/wire"
)

// EnrolTwoStep begins to turn two-step verification on, for an account that is not eligible for two factors; a problem
// named two-factor-eligible otherwise. It is on once the code that SendTwoStepCode has sent is verified.
func (c *Client) EnrolTwoStep(ctx context.Context, account string, r wire.TwoStepRequest) (wire.TwoStep, error) {
	var t wire.TwoStep
	return t, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "two-step"), body: r, repeat: keyed, answer: &t})
}

// ImportTwoStep takes over two-step verification that was on elsewhere, with its phones. An account that has it is left as
// it is.
func (c *Client) ImportTwoStep(ctx context.Context, account string, phones ...wire.TwoStepPhone) (wire.TwoStep, error) {
	var t wire.TwoStep
	return t, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "two-step", "import"), body: wire.TwoStepImport{Phones: phones}, repeat: keyed, answer: &t,
	})
}

// TwoStep says how an account stands to two-step verification.
func (c *Client) TwoStep(ctx context.Context, account string) (wire.TwoStep, error) {
	var t wire.TwoStep
	return t, c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "two-step"), repeat: always, answer: &t})
}

// EndTwoStep turns two-step verification off, within ten minutes of an accepted code or recovery key.
func (c *Client) EndTwoStep(ctx context.Context, account string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "two-step"), repeat: keyed})
}

// SendTwoStepCode has a code of four digits sent. That it may not be now is an answer: see wire.TwoStepSending.Outcome.
func (c *Client) SendTwoStepCode(ctx context.Context, account string, r wire.TwoStepCodeRequest) (wire.TwoStepSending, error) {
	var s wire.TwoStepSending
	return s, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "two-step", "codes"), body: r, repeat: keyed, answer: &s})
}

// VerifyTwoStep asks whether a code or a recovery key is right. A wrong one is an answer; a text that can't be one is a
// problem named invalid.
func (c *Client) VerifyTwoStep(ctx context.Context, account string, r wire.TwoStepAttempt) (wire.TwoStepVerification, error) {
	var v wire.TwoStepVerification
	return v, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "two-step", "verifications"), body: r, repeat: keyed, answer: &v,
	})
}

// MakeRecoveryKey makes a recovery key, which is in the answer, once. Should the first answer be lost on the way, the
// repetition brings the rest without it: make another.
func (c *Client) MakeRecoveryKey(ctx context.Context, account string) (wire.NewRecoveryKey, error) {
	var k wire.NewRecoveryKey
	return k, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "two-step", "recovery-keys"), repeat: keyed, answer: &k})
}

// MoveToTwoFactor turns two-step verification off and protection by two factors on, in one step.
func (c *Client) MoveToTwoFactor(ctx context.Context, account string, r wire.ProtectionRequest) (wire.ProtectionAnswer, error) {
	var a wire.ProtectionAnswer
	return a, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "two-step", "move"), body: r, repeat: keyed, answer: &a})
}
