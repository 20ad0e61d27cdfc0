package hsm

import (
	_ "crypto/sha1" // RFC 6238's hashes
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
)

// Bounds of an imported seed, in bytes. RFC 4226, Section 4, asks for 128 bits; tokens with 80 exist and are taken.
const (
	MinSeed = 10
	MaxSeed = 256
)

// ErrSeedLength refuses a seed for import.
var ErrSeedLength = errors.New("a seed has 10 to 256 bytes")

// BlockOf brings a seed to the one length in which seeds are stored, an HMAC block, without changing any MAC: shorter
// ones are padded with zeros, longer ones hashed first (RFC 2104, Section 2).
func BlockOf(h Hash, seed *Secret) (*Secret, error) {
	raw := seed.Reveal()
	if len(raw) < MinSeed || len(raw) > MaxSeed {
		return nil, ErrSeedLength
	}
	if h.Crypto() == 0 {
		return nil, errors.New("a seed needs a hash")
	}
	block := make([]byte, h.BlockSize())
	if len(raw) > len(block) {
		hash := h.Crypto().New()
		hash.Write(raw)
		hash.Sum(block[:0])
		return NewSecret(block), nil
	}
	copy(block, raw)
	return NewSecret(block), nil
}
