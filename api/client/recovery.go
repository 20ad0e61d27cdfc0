package client

import (
	"context"
	"net/http"

	"strongroom.internal/api/wire"
)

// StartRecovery starts a recovery for somebody who has no device and no phone at hand. That one runs already, or that none
// may be started now, is an answer. A name that isn't an account is answered alike.
func (c *Client) StartRecovery(ctx context.Context, account string) (wire.RecoveryStart, error) {
	var s wire.RecoveryStart
	return s, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "recoveries"), repeat: keyed, answer: &s})
}

// Recovery reads the newest recovery of an account; a not-found problem when there was none.
func (c *Client) Recovery(ctx context.Context, account string) (wire.Recovery, error) {
	var l wire.Recoveries
	err := c.do(ctx, call{method: http.MethodGet, path: accountPath(account, "recoveries"), repeat: always, answer: &l})
	if err != nil || len(l.Recoveries) == 0 {
		return wire.Recovery{}, err
	}
	return l.Recoveries[0], nil
}

// WithdrawRecovery ends a recovery that nobody waits for any more.
func (c *Client) WithdrawRecovery(ctx context.Context, account, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: accountPath(account, "recoveries", id), repeat: keyed})
}

// SendRecoveryCode has a code sent to a phone, with which its owner speaks for a recovery or stops it.
func (c *Client) SendRecoveryCode(ctx context.Context, account, id string, r wire.SendCodeRequest) (wire.Sending, error) {
	var s wire.Sending
	return s, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "recoveries", id, "codes"), body: r, repeat: keyed, answer: &s})
}

// GiveEvidence gives what speaks for whoever recovers. A wrong code is an answer.
func (c *Client) GiveEvidence(ctx context.Context, account, id string, r wire.EvidenceRequest) (wire.RecoveryProof, error) {
	var p wire.RecoveryProof
	return p, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "recoveries", id, "evidence"), body: r, repeat: keyed, answer: &p})
}

// CancelRecovery carries the owner's no. A wrong code is an answer.
func (c *Client) CancelRecovery(ctx context.Context, account, id string, r wire.CancellationRequest) (wire.RecoveryProof, error) {
	var p wire.RecoveryProof
	return p, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "recoveries", id, "cancellations"), body: r, repeat: keyed, answer: &p})
}

// ClaimRecovery asks for the grant of a recovery that is ready. That it isn't is an answer.
func (c *Client) ClaimRecovery(ctx context.Context, account, id string) (wire.RecoveryClaim, error) {
	var a wire.RecoveryClaim
	return a, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "recoveries", id, "claims"), repeat: keyed, answer: &a})
}

// CompleteRecovery redeems the grant: the account is bound to the new device, and to nothing that it had before but its phones.
func (c *Client) CompleteRecovery(ctx context.Context, account, id string, r wire.CompletionRequest) (wire.EnrolledDevice, error) {
	var d wire.EnrolledDevice
	return d, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "recoveries", id, "completions"), body: r, repeat: keyed, answer: &d})
}

// GrantReset asks for a grant to set a new password, for which a device signed or a code was verified.
func (c *Client) GrantReset(ctx context.Context, account string, r wire.ResetRequest) (wire.ResetGrant, error) {
	var g wire.ResetGrant
	return g, c.do(ctx, call{method: http.MethodPost, path: accountPath(account, "password-resets"), body: r, repeat: keyed, answer: &g})
}

// RedeemReset redeems it, once, when the new password is set.
func (c *Client) RedeemReset(ctx context.Context, account string, grant wire.Secret) (wire.Redemption, error) {
	var r wire.Redemption
	return r, c.do(ctx, call{
		method: http.MethodPost, path: accountPath(account, "password-resets", "redemptions"), body: wire.RedemptionRequest{Grant: grant},
		repeat: keyed, answer: &r,
	})
}
