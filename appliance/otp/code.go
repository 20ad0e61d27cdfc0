package otp

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
)

// Code is the digits of one code, of 6, 7 or 8 of them, or of 4 (see ShortDigits): leading zeros count, so 123456 and
// 0123456 differ. It refuses to be printed, logged or marshalled. The zero Code is no code: it equals none and matches nothing.
type Code struct {
	value  uint32
	digits uint8
}

// ErrCode: the text is not a code. It doesn't quote the text.
var ErrCode = errors.New("a code is 6 to 8 digits and nothing else")

// ErrShort: the text is not a code of two-step verification. It doesn't quote the text.
var ErrShort = errors.New("a code of two-step verification is 4 digits and nothing else")

var powers = [MaxDigits + 1]uint32{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000}

// ParseCode reads a code: ASCII digits only, no space, sign or separator, and of one of the lengths given; with none
// given, of MinDigits to MaxDigits. Anything else is ErrCode, before it is compared with anything: two texts that mean
// the same code would otherwise be two entries in whatever remembers used codes (CVE-2025-55000).
func ParseCode(s string, digits ...uint8) (Code, error) {
	if len(s) < MinDigits || len(s) > MaxDigits {
		return Code{}, ErrCode
	}
	wanted := len(digits) == 0
	for _, d := range digits {
		wanted = wanted || int(d) == len(s)
	}
	if !wanted {
		return Code{}, ErrCode
	}
	c := Code{digits: uint8(len(s))}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return Code{}, ErrCode
		}
		c.value = c.value*10 + uint32(d)
	}
	return c, nil
}

// Truncate makes a code of a MAC: RFC 4226, Section 5.3, dynamic truncation; RFC 6238 uses it for all three hashes. A MAC
// of fewer than 20 bytes, or a number of digits out of bounds, gives the zero Code, which matches nothing.
func Truncate(mac []byte, digits uint8) Code {
	if len(mac) < 20 || digits < MinDigits || digits > MaxDigits {
		return Code{}
	}
	offset := mac[len(mac)-1] & 0x0f
	binCode := binary.BigEndian.Uint32(mac[offset:]) & 0x7fffffff
	return Code{value: binCode % powers[digits], digits: digits}
}

// Equal compares in constant time. It differs from == in one thing: the zero Code isn't equal to itself.
func (c Code) Equal(d Code) bool { return c.equal(d) == 1 }

func (c Code) equal(d Code) int {
	return subtle.ConstantTimeEq(int32(c.value), int32(d.value)) &
		subtle.ConstantTimeByteEq(c.digits, d.digits) &
		(1 - subtle.ConstantTimeByteEq(c.digits, 0))
}

// Matches lists, in order, which of the MACs of a window give this code with so many digits. It computes and compares all
// of them, whatever it finds; a code of another length matches none, in the same time.
func (c Code) Matches(macs [][]byte, digits uint8) []int {
	var few [128]int // wider than any window, so that comparing allocates nothing
	equal := few[:0]
	for _, mac := range macs {
		equal = append(equal, c.equal(Truncate(mac, digits)))
	}
	var matches []int
	for i, e := range equal {
		if e == 1 {
			matches = append(matches, i)
		}
	}
	return matches
}

// Digits is the code's length; 0 for the zero Code.
func (c Code) Digits() int { return int(c.digits) }

// Reveal returns the digits, for the one place that shows or sends a code.
func (c Code) Reveal() string {
	if c.digits == 0 {
		return ""
	}
	return fmt.Sprintf("%0*d", int(c.digits), c.value)
}

func (Code) String() string                 { return redacted }
func (Code) GoString() string               { return redacted }
func (Code) Format(f fmt.State, _ rune)     { _, _ = f.Write([]byte(redacted)) }
func (Code) MarshalJSON() ([]byte, error)   { return nil, errMarshal }
func (Code) MarshalText() ([]byte, error)   { return nil, errMarshal }
func (Code) MarshalBinary() ([]byte, error) { return nil, errMarshal }
func (Code) MarshalCBOR() ([]byte, error)   { return nil, errMarshal }
func (Code) LogValue() slog.Value           { return slog.StringValue(redacted) }
