package appliance

import (
	"context"
	"sync"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// decoys are evaluated for accounts that don't exist or have no credential, so that their answers take the module's
// time like any other. Their results are thrown away.
type decoys struct {
	mu   sync.Mutex
	seed *hsm.SealedSeed // made at the first need and kept; it opens nothing
}

// decoyBinding can be no account's: tenants are never empty.
var decoyBinding = hsm.Binding{Account: "decoy", Credential: "decoy", Version: 1}

// evaluate computes as many MACs as one authenticator app costs. A first attempt finds its seed cold, like an account
// that has not signed in for long.
func (d *decoys) evaluate(ctx context.Context, pool *hsm.Pool, cold bool, cmd *account.Command) (macs uint32, err error) {
	seed, err := d.get(ctx, pool)
	if err != nil {
		return 0, err
	}
	if cold {
		pool.Forget(decoyBinding.Tenant, decoyBinding.Account)
	}
	steps := account.DecoyWindow(cmd.Time)
	computed, err := pool.MAC(ctx, []hsm.Evaluation{{Binding: decoyBinding, Seed: *seed, Messages: counters(steps)}})
	if err != nil {
		return 0, moduleError("computing codes", err)
	}
	// Compared like any other, and dropped.
	_ = otp.Code{}.Matches(computed[0], 6)
	return uint32(len(steps)), nil
}

func (d *decoys) get(ctx context.Context, pool *hsm.Pool) (*hsm.SealedSeed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seed == nil {
		seed, _, err := pool.GenerateSeed(ctx, decoyBinding, hsm.SHA1, nil)
		if err != nil {
			return nil, moduleError("making a decoy", err)
		}
		d.seed = &seed
	}
	return d.seed, nil
}
