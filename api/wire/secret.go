package wire

import (
	"errors"
	"fmt"
	"log/slog"
)

const redacted = "(redacted)"

var errMarshal = errors.New("a secret is never marshalled by accident; see Encode")

// Secret is text that must never be shown by accident: a code, an otpauth URI, a join token. It can be decoded from JSON
// and refuses to be printed, logged or marshalled. Reveal is the only way to its text, so that every use can be found by
// name. The zero value is empty.
type Secret struct{ text string }

// NewSecret wraps s.
func NewSecret(s string) Secret { return Secret{text: s} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// IsZero says that there is no text. It makes `omitzero` work.
func (s Secret) IsZero() bool { return s.text == "" }

// UnmarshalText takes the text; encoding/json calls it for strings.
func (s *Secret) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}

func (Secret) String() string                 { return redacted }
func (Secret) GoString() string               { return redacted }
func (Secret) Format(f fmt.State, _ rune)     { _, _ = f.Write([]byte(redacted)) }
func (Secret) MarshalText() ([]byte, error)   { return nil, errMarshal }
func (Secret) MarshalBinary() ([]byte, error) { return nil, errMarshal }
func (Secret) LogValue() slog.Value           { return slog.StringValue(redacted) }
