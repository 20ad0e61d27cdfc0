package appliance

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"strongroom.internal/hsm"
)

// AppPassword is an app password: 16 letters of 24, lower case, 73 bits. It refuses to be printed, logged or marshalled, as
// a Secret does. It is made by ParseAppPassword, or in the answer to CreateAppPassword.
type AppPassword struct{ *hsm.Secret }

// appPasswordLetters leaves out l and o, which are taken for 1 and 0.
const (
	appPasswordLetters = "abcdefghijkmnpqrstuvwxyz"
	appPasswordLength  = 16
)

// ErrAppPassword: the text can't be an app password. It doesn't quote the text.
var ErrAppPassword = errors.New("an app password is 16 letters, l and o not among them")

// ParseAppPassword reads what people type or paste: upper and lower case mean the same, spaces and hyphens nothing. Anything
// else is ErrAppPassword: whoever typed another password by mistake is not charged, and it is MACed and compared with
// nothing.
func ParseAppPassword(s string) (AppPassword, error) {
	letters := make([]byte, 0, appPasswordLength)
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			continue
		}
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		if len(letters) == appPasswordLength || r > unicode.MaxASCII || !strings.ContainsRune(appPasswordLetters, r) {
			clear(letters)
			return AppPassword{}, ErrAppPassword
		}
		letters = append(letters, byte(r))
	}
	if len(letters) != appPasswordLength {
		clear(letters)
		return AppPassword{}, ErrAppPassword
	}
	return AppPassword{hsm.NewSecret(letters)}, nil
}

// newAppPassword draws one. Each letter is as likely as any other: bytes that would favour some are drawn again.
func newAppPassword(rand io.Reader) (AppPassword, error) {
	const fair = 256 - 256%len(appPasswordLetters)
	letters := make([]byte, 0, appPasswordLength)
	var drawn [appPasswordLength]byte
	defer clear(drawn[:])
	for {
		if _, err := io.ReadFull(rand, drawn[:]); err != nil {
			clear(letters)
			return AppPassword{}, fmt.Errorf("drawing an app password: %w", err)
		}
		for _, b := range drawn {
			if int(b) < fair {
				letters = append(letters, appPasswordLetters[int(b)%len(appPasswordLetters)])
			}
			if len(letters) == appPasswordLength {
				return AppPassword{hsm.NewSecret(letters)}, nil
			}
		}
	}
}

// Grouped is the password as it is shown, this once: four groups of four letters, with hyphens.
func (p AppPassword) Grouped() *hsm.Secret { return grouped(p.Secret) }

// appPasswordDomain keeps app passwords apart from everything else that is MACed under the pepper.
const appPasswordDomain = "strongroom/app-password/v1"

// message is what the pepper MACs. testdata/app-password.hex fixes the bytes: kept MACs are over them.
func (p AppPassword) message(tenant, account string) []byte {
	return peppered(appPasswordDomain, tenant, account, p.Secret)
}
