package api

import (
	"strings"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
)

func wireCredential(c appliance.CredentialInfo) wire.Credential {
	return wire.Credential{
		ID: c.ID, Kind: kindName(c.Kind), Params: wireParams(c.Params), Name: c.Name, Model: c.Model, Serial: c.Serial,
		Platform: c.Platform, SystemVersion: c.SystemVersion, Added: c.Added.UTC(), LastUsed: c.LastUsed.UTC(),
		Certificate: c.Certificate,
	}
}

func kindName(k account.Kind) string {
	switch k {
	case account.Device:
		return wire.KindDevice
	case account.Authenticator:
		return wire.KindAuthenticator
	}
	return "unknown"
}

// Names of otpauth URIs and their numbers in package otp.
var (
	modes      = map[string]otp.Mode{"totp": otp.TOTP, "hotp": otp.HOTP}
	algorithms = map[string]otp.Hash{"SHA1": otp.SHA1, "SHA256": otp.SHA256, "SHA512": otp.SHA512}
)

// otpParams takes params that the schema has checked; absent ones stay zero.
func otpParams(p wire.Params) otp.Params {
	return otp.Params{Mode: modes[p.Type], Hash: algorithms[p.Algorithm], Digits: p.Digits, Period: p.Period}
}

func wireParams(p otp.Params) wire.Params {
	w := wire.Params{Digits: p.Digits, Period: p.Period}
	for name, m := range modes {
		if m == p.Mode {
			w.Type = name
		}
	}
	for name, h := range algorithms {
		if h == p.Hash {
			w.Algorithm = name
		}
	}
	return w
}

// outcomeName is an attempt's outcome on the wire, empty for one that has no name there.
func outcomeName(o account.Outcome) string {
	switch o {
	case account.Accepted:
		return wire.Accepted
	case account.Wrong:
		return wire.Wrong
	case account.Spent:
		return wire.Spent
	case account.Expired:
		return wire.Expired
	case account.Locked:
		return wire.Locked
	}
	return ""
}

// parseCode takes what a person typed. The code is never repeated in an error, and an attempt is not charged for it.
func parseCode(field string, s wire.Secret) (otp.Code, error) {
	code, err := otp.ParseCode(strings.TrimSpace(s.Reveal()))
	if err != nil {
		return otp.Code{}, invalid(field, "must be 6 to 8 digits")
	}
	return code, nil
}
