package api

import (
	"context"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

var fakeProtection = appliance.ProtectionInfo{
	Mode: account.TwoFactor, Assurance: account.TwoFactorLevel, Since: time.Unix(1700000000, 0), UndoUntil: time.Unix(1701209600, 0),
	Class: "child",
}

func (s *scripted) Protect(_ context.Context, c appliance.Caller, key, name string, r appliance.ProtectRequest) (appliance.Protected, error) {
	s.note("Protect", c, key, name)
	s.protect = r
	if r.Settings != nil {
		s.settings = string(r.Settings.Reveal())
	}
	return appliance.Protected{
		ProtectionInfo: fakeProtection, Outcome: account.Done, Entry: 5, Link: &appliance.Link{Token: hsm.NewSecret([]byte("t0ken"))},
	}, s.err
}

func (s *scripted) Protection(_ context.Context, c appliance.Caller, name string) (appliance.ProtectionInfo, error) {
	s.note("Protection", c, "", name)
	return fakeProtection, s.err
}

func (s *scripted) Unprotect(_ context.Context, c appliance.Caller, key, name string, token *hsm.Secret) (appliance.Unprotected, error) {
	s.note("Unprotect", c, key, name)
	s.token = string(token.Reveal())
	return appliance.Unprotected{Settings: hsm.NewSecret([]byte("old")), Lost: []string{"permanence"}, Entry: 6}, s.err
}

func (s *scripted) SetClass(_ context.Context, c appliance.Caller, key, name, class string) (appliance.ProtectionInfo, error) {
	s.note("SetClass", c, key, name)
	s.class = class
	return fakeProtection, s.err
}

func (s *scripted) Eligibility(_ context.Context, c appliance.Caller, r appliance.EligibilityRequest) (appliance.Eligibility, error) {
	s.note("Eligibility", c, "", r.Account)
	s.eligible = r
	return appliance.Eligibility{Reasons: []string{account.ReasonVersion}, Minimum: "9", Account: &fakeProtection}, s.err
}

func (s *scripted) ChangeDevice(_ context.Context, c appliance.Caller, key, name, _ string, r appliance.DeviceChange) (appliance.EnrolledDevice, error) {
	s.note("ChangeDevice", c, key, name)
	s.change = r
	return appliance.EnrolledDevice{CredentialInfo: s.info(name).Credentials[0]}, s.err
}

func (s *scripted) VerifyPhoneAndProtect(
	ctx context.Context, c appliance.Caller, key, name, id string, code otp.Code, r appliance.ProtectRequest,
) (appliance.Verification, *appliance.Protected, error) {
	p, err := s.Protect(ctx, c, key, name, r)
	s.note("VerifyPhoneAndProtect", c, key, name)
	s.verify.Code = code
	if s.answer.Outcome != account.Accepted {
		return s.answer, nil, err
	}
	return s.answer, &p, err
}

func (s *scripted) ReportPresence(_ context.Context, c appliance.Caller, key, name, device string, signedIn bool) (appliance.CredentialInfo, error) {
	s.note("ReportPresence", c, key, name)
	i := appliance.CredentialInfo{ID: device, Kind: account.Device, Presence: account.SignedOut, Since: time.Unix(1700000000, 0)}
	if signedIn {
		i.Presence, i.LastSeen = account.SignedIn, time.Unix(1700000000, 0)
	}
	return i, s.err
}

func (s *scripted) ReportDevice(_ context.Context, c appliance.Caller, key, name, device string, erased bool) (appliance.CredentialInfo, error) {
	s.note("ReportDevice", c, key, name)
	s.erased = erased
	return appliance.CredentialInfo{ID: device, Kind: account.Device, State: "erased"}, s.err
}
