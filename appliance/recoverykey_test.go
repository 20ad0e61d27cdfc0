package appliance

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
)

// exampleRecoveryKey has the symbols 0 to 25. Its last two characters were found by trying all, so that the word is zero at
// both roots.
const exampleRecoveryKey = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSCT"

// TestRecoveryKeyMessage: what is kept are MACs over these bytes. A golden file that fails means that another way must be
// found: with other bytes every recovery key out there is dead.
func TestRecoveryKeyMessage(t *testing.T) {
	text, err := os.ReadFile("testdata/recovery-key.hex")
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "#")
		part, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, part...)
	}
	sloppy := strings.NewReplacer("0", "o", "1", "l", "-", " ").Replace(strings.ToLower(exampleRecoveryKey))
	for _, typed := range []string{
		exampleRecoveryKey, strings.ReplaceAll(exampleRecoveryKey, "-", ""), strings.ToLower(exampleRecoveryKey), " " + sloppy + "\n",
		strings.Replace(exampleRecoveryKey, "1", "I", 1), strings.ReplaceAll(exampleRecoveryKey, "-", "\u2013"),
	} {
		k, err := ParseRecoveryKey(typed)
		if err != nil {
			t.Errorf("%q: %v", typed, err)
		} else if got := k.message("acme", "ann"); !bytes.Equal(got, want) {
			t.Errorf("%q: the message is\n%x, not\n%x", typed, got, want)
		}
	}
	k, _ := ParseRecoveryKey(exampleRecoveryKey)
	seen := map[string]bool{}
	for _, place := range [][2]string{{"acme", "ann"}, {"acmea", "nn"}, {"acm", "eann"}, {"", "acmeann"}, {"acme", "bob"}} {
		seen[string(k.message(place[0], place[1]))] = true
	}
	if len(seen) != 5 {
		t.Error("two accounts share a message")
	}
}

// TestRecoveryKeyCheck: every single wrong character and every two that are wrong, swapped ones among them, are seen.
func TestRecoveryKeyCheck(t *testing.T) {
	right := strings.ReplaceAll(exampleRecoveryKey, "-", "")
	taken := func(b []byte) bool {
		_, err := ParseRecoveryKey(string(b))
		return err == nil
	}
	for i := range right {
		for _, x := range []byte(recoveryCharacters) {
			if x == right[i] {
				continue
			}
			one := []byte(right)
			if one[i] = x; taken(one) {
				t.Fatalf("%s is taken", one)
			}
			for j := i + 1; j < len(right); j++ {
				for _, y := range []byte(recoveryCharacters) {
					two := bytes.Clone(one)
					if two[j] = y; y != right[j] && taken(two) {
						t.Fatalf("%s is taken", two)
					}
				}
			}
		}
	}
}

func TestParseRecoveryKeyRefuses(t *testing.T) {
	for _, typed := range []string{
		"", "ABCD", exampleRecoveryKey[:len(exampleRecoveryKey)-1], exampleRecoveryKey + "0", "U" + exampleRecoveryKey[1:],
		"\uff10" + exampleRecoveryKey[1:], exampleRecoveryKey[:3] + "\x00", exampleRecoveryKey + "\xff", strings.Repeat("-", 100),
		strings.Repeat("Z", 10_000), "correct horse battery staple",
	} {
		if k, err := ParseRecoveryKey(typed); !errors.Is(err, ErrRecoveryKey) || k.Secret != nil {
			t.Errorf("%q: %v, want ErrRecoveryKey", typed, err)
		} else if typed != "" && strings.Contains(err.Error(), typed) {
			t.Errorf("%q is in the error", typed)
		}
	}
}

func TestNewRecoveryKey(t *testing.T) {
	script := make([]byte, 26)
	for i := range script {
		script[i] = byte(i) | 0xe0 // only five bits of each count
	}
	if k, err := newRecoveryKey(bytes.NewReader(script)); err != nil || string(k.Grouped().Reveal()) != exampleRecoveryKey {
		t.Errorf("drawn from a script: %q, %v", k.Grouped().Reveal(), err)
	}
	if _, err := newRecoveryKey(bytes.NewReader(script[:25])); err == nil {
		t.Error("a key was made of too little chance")
	}
	seen := map[string]bool{}
	for range 1000 {
		k, err := newRecoveryKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		shown := string(k.Grouped().Reveal())
		again, err := ParseRecoveryKey(shown)
		if err != nil || !bytes.Equal(again.Reveal(), k.Reveal()) || len(shown) != 34 || seen[shown] {
			t.Fatalf("a key of %d characters comes back as another, or twice: %v", len(shown), err)
		}
		seen[shown] = true
	}
}

func TestRecoveryKeyIsNotPrinted(t *testing.T) {
	k, err := ParseRecoveryKey(exampleRecoveryKey)
	if err != nil {
		t.Fatal(err)
	}
	notPrinted(t, []string{"4567", "34353637", "52 53"}, k, &k, NewRecoveryKey{Key: k}, TwoStepAttempt{Key: k})
}

func FuzzParseRecoveryKey(f *testing.F) {
	for _, s := range []string{exampleRecoveryKey, strings.ToLower(exampleRecoveryKey), "\u2013\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseRecoveryKey(s)
		if err != nil {
			return
		}
		again, err := ParseRecoveryKey(string(k.Grouped().Reveal()))
		if err != nil || !bytes.Equal(again.Reveal(), k.Reveal()) || len(k.Reveal()) != recoveryLength {
			t.Errorf("%q comes back as something else: %v", s, err)
		}
	})
}
