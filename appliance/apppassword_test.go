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

// TestAppPasswordMessage: what is kept are MACs over these bytes. A golden file that fails means that another way must be
// found: with other bytes every app password out there is dead.
func TestAppPasswordMessage(t *testing.T) {
	text, err := os.ReadFile("testdata/app-password.hex")
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
	for _, typed := range []string{
		"abcd-efgh-ijkm-npqr", "abcdefghijkmnpqr", " ABCD EFGH\tIJKM NPQR\n", "a-b-c-d-efgh–ijkm\u00a0npqr", "AbCdEfGhIjKmNpQr--",
	} {
		p, err := ParseAppPassword(typed)
		if err != nil {
			t.Errorf("%q: %v", typed, err)
		} else if got := p.message("acme", "ann"); !bytes.Equal(got, want) {
			t.Errorf("%q: the message is\n%x, not\n%x", typed, got, want)
		}
	}
	p, _ := ParseAppPassword("abcdefghijkmnpqr")
	seen := map[string]bool{}
	for _, place := range [][2]string{{"acme", "ann"}, {"acmea", "nn"}, {"acm", "eann"}, {"", "acmeann"}, {"acme", "bob"}} {
		seen[string(p.message(place[0], place[1]))] = true
	}
	if len(seen) != 5 {
		t.Error("two accounts share a message")
	}
}

func TestParseAppPasswordRefuses(t *testing.T) {
	for _, typed := range []string{
		"", "abcd", "abcdefghijkmnpq", "abcdefghijkmnpqrs", "abcdefghijklmnpq", "abcdefghijkmnopq", "abcdefghijkmnpq1",
		"abcdefghijkmnpqé", "abcdefghijkmnpq_", "ａbcdefghijkmnpqr", "abcdefghijkmnpqſ", "abcdefghij\u212amnpqr", "hunter2",
		"abcdefghijkmnpq\x00r", "abcdefghijkmnpq\xff", strings.Repeat("-", 100), strings.Repeat("a", 10_000),
	} {
		if p, err := ParseAppPassword(typed); !errors.Is(err, ErrAppPassword) || p.Secret != nil {
			t.Errorf("%q: %v, want ErrAppPassword", typed, err)
		} else if typed != "" && strings.Contains(err.Error(), typed) {
			t.Errorf("%q is in the error", typed)
		}
	}
}

func TestNewAppPasswordIsFair(t *testing.T) {
	const draws = 3000
	count := map[byte]int{}
	seen := map[string]bool{}
	for range draws {
		p, err := newAppPassword(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		shown := string(p.Grouped().Reveal())
		again, err := ParseAppPassword(shown)
		if err != nil || !bytes.Equal(again.Reveal(), p.Reveal()) || len(shown) != 19 {
			t.Fatalf("a password of %d characters comes back as another: %v", len(shown), err)
		}
		if seen[shown] {
			t.Fatal("the same password twice")
		}
		seen[shown] = true
		for _, b := range p.Reveal() {
			count[b]++
		}
	}
	// 48,000 letters, 2,000 of each; the standard deviation is 44, and eight of them are no accident.
	for i := range len(appPasswordLetters) {
		if n := count[appPasswordLetters[i]]; n < 2000-350 || n > 2000+350 {
			t.Errorf("%d times the letter %c, want about 2000", n, appPasswordLetters[i])
		}
	}
	// The highest bytes would favour the first letters: they are drawn again.
	unfair := append(bytes.Repeat([]byte{240, 255}, 8), bytes.Repeat([]byte{23, 24}, 8)...)
	if p, err := newAppPassword(bytes.NewReader(unfair)); err != nil || string(p.Reveal()) != "zazazazazazazaza" {
		t.Errorf("drawn from a script: %q, %v", p.Reveal(), err)
	}
	if _, err := newAppPassword(bytes.NewReader(unfair[:20])); err == nil {
		t.Error("a password was made of too little chance")
	}
}

func TestAppPasswordIsNotPrinted(t *testing.T) {
	p, err := ParseAppPassword("abcd-efgh-ijkm-npqr")
	if err != nil {
		t.Fatal(err)
	}
	notPrinted(t, []string{"abcd", "61626364", "97 98"}, p, &p, NewAppPassword{Password: p}, AppPasswordAttempt{Password: p})
}

func FuzzParseAppPassword(f *testing.F) {
	for _, s := range []string{"abcd-efgh-ijkm-npqr", "ABCDEFGHIJKMNPQR", "abcdefghijklmnop", "\u2013\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseAppPassword(s)
		if err != nil {
			return
		}
		again, err := ParseAppPassword(string(p.Grouped().Reveal()))
		if err != nil || !bytes.Equal(again.Reveal(), p.Reveal()) || len(p.Reveal()) != appPasswordLength {
			t.Errorf("%q comes back as something else: %v", s, err)
		}
	})
}
