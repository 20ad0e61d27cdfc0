package hsm

import (
	"context"
	"time"
)

// Evaluation asks for the MACs of several messages with one seed.
type Evaluation struct {
	Binding  Binding
	Seed     SealedSeed
	Messages [][]byte
}

// MAC computes all evaluations in one session. The seeds become resident. The result has a slice for each evaluation,
// with a MAC for each of its messages. Errors: ErrTag when a record is not in its place, ErrBusy, ErrGone, ErrPIN.
func (p *Pool) MAC(ctx context.Context, evaluations []Evaluation) ([][][]byte, error) {
	return call(ctx, p, func(s Session) ([][][]byte, error) {
		macs := make([][][]byte, len(evaluations))
		for i, e := range evaluations {
			var err error
			if macs[i], err = p.evaluate(s, e); err != nil {
				return nil, err
			}
		}
		return macs, nil
	})
}

func (p *Pool) evaluate(s Session, e Evaluation) ([][]byte, error) {
	seed, release, err := p.resident.use(s, e)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.MAC(seed, e.Seed.Hash, e.Messages)
}

// forgetTimeout bounds how long Forget waits for a session to destroy what it took out.
const forgetTimeout = 5 * time.Second

// Forget drops an account's resident seeds, because its credentials changed. It looks through all resident seeds: it is
// for rare events.
func (p *Pool) Forget(tenant, account string) {
	handles := p.resident.forget(func(b Binding) bool { return b.Tenant == tenant && b.Account == account })
	if len(handles) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), forgetTimeout)
	defer cancel()
	// Should this fail, the module is gone and the seeds with it.
	_, _ = callOnce(ctx, p, func(s Session) (struct{}, error) {
		for _, h := range handles {
			if err := s.Unload(h); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
}
