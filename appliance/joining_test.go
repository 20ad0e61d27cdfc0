package appliance

import (
	"strings"
	"testing"

	"strongroom.internal/hsm"
)

func TestParseJoinTokenRefuses(t *testing.T) {
	for _, text := range []string{
		"", "srjoin1_", "srjoin2_" + strings.Repeat("A", 64), "srjoin1_" + strings.Repeat("A", 63),
		"srjoin1_" + strings.Repeat("A", 65), "srjoin1_" + strings.Repeat("=", 64), strings.Repeat("A", 64),
	} {
		if _, _, err := ParseJoinToken(hsm.NewSecret([]byte(text))); err == nil {
			t.Errorf("%q was taken", text)
		} else if len(text) > 9 && strings.Contains(err.Error(), text[9:]) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
	if _, secret, err := ParseJoinToken(hsm.NewSecret([]byte(" srjoin1_" + strings.Repeat("A", 64) + "\n"))); err != nil {
		t.Error(err)
	} else if len(secret.Reveal()) != tokenSecretSize {
		t.Errorf("the secret has %d bytes", len(secret.Reveal()))
	}
}

func TestNamesThatGoIntoSPIFFEIDsAndKeys(t *testing.T) {
	for _, good := range []string{"a", "n1", "example.com", "eu-west_1", strings.Repeat("a", 64)} {
		if !validName(good) {
			t.Errorf("%q was refused", good)
		}
	}
	for _, bad := range []string{"", ".", "..", "-a", "A", "a/b", "a\x00", "ä", "a b", "%2f", strings.Repeat("a", 65)} {
		if validName(bad) {
			t.Errorf("%q was taken", bad)
		}
	}
}
