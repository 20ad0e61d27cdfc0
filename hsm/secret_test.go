package hsm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"strongroom.internal/hsm"
)

const clear = "correct horse"

// shows says whether any spelling of the secret is in b.
func shows(b []byte) bool {
	for _, spelling := range []string{
		clear, hex.EncodeToString([]byte(clear)), fmt.Sprint([]byte(clear)), base64.StdEncoding.EncodeToString([]byte(clear)),
		strings.ToUpper(hex.EncodeToString([]byte(clear))), fmt.Sprintf("% x", clear), fmt.Sprintf("%#v", []byte(clear)),
		fmt.Sprintf("%o", []byte(clear)), fmt.Sprintf("%b", []byte(clear)), fmt.Sprintf("%c", []byte(clear)),
	} {
		if bytes.Contains(b, []byte(spelling)) {
			return true
		}
	}
	return false
}

// holder is how a secret gets into a log by accident: as somebody's field.
type holder struct {
	Name   string
	Secret *hsm.Secret
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := hsm.NewSecret([]byte(clear))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%t", "%w"} {
		for _, v := range []any{s, *s, holder{"pin", s}, &holder{"pin", s}, []*hsm.Secret{s}, map[string]*hsm.Secret{"a": s}} {
			if got := fmt.Sprintf(verb, v); shows([]byte(got)) {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
		if got := fmt.Sprintf(verb, s); verb != "%w" && !strings.Contains(got, "(redacted)") {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestSecretIsNotMarshalled(t *testing.T) {
	for _, v := range []any{
		hsm.NewSecret([]byte(clear)), *hsm.NewSecret([]byte(clear)), holder{"pin", hsm.NewSecret([]byte(clear))},
	} {
		for name, marshal := range map[string]func() ([]byte, error){
			"JSON": func() ([]byte, error) { return json.Marshal(v) },
			"XML":  func() ([]byte, error) { return xml.Marshal(v) },
			"CBOR": func() ([]byte, error) { return cbor.Marshal(v) },
			"gob": func() ([]byte, error) {
				var b bytes.Buffer
				err := gob.NewEncoder(&b).Encode(v)
				return b.Bytes(), err
			},
		} {
			b, err := marshal()
			if shows(b) {
				t.Errorf("%s of %T: %q", name, v, b)
			}
			if _, copied := v.(hsm.Secret); err == nil && !copied {
				t.Errorf("%s of %T gives no error: %q", name, v, b)
			}
		}
	}
}

func TestSecretIsNotLogged(t *testing.T) {
	s := hsm.NewSecret([]byte(clear))
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("opening", "pin", s, "value", *s, "config", holder{"pin", s}, "error", fmt.Errorf("with %v", s))
	}
	if shows(b.Bytes()) || !bytes.Contains(b.Bytes(), []byte("(redacted)")) {
		t.Errorf("the log says: %s", b.String())
	}
}

func TestSecretIsDestroyed(t *testing.T) {
	raw := []byte(clear)
	s := hsm.NewSecret(raw)
	s.Destroy()
	s.Destroy()
	if !bytes.Equal(raw, make([]byte, len(raw))) || s.Reveal() != nil {
		t.Errorf("afterwards: %q, %q", raw, s.Reveal())
	}
	var none *hsm.Secret
	none.Destroy()
	if none.Reveal() != nil {
		t.Error("nothing reveals something")
	}
}

func TestBlockOfRefuses(t *testing.T) {
	for _, n := range []int{0, hsm.MinSeed - 1, hsm.MaxSeed + 1} {
		if _, err := hsm.BlockOf(hsm.SHA1, hsm.NewSecret(make([]byte, n))); !errors.Is(err, hsm.ErrSeedLength) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
