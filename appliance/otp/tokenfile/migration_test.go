package tokenfile

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"strongroom.internal/appliance/otp"
)

// golden is an export of one QR code, written by hand; spaces and what follows a bar are for the reader.
const golden = `
0a 2b                                   | token 1 of 43 bytes
   0a 0a 48656c6c6f21deadbeef           |   secret: "Hello!" and four bytes
   12 0f 41434d453a616e6e40782e74657374 |   name: ACME:ann@x.test
   1a 04 41434d45                       |   issuer: ACME
   20 01 28 01 30 02 38 00              |   SHA-1, six digits, TOTP, counter 0
0a 21                                   | token 2 of 33 bytes
   0a 14 3132333435363738393031323334353637383930
   12 03 62656e                         |   name: ben; no issuer
   20 02 28 02 30 01                    |   SHA-256, eight digits, HOTP
10 02                                   | version 2
18 01 20 00                             | one QR code, the first
28 f1e9c5d6faffffffff01                 | id of the export: negative, so ten bytes
`

func payload(t testing.TB, annotated string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(annotated) {
		line, _, _ = strings.Cut(line, "|")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func migrationURI(payload []byte) string {
	return "otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(payload))
}

// wireToken is one account as the wire has it.
type wireToken struct {
	secret, name, issuer             string
	algorithm, digits, kind, counter uint64
	more                             []byte
}

func (w wireToken) encode() (b []byte) {
	for n, s := range []string{w.secret, w.name, w.issuer} {
		b = protowire.AppendTag(b, protowire.Number(n+1), protowire.BytesType)
		b = protowire.AppendString(b, s)
	}
	for n, v := range []uint64{w.algorithm, w.digits, w.kind, w.counter} {
		b = protowire.AppendTag(b, protowire.Number(n+4), protowire.VarintType)
		b = protowire.AppendVarint(b, v)
	}
	return append(b, w.more...)
}

func wirePayload(version, size, index, id uint64, tokens ...wireToken) (b []byte) {
	for _, w := range tokens {
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, w.encode())
	}
	for n, v := range []uint64{version, size, index, id} {
		b = protowire.AppendTag(b, protowire.Number(n+2), protowire.VarintType)
		b = protowire.AppendVarint(b, v)
	}
	return b
}

func ann() wireToken {
	return wireToken{secret: twenty, name: "ann", issuer: "ACME", algorithm: 1, digits: 1, kind: 2}
}

func TestMigrationGolden(t *testing.T) {
	b := payload(t, golden)
	want := []seen{
		{Row: 1, Line: 1, Issuer: "ACME", Label: "ann@x.test", Params: totp6, Secret: "Hello!\xde\xad\xbe\xef"},
		{Row: 2, Line: 1, Label: "ben", Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA256, Digits: 8}, Secret: twenty},
	}
	for _, data := range []string{
		url.QueryEscape(base64.StdEncoding.EncodeToString(b)),
		base64.StdEncoding.EncodeToString(b), // a plus that is not escaped
		base64.RawStdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b),
	} {
		got, err := readAll(ReadMigration(strings.NewReader("OTPAUTH-migration://offline?data="+data+"\n"), false))
		if err != nil {
			t.Errorf("%s: %v", data, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", data, diff)
		}
	}
}

func TestMigrationTokens(t *testing.T) {
	unknown := protowire.AppendString(protowire.AppendTag(nil, 8, protowire.BytesType), "f739de1755")
	unknown = protowire.AppendFixed64(protowire.AppendTag(unknown, 9, protowire.Fixed64Type), 1)
	for name, c := range map[string]struct {
		change             func(*wireToken)
		issuer, label, err string
		counter            otp.Step
	}{
		"as it is":                 {func(*wireToken) {}, "ACME", "ann", "", 0},
		"an id":                    {func(w *wireToken) { w.more = unknown }, "ACME", "ann", "", 0},
		"an older name":            {func(w *wireToken) { w.name = "Acme Inc: ann" }, "ACME", "ann", "", 0},
		"an issuer in the name":    {func(w *wireToken) { w.name, w.issuer = "ACME:ann", "" }, "ACME", "ann", "", 0},
		"two colons":               {func(w *wireToken) { w.name = "ACME:ann:x" }, "ACME", "ann-x", "", 0},
		"no name":                  {func(w *wireToken) { w.name = "" }, "ACME", "token", "", 0},
		"HOTP":                     {func(w *wireToken) { w.kind, w.counter = 1, 7 }, "ACME", "ann", "", 7},
		"HOTP, bounds":             {func(w *wireToken) { w.kind, w.counter = 1, 1<<62 }, "ACME", "ann", "", 1 << 62},
		"HOTP, over":               {func(w *wireToken) { w.kind, w.counter = 1, 1<<62+1 }, "", "", "its counter is out of bounds", 0},
		"HOTP, negative":           {func(w *wireToken) { w.kind, w.counter = 1, ^uint64(0) }, "", "", "its counter is out of bounds", 0},
		"MD5":                      {func(w *wireToken) { w.algorithm = 4 }, "", "", "its hash is MD5, which is not supported", 0},
		"an unspecified hash":      {func(w *wireToken) { w.algorithm = 0 }, "", "", "its hash is not SHA-1, SHA-256 or SHA-512", 0},
		"an unknown hash":          {func(w *wireToken) { w.algorithm = 5 }, "", "", "its hash is not SHA-1, SHA-256 or SHA-512", 0},
		"a hash past 32 bits":      {func(w *wireToken) { w.algorithm = 1<<32 + 1 }, "", "", "its hash is not SHA-1, SHA-256 or SHA-512", 0},
		"unspecified digits":       {func(w *wireToken) { w.digits = 0 }, "", "", "its codes don't have 6 or 8 digits", 0},
		"digits as a number":       {func(w *wireToken) { w.digits = 6 }, "", "", "its codes don't have 6 or 8 digits", 0},
		"an unspecified type":      {func(w *wireToken) { w.kind = 0 }, "", "", "its type is neither HOTP nor TOTP", 0},
		"a short secret":           {func(w *wireToken) { w.secret = "short" }, "", "", "its secret has 5 bytes; it must have 10 to 256", 0},
		"a name that is not UTF-8": {func(w *wireToken) { w.name = "\xff" }, "", "", "its name or issuer is not UTF-8", 0},
		"a name with an escape":    {func(w *wireToken) { w.name = "a\x1b[31mnn" }, "ACME", "a[31mnn", "", 0},
		"a name of a thousand bytes": {
			func(w *wireToken) { w.name = strings.Repeat("n", 1000) }, "ACME", strings.Repeat("n", otp.MaxName), "", 0,
		},
	} {
		w := ann()
		c.change(&w)
		got, err := readAll(ReadMigration(strings.NewReader(migrationURI(wirePayload(1, 1, 0, 9, w, ann()))), false))
		if err != nil || len(got) != 2 || got[1].Err != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if g := got[0]; g.Err != c.err || g.Issuer != c.issuer || g.Label != c.label || g.Counter != c.counter {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestMigrationBatches(t *testing.T) {
	part := func(size, index, id uint64, names ...string) string {
		var tokens []wireToken
		for _, n := range names {
			w := ann()
			w.name = n
			tokens = append(tokens, w)
		}
		return migrationURI(wirePayload(1, size, index, id, tokens...))
	}
	for name, c := range map[string]struct {
		lines            []string
		labels           string
		whole, attempted bool // taken as it is; taken when told to
	}{
		"one":                  {[]string{part(1, 0, 1, "a", "b")}, "ab", true, true},
		"no size":              {[]string{part(0, 0, 1, "a")}, "a", true, true},
		"two":                  {[]string{part(2, 0, 1, "a"), part(2, 1, 1, "b")}, "ab", true, true},
		"two, turned around":   {[]string{part(2, 1, 1, "b"), part(2, 0, 1, "a")}, "ba", true, true},
		"two exports":          {[]string{part(2, 0, 1, "a"), part(1, 0, 2, "c"), part(2, 1, 1, "b")}, "acb", true, true},
		"the first of two":     {[]string{part(2, 0, 1, "a")}, "a", false, true},
		"the second of two":    {[]string{part(2, 1, 1, "b")}, "b", false, true},
		"two of three":         {[]string{part(3, 0, 1, "a"), part(3, 2, 1, "c")}, "ac", false, true},
		"one twice":            {[]string{part(2, 0, 1, "a"), part(2, 0, 1, "a")}, "", false, false},
		"two sizes":            {[]string{part(2, 0, 1, "a"), part(3, 1, 1, "b")}, "", false, false},
		"an index past it":     {[]string{part(2, 2, 1, "a")}, "", false, false},
		"a size without bound": {[]string{part(1<<31, 0, 1, "a")}, "", false, false},
		"no tokens":            {[]string{part(1, 0, 1)}, "", false, false},
	} {
		for _, incomplete := range []bool{false, true} {
			got, err := readAll(ReadMigration(strings.NewReader("# phone\n"+strings.Join(c.lines, "\n")), incomplete))
			taken := c.whole || incomplete && c.attempted
			labels := ""
			for i, s := range got {
				labels += s.Label
				if s.Row != i+1 {
					t.Errorf("%s: row %d is said to be %d", name, i+1, s.Row)
				}
			}
			if taken != (err == nil) || taken && labels != c.labels || !taken && (len(got) != 0 || !errors.Is(err, ErrFile)) {
				t.Errorf("%s, incomplete %v: %q, %v", name, incomplete, labels, err)
			}
		}
	}
}

func TestMigrationRefuses(t *testing.T) {
	good := wirePayload(1, 1, 0, 9, ann())
	bytesField := func(n protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	number := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	twice := ann()
	twice.more = bytesField(1, []byte("another secret of it"))
	number8 := ann()
	number8.more = []byte{0x3d, 1, 0, 0, 0} // counter as fixed32
	for name, line := range map[string]string{
		"no data":                  "otpauth-migration://offline",
		"empty data":               "otpauth-migration://offline?data=",
		"another host":             strings.Replace(migrationURI(good), "offline", "online", 1),
		"another parameter":        strings.Replace(migrationURI(good), "data", "date", 1),
		"two parameters":           migrationURI(good) + "&data=x",
		"a fragment":               migrationURI(good) + "#x",
		"an otpauth URI":           "otpauth://totp/ann?secret=" + twenty32,
		"bad escapes":              "otpauth-migration://offline?data=%zz",
		"bad base64":               "otpauth-migration://offline?data=C%2A%2A%2A",
		"a line end in base64":     "otpauth-migration://offline?data=Ck%0AA",
		"cut off":                  migrationURI(good[:20]),
		"a length past the end":    migrationURI([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}),
		"a varint without end":     migrationURI([]byte{0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"field 0":                  migrationURI(append([]byte{0x00, 0x01}, good...)),
		"a group":                  migrationURI(append([]byte{0x4b, 0x4c}, good...)),
		"a token that is a number": migrationURI(append(number(1, 5), good...)),
		"a version of bytes":       migrationURI(append(bytesField(2, []byte{1}), wirePayload(0, 1, 0, 9, ann())[:40]...)),
		"the version twice":        migrationURI(append(good, number(2, 1)...)),
		"no version":               migrationURI(wirePayload(0, 1, 0, 9, ann())),
		"another version":          migrationURI(wirePayload(3, 1, 0, 9, ann())),
		"two secrets":              migrationURI(wirePayload(1, 1, 0, 9, twice)),
		"a counter of 32 bits":     migrationURI(wirePayload(1, 1, 0, 9, number8)),
		"a payload past the bound": migrationURI(append(good, bytesField(20, make([]byte, maxPayload))...)),
		"a line past the bound":    migrationURI(good) + strings.Repeat("A", maxLine),
		"nothing":                  "",
	} {
		got, err := readAll(ReadMigration(strings.NewReader(line), true))
		if !errors.Is(err, ErrFile) || len(got) != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "%\n*") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
	if got, err := readAll(ReadMigration(strings.NewReader(migrationURI(good)), false)); err != nil || len(got) != 1 {
		t.Errorf("what was changed is not good itself: %+v, %v", got, err)
	}
}

func FuzzMigration(f *testing.F) {
	f.Add([]byte(migrationURI(payload(f, golden))))
	f.Add([]byte(migrationURI(wirePayload(1, 2, 0, 9, ann())) + "\n" + migrationURI(wirePayload(1, 2, 1, 9, ann()))))
	fuzz(f, Migration)
}

func FuzzMigrationPayload(f *testing.F) {
	f.Add(payload(f, golden))
	f.Add(wirePayload(1, 2, 0, 9, ann(), ann()))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &part{}
		defer p.destroy()
		if err := p.parse(b); err == nil && (p.index >= p.size || p.size > maxBatch) {
			t.Errorf("part %d of %d", p.index, p.size)
		}
	})
}
