package hsmtest

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom.internal/hsm"
)

// binding: a record opens in its own place only, and every part of it is under the tag.
func (s suite) binding(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{})
	home := hsm.Binding{Tenant: "t", Account: "ab", Credential: "c", Version: 1}
	sealed := m.importSeed(t, home, hsm.SHA256, random(32))
	other := m.importSeed(t, hsm.Binding{Tenant: "t", Account: "other", Credential: "c", Version: 1}, hsm.SHA256, random(32))
	flip := func(b []byte) []byte {
		b = append([]byte(nil), b...)
		b[len(b)/2] ^= 1
		return b
	}
	_, err := m.mac(t.Context(), home, sealed, counter(1))
	check(t, err) // resident now: a swap must not find it there either
	for name, swap := range map[string]func(*hsm.Binding, *hsm.SealedSeed){
		"tenant":                 func(b *hsm.Binding, _ *hsm.SealedSeed) { b.Tenant = "u" },
		"account":                func(b *hsm.Binding, _ *hsm.SealedSeed) { b.Account = "other" },
		"credential":             func(b *hsm.Binding, _ *hsm.SealedSeed) { b.Credential = "d" },
		"version":                func(b *hsm.Binding, _ *hsm.SealedSeed) { b.Version = 2 },
		"fields that run on":     func(b *hsm.Binding, _ *hsm.SealedSeed) { b.Tenant, b.Account = "ta", "b" },
		"empty field":            func(b *hsm.Binding, _ *hsm.SealedSeed) { b.Account, b.Credential = "abc", "" },
		"key version":            func(_ *hsm.Binding, s *hsm.SealedSeed) { s.KeyVersion++ },
		"hash":                   func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Hash = hsm.SHA1 },
		"blob":                   func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Blob = flip(s.Blob) },
		"another's blob":         func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Blob = other.Blob },
		"another's whole seed":   func(_ *hsm.Binding, s *hsm.SealedSeed) { *s = other },
		"no blob":                func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Blob = nil },
		"tag":                    func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Tag = flip(s.Tag) },
		"short tag":              func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Tag = s.Tag[:16] },
		"long tag":               func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Tag = append(append([]byte(nil), s.Tag...), 0) },
		"no tag":                 func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Tag = nil },
		"another's blob and tag": func(_ *hsm.Binding, s *hsm.SealedSeed) { s.Blob, s.Tag = other.Blob, other.Tag },
	} {
		t.Run(name, func(t *testing.T) {
			// Once as it is, when the right record is resident, and once when nothing is.
			for _, resident := range []bool{true, false} {
				if !resident {
					m.Forget(home.Tenant, home.Account)
				}
				b, swapped := home, sealed
				swap(&b, &swapped)
				if _, err := m.mac(t.Context(), b, swapped, counter(1)); !errors.Is(err, hsm.ErrTag) {
					t.Errorf("resident %v: %v, want ErrTag", resident, err)
				}
			}
			_, err := m.mac(t.Context(), home, sealed, counter(1))
			check(t, err)
		})
	}
}

// envelope: what the device opens is the seed that was sealed; nobody else, and for nothing else.
func (s suite) envelope(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{})
	device := ok[*ecdh.PrivateKey](t)(ecdh.P256().GenerateKey(rand.Reader))
	stranger := ok[*ecdh.PrivateKey](t)(ecdh.P256().GenerateKey(rand.Reader))
	for _, h := range hashes {
		b := binding(h.name)
		sealed, envelope, err := m.GenerateSeed(t.Context(), b, h.hash, device.PublicKey())
		check(t, err)
		seed, err := hsm.OpenEnvelope(device, b, *envelope)
		check(t, err)
		if !sameMACs(ok[[][]byte](t)(m.mac(t.Context(), b, sealed, counter(3), counter(4))), h.hash, seed.Reveal(), 3, 4) {
			t.Errorf("%s: the device has another seed than the module", h.name)
		}
		if _, err := hsm.OpenEnvelope(stranger, b, *envelope); !errors.Is(err, hsm.ErrEnvelope) {
			t.Errorf("%s: with another device's key: %v", h.name, err)
		}
		elsewhere := b
		elsewhere.Account = "mallory"
		if _, err := hsm.OpenEnvelope(device, elsewhere, *envelope); !errors.Is(err, hsm.ErrEnvelope) {
			t.Errorf("%s: for another account: %v", h.name, err)
		}
		for i := range envelope.Wrapped {
			cut := hsm.Envelope{Ephemeral: envelope.Ephemeral, Wrapped: append([]byte(nil), envelope.Wrapped...)}
			cut.Wrapped[i] ^= 0x80
			if _, err := hsm.OpenEnvelope(device, b, cut); !errors.Is(err, hsm.ErrEnvelope) {
				t.Errorf("%s: byte %d changed: %v", h.name, i, err)
			}
		}
		again, _, err := m.GenerateSeed(t.Context(), b, h.hash, device.PublicKey())
		check(t, err)
		if string(again.Blob) == string(sealed.Blob) {
			t.Errorf("%s: two seeds are the same", h.name)
		}
	}
	_, envelope, err := m.GenerateSeed(t.Context(), binding("alone"), hsm.SHA1, nil)
	if err != nil || envelope != nil {
		t.Errorf("without a recipient: envelope %v, %v", envelope, err)
	}
}
