package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// revealer is a type of this package that holds a Secret. Its reveal gives the JSON form with the secret in clear.
type revealer interface{ reveal() any }

// Encode writes v as JSON with a line end, secrets in clear. It is the only encoder that can: what it writes goes on the
// wire and nowhere else.
func Encode(w io.Writer, v any) error {
	if r, ok := v.(revealer); ok {
		v = r.reveal()
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encoding %T: %w", v, err)
	}
	return nil
}

// Marshal is Encode to a slice.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := Encode(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
