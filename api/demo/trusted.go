package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"

	"strongroom.internal/api/demo/app"
)

// trusts says whether a device that asks to be let in without a code is one of the account's now. The device answers a
// challenge with its key; the key has to be in the certificate of a device that the account has at this moment, which
// every node knows at once when one is removed.
func (s *Site) trusts(ctx context.Context, account string, d *app.Device) (bool, error) {
	challenge := make([]byte, 32)
	_, _ = rand.Read(challenge)
	id, signature, err := d.ProveTrust(account, challenge)
	if err != nil {
		return false, nil // it doesn't say that it is trusted
	}
	devices, err := s.api.Devices(ctx, account)
	if err != nil {
		return false, err
	}
	for _, known := range devices {
		if known.ID != id || !known.Trusted { // one that was reported lost is listed, and no more
			continue
		}
		certificate, err := x509.ParseCertificate(known.Certificate)
		if err != nil {
			return false, err
		}
		key, ok := certificate.PublicKey.(*ecdsa.PublicKey)
		return ok && ecdsa.VerifyASN1(key, app.TrustMessage(account, id, challenge), signature), nil
	}
	return false, nil
}
