package otp

import (
	"errors"
	"fmt"
	"log/slog"
)

const redacted = "(redacted)"

var errMarshal = errors.New("a secret is never marshalled")

// Secret is a seed in clear, on its way out of an otpauth URI or into one. It refuses to be printed, logged or
// marshalled; Reveal is the only way to its bytes, so that every use can be found by name.
type Secret struct{ bytes []byte }

// NewSecret takes ownership of b.
func NewSecret(b []byte) *Secret { return &Secret{bytes: b} }

// Reveal returns the bytes themselves, not a copy; they are zeroed by Destroy.
func (s *Secret) Reveal() []byte {
	if s == nil {
		return nil
	}
	return s.bytes
}

// Destroy overwrites the bytes. It may be called more than once and on nil.
func (s *Secret) Destroy() {
	if s == nil {
		return
	}
	clear(s.bytes)
	s.bytes = nil
}

// Value receivers, so that a dereferenced Secret keeps quiet too.

func (Secret) String() string                 { return redacted }
func (Secret) GoString() string               { return redacted }
func (Secret) Format(f fmt.State, _ rune)     { _, _ = f.Write([]byte(redacted)) }
func (Secret) MarshalJSON() ([]byte, error)   { return nil, errMarshal }
func (Secret) MarshalText() ([]byte, error)   { return nil, errMarshal }
func (Secret) MarshalBinary() ([]byte, error) { return nil, errMarshal }
func (Secret) MarshalCBOR() ([]byte, error)   { return nil, errMarshal }
func (Secret) LogValue() slog.Value           { return slog.StringValue(redacted) }
