package device

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"
)

// ErrSealed: what was to be opened is not sealed to this device for that purpose, or is not whole.
var ErrSealed = errors.New("it is not sealed to this device for that")

// Binding says what a seed is for; it comes with the envelope at enrolment. Keep it: Tenant and Account are what the
// device signs with later, and Credential is its id.
type Binding struct {
	Tenant, Account, Credential string
	Version                     uint32
}

// OpenSeed opens the envelope of an enrolment and returns the seed: 64 bytes, to be used as the HMAC key of RFC 4226 as it
// is. It is ErrSealed when the envelope is not for this device and binding.
func (k *Key) OpenSeed(b Binding, ephemeral, wrapped []byte) (*Seed, error) {
	point, err := ecdh.P256().NewPublicKey(ephemeral)
	if err != nil {
		return nil, ErrSealed
	}
	x, err := k.agree.ECDH(point)
	if err != nil {
		return nil, ErrSealed
	}
	block, err := aes.NewCipher(x)
	if err != nil {
		return nil, fmt.Errorf("opening a seed: %w", err)
	}
	context := sha256.Sum256(message(envelopeDomain, b.Tenant, b.Account, b.Credential, four(b.Version),
		string(k.agree.PublicKey().Bytes()), string(ephemeral)))
	wrapping := make([]byte, len(context))
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(wrapping, context[:])
	unwrapper, err := subtle.NewKWP(wrapping)
	if err != nil {
		return nil, fmt.Errorf("opening a seed: %w", err)
	}
	seed, err := unwrapper.Unwrap(wrapped)
	if err != nil {
		return nil, ErrSealed
	}
	return &Seed{seed}, nil
}

// OpenCode opens the code of a sign-in that this device allowed and returns its digits. n is the code's number, which came
// with it. It is ErrSealed when it is another device's, sign-in's or number's.
func (k *Key) OpenCode(s SignIn, n uint32, sealed []byte) (string, error) {
	private, err := hpke.NewDHKEMPrivateKey(k.agree)
	if err != nil {
		return "", fmt.Errorf("opening a code: %w", err)
	}
	info := message(codeDomain, s.Tenant, s.Account, s.ID, s.Device, eight(uint64(n)))
	digits, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
	if err != nil {
		return "", ErrSealed
	}
	return string(digits), nil
}

// four is a number as four bytes, high byte first.
func four(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
