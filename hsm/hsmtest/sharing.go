package hsmtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom.internal/hsm"
)

// concurrency has many callers at few sessions and few resident seeds, so that all are taken, evicted and loaded again.
func (s suite) concurrency(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{Sessions: 4, Resident: 3})
	const accounts, callers, rounds = 8, 24, 12
	type held struct {
		binding hsm.Binding
		raw     []byte
		sealed  hsm.SealedSeed
	}
	var seeds [accounts]held
	for i := range seeds {
		h := held{binding: binding(fmt.Sprint(i)), raw: random(20)}
		h.sealed = m.importSeed(t, h.binding, hsm.SHA1, h.raw)
		seeds[i] = h
	}
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for r := range rounds {
				h := seeds[(c*7+r)%accounts]
				macs, err := m.mac(t.Context(), h.binding, h.sealed, counter(uint64(r)))
				switch {
				case err != nil:
					t.Error(err)
				case !sameMACs(macs, hsm.SHA1, h.raw, uint64(r)):
					t.Errorf("account %s: another's MAC", h.binding.Account)
				}
				if r%5 == 4 {
					m.Forget(h.binding.Tenant, h.binding.Account)
				}
			}
		})
	}
	group.Wait()
	state := m.State()
	if state.Status != hsm.Ready || state.SessionsInUse != 0 || state.Waiting != 0 || state.SessionsOpen > 4 || state.Resident > 3 {
		t.Errorf("afterwards: %+v", state)
	}
	if total := state.Hits + state.Misses; total != callers*rounds {
		t.Errorf("%d hits and misses of %d calls", total, callers*rounds)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.mac(ended, seeds[0].binding, seeds[0].sealed, counter(1)); err != nil && !errors.Is(err, hsm.ErrBusy) {
		t.Errorf("a caller whose context has ended: %v", err)
	}
}

func (s suite) resident(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{Resident: 2})
	limit := min(2, m.backend.Limits().Resident)
	sealed := make(map[string]hsm.SealedSeed)
	use := func(account string) {
		t.Helper()
		if _, made := sealed[account]; !made {
			sealed[account] = m.importSeed(t, binding(account), hsm.SHA1, random(20))
		}
		_, err := m.mac(t.Context(), binding(account), sealed[account], counter(1))
		check(t, err)
	}
	expect := func(when string, hits, misses, evictions uint64, resident int) {
		t.Helper()
		s := m.State()
		if s.Hits != hits || s.Misses != misses || s.Evictions != evictions || s.Resident != resident {
			t.Errorf("%s: %d hits, %d misses, %d evictions, %d resident; want %d, %d, %d, %d",
				when, s.Hits, s.Misses, s.Evictions, s.Resident, hits, misses, evictions, resident)
		}
	}
	use("a")
	expect("first use", 0, 1, 0, 1)
	use("a")
	expect("second use", 1, 1, 0, 1)
	m.Forget("tenant", "somebody else")
	m.Forget("another tenant", "a")
	use("a")
	expect("others forgotten", 2, 1, 0, 1)
	m.Forget("tenant", "a")
	expect("forgotten", 2, 1, 0, 0)
	use("a")
	expect("used again", 2, 2, 0, 1)
	if limit < 2 {
		return
	}
	use("b")
	use("a") // b is now the one that was used longest ago
	use("c")
	expect("one too many", 3, 4, 1, 2)
	use("a")
	expect("the recently used stayed", 4, 4, 1, 2)
	use("b")
	expect("the one that went", 4, 5, 2, 2)
}
