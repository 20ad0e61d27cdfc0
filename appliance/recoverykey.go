package appliance

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"strongroom.internal/hsm"
)

// RecoveryKey is the recovery key of two-step verification: 28 characters of 32, of which 26 are random, 130 bits, and 2
// check them. It refuses to be printed, logged or marshalled, as a Secret does.
//
// The characters are Crockford's: digits and letters without I, L, O and U. Read as elements of GF(2^5) with x^5+x^2+1,
// they are a word of the Reed-Solomon code whose generator has the roots a and a^2: any one or two wrong characters, and
// so any two that are swapped, are seen before anything is compared or charged.
type RecoveryKey struct{ *hsm.Secret }

const (
	recoveryCharacters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	recoveryLength     = 28
	recoveryChecks     = 2
)

// ErrRecoveryKey: the text can't be a recovery key. It doesn't quote the text.
var ErrRecoveryKey = errors.New("a recovery key is 28 characters, and at least one of these is wrong")

// times multiplies in GF(2^5).
func times(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		if a <<= 1; a&0x20 != 0 {
			a ^= 0x25 // x^5+x^2+1
		}
	}
	return product
}

// The roots of the generator, and its coefficients: x^2 + (r1+r2)x + r1*r2.
const (
	recoveryRoot1 = 2 // a
	recoveryRoot2 = 4 // a^2
)

// recoveryCheck computes the two check symbols: the remainder of the symbols, moved up by two, by the generator.
func recoveryCheck(symbols []byte) (high, low byte) {
	sum, product := byte(recoveryRoot1^recoveryRoot2), times(recoveryRoot1, recoveryRoot2)
	for _, s := range symbols {
		feedback := s ^ high
		high, low = low^times(feedback, sum), times(feedback, product)
	}
	return high, low
}

// ParseRecoveryKey reads what people type: upper and lower case mean the same, O is 0, I and L are 1, spaces and hyphens
// nothing. Anything that is no recovery key is ErrRecoveryKey: whoever mistyped one is not charged for it.
func ParseRecoveryKey(s string) (RecoveryKey, error) {
	key, symbols := make([]byte, 0, recoveryLength), make([]byte, 0, recoveryLength)
	defer clear(symbols)
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			continue
		}
		switch {
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		case r > unicode.MaxASCII:
			r = 0
		}
		switch r {
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		symbol := strings.IndexByte(recoveryCharacters, byte(r))
		if symbol < 0 || len(key) == recoveryLength {
			clear(key)
			return RecoveryKey{}, ErrRecoveryKey
		}
		key, symbols = append(key, byte(r)), append(symbols, byte(symbol))
	}
	if len(key) == recoveryLength {
		data := recoveryLength - recoveryChecks
		if high, low := recoveryCheck(symbols[:data]); symbols[data] == high && symbols[data+1] == low {
			return RecoveryKey{hsm.NewSecret(key)}, nil
		}
	}
	clear(key)
	return RecoveryKey{}, ErrRecoveryKey
}

// newRecoveryKey draws one.
func newRecoveryKey(rand io.Reader) (RecoveryKey, error) {
	var symbols [recoveryLength]byte
	defer clear(symbols[:])
	data := symbols[:recoveryLength-recoveryChecks]
	if _, err := io.ReadFull(rand, data); err != nil {
		return RecoveryKey{}, fmt.Errorf("drawing a recovery key: %w", err)
	}
	for i := range data {
		data[i] &= 0x1f // 256 is a multiple of 32: each is as likely as any other
	}
	symbols[recoveryLength-2], symbols[recoveryLength-1] = recoveryCheck(data)
	key := make([]byte, recoveryLength)
	for i, s := range symbols {
		key[i] = recoveryCharacters[s]
	}
	return RecoveryKey{hsm.NewSecret(key)}, nil
}

// Grouped is the key as it is shown, this once: seven groups of four characters, with hyphens.
func (k RecoveryKey) Grouped() *hsm.Secret { return grouped(k.Secret) }

// recoveryDomain keeps recovery keys apart from everything else that is MACed under the pepper.
const recoveryDomain = "strongroom/recovery-key/v1"

// message is what the pepper MACs. testdata/recovery-key.hex fixes the bytes: kept MACs are over them.
func (k RecoveryKey) message(tenant, account string) []byte {
	return peppered(recoveryDomain, tenant, account, k.Secret)
}
