package appliance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// BrowserRequest trusts the browser in which a sign-in was just verified, if its owner chose so.
type BrowserRequest struct {
	SignIn  string // verified within ten minutes, for a browser, and not used for this before
	Browser string // the front-end's id of the browser, such as a cookie; only a MAC of it is kept
	Name    string // that its owner can know it by
}

// BrowserInfo is a browser that is trusted.
type BrowserInfo struct {
	ID       string
	Name     string
	Added    time.Time
	LastUsed time.Time // zero: never
	Expires  time.Time
}

// TrustedBrowser answers a BrowserRequest. Repeating the request with its Idempotency-Key gives a token again.
type TrustedBrowser struct {
	BrowserInfo
	Token *hsm.Secret
	Entry int64
}

// BrowserCheck asks whether a browser is trusted now.
type BrowserCheck struct {
	Browser string // as in BrowserRequest
	Token   *hsm.Secret
}

// BrowserTrust answers it. All but Entry is set only for a browser that is trusted. Token takes the place of the one that
// was shown, which is worth nothing within a minute.
type BrowserTrust struct {
	Trusted   bool
	ID        string
	Token     *hsm.Secret
	Expires   time.Time
	Assurance account.Assurance
	Entry     int64
	Replayed  bool
}

// TrustBrowser trusts a browser and signs its first token. Errors: ErrStepUp, also for an account that does not exist,
// ErrPolicy, ErrNotEligible, ErrConflict.
func (s *Service) TrustBrowser(ctx context.Context, c Caller, idempotencyKey, name string, r BrowserRequest) (TrustedBrowser, error) {
	cmd, digest, err := s.browserCommand(ctx, c, idempotencyKey, name, r.Browser)
	if err != nil {
		return TrustedBrowser{}, err
	}
	id, err := s.newID()
	if err != nil {
		return TrustedBrowser{}, err
	}
	cmd.TrustBrowser = &account.TrustBrowser{Browser: account.Browser{ID: id, Digest: digest, Name: r.Name}, SignIn: r.SignIn, MACs: 1}
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return TrustedBrowser{}, err
	}
	if err := refusal(result.Outcome); err != nil {
		return TrustedBrowser{}, err
	}
	info, token, err := s.signBrowserToken(ctx, c, name, result.Credential, position)
	return TrustedBrowser{BrowserInfo: info, Token: token, Entry: result.Entry}, err
}

// CheckBrowser says whether a browser is trusted now, and gives it its next token. What is no token, one of another
// account or browser, and any token of an account that does not exist are answered alike.
func (s *Service) CheckBrowser(ctx context.Context, c Caller, idempotencyKey, name string, r BrowserCheck) (BrowserTrust, error) {
	cmd, digest, err := s.browserCommand(ctx, c, idempotencyKey, name, r.Browser)
	if err != nil {
		return BrowserTrust{}, err
	}
	signer, err := s.pool.Signer(ctx, hsm.KeyDeviceTrust)
	if err != nil {
		return BrowserTrust{}, moduleError("checking a browser's token", err)
	}
	q := &account.CheckBrowser{Digest: digest, MACs: 1}
	token, _ := parseBrowserToken(r.Token.Reveal())
	message := sha256.Sum256(account.BrowserTokenMessage(c.Tenant, name, digest, token.id, token.n))
	key, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok {
		return BrowserTrust{}, fmt.Errorf("checking a browser's token: the device-trust key is a %T", signer.Public())
	}
	q.ID, q.N = token.id, token.n
	q.Genuine = ecdsa.VerifyASN1(key, message[:], token.signature)
	cmd.CheckBrowser = q
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return BrowserTrust{}, err
	}
	t := BrowserTrust{Entry: result.Entry, Replayed: result.Replayed}
	switch result.Outcome {
	case account.Accepted:
	case account.Wrong, account.Expired, account.Reused, account.RefusedByPolicy:
		return t, nil
	default:
		return BrowserTrust{}, refusal(result.Outcome)
	}
	if result.Replayed {
		if err := s.engine.Sync(ctx); err != nil {
			return BrowserTrust{}, engineError(err)
		}
	}
	info, next, err := s.signBrowserToken(ctx, c, name, result.Credential, position)
	if errors.Is(err, ErrNotFound) {
		return t, nil // it was trusted when this was asked first, or a moment ago
	}
	if err != nil {
		return BrowserTrust{}, err
	}
	t.Trusted, t.ID, t.Token, t.Expires, t.Assurance = true, info.ID, next, info.Expires, result.Assurance
	return t, nil
}

// Browsers lists the browsers that are trusted now, linearizably.
func (s *Service) Browsers(ctx context.Context, c Caller, name string) (list []BrowserInfo, err error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return nil, err
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return nil, err
	}
	now := max(state.Time, account.Time(s.now().UnixMilli()))
	for i := range state.Browsers.List {
		if b := &state.Browsers.List[i]; b.TrustedUntil(policy.BrowserPolicy, now) != 0 {
			list = append(list, browserInfo(policy, b, now))
		}
	}
	return list, nil
}

// RevokeBrowser ends trust in a browser, or, with an empty id, in all of them: no node trusts it when this returns.
func (s *Service) RevokeBrowser(ctx context.Context, c Caller, idempotencyKey, name, id string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.EndTrust = &account.EndTrust{Browser: id}
	return s.ends(ctx, cmd)
}

// SignOutBrowser ends trust in the browser that somebody signs out of completely, by the front-end's id of it. That it
// wasn't trusted is no error.
func (s *Service) SignOutBrowser(ctx context.Context, c Caller, idempotencyKey, name, browser string) error {
	cmd, digest, err := s.browserCommand(ctx, c, idempotencyKey, name, browser)
	if err != nil {
		return err
	}
	cmd.EndTrust = &account.EndTrust{Digest: digest, MACs: 1}
	return s.ends(ctx, cmd)
}

func (s *Service) ends(ctx context.Context, cmd *account.Command) error {
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// browserCommand starts a command about a browser, with the MAC that it is known by.
func (s *Service) browserCommand(ctx context.Context, c Caller, idempotencyKey, name, browser string) (*account.Command, []byte, error) {
	if err := s.usable(); err != nil {
		return nil, nil, err
	}
	macs, err := s.pool.KeyedMAC(ctx, hsm.KeyPepper, [][]byte{account.BrowserMessage(c.Tenant, name, browser)})
	if err != nil {
		return nil, nil, moduleError("computing the MAC of a browser", err)
	}
	cmd, err := s.command(c, idempotencyKey, name)
	return cmd, macs[0], err
}

// signBrowserToken signs the token that counts now. It is called when the entry that says so is committed: what fails here
// may be repeated with the same Idempotency-Key.
func (s *Service) signBrowserToken(ctx context.Context, c Caller, name, id string, position uint64) (BrowserInfo, *hsm.Secret, error) {
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return BrowserInfo{}, nil, err
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return BrowserInfo{}, nil, err
	}
	b := state.Browser(id)
	now := account.Time(s.now().UnixMilli())
	if b == nil || b.TrustedUntil(policy.BrowserPolicy, max(now, state.Time)) == 0 {
		return BrowserInfo{}, nil, ErrNotFound // ended again meanwhile
	}
	signer, err := s.pool.Signer(ctx, hsm.KeyDeviceTrust)
	if err == nil {
		message := sha256.Sum256(account.BrowserTokenMessage(c.Tenant, name, b.Digest, b.ID, b.N))
		t := browserToken{id: b.ID, n: b.N}
		if t.signature, err = signer.Sign(s.rand, message[:], crypto.SHA256); err == nil {
			token, err := t.secret()
			return browserInfo(policy, b, now), token, err
		}
	}
	return BrowserInfo{}, nil, fmt.Errorf("signing a browser's token: %w: %w", ErrUnknown, err)
}

func browserInfo(p Policy, b *account.Browser, now account.Time) BrowserInfo {
	return BrowserInfo{
		ID: b.ID, Name: b.Name, Added: moment(b.Added), LastUsed: moment(b.LastUsed),
		Expires: moment(b.TrustedUntil(p.BrowserPolicy, now)),
	}
}
