package otp

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func record() Record {
	return Record{
		Row: 1, Line: 1, Owner: "ann", Serial: "A1",
		URI: URI{Params: Params{TOTP, SHA1, 6, 30}, Issuer: "ACME", Account: "ann", Secret: NewSecret([]byte("12345678901234567890"))},
	}
}

func TestRecordFinish(t *testing.T) {
	for name, c := range map[string]struct {
		change        func(*Record)
		issuer, label string
	}{
		"as it is":         {func(*Record) {}, "ACME", "ann"},
		"no label":         {func(r *Record) { r.URI.Account = "" }, "ACME", "A1"},
		"no serial either": {func(r *Record) { r.URI.Account, r.Serial = " ", "" }, "ACME", "ann"},
		"nothing at all":   {func(r *Record) { r.URI.Account, r.Serial, r.Owner = "", "", "" }, "ACME", "token"},
		"a colon":          {func(r *Record) { r.URI.Account, r.URI.Issuer = "283599:1", "a:b" }, "a-b", "283599-1"},
		"a line":           {func(r *Record) { r.URI.Issuer = "AC\r\nME\x1b[31m\xff" }, "ACME[31m", "ann"},
		"a long name":      {func(r *Record) { r.URI.Account = strings.Repeat("ü", MaxName) }, "ACME", strings.Repeat("ü", MaxName/2)},
		"a TOTP counter":   {func(r *Record) { r.URI.Counter = 7 }, "ACME", "ann"},
	} {
		r := record()
		c.change(&r)
		r.Finish()
		if r.Err != nil || r.URI.Issuer != c.issuer || r.URI.Account != c.label {
			t.Errorf("%s: %q, %q, %v", name, r.URI.Issuer, r.URI.Account, r.Err)
		}
		if err := r.URI.Validate(); err != nil {
			t.Errorf("%s: the URI is not valid: %v", name, err)
		}
	}
}

func TestRecordFinishRefuses(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"an error":       func(r *Record) { r.Err = errors.New("no") },
		"digits":         func(r *Record) { r.URI.Params.Digits = 9 },
		"period":         func(r *Record) { r.URI.Params.Period = 45 },
		"no secret":      func(r *Record) { r.URI.Secret = nil },
		"a short secret": func(r *Record) { r.URI.Secret = NewSecret([]byte("123456789")) },
		"a long secret":  func(r *Record) { r.URI.Secret = NewSecret([]byte(strings.Repeat("s", MaxSecret+1))) },
		"a counter":      func(r *Record) { r.URI.Params = Params{HOTP, SHA1, 6, 0}; r.URI.Counter = MaxCounter + 1 },
		"a minus":        func(r *Record) { r.URI.Params = Params{HOTP, SHA1, 6, 0}; r.URI.Counter = -1 },
		"an owner":       func(r *Record) { r.Owner = "ann\x1b[2J" },
		"a long owner":   func(r *Record) { r.Owner = strings.Repeat("x", maxOwner+1) },
		"a serial":       func(r *Record) { r.Serial = "\x00" },
		"a manufacturer": func(r *Record) { r.Manufacturer = "\xff" },
	} {
		r := record()
		change(&r)
		kept := r.URI.Secret.Reveal()
		r.Finish()
		if r.Err == nil || r.URI.Secret != nil {
			t.Errorf("%s: was taken", name)
			continue
		}
		if strings.Contains(r.Err.Error(), "\n") || !utf8.ValidString(r.Err.Error()) {
			t.Errorf("%s: %q is not one line", name, r.Err)
		}
		for _, b := range kept {
			if b != 0 {
				t.Errorf("%s: the secret outlived it", name)
			}
		}
	}
}
