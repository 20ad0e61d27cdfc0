package otp

import (
	"errors"
	"strings"
	"testing"
)

const twenty = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // 12345678901234567890

func TestParseURI(t *testing.T) {
	for _, c := range []struct {
		uri             string
		params          Params
		issuer, account string
		counter         Step
		secret          string
	}{
		{"otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXP&issuer=Example", // the format's own example
			Params{TOTP, SHA1, 6, 30}, "Example", "alice@google.com", 0, "Hello!\xde\xad\xbe\xef"},
		{
			"otpauth://totp/ACME%20Co:john.doe@email.com?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ&issuer=ACME%20Co&algorithm=SHA1&digits=6&period=30",
			Params{TOTP, SHA1, 6, 30},
			"ACME Co", "john.doe@email.com", 0, "=\xc6\xca\xa4\x82Jm(\x87g\xb23\x1e \xb41f\xcb\x85\xd9",
		},
		{
			"otpauth://totp/Big%20Corporation%3A%20alice%40bigco.com?secret=" + twenty,
			Params{TOTP, SHA1, 6, 30},
			"Big Corporation", "alice@bigco.com", 0, "12345678901234567890",
		},
		{
			"otpauth://totp/alice?secret=" + twenty + "&algorithm=SHA256&digits=8&period=60",
			Params{TOTP, SHA256, 8, 60},
			"", "alice", 0, "12345678901234567890",
		},
		{
			"otpauth://hotp/X:bob?secret=" + twenty + "&counter=42&digits=7&algorithm=SHA512",
			Params{HOTP, SHA512, 7, 0},
			"X", "bob", 42, "12345678901234567890",
		},
		{"otpauth://hotp/bob?secret=" + twenty + "&counter=0&period=30", // a period that decides nothing
			Params{HOTP, SHA1, 6, 0}, "", "bob", 0, "12345678901234567890"},
		{
			"OTPAUTH://TOTP/a?secret=" + strings.ToLower(twenty),
			Params{TOTP, SHA1, 6, 30},
			"", "a", 0, "12345678901234567890",
		},
		{
			"otpauth://totp/a?secret=gezd+gnbv%20gy3t-qojq+gezd+gnbv+gy3t+qojq",
			Params{TOTP, SHA1, 6, 30},
			"", "a", 0, "12345678901234567890",
		},
		{
			"otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGE%3D%3D%3D%3D%3D%3D",
			Params{TOTP, SHA1, 6, 30},
			"", "a", 0, "12345678901",
		},
		{
			"otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGE======",
			Params{TOTP, SHA1, 6, 30},
			"", "a", 0, "12345678901",
		},
		{"otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGF", // bits left over
			Params{TOTP, SHA1, 6, 30}, "", "a", 0, "12345678901"},
		{
			"otpauth://totp/a?secret=" + twenty + "A",
			Params{TOTP, SHA1, 6, 30},
			"", "a", 0, "12345678901234567890",
		},
		{
			"otpauth://totp/a?algorithm=HmacSHA256&image=https%3A%2F%2Fx%2Fy.png&color=red&secret=" + twenty,
			Params{TOTP, SHA256, 6, 30},
			"", "a", 0, "12345678901234567890",
		},
		{
			"otpauth://totp/a?algorithm=sha-512&secret=" + twenty,
			Params{TOTP, SHA512, 6, 30},
			"", "a", 0, "12345678901234567890",
		},
		{
			"otpauth://totp/Z%C3%BCrich:J%C3%B6rg%2F1?issuer=Z%C3%BCrich&secret=" + twenty,
			Params{TOTP, SHA1, 6, 30},
			"Zürich", "Jörg/1", 0, "12345678901234567890",
		},
		{
			"otpauth://totp/alice?issuer=Only+here&secret=" + twenty,
			Params{TOTP, SHA1, 6, 30},
			"Only here", "alice", 0, "12345678901234567890",
		},
	} {
		u, err := ParseURI(c.uri)
		if err != nil {
			t.Errorf("%s: %v", c.uri, err)
			continue
		}
		if u.Params != c.params || u.Issuer != c.issuer || u.Account != c.account || u.Counter != c.counter ||
			string(u.Secret.Reveal()) != c.secret {
			t.Errorf("%s was read as %+v with secret %q", c.uri, u, u.Secret.Reveal())
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	const ok = "&secret=" + twenty
	for _, uri := range []string{
		"", "otpauth:", "otpauth://", "http://totp/a?x=1" + ok, "otpauth://motp/a?x=1" + ok, "otpauth:totp/a?x=1" + ok,
		"otpauth://user@totp/a?x=1" + ok, "otpauth://totp/a?x=1" + ok + "#f", "otpauth-migration://offline?data=x",
		"otpauth://totp/?x=1" + ok, "otpauth://totp?x=1" + ok, "otpauth://totp/X:?x=1" + ok, "otpauth://totp/X:a:b?x=1" + ok,
		"otpauth://totp/X:a?issuer=Y" + ok, "otpauth://totp/a%00b?x=1" + ok, "otpauth://totp/a%0ab?x=1" + ok,
		"otpauth://totp/a%ffb?x=1" + ok, "otpauth://totp/" + strings.Repeat("a", MaxName+1) + "?x=1" + ok,
		"otpauth://totp/a%zz?x=1" + ok, "otpauth://totp/a?x=%zz" + ok, "otpauth://totp/a?a;b=1" + ok,
		"otpauth://totp/a?x=1", "otpauth://totp/a?secret=", "otpauth://totp/a?secret=" + twenty + ok,
		"otpauth://totp/a?secret=GEZDGNBVGY3TQOJ", // 9 bytes
		"otpauth://totp/a?secret=" + strings.Repeat("A", 416),
		"otpauth://totp/a?secret=1" + twenty[1:], "otpauth://totp/a?secret=0O" + twenty,
		"otpauth://totp/a?secret=" + twenty + "=", "otpauth://totp/a?secret=GEZD=GNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
		"otpauth://totp/a?secret=" + twenty + "%0a", "otpauth://totp/a?secret=%C3%A4" + twenty,
		"otpauth://totp/a?digits=5" + ok, "otpauth://totp/a?digits=9" + ok, "otpauth://totp/a?digits=" + ok,
		"otpauth://totp/a?digits=%2B6" + ok, "otpauth://totp/a?digits=6&digits=8" + ok,
		"otpauth://totp/a?period=0" + ok, "otpauth://totp/a?period=45" + ok, "otpauth://totp/a?period=-30" + ok,
		"otpauth://totp/a?period=65566" + ok, // 30 in sixteen bits
		"otpauth://totp/a?algorithm=MD5" + ok, "otpauth://totp/a?algorithm=SHA1&algorithm=SHA256" + ok,
		"otpauth://totp/a?counter=1" + ok, "otpauth://hotp/a?x=1" + ok, "otpauth://hotp/a?counter=-1" + ok,
		"otpauth://hotp/a?counter=9223372036854775807" + ok, "otpauth://hotp/a?counter=18446744073709551616" + ok,
		"otpauth://totp/a?x=" + strings.Repeat("y", MaxURI) + ok,
	} {
		u, err := ParseURI(uri)
		if !errors.Is(err, ErrURI) {
			t.Errorf("%s: got %v", uri, err)
			continue
		}
		if u.Secret != nil {
			t.Errorf("%s: a secret came with the error", uri)
		}
		for _, secret := range []string{twenty, twenty[:8], "GEZDGNBV"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error quotes the secret: %v", err)
			}
		}
	}
}

func TestFormat(t *testing.T) {
	for want, u := range map[string]URI{
		"otpauth://totp/ACME%20Co:ann%40example.org?secret=GEZDGNBVGY3TQOJQGE&issuer=ACME%20Co&algorithm=SHA1&digits=6&period=30": {
			Params: Params{TOTP, SHA1, 6, 30}, Issuer: "ACME Co", Account: "ann@example.org", Secret: NewSecret([]byte("12345678901")),
		},
		"otpauth://hotp/ann?secret=GEZDGNBVGY3TQOJQ&algorithm=SHA512&digits=8&counter=7": {
			Params: Params{HOTP, SHA512, 8, 0}, Account: "ann", Counter: 7, Secret: NewSecret([]byte("1234567890")),
		},
	} {
		if got := u.Format(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestURIValidate(t *testing.T) {
	good := func() URI {
		return URI{Params: Params{TOTP, SHA1, 6, 30}, Issuer: "ACME Co", Account: "ann@example.org", Secret: NewSecret(make([]byte, 20))}
	}
	// The longest that is valid can still be read.
	longest := URI{
		Params: Params{HOTP, SHA512, 8, 0}, Issuer: strings.Repeat("%", MaxName), Account: strings.Repeat("ü", MaxName/2),
		Counter: MaxCounter, Secret: NewSecret(make([]byte, MaxSecret)),
	}
	for _, u := range []URI{good(), longest} {
		if err := u.Validate(); err != nil {
			t.Errorf("%+v: %v", u, err)
		}
		again, err := ParseURI(u.Format())
		if err != nil || again.Issuer != u.Issuer || again.Account != u.Account || again.Params != u.Params || again.Counter != u.Counter {
			t.Errorf("%+v came back as %+v, %v", u, again, err)
		}
	}
	for name, spoil := range map[string]func(*URI){
		"parameters":        func(u *URI) { u.Params.Digits = 5 },
		"no account":        func(u *URI) { u.Account = "" },
		"a colon":           func(u *URI) { u.Issuer = "a:b" },
		"a colon in a name": func(u *URI) { u.Account = "a:b" },
		"a space":           func(u *URI) { u.Account = " ann" },
		"a line":            func(u *URI) { u.Issuer = "a\nb" },
		"a long name":       func(u *URI) { u.Account = strings.Repeat("x", MaxName+1) },
		"a counter":         func(u *URI) { u.Counter = 1 },
		"no secret":         func(u *URI) { u.Secret = nil },
		"a short secret":    func(u *URI) { u.Secret = NewSecret(make([]byte, MinSecret-1)) },
	} {
		u := good()
		spoil(&u)
		if u.Validate() == nil {
			t.Errorf("a URI with %s is valid", name)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXP&issuer=Example")
	f.Add("otpauth://hotp/X:bob?secret=" + twenty + "&counter=42&digits=7&algorithm=SHA512")
	f.Add("otpauth://totp/Z%C3%BCrich%3AJ%C3%B6rg%2F1?issuer=Z%C3%BCrich&period=60&secret=gezd+gnbvgy3tqojq")
	f.Add("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGE======&image=x&algorithm=sha-256")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			if !errors.Is(err, ErrURI) || u.Secret != nil {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if err := u.Params.Validate(); err != nil {
			t.Errorf("parameters that aren't valid: %v", err)
		}
		if n := len(u.Secret.Reveal()); n < MinSecret || n > MaxSecret {
			t.Errorf("a secret of %d bytes", n)
		}
		formatted := u.Format()
		if err := u.Validate(); err != nil {
			t.Errorf("%q was read and is not valid: %v", s, err)
		}
		again, err := ParseURI(formatted)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", s, formatted, err)
		}
		if again.Params != u.Params || again.Issuer != u.Issuer || again.Account != u.Account || again.Counter != u.Counter ||
			string(again.Secret.Reveal()) != string(u.Secret.Reveal()) {
			t.Errorf("%q came back from %q as something else", s, formatted)
		}
	})
}
