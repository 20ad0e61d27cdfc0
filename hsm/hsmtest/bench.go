package hsmtest

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"testing"

	"strongroom.internal/hsm"
)

// Benchmark measures what a sign-in and an enrolment cost through the pool.
func Benchmark(b *testing.B, newRig func(t testing.TB) Rig) {
	s := suite{newRig: newRig}
	steps := [][]byte{counter(1), counter(2), counter(3)}
	b.Run("Hot", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		sealed := m.importSeed(b, binding("a"), hsm.SHA1, random(20))
		for b.Loop() {
			_, err := m.mac(b.Context(), binding("a"), sealed, steps...)
			check(b, err)
		}
	})
	b.Run("HotParallel", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		sealed := m.importSeed(b, binding("a"), hsm.SHA1, random(20))
		b.RunParallel(func(next *testing.PB) {
			for next.Next() {
				if _, err := m.mac(b.Context(), binding("a"), sealed, steps...); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("HotWithoutPool", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		sealed := m.importSeed(b, binding("a"), hsm.SHA1, random(20))
		session := ok[hsm.Session](b)(m.backend.OpenSession(b.Context()))
		defer func() { _ = session.Close() }()
		seed := ok[hsm.Handle](b)(session.Load(binding("a"), sealed))
		for b.Loop() {
			_, err := session.MAC(seed, hsm.SHA1, steps)
			check(b, err)
		}
	})
	b.Run("Cold", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{Resident: 1}) // so that each of two pushes the other out
		var sealed [2]hsm.SealedSeed
		for i := range sealed {
			sealed[i] = m.importSeed(b, binding(fmt.Sprint(i)), hsm.SHA1, random(20))
		}
		for i := 0; b.Loop(); i++ {
			_, err := m.mac(b.Context(), binding(fmt.Sprint(i%2)), sealed[i%2], steps...)
			check(b, err)
		}
	})
	b.Run("Load", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		sealed := m.importSeed(b, binding("a"), hsm.SHA1, random(20))
		session := ok[hsm.Session](b)(m.backend.OpenSession(b.Context()))
		defer func() { _ = session.Close() }()
		for b.Loop() {
			check(b, session.Unload(ok[hsm.Handle](b)(session.Load(binding("a"), sealed))))
		}
	})
	b.Run("OpenSession", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		for b.Loop() {
			check(b, ok[hsm.Session](b)(m.backend.OpenSession(b.Context())).Close())
		}
	})
	b.Run("Ping", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		session := ok[hsm.Session](b)(m.backend.OpenSession(b.Context()))
		defer func() { _ = session.Close() }()
		for b.Loop() {
			check(b, session.Ping())
		}
	})
	b.Run("Generate", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		for b.Loop() {
			_, _, err := m.GenerateSeed(b.Context(), binding("a"), hsm.SHA1, nil)
			check(b, err)
		}
	})
	b.Run("Deliver", func(b *testing.B) {
		m := s.born(b, hsm.PoolConfig{})
		device := ok[*ecdh.PrivateKey](b)(ecdh.P256().GenerateKey(rand.Reader))
		for b.Loop() {
			_, _, err := m.GenerateSeed(b.Context(), binding("a"), hsm.SHA1, device.PublicKey())
			check(b, err)
		}
	})
}
