// Package hsmtest is the conformance suite that every hsm.Backend passes, through the hsm.Pool as the appliance uses it.
//
// A backend's test makes a fresh, empty module for each call of its rig function and hands over what can be done to it
// from outside. What a module can't have done to it is nil in the [Rig], and what would need it is not run. Nothing
// here asks for more sessions or loaded seeds than the backend's limits allow.
package hsmtest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"strongroom.internal/hsm"
)

// Rig is one fresh module, and what a test may do to it.
type Rig struct {
	// Open opens the module with what it needs to open; again after the backend before is closed.
	Open func(t testing.TB) hsm.Backend
	// Trust is the security officer's act: a joiner's transport key may receive the wrapping key from this module.
	Trust func(t testing.TB, pkix []byte)
	// Remove takes the module away from under its users; Return brings the same one back.
	Remove, Return func(t testing.TB)
	// CutSessions ends the backend's sessions behind its back; the login stays.
	CutSessions func(t testing.TB, b hsm.Backend)
	// CutLogin ends the backend's sessions and its login.
	CutLogin func(t testing.TB, b hsm.Backend)
	// PIN is of a module that asks for one.
	PIN *PIN
}

// PIN is what the suite needs to try a wrong one.
type PIN struct {
	Right, Wrong string
	Open         func(pin func() (*hsm.Secret, error)) (hsm.Backend, error)
	// Warned says whether the module has counted a refused PIN since the last good one.
	Warned func(t testing.TB) bool
}

// Run runs the suite; each part gets modules of its own.
func Run(t *testing.T, newRig func(t testing.TB) Rig) {
	s := suite{newRig: newRig}
	t.Run("Vectors", s.vectors)
	t.Run("SeedLengths", s.seedLengths)
	t.Run("Binding", s.binding)
	t.Run("Envelope", s.envelope)
	t.Run("Reveal", s.reveal)
	t.Run("Birth", s.birth)
	t.Run("ClusterKeys", s.clusterKeys)
	t.Run("NodeKeys", s.nodeKeys)
	t.Run("DayKeys", s.dayKeys)
	t.Run("Transfer", s.transfer)
	t.Run("Concurrency", s.concurrency)
	t.Run("Resident", s.resident)
	t.Run("Removal", s.removal)
	t.Run("LostSessions", s.lostSessions)
	t.Run("LostSessionsUnderLoad", s.lostUnderLoad)
	t.Run("RemovalUnderLoad", s.removedUnderLoad)
	t.Run("LostLogin", s.lostLogin)
	t.Run("WrongPIN", s.wrongPIN)
	t.Run("ChangedPIN", s.changedPIN)
}

type suite struct{ newRig func(t testing.TB) Rig }

// module is a rig in use.
type module struct {
	Rig
	backend hsm.Backend
	*hsm.Pool
}

// bare opens a fresh module in a pool.
func (s suite) bare(t testing.TB, c hsm.PoolConfig) module {
	t.Helper()
	rig := s.newRig(t)
	return start(t, rig, rig.Open(t), c)
}

// born is a module at which a cluster was born.
func (s suite) born(t testing.TB, c hsm.PoolConfig) module {
	t.Helper()
	m := s.bare(t, c)
	check(t, m.CreateWrappingKey(t.Context()))
	return m
}

func start(t testing.TB, rig Rig, b hsm.Backend, c hsm.PoolConfig) module {
	t.Helper()
	if c.RecoverEvery == 0 {
		c.RecoverEvery = 100 * time.Millisecond
	}
	p := hsm.NewPool(b, c)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing the pool: %v", err)
		}
	})
	check(t, p.Start(t.Context()))
	return module{Rig: rig, backend: b, Pool: p}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ok gives a value that came without an error.
func ok[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func binding(account string) hsm.Binding {
	return hsm.Binding{Tenant: "tenant", Account: account, Credential: "c1", Version: 1}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// importSeed passes the import door with a copy of raw.
func (m module) importSeed(t testing.TB, b hsm.Binding, h hsm.Hash, raw []byte) hsm.SealedSeed {
	t.Helper()
	seed := hsm.NewSecret(append([]byte(nil), raw...))
	defer seed.Destroy()
	return ok[hsm.SealedSeed](t)(m.Pool.ImportSeed(t.Context(), b, h, seed))
}

// mac computes MACs of messages of one length.
func (m module) mac(ctx context.Context, b hsm.Binding, s hsm.SealedSeed, messages ...[]byte) ([][]byte, error) {
	macs, err := m.Pool.MAC(ctx, []hsm.Evaluation{{Binding: b, Seed: s, Messages: messages}})
	if err != nil {
		return nil, err
	}
	return macs[0], nil
}

// until waits for a condition.
func until(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-tick.C
	}
}
