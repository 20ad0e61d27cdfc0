package appliance

import (
	"context"
	"fmt"

	"rsc.io/qr"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// AddAuthenticator passes one of the two narrow doors of the first promise. Policy is asked before the hardware is, so
// that a closed door makes no seed; the core asks again when it decides.
func (s *Service) AddAuthenticator(
	ctx context.Context, c Caller, idempotencyKey, name string, r AuthenticatorRequest,
) (NewAuthenticator, error) {
	if err := s.usable(); err != nil {
		return NewAuthenticator{}, err
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return NewAuthenticator{}, err
	}
	id, err := s.newID()
	if err != nil {
		return NewAuthenticator{}, err
	}
	credential := account.Credential{ID: id, Kind: account.Authenticator, SeedVersion: 1}
	if r.URI != nil {
		return s.importAuthenticator(ctx, c, idempotencyKey, name, r, policy, credential)
	}
	return s.revealAuthenticator(ctx, c, idempotencyKey, name, r, policy, credential)
}

func (s *Service) importAuthenticator(
	ctx context.Context, c Caller, idempotencyKey, name string, r AuthenticatorRequest,
	policy Policy, credential account.Credential,
) (NewAuthenticator, error) {
	uri, err := otp.ParseURI(string(r.URI.Reveal()))
	if err != nil {
		return NewAuthenticator{}, &InvalidError{Field: "uri", Reason: err.Error()}
	}
	seed := hsm.NewSecret(uri.Secret.Reveal())
	defer seed.Destroy()
	credential.Params, credential.Counter = uri.Params, uri.Counter
	credential.Issuer, credential.Label = uri.Issuer, uri.Account
	if policy.AllowImport {
		sealed, err := s.pool.ImportSeed(ctx, binding(c.Tenant, name, &credential), hsm.Hash(uri.Params.Hash), seed)
		if err != nil {
			return NewAuthenticator{}, moduleError("importing a seed", err)
		}
		credential.Seed, credential.KeyVersion = mustEncode(sealed), sealed.KeyVersion
	}
	// With the door closed there is no seed, and the core's refusal is what the log keeps of the attempt.
	enrolled, entry, err := s.enrol(ctx, c, idempotencyKey, name, r.SignIn, credential, account.ImportedDoor)
	if err != nil {
		return NewAuthenticator{}, err
	}
	return NewAuthenticator{CredentialInfo: credentialInfo(Policy{}, enrolled), Entry: entry}, nil
}

func (s *Service) revealAuthenticator(
	ctx context.Context, c Caller, idempotencyKey, name string, r AuthenticatorRequest,
	policy Policy, credential account.Credential,
) (NewAuthenticator, error) {
	params := withDefaults(r.Params)
	if err := params.Validate(); err != nil {
		return NewAuthenticator{}, &InvalidError{Field: "params", Reason: err.Error()}
	}
	credential.Params, credential.Issuer, credential.Label = params, r.Issuer, r.Label
	// The names are checked before there is a seed to lose; zeros stand in for it.
	uri := otp.URI{
		Params: params, Issuer: r.Issuer, Account: r.Label, Secret: otp.NewSecret(make([]byte, otp.MinSecret)),
	}
	if err := uri.Validate(); err != nil {
		return NewAuthenticator{}, &InvalidError{Field: "label", Reason: err.Error()}
	}
	var seed *hsm.Secret
	if policy.AllowReveal {
		var sealed hsm.SealedSeed
		var err error
		sealed, seed, err = s.pool.RevealSeed(ctx, binding(c.Tenant, name, &credential), hsm.Hash(params.Hash))
		if err != nil {
			return NewAuthenticator{}, moduleError("making a seed", err)
		}
		defer seed.Destroy()
		credential.Seed, credential.KeyVersion = mustEncode(sealed), sealed.KeyVersion
	}
	enrolled, entry, err := s.enrol(ctx, c, idempotencyKey, name, r.SignIn, credential, account.RevealedDoor)
	if err != nil {
		return NewAuthenticator{}, err
	}
	answer := NewAuthenticator{CredentialInfo: credentialInfo(Policy{}, enrolled), Entry: entry}
	if enrolled.ID != credential.ID {
		return answer, nil // a repeated request: what was shown once is not shown again
	}
	uri.Secret = otp.NewSecret(seed.Reveal())
	text := uri.Format()
	answer.URI = hsm.NewSecret([]byte(text))
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return NewAuthenticator{}, fmt.Errorf("drawing a QR code: the issuer and label are too long")
	}
	answer.QR = hsm.NewSecret(code.PNG())
	return answer, nil
}

// withDefaults fills in what every authenticator app understands.
func withDefaults(p otp.Params) otp.Params {
	if p.Mode == 0 {
		p.Mode = otp.TOTP
	}
	if p.Hash == 0 {
		p.Hash = otp.SHA1
	}
	if p.Digits == 0 {
		p.Digits = 6
	}
	if p.Period == 0 && p.Mode == otp.TOTP {
		p.Period = 30
	}
	return p
}
