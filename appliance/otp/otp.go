// Package otp is the arithmetic of RFC 4226 (HOTP) and RFC 6238 (TOTP), and their otpauth URIs. It computes no MAC: a
// module does that.
//
// A code is made in three parts. The moving factor, a [Step], is eight bytes ([Counter]); a module computes their HMAC
// under the seed; [Truncate] makes digits of the MAC. Comparing is the same the other way round: [Code.Matches] truncates
// every MAC of a window and says which of them give the code. It always walks the whole window and takes no branch on a
// digit.
package otp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Step is the moving factor: the time counter T of RFC 6238, Section 4.2, or the counter C of RFC 4226.
type Step int64

// Mode is what moves the factor.
type Mode uint8

// The modes.
const (
	InvalidMode Mode = iota
	TOTP             // time, RFC 6238
	HOTP             // a counter, RFC 4226
)

// String is the mode's name in otpauth URIs: "totp" or "hotp".
func (m Mode) String() string {
	switch m {
	case TOTP:
		return "totp"
	case HOTP:
		return "hotp"
	}
	return "invalid"
}

// Hash is the hash function of the HMAC. The numbers are those of hsm.Hash.
type Hash uint8

// The hashes that RFC 6238, Section 1.2, names.
const (
	InvalidHash Hash = iota
	SHA1
	SHA256
	SHA512
)

// String is the hash's name in otpauth URIs: "SHA1", "SHA256" or "SHA512".
func (h Hash) String() string {
	switch h {
	case SHA1:
		return "SHA1"
	case SHA256:
		return "SHA256"
	case SHA512:
		return "SHA512"
	}
	return "invalid"
}

const (
	// MinDigits and MaxDigits bound a code's length. RFC 4226, Section 5.3: at least 6, possibly 7 and 8.
	MinDigits = 6
	MaxDigits = 8
)

// Params says how a credential's codes are made.
type Params struct {
	Mode   Mode   `cbor:"1,keyasint"`
	Hash   Hash   `cbor:"2,keyasint"`
	Digits uint8  `cbor:"3,keyasint"`           // MinDigits to MaxDigits
	Period uint16 `cbor:"4,keyasint,omitempty"` // seconds, 30 or 60; 0 for HOTP
}

// Validate reports everything that is wrong with the parameters at once.
func (p Params) Validate() error {
	var errs []error
	if p.Mode != TOTP && p.Mode != HOTP {
		errs = append(errs, fmt.Errorf("mode %d must be TOTP or HOTP", p.Mode))
	}
	if p.Hash < SHA1 || p.Hash > SHA512 {
		errs = append(errs, fmt.Errorf("hash %d must be SHA-1, SHA-256 or SHA-512", p.Hash))
	}
	if p.Digits < MinDigits || p.Digits > MaxDigits {
		errs = append(errs, fmt.Errorf("%d digits must be %d to %d", p.Digits, MinDigits, MaxDigits))
	}
	switch {
	case p.Mode == HOTP && p.Period != 0:
		errs = append(errs, fmt.Errorf("a period of %d s makes no sense with a counter", p.Period))
	case p.Mode == TOTP && p.Period != 30 && p.Period != 60:
		errs = append(errs, fmt.Errorf("a period of %d s must be 30 or 60", p.Period))
	}
	return errors.Join(errs...)
}

// Counter is the message whose HMAC gives the code of a step: RFC 4226, Section 5.1: 8 bytes, high byte first.
func Counter(s Step) (c [8]byte) {
	binary.BigEndian.PutUint64(c[:], uint64(s))
	return c
}

// StepAt is the step of a moment in Unix milliseconds with a period in seconds: RFC 6238, Section 4.2, with T0 = 0. It
// rounds towards the past, before 1970 too. The period must not be 0.
func StepAt(ms int64, period uint16) Step {
	p := int64(period) * 1000
	s := ms / p
	if ms%p < 0 {
		s--
	}
	return Step(s)
}

// Window lists the steps from first to last, both included; steps below 0 don't exist and are left out.
func Window(first, last Step) []Step {
	first = max(first, 0)
	if last < first {
		return nil
	}
	steps := make([]Step, 0, last-first+1)
	for s := first; ; s++ {
		steps = append(steps, s)
		if s == last {
			return steps
		}
	}
}
