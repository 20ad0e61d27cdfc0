package appliance

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// Granted is leave to do one thing once. Repeating the request with its Idempotency-Key gives it again, until another was
// given.
type Granted struct {
	Token   *hsm.Secret // 32 characters
	Expires time.Time
	Entry   int64
}

// ResetRequest asks for leave to set a new password, in a sign-in for that purpose: by the signature of the device that is
// signed in on, or, without a device, by the code that verified the sign-in.
type ResetRequest struct {
	SignIn    string
	Device    string
	Present   bool      // signed: the device's owner unlocked it for this
	Time      time.Time // as the device signed it, to the millisecond
	Signature []byte
}

// Reset answers the grant's use. Device is the credential that asked for it; empty for one by a phone's code.
type Reset struct {
	Device string
	Entry  int64
}

// GrantReset gives a grant for a password reset. Every node checks the signature when it applies it.
func (s *Service) GrantReset(ctx context.Context, c Caller, idempotencyKey, name string, r ResetRequest) (Granted, error) {
	if err := s.usable(); err != nil {
		return Granted{}, err
	}
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return Granted{}, err
	}
	random, err := s.newGrant()
	if err != nil {
		return Granted{}, err
	}
	cmd.ResetPassword = &account.ResetPassword{SignIn: r.SignIn, Random: random}
	if q := cmd.ResetPassword; r.Device != "" {
		q.Device, q.Present, q.Time, q.Signature = r.Device, r.Present, account.Time(r.Time.UnixMilli()), r.Signature
	}
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return Granted{}, err
	}
	if err := refusal(result.Outcome); err != nil {
		return Granted{}, err
	}
	return s.granted(ctx, position, c, name, account.GrantReset, result)
}

// RedeemReset uses the grant up, right before the front-end sets the new password. The account's app passwords end with it.
func (s *Service) RedeemReset(ctx context.Context, c Caller, idempotencyKey, name string, token *hsm.Secret) (Reset, error) {
	result, _, err := s.redeem(ctx, c, idempotencyKey, name, account.RedeemGrant{Purpose: account.GrantReset}, token, nil)
	if err != nil {
		return Reset{}, err
	}
	r := Reset{Device: result.Credential, Entry: result.Entry}
	if strings.Contains(r.Device, "/") {
		r.Device = "" // a channel, not a device
	}
	return r, nil
}

func (s *Service) newGrant() ([]byte, error) {
	random := make([]byte, account.GrantSize)
	if _, err := io.ReadFull(s.rand, random); err != nil {
		return nil, fmt.Errorf("drawing a grant: %w", err)
	}
	return random, nil
}

// granted makes the token of the grant that a result is about.
func (s *Service) granted(
	ctx context.Context, position uint64, c Caller, name string, p account.GrantPurpose, result account.Result,
) (Granted, error) {
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return Granted{}, err
	}
	g := state.Grant(p, account.Time(s.now().UnixMilli()))
	if g == nil || g.Handle() != result.Credential {
		return Granted{}, ErrGrant // used, or another was given meanwhile
	}
	token, err := s.grantToken(ctx, c.Tenant, name, g)
	if err != nil {
		return Granted{}, err
	}
	return Granted{Token: token, Expires: moment(g.Expires), Entry: result.Entry}, nil
}

func (s *Service) grantToken(ctx context.Context, tenant, name string, g *account.Grant) (*hsm.Secret, error) {
	macs, err := s.pool.KeyedMAC(ctx, hsm.KeyPepper, [][]byte{account.GrantMessage(tenant, name, g)})
	if err != nil {
		return nil, moduleError("making a grant", err)
	}
	return hsm.NewSecret([]byte(idEncoding.EncodeToString(macs[0][:account.GrantTokenSize]))), nil
}

// redeem uses a grant up. right is called when the token is the grant's and it could be redeemed now.
func (s *Service) redeem(
	ctx context.Context, c Caller, idempotencyKey, name string, q account.RedeemGrant, token *hsm.Secret, right func(*account.Command) error,
) (account.Result, uint64, error) {
	sum := sha256.Sum256(token.Reveal())
	q.Token = binary.BigEndian.Uint64(sum[:])
	macs := uint32(0)
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		try := q
		try.MACs = macs
		cmd.RedeemGrant = &try
		if state == nil || state.Answered(cmd.Request, cmd.Time) {
			return nil
		}
		g := state.Grant(q.Purpose, cmd.Time)
		if g == nil {
			return nil
		}
		made, err := s.grantToken(ctx, c.Tenant, name, g)
		if err != nil {
			return err
		}
		defer made.Destroy()
		macs++
		try.MACs, try.Random = macs, g.Random
		try.Matched = subtle.ConstantTimeCompare(made.Reveal(), token.Reveal()) == 1
		if try.Matched && right != nil && g.By == q.Recovery {
			return right(cmd)
		}
		return nil
	})
	if err != nil {
		return result, 0, err
	}
	switch result.Outcome {
	case account.Wrong, account.Expired:
		return result, 0, ErrGrant
	}
	return result, position, refusal(result.Outcome)
}
