package hsm

import (
	"fmt"
	"log/slog"
)

const redacted = "(redacted)"

// Secret holds bytes that must never be shown: an imported seed on its way into the module, a seed on its way to a QR
// code, a PIN. It refuses to be printed, logged or marshalled; Reveal is the only way to its bytes, so that every use
// can be found by name. Call Destroy as soon as the bytes are no longer needed.
//
// The bytes are inside a closure because fmt asks no method of a value that was dereferenced, or for %w, and follows
// pointers; of a function it prints the address.
type Secret struct{ bytes func() []byte }

// NewSecret takes ownership of b.
func NewSecret(b []byte) *Secret { return &Secret{bytes: func() []byte { return b }} }

// Reveal returns the bytes themselves, not a copy; they are zeroed by Destroy.
func (s *Secret) Reveal() []byte {
	if s == nil || s.bytes == nil {
		return nil
	}
	return s.bytes()
}

// Destroy overwrites the bytes. It may be called more than once and on nil.
func (s *Secret) Destroy() {
	if s == nil || s.bytes == nil {
		return
	}
	clear(s.bytes())
	s.bytes = nil
}

func (*Secret) String() string               { return redacted }
func (*Secret) GoString() string             { return redacted }
func (*Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (*Secret) MarshalJSON() ([]byte, error) { return nil, errMarshal }
func (*Secret) MarshalText() ([]byte, error) { return nil, errMarshal }
func (*Secret) MarshalBinary() ([]byte, error) {
	return nil, errMarshal
}
func (*Secret) MarshalCBOR() ([]byte, error) { return nil, errMarshal }
func (*Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }

var errMarshal = fmt.Errorf("a secret is never marshalled")
