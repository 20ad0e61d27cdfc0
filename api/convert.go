package api

import (
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
)

func wireCredential(c appliance.CredentialInfo) wire.Credential {
	w := wire.Credential{
		ID: c.ID, Kind: c.Kind.String(), Params: wireParams(c.Params), Name: c.Name, Model: c.Model, Serial: c.Serial,
		Platform: c.Platform, SystemVersion: c.SystemVersion, Added: c.Added.UTC(), LastUsed: c.LastUsed.UTC(),
		Certificate: c.Certificate, Trusted: c.Trusted, ShowsCodes: c.ShowsCodes, State: c.State, Reported: c.Reported.UTC(),
		SignedInSince: c.Since.UTC(), LastSeen: c.LastSeen.UTC(),
	}
	if c.Presence != account.PresenceUnknown {
		in := c.Presence == account.SignedIn
		w.SignedIn = &in
	}
	return w
}

// Names of otpauth URIs and their numbers in package otp.
var (
	modes      = map[string]otp.Mode{otp.TOTP.String(): otp.TOTP, otp.HOTP.String(): otp.HOTP}
	algorithms = map[string]otp.Hash{
		otp.SHA1.String(): otp.SHA1, otp.SHA256.String(): otp.SHA256, otp.SHA512.String(): otp.SHA512,
	}
)

// otpParams takes params that the schema has bounded; absent ones stay zero.
func otpParams(p wire.Params) otp.Params {
	return otp.Params{Mode: modes[p.Type], Hash: algorithms[p.Algorithm], Digits: uint8(p.Digits), Period: uint16(p.Period)}
}

func wireParams(p otp.Params) wire.Params {
	return wire.Params{Type: p.Mode.String(), Algorithm: p.Hash.String(), Digits: int(p.Digits), Period: int(p.Period)}
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
	case account.Ended:
		return wire.Ended
	}
	return ""
}

// parseCode takes digits and nothing else. The code is never repeated in an error, and an attempt is not charged for it.
func parseCode(field string, s wire.Secret) (otp.Code, error) {
	code, err := otp.ParseCode(s.Reveal())
	if err != nil {
		return otp.Code{}, invalid(field, "must be 6 to 8 digits")
	}
	return code, nil
}
