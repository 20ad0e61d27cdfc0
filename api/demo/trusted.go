package demo

import (
	"context"
	"crypto/rand"

	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// trusts says whether a device that asks to be let in without a code is one of the account's now. The device answers a
// challenge with its key; Strongroom judges the answer, and each of its nodes knows at once when trust has ended.
func (s *Site) trusts(ctx context.Context, account string, d *app.Device) (bool, error) {
	challenge := make([]byte, 32)
	_, _ = rand.Read(challenge)
	id, proof, err := d.ProveTrust(account, challenge)
	if err != nil {
		return false, nil // it doesn't say that it is trusted
	}
	v, err := s.api.VerifyDevice(ctx, account, id, proof)
	return v.Outcome == wire.Trusted, err
}
