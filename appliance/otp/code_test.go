package otp

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func code(t testing.TB, s string) Code {
	t.Helper()
	c, err := ParseCode(s)
	if err != nil {
		t.Fatalf("parsing a code: %v", err)
	}
	return c
}

func TestParseCode(t *testing.T) {
	for _, s := range []string{"123456", "000000", "0000000", "99999999", "012345"} {
		if got := code(t, s); got.Reveal() != s || got.Digits() != len(s) {
			t.Errorf("%q was read as %q", s, got.Reveal())
		}
	}
	// PEERS.md, 7 (CVE-2025-55000): one code must have one spelling.
	for _, s := range []string{
		"", "1", "12345", "123456789", "000000000000123456",
		" 123456", "123456 ", "123 456", "123456\n", "\t123456", "123456\x00", "123-456",
		"+123456", "-123456", "+12345", "-12345", "0x1234", "1e5000", "12345.", "1_23456",
		"１２３４５６", "１2345", "١٢٣٤٥٦", "१२३४५६", "12345²", "①②", "abcdef", "12345a", "12345:", "/12345", "\xff12345",
	} {
		if c, err := ParseCode(s); !errors.Is(err, ErrCode) || c != (Code{}) {
			t.Errorf("ParseCode(%q) = %v, %v; want ErrCode", s, c.Reveal(), err)
		}
	}
}

func TestParseCodeLength(t *testing.T) {
	if _, err := ParseCode("1234567", 6, 8); !errors.Is(err, ErrCode) {
		t.Errorf("7 digits where 6 or 8 are wanted: %v", err)
	}
	if _, err := ParseCode("12345678", 6, 8); err != nil {
		t.Errorf("8 digits where 6 or 8 are wanted: %v", err)
	}
	if _, err := ParseCode("12345", 5); !errors.Is(err, ErrCode) {
		t.Errorf("5 digits are a code because someone asked for 5: %v", err)
	}
}

func TestEqual(t *testing.T) {
	if !code(t, "012345").Equal(code(t, "012345")) {
		t.Error("equal codes differ")
	}
	for _, other := range []string{"012346", "0012345", "00012345", "112345"} {
		if code(t, "012345").Equal(code(t, other)) {
			t.Errorf("012345 equals %s", other)
		}
	}
	if (Code{}).Equal(Code{}) || code(t, "000000").Equal(Code{}) || (Code{}).Equal(code(t, "000000")) {
		t.Error("the zero Code equals something")
	}
}

func TestTruncateRefuses(t *testing.T) {
	for _, m := range [][]byte{nil, {}, make([]byte, 19)} {
		if c := Truncate(m, 6); c != (Code{}) {
			t.Errorf("a MAC of %d bytes gave a code", len(m))
		}
	}
	for _, digits := range []uint8{0, 5, 9, 255} {
		if c := Truncate(make([]byte, 20), digits); c != (Code{}) {
			t.Errorf("%d digits gave a code", digits)
		}
	}
}

func TestMatches(t *testing.T) {
	secret := []byte("12345678901234567890")
	var macs [][]byte
	for s := range Step(10) {
		macs = append(macs, mac("SHA1", secret, s))
	}
	macs = append(macs, macs[3]) // equal digits twice
	if got := code(t, "969429").Matches(macs, 6); !slices.Equal(got, []int{3, 10}) {
		t.Errorf("got %v, want [3 10]", got)
	}
	for name, c := range map[string]Code{
		"another code": code(t, "969428"), "another length": code(t, "26969429"), "no code": {},
	} {
		if got := c.Matches(macs, 6); got != nil {
			t.Errorf("%s matches %v", name, got)
		}
	}
	if got := (Code{}).Matches([][]byte{nil, {1}}, 6); got != nil {
		t.Errorf("no code matches no MAC: %v", got)
	}
	if got := code(t, "969429").Matches(make([][]byte, 1000), 6); got != nil {
		t.Errorf("missing MACs match: %v", got)
	}
}

// TestSecretsStaySilent prints and marshals codes and secrets in every way that a careless line would.
func TestSecretsStaySilent(t *testing.T) {
	const digits, seed = "135792", "very secret seed"
	c, s := code(t, digits), NewSecret([]byte(seed))
	uri := URI{Account: "ann", Secret: s}
	var out strings.Builder
	logger := slog.New(slog.NewTextHandler(&out, nil))
	for _, v := range []any{c, &c, s, *s, uri, &uri, []any{c, s}, map[string]any{"code": c, "secret": s}, struct{ C any }{c}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%08d", "%T %v"} {
			fmt.Fprintf(&out, verb+"\n", v, v)
		}
		fmt.Fprintln(&out, v)
		logger.Info("said", "value", v)
		encoded, err := json.Marshal(v)
		out.Write(encoded)
		if err == nil {
			t.Errorf("%T was marshalled", v)
		}
	}
	for _, leak := range []string{digits, seed, "21270" /* hex of the code */, fmt.Sprintf("%x", seed), fmt.Sprint([]byte(seed))} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q was shown", leak)
		}
	}
	for _, marshal := range []func() ([]byte, error){
		c.MarshalText, c.MarshalBinary, c.MarshalCBOR, s.MarshalText, s.MarshalBinary, s.MarshalCBOR,
	} {
		if b, err := marshal(); err == nil {
			t.Errorf("a secret was marshalled: %q", b)
		}
	}
}

func TestSecretDestroy(t *testing.T) {
	b := []byte("seed")
	s := NewSecret(b)
	s.Destroy()
	s.Destroy()
	(*Secret)(nil).Destroy()
	if string(b) != "\x00\x00\x00\x00" || s.Reveal() != nil || (*Secret)(nil).Reveal() != nil {
		t.Error("the seed outlived its end")
	}
}

func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"123456", "1234567", "00000000", " 123456", "１２３４５６", "+12345", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCode(s)
		if err != nil {
			if c != (Code{}) {
				t.Errorf("a refused text gave a code")
			}
			return
		}
		if c.Reveal() != s {
			t.Errorf("%q is a second spelling of %q", s, c.Reveal())
		}
	})
}

func BenchmarkMatches(b *testing.B) {
	macs := [][]byte{make([]byte, 20), make([]byte, 20), make([]byte, 20)}
	c := code(b, "123456")
	b.ReportAllocs()
	for b.Loop() {
		c.Matches(macs, 6)
	}
}
