package hsm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"
)

// ErrEnvelope: an envelope is not for this device, this binding, or not whole.
var ErrEnvelope = errors.New("the envelope does not open")

// OpenEnvelope is the device's side of GenerateSeed. It returns the seed: one HMAC block (64 bytes, or 128 for SHA-512),
// to be used as the HMAC key of RFC 4226 as it is.
//
// The format: X is the ECDH secret's x coordinate (32 bytes) of the ephemeral and the device's key, on P-256.
// K = AES-256-CBC(key X, IV zero, data [EnvelopeContext]), 32 bytes without padding. The seed is wrapped with K by
// RFC 5649 (AES key wrap with padding).
func OpenEnvelope(device *ecdh.PrivateKey, b Binding, e Envelope) (*Secret, error) {
	ephemeral, err := ecdh.P256().NewPublicKey(e.Ephemeral)
	if err != nil {
		return nil, fmt.Errorf("reading the ephemeral key: %w", ErrEnvelope)
	}
	x, err := device.ECDH(ephemeral)
	if err != nil {
		return nil, fmt.Errorf("agreeing on a key: %w", ErrEnvelope)
	}
	defer clear(x)
	block, err := aes.NewCipher(x)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	context := EnvelopeContext(b, device.PublicKey().Bytes(), e.Ephemeral)
	key := make([]byte, len(context))
	defer clear(key)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(key, context[:])
	unwrapper, err := subtle.NewKWP(key)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	seed, err := unwrapper.Unwrap(e.Wrapped)
	if err != nil {
		return nil, ErrEnvelope
	}
	return NewSecret(seed), nil
}
