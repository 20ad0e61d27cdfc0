package appliance

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// deviceParams are the codes of a trusted device (FEATURES.md, S4).
var deviceParams = otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30}

// EnrolDevice makes a seed in the module, sealed at once under the wrapping key and to the device's own key, and a
// certificate for that key. Repeating the request with its Idempotency-Key gives the same device again. An account that has
// a device, or is protected, wants a sign-in that was verified of late: ErrStepUp.
func (s *Service) EnrolDevice(
	ctx context.Context, c Caller, idempotencyKey, name, signIn string, r DeviceRequest,
) (EnrolledDevice, error) {
	if err := s.usable(); err != nil {
		return EnrolledDevice{}, err
	}
	credential, err := s.prepareDevice(ctx, c.Tenant, name, r)
	if err != nil {
		return EnrolledDevice{}, err
	}
	enrolled, entry, err := s.enrol(ctx, c, idempotencyKey, name, signIn, credential, account.SealedDoor)
	if err != nil {
		return EnrolledDevice{}, err
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return EnrolledDevice{}, err
	}
	return enrolledDevice(policy, c.Tenant, name, enrolled, entry)
}

// prepareDevice makes what a device is enrolled with: a seed, sealed twice, and a certificate.
func (s *Service) prepareDevice(ctx context.Context, tenant, name string, r DeviceRequest) (account.Credential, error) {
	key, recipient, err := parseDeviceKey(r.PublicKey)
	if err != nil {
		return account.Credential{}, err
	}
	id, err := s.newID()
	if err != nil {
		return account.Credential{}, err
	}
	credential := account.Credential{
		ID: id, Kind: account.Device, Params: deviceParams, SeedVersion: 1, PublicKey: r.PublicKey,
		Name: r.Name, Model: r.Model, Serial: r.Serial, Platform: r.Platform, SystemVersion: r.SystemVersion,
	}
	sealed, envelope, err := s.pool.GenerateSeed(ctx, binding(tenant, name, &credential), hsm.SHA1, recipient)
	if err != nil {
		return account.Credential{}, moduleError("making a seed", err)
	}
	if credential.Certificate, err = s.certifyDevice(ctx, tenant, id, key); err != nil {
		return account.Credential{}, err
	}
	credential.Seed, credential.KeyVersion = mustEncode(sealed), sealed.KeyVersion
	credential.Envelope = mustEncode(envelope)
	return credential, nil
}

// enrol commits a credential. It returns the one that counts: with a repeated request that is the first one's.
func (s *Service) enrol(
	ctx context.Context, c Caller, idempotencyKey, name, signIn string, credential account.Credential, door account.Door,
) (*account.Credential, int64, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return nil, 0, err
	}
	cmd.Enrol = &account.Enrol{Credential: credential, Door: door, SignIn: signIn, Guarded: true}
	state, result, err := s.done(ctx, cmd)
	if err != nil {
		return nil, 0, err
	}
	enrolled := state.Find(result.Credential)
	if enrolled == nil {
		return nil, 0, ErrNotFound // removed again meanwhile
	}
	return enrolled, result.Entry, nil
}

func parseDeviceKey(pkix []byte) (*ecdsa.PublicKey, *ecdh.PublicKey, error) {
	invalid := &InvalidError{Field: "public_key", Reason: "must be a P-256 public key as PKIX DER"}
	parsed, err := x509.ParsePKIXPublicKey(pkix)
	if err != nil {
		return nil, nil, invalid
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, invalid
	}
	recipient, err := key.ECDH()
	if err != nil {
		return nil, nil, invalid
	}
	return key, recipient, nil
}
