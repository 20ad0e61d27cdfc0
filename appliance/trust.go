package appliance

import (
	"context"
	"errors"
	"time"

	"strongroom.internal/appliance/account"
)

// DeviceProof is a device's signature over account.TrustMessage.
type DeviceProof struct {
	Device    string
	Challenge []byte    // that the front-end drew for this question; 16 to 64 bytes
	Time      time.Time // as the device signed it, to the millisecond
	Signature []byte
}

// DeviceTrust answers it.
type DeviceTrust struct {
	Trusted   bool
	Assurance account.Assurance // of a device that is trusted
	Entry     int64
	Replayed  bool
}

// PasswordChange says that the account's password was changed.
type PasswordChange struct {
	Security bool   // somebody else may have had it
	Device   string // at hand; empty: none of the account's is
	SignIn   string // at hand, likewise
}

// CheckDevice says whether a device is one of the account's now, by its own proof. One that was removed, lost, erased or
// signed out, another account's and a signature that isn't its own are answered alike.
func (s *Service) CheckDevice(ctx context.Context, c Caller, idempotencyKey, name string, p DeviceProof) (DeviceTrust, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return DeviceTrust{}, err
	}
	cmd.CheckDevice = &account.CheckDevice{
		Device: p.Device, Challenge: p.Challenge, Time: account.Time(p.Time.UnixMilli()), Signature: p.Signature,
	}
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return DeviceTrust{}, err
	}
	t := DeviceTrust{Entry: result.Entry, Replayed: result.Replayed}
	if result.Replayed { // whose trust has ended since is not trusted now
		state, err := s.current(ctx, c.Tenant, name)
		if errors.Is(err, ErrNotFound) || err == nil && state.Find(p.Device) == nil {
			return t, nil
		} else if err != nil {
			return DeviceTrust{}, err
		}
	}
	switch result.Outcome {
	case account.Accepted:
		t.Trusted, t.Assurance = true, result.Assurance
	case account.NotFound, account.BadSignature:
	default:
		return DeviceTrust{}, refusal(result.Outcome)
	}
	return t, nil
}

// SignOutDevice ends trust in a device that somebody signed out of completely: its codes are dead on every node, and it needs
// one again, when this returns.
func (s *Service) SignOutDevice(ctx context.Context, c Caller, idempotencyKey, name, device string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.EndTrust = &account.EndTrust{Device: device}
	return s.ends(ctx, cmd)
}

// ChangePassword revokes all app passwords and cancels the sign-ins that are open. After a change for security reasons
// nothing is trusted any more but the device at hand.
func (s *Service) ChangePassword(ctx context.Context, c Caller, idempotencyKey, name string, r PasswordChange) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.ChangePassword = &account.ChangePassword{Security: r.Security, Device: r.Device, SignIn: r.SignIn}
	return s.ends(ctx, cmd)
}
