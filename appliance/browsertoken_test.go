package appliance

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"strongroom.internal/appliance/account"
)

func goldenHex(t *testing.T, name string) (b []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "#")
		part, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	return b
}

// What browsers are known by, and what their tokens are signatures over: with other bytes every browser out there is
// forgotten.
func TestBrowserMessages(t *testing.T) {
	if got, want := account.BrowserMessage("acme", "ann", "c00kie1"), goldenHex(t, "browser.hex"); !bytes.Equal(got, want) {
		t.Errorf("a browser's message is\n%x, not\n%x", got, want)
	}
	got := account.BrowserTokenMessage("acme", "ann", bytes.Repeat([]byte{1}, 32), "mfzgk5dfon2gs3th", 7)
	if want := goldenHex(t, "browser-token.hex"); !bytes.Equal(got, want) {
		t.Errorf("a token's message is\n%x, not\n%x", got, want)
	}
	token, err := browserToken{"mfzgk5dfon2gs3th", 7, []byte("signature!")}.secret()
	if err != nil {
		t.Fatal(err)
	}
	if want := "AWFyZXRlc3RpbmcAAAAHc2lnbmF0dXJlIQ"; string(token.Reveal()) != want {
		t.Errorf("the token is %s, not %s", token.Reveal(), want)
	}
	if _, err := (browserToken{id: "not an id"}).secret(); err == nil {
		t.Error("an id that nobody drew is in a token")
	}
}

func FuzzParseBrowserToken(f *testing.F) {
	for _, s := range []string{
		"", "AWFyZXRlc3RpbmcAAAAHc2lnbmF0dXJlIQ", "AWFyZXRlc3RpbmcAAAAHc2lnbmF0dXJlIQ==", "AWFyZXRlc3RpbmcAAAAHc2lnbmF0dXJlIR",
		"AmFyZXRlc3RpbmcAAAAHc2lnbmF0dXJlIQ", "AWFyZXRlc3RpbmcAAAA", "AWFyZXRlc3RpbmcAAAAHc2lnbmF0dXJl\nIQ", strings.Repeat("A", 200),
		"AWFyZXRlc3RpbmcAAAAHc2lnbmF0dXJl+/", "AWFyZXRlc3RpbmcAAAAH",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		token, ok := parseBrowserToken(text)
		if !ok {
			if token.id != "" || token.n != 0 || token.signature != nil {
				t.Errorf("%q is none, and gives %+v", text, token)
			}
			return
		}
		again, err := token.secret()
		if err != nil || !bytes.Equal(again.Reveal(), text) || len(token.signature) == 0 || len(token.signature) > maxBrowserSignature {
			t.Errorf("%q is read as %+v, which is %q, %v", text, token, again.Reveal(), err)
		}
	})
}
