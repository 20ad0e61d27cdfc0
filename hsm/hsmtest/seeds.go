package hsmtest

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"strongroom.internal/hsm"
)

// rfc6238 is RFC 6238, Appendix B: times, and 8-digit codes for SHA-1, SHA-256 and SHA-512. Seeds are the digits
// 1234567890, repeated to the hash's length.
var rfc6238 = []struct {
	seconds uint64
	codes   [3]uint32
}{
	{59, [3]uint32{94287082, 46119246, 90693936}},
	{1111111109, [3]uint32{7081804, 68084774, 25091201}},
	{1111111111, [3]uint32{14050471, 67062674, 99943326}},
	{1234567890, [3]uint32{89005924, 91819424, 93441116}},
	{2000000000, [3]uint32{69279037, 90698825, 38618901}},
	{20000000000, [3]uint32{65353130, 77737706, 47863826}},
}

// rfc4226 is RFC 4226, Appendix D: the 6-digit codes of counters 0 to 9.
var rfc4226 = []uint32{755224, 287082, 359152, 969429, 338314, 254676, 287922, 162583, 399871, 520489}

var hashes = []struct {
	hash   hsm.Hash
	name   string
	length int
}{{hsm.SHA1, "SHA1", 20}, {hsm.SHA256, "SHA256", 32}, {hsm.SHA512, "SHA512", 64}}

// truncated is RFC 4226, Section 5.3.
func truncated(mac []byte, modulus uint32) uint32 {
	offset := mac[len(mac)-1] & 0xf
	return (binary.BigEndian.Uint32(mac[offset:]) & 0x7fffffff) % modulus
}

func counter(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (s suite) vectors(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{})
	digits := bytes.Repeat([]byte("1234567890"), 7)
	for i, h := range hashes {
		b := binding(h.name)
		sealed := m.importSeed(t, b, h.hash, digits[:h.length])
		var messages [][]byte
		for _, v := range rfc6238 {
			messages = append(messages, counter(v.seconds/30))
		}
		macs := ok[[][]byte](t)(m.mac(t.Context(), b, sealed, messages...))
		for j, v := range rfc6238 {
			if got := truncated(macs[j], 1e8); got != v.codes[i] {
				t.Errorf("RFC 6238, Appendix B, %s at %d: %08d, want %08d", h.name, v.seconds, got, v.codes[i])
			}
		}
		if h.hash != hsm.SHA1 {
			continue
		}
		for n, want := range rfc4226 {
			mac := ok[[][]byte](t)(m.mac(t.Context(), b, sealed, counter(uint64(n))))[0]
			if got := truncated(mac, 1e6); got != want {
				t.Errorf("RFC 4226, Appendix D, counter %d: %06d, want %06d", n, got, want)
			}
		}
	}
}

// seedLengths compares with crypto/hmac around every length at which a module might round.
func (s suite) seedLengths(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{})
	lengths := []int{10, 11, 16, 19, 20, 21, 31, 32, 33, 63, 64, 65, 72, 127, 128, 129, 200, 255, 256}
	for _, h := range hashes {
		for _, n := range lengths {
			b, raw := binding(fmt.Sprintf("%s-%d", h.name, n)), random(n)
			sealed := m.importSeed(t, b, h.hash, raw)
			if got := ok[[][]byte](t)(m.mac(t.Context(), b, sealed, counter(1), counter(2))); !sameMACs(got, h.hash, raw, 1, 2) {
				t.Errorf("%s, seed of %d bytes: another MAC than crypto/hmac's", h.name, n)
			}
		}
	}
	for _, n := range []int{0, 9, 257} {
		_, err := m.Pool.ImportSeed(t.Context(), binding("x"), hsm.SHA1, hsm.NewSecret(random(n)))
		if !errors.Is(err, hsm.ErrSeedLength) {
			t.Errorf("importing %d bytes: %v", n, err)
		}
	}
	if _, err := m.Pool.ImportSeed(t.Context(), binding("x"), hsm.InvalidHash, hsm.NewSecret(random(20))); err == nil {
		t.Error("a seed without a hash was taken")
	}
}

func sameMACs(macs [][]byte, h hsm.Hash, seed []byte, counters ...uint64) bool {
	if len(macs) != len(counters) {
		return false
	}
	for i, n := range counters {
		mac := hmac.New(h.Crypto().New, seed)
		mac.Write(counter(n))
		if !bytes.Equal(mac.Sum(nil), macs[i]) {
			return false
		}
	}
	return true
}

// reveal: what the QR door shows is the seed that was sealed.
func (s suite) reveal(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{})
	for _, h := range hashes {
		b := binding(h.name)
		sealed, seed, err := m.RevealSeed(t.Context(), b, h.hash)
		check(t, err)
		if n := len(seed.Reveal()); n != h.length {
			t.Errorf("%s: the seed has %d bytes, want %d", h.name, n, h.length)
		}
		if !sameMACs(ok[[][]byte](t)(m.mac(t.Context(), b, sealed, counter(7))), h.hash, seed.Reveal(), 7) {
			t.Errorf("%s: the seed that was shown is not the one that was sealed", h.name)
		}
		if bytes.Contains(sealed.Blob, seed.Reveal()) {
			t.Errorf("%s: the blob has the seed in clear", h.name)
		}
		seed.Destroy()
	}
}
