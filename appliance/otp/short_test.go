package otp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
)

// The four digits are the last of RFC 4226's own codes (Appendix D): a shorter modulus of the same number.
func TestTruncateShort(t *testing.T) {
	for _, v := range []struct{ mac, code string }{
		{"cc93cf18508d94934c64b65d8ba7667fb7cde4b0", "5224"},
		{"75a48a19d4cbe100644e8ac1397eea747a2d33ab", "7082"},
		{"0bacb7fa082fef30782211938bc1c5e70416ff44", "9152"},
	} {
		mac, err := hex.DecodeString(v.mac)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ParseShort(v.code)
		if err != nil {
			t.Fatal(err)
		}
		if got := TruncateShort(mac); !got.Equal(want) || got.Reveal() != v.code {
			t.Errorf("%s gives another code than %s", v.mac, v.code)
		}
	}
	if c := TruncateShort(make([]byte, 19)); c.Equal(c) {
		t.Error("a MAC that is too short gives a code")
	}
}

// Nothing but four ASCII digits is one, and it equals no longer code of the same number.
func TestParseShort(t *testing.T) {
	for _, bad := range []string{"", "123", "12345", "123456", " 123", "12 4", "+123", "-123", "12.4", "１２３４", "12\x004", "abcd", "0x12"} {
		if c, err := ParseShort(bad); !errors.Is(err, ErrShort) || c.Digits() != 0 {
			t.Errorf("%q is taken", bad)
		}
	}
	c, err := ParseShort("0012")
	if err != nil || c.Reveal() != "0012" || fmt.Sprint(c) != redacted {
		t.Errorf("0012: %v, %v", c, err)
	}
	long, err := ParseCode("000012")
	if err != nil || c.Equal(long) || long.Equal(c) {
		t.Error("four digits equal six")
	}
	if _, err := ParseCode("0012"); !errors.Is(err, ErrCode) {
		t.Error("four digits are taken where six are asked for")
	}
}
