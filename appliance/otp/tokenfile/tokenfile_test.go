package tokenfile

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance/otp"
	"strongroom.internal/appliance/otp/pskc"
)

// seen is what tests compare of a record.
type seen struct {
	Row, Line                    int
	Owner, Issuer, Label, Serial string
	Params                       otp.Params
	Counter                      otp.Step
	Secret, Err                  string
	Notes                        []string
}

func readAll(records iter.Seq2[otp.Record, error]) (all []seen, err error) {
	for r, e := range records {
		if e != nil {
			return all, e
		}
		s := seen{Row: r.Row, Line: r.Line}
		if r.Err != nil {
			s.Err = r.Err.Error()
		} else {
			s = seen{
				r.Row, r.Line, r.Owner, r.URI.Issuer, r.URI.Account, r.Serial, r.URI.Params, r.URI.Counter,
				string(r.URI.Secret.Reveal()), "", r.Notes,
			}
		}
		all = append(all, s)
		r.Destroy()
	}
	return all, nil
}

const (
	twenty    = "12345678901234567890"
	twenty32  = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	twentyHex = "3132333435363738393031323334353637383930"
)

var (
	totp6 = otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30}
	hotp6 = otp.Params{Mode: otp.HOTP, Hash: otp.SHA1, Digits: 6}
)

func TestURIs(t *testing.T) {
	got, err := readAll(ReadURIs(strings.NewReader("\ufeff# of the old server\r\n\r\n" +
		"otpauth://totp/ACME:ann?secret=" + twenty32 + "&issuer=ACME\r\n" +
		"otpauth://totp/ben?secret=1" + twenty32 + "\n" +
		" otpauth://hotp/carl?secret=" + twenty32 + "&counter=9&digits=8&algorithm=SHA256 \n" +
		"otpauth-migration://offline?data=x")))
	if err != nil {
		t.Fatal(err)
	}
	want := []seen{
		{Row: 1, Line: 3, Issuer: "ACME", Label: "ann", Params: totp6, Secret: twenty},
		{Row: 2, Line: 4, Err: "its secret is not base32"},
		{Row: 3, Line: 5, Label: "carl", Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA256, Digits: 8}, Counter: 9, Secret: twenty},
		{Row: 4, Line: 6, Err: "it must look like otpauth://totp/…"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCSV(t *testing.T) {
	long := strings.Repeat("3132", 16)
	got, err := readAll(ReadCSV(strings.NewReader("\ufeffaccount,issuer,label,secret,encoding,mode,hash,digits,period,counter,serial\r\n" +
		"ann,ACME,ann@acme.test," + twenty32 + ",,,,,,,\r\n" +
		"ben,,," + long + ",hex,totp,sha-256,8,60,,T1\n" +
		`"carl, the third",ACME,,gezd gnbv-gy3tqojqgezdgnbvgy3tqojq====,base32,hotp,SHA1,6,,7,H1` + "\n" +
		",,," + twenty32 + ",,,,,,,\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := []seen{
		{Row: 1, Line: 2, Owner: "ann", Issuer: "ACME", Label: "ann@acme.test", Params: totp6, Secret: twenty},
		{
			Row: 2, Line: 3, Owner: "ben", Label: "T1", Serial: "T1", Secret: strings.Repeat("12", 16),
			Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA256, Digits: 8, Period: 60},
		},
		{Row: 3, Line: 4, Owner: "carl, the third", Issuer: "ACME", Label: "H1", Serial: "H1", Params: hotp6, Counter: 7, Secret: twenty},
		{Row: 4, Line: 5, Label: "token", Params: totp6, Secret: twenty},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Columns are found by name.
	got, err = readAll(ReadCSV(strings.NewReader("Secret, Account\n" + twenty32 + ",ann\n")))
	if err != nil || len(got) != 1 || got[0].Owner != "ann" || got[0].Secret != twenty {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCSVRefuses(t *testing.T) {
	const header = "account,secret,encoding,mode,hash,digits,period,counter\n"
	for _, row := range []string{
		"ann,,,,,,,", "ann,1" + twenty32 + ",,,,,,", "ann," + twentyHex + "0,hex,,,,,", "ann,xy" + twentyHex + ",hex,,,,,",
		"ann," + twenty32 + ",base64,,,,,", "ann," + twenty32 + ",,ocra,,,,", "ann," + twenty32 + ",,,MD5,,,",
		"ann," + twenty32 + ",,,,5,,", "ann," + twenty32 + ",,,,9,,", "ann," + twenty32 + ",,,,262,,", "ann," + twenty32 + ",,,,+6,,",
		"ann," + twenty32 + ",,,,,45,", "ann," + twenty32 + ",,,,,65566,", "ann," + twenty32 + ",,,,,,1",
		"ann," + twenty32 + ",,hotp,,,,", "ann," + twenty32 + ",,hotp,,,,-1", "ann," + twenty32 + ",,hotp,,,,9223372036854775807",
		"ann," + twenty32 + ",,hotp,,,30,1", "ann,GEZDGNBV,,,,,,", "ann," + twenty32, "ann," + twenty32 + ",,,,,,,",
		`ann,"` + twenty32 + `"x,,,,,,`, "a\x1bnn," + twenty32 + ",,,,,,", "\xff," + twenty32 + ",,,,,,",
	} {
		// The row after a bad one is read.
		got, err := readAll(ReadCSV(strings.NewReader(header + row + "\nben," + twenty32 + ",,,,,,\n")))
		if err != nil || len(got) != 2 || got[0].Err == "" || got[1].Err != "" || got[1].Row != 2 {
			t.Errorf("%q: %+v, %v", row, got, err)
			continue
		}
		for _, leak := range []string{"GEZD", "3132", "ann", "ocra", "MD5"} {
			if strings.Contains(got[0].Err, leak) {
				t.Errorf("%q: the error quotes it: %s", row, got[0].Err)
			}
		}
	}
	for _, file := range []string{
		"", "\n", "account\nann\n", "account,secret\n", "account,secret,colour\nann,x,red\n", "secret,secret\nx,x\n", `"`,
		"account;secret\nann;" + twenty32,
	} {
		if got, err := readAll(ReadCSV(strings.NewReader(file))); !errors.Is(err, ErrFile) {
			t.Errorf("%q: %+v, %v", file, got, err)
		}
	}
}

func TestLinOTP(t *testing.T) {
	thirty2, sixty4 := strings.Repeat("31", 32), strings.Repeat("31", 64)
	got, err := readAll(ReadLinOTP(strings.NewReader("#\n" +
		"tok1, " + twentyHex + "\n" +
		"tok2, " + twentyHex + ", totp, 6\n" +
		"tok3, " + twentyHex + ", hotp, 8, 30, sha256,\n" +
		"tok4, " + thirty2 + ", TOTP, 8, 60\n" +
		"tok5, " + sixty4 + ", totp,,,sha1\n" +
		"tok6, " + sixty4 + ", hmac,\n" +
		"tok7, " + twentyHex + ", ocra2, OCRA-1:HOTP-SHA1-6:QN08\n" +
		"tok8\n , " + twentyHex + "\n")))
	if err != nil {
		t.Fatal(err)
	}
	none := []string{"the file has no counter; 0 is taken"}
	want := []seen{
		{Row: 1, Line: 2, Label: "tok1", Serial: "tok1", Params: hotp6, Secret: twenty, Notes: none},
		{Row: 2, Line: 3, Label: "tok2", Serial: "tok2", Params: totp6, Secret: twenty},
		{Row: 3, Line: 4, Label: "tok3", Serial: "tok3", Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA256, Digits: 8}, Secret: twenty, Notes: none},
		{
			Row: 4, Line: 5, Label: "tok4", Serial: "tok4", Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA256, Digits: 8, Period: 60},
			Secret: strings.Repeat("1", 32),
		},
		{Row: 5, Line: 6, Label: "tok5", Serial: "tok5", Params: totp6, Secret: strings.Repeat("1", 64)},
		{
			Row: 6, Line: 7, Label: "tok6", Serial: "tok6", Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA512, Digits: 6},
			Secret: strings.Repeat("1", 64), Notes: none,
		},
		{Row: 7, Line: 8, Err: "its mode must be totp or hotp"},
		{Row: 8, Line: 9, Err: "its secret has 0 bytes; it must have 10 to 256"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrivacyIDEA(t *testing.T) {
	const hashNote = "the file doesn't name the hash; it is taken by the length of the seed"
	none := "the file has no counter; 0 is taken"
	for name, c := range map[string]struct {
		file string
		want []seen
	}{
		"exported": {
			"ann@acme, TOTP1, " + twentyHex + ", totp, 6, 30\n" +
				"n/a, HOTP1, " + twenty32 + ", hotp, 8\n" +
				"ben@acme, TOTP2, " + twentyHex + ", totp, 6, None",
			[]seen{
				{Row: 1, Line: 1, Owner: "ann@acme", Label: "TOTP1", Serial: "TOTP1", Params: totp6, Secret: twenty, Notes: []string{hashNote}},
				{
					Row: 2, Line: 2, Label: "HOTP1", Serial: "HOTP1", Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA1, Digits: 8},
					Secret: twenty, Notes: []string{none, hashNote},
				},
				{Row: 3, Line: 3, Err: "its period must be 30 or 60 seconds"},
			},
		},
		"imported": {
			"token01, " + twentyHex + ", hotp, 6, 42\ntoken02, " + twentyHex + ", totp, 8, 60\n\ntoken03, " + twentyHex + "\n" +
				"token04, " + strings.Repeat("31", 32) + ", totp, 6, 30\ntoken05, " + strings.Repeat("31", 28) + ", totp\n" +
				"token06, " + twentyHex + ", tan, 1 2 3\n",
			[]seen{
				{Row: 1, Line: 1, Label: "token01", Serial: "token01", Params: hotp6, Counter: 42, Secret: twenty},
				{
					Row: 2, Line: 2, Label: "token02", Serial: "token02", Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 8, Period: 60},
					Secret: twenty,
				},
				{Row: 3, Line: 4, Label: "token03", Serial: "token03", Params: hotp6, Secret: twenty, Notes: []string{none}},
				{
					Row: 4, Line: 5, Label: "token04", Serial: "token04", Secret: strings.Repeat("1", 32),
					Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA256, Digits: 6, Period: 30},
				},
				{Row: 5, Line: 6, Err: "its hash must be SHA1, SHA256 or SHA512"},
				{Row: 6, Line: 7, Err: "its mode must be totp or hotp"},
			},
		},
		"with owners": {
			"# version: 2\nann, ldap, acme, token01, " + twentyHex + ", totp, 6, 30\n, , , token02, " + twentyHex + ", hotp, 6, 1\n",
			[]seen{
				{Row: 1, Line: 2, Owner: "ann@acme", Label: "token01", Serial: "token01", Params: totp6, Secret: twenty},
				{Row: 2, Line: 3, Label: "token02", Serial: "token02", Params: hotp6, Counter: 1, Secret: twenty},
			},
		},
	} {
		got, err := readAll(ReadPrivacyIDEA(strings.NewReader(c.file)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestYubico(t *testing.T) {
	got, err := readAll(ReadYubico(strings.NewReader("LOGGING START,11.12.13 18:55\n" +
		"OATH-HOTP,11.12.13 18:55,1,cccccccccccc,," + twentyHex + ",,,0,0,0,6,0,0,0,0,0,0\n" +
		"OATH-HOTP,11.12.13 19:01,2,,," + twentyHex + ",,,0,0,0,8,16,0,0,0,0,0\n" +
		"OATH-HOTP,11.12.13, 19:01,2,,," + twentyHex + ",,,0,0,0,8,16,0,0,0,0,0\n" +
		"Yubico OTP,11.12.13 16:43,1,cccccccirblh,b321173a2fb8,6faa3ce885fcd5eda7efa5195e5a5d44,,,0,0,0,0,0,0,0,0,0,1\n" +
		"508327,,0," + twentyHex + ",,2013-12-12T08:41:07,\n")))
	if err != nil {
		t.Fatal(err)
	}
	const made, typed = "the counter is the one that the key was made with", "the key may type its public id before each code"
	want := []seen{
		{Row: 1, Line: 2, Label: "cccccccccccc", Serial: "cccccccccccc", Params: hotp6, Secret: twenty, Notes: []string{typed, made}},
		{Row: 2, Line: 3, Label: "token", Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA1, Digits: 8}, Counter: 16, Secret: twenty, Notes: []string{made}},
		{Row: 3, Line: 4, Err: "it must have 18 columns, and has 19"},
		{Row: 4, Line: 5, Err: "it is not an OATH-HOTP slot in the traditional format"},
		{Row: 5, Line: 6, Err: "it is not an OATH-HOTP slot in the traditional format"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDetect(t *testing.T) {
	for head, want := range map[string]Format{
		"otpauth://totp/x?secret=y":                   OTPAuth,
		"\n# old\n\nOTPAUTH://totp/x":                 OTPAuth,
		"otpauth-migration://offline?data=x":          Migration,
		"\ufeff  <?xml version=\"1.0\"?>":             PSKC,
		"<keycontainer>":                              PSKC,
		"account,issuer,label,secret\n":               CSV,
		"Secret,account\r\nx,y":                       CSV,
		"# version: 2\nann,,acme,tok,31,totp,6,30":    PrivacyIDEA,
		"LOGGING START,11.12.13 18:55\nOATH-HOTP,x":   Yubico,
		"OATH-HOTP,11.12.13 18:55,1,cccccccccccc,,91": Yubico,
		"":                             "",
		"# nothing\n":                  "",
		"secret":                       "",
		"tok1, 3132, totp, 6, 30":      "",
		"n/a, tok1, 3132, totp, 6, 30": "",
		"\x00\x01":                     "",
	} {
		got, err := Detect([]byte(head))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", head, got, err)
		}
	}
}

// TestHostile: nothing of a format's file is used, whatever the format.
func TestHostile(t *testing.T) {
	for name, file := range map[string]string{
		"nothing":          "",
		"lines of nothing": strings.Repeat("\n", 10_000),
		"a long line":      strings.Repeat("x", maxLine+1),
		"a binary":         "\x7fELF\x02\x01\x01\x00\x00",
		"an image":         "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
	} {
		for _, f := range Formats() {
			got, err := readAll(Read(f, strings.NewReader(file), Options{}))
			for _, s := range got {
				if s.Err == "" {
					t.Errorf("%s as %s: %+v", name, f, s)
				}
			}
			if err == nil && len(got) == 0 {
				t.Errorf("%s as %s: neither tokens nor an error", name, f)
			}
			if err != nil && !errors.Is(err, ErrFile) && !errors.Is(err, pskc.ErrFile) {
				t.Errorf("%s as %s: %v", name, f, err)
			}
		}
	}
	if _, err := readAll(Read("colour", strings.NewReader("x"), Options{})); !errors.Is(err, ErrFile) {
		t.Errorf("a format that is none: %v", err)
	}
}

// TestManyTokens: a file ends at the bound.
func TestManyTokens(t *testing.T) {
	for f, lines := range map[Format][2]string{
		OTPAuth: {"", "x"}, CSV: {"secret", "x"}, // the others go through lines as the first does
	} {
		rows := 0
		var last error
		file := lines[0] + strings.Repeat("\n"+lines[1], MaxRecords+1)
		for _, err := range Read(f, strings.NewReader(file), Options{}) {
			if last = err; err == nil {
				rows++
			}
		}
		if rows != MaxRecords || !errors.Is(last, ErrFile) {
			t.Errorf("%s: %d tokens, then %v", f, rows, last)
		}
	}
}

func TestScannerBounds(t *testing.T) {
	s := newScanner(strings.NewReader(strings.Repeat("0123456789\n", 10)))
	s.left = 55
	n := 0
	for {
		line, err := s.next()
		if err != nil {
			if !errors.Is(err, ErrFile) || n != 5 {
				t.Errorf("after %d lines: %v", n, err)
			}
			break
		}
		if line == nil {
			t.Fatal("it ended without an error")
		}
		n++
	}
	s.destroy()
	if !bytes.Equal(s.buffer[:11], make([]byte, 11)) {
		t.Error("what was read is still there")
	}
}

func fuzz(f *testing.F, format Format) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		rows := 0
		for r, err := range Read(format, bytes.NewReader(raw), Options{Incomplete: true}) {
			if err != nil {
				if !errors.Is(err, ErrFile) {
					t.Errorf("it ended with %v", err)
				}
				return
			}
			if rows++; r.Row != rows {
				t.Errorf("row %d is said to be %d", rows, r.Row)
			}
			if r.Err != nil {
				if r.URI.Secret != nil || strings.Contains(r.Err.Error(), "\n") {
					t.Errorf("an error that is not one: %q", r.Err)
				}
				continue
			}
			if err := r.URI.Validate(); err != nil {
				t.Errorf("a token can't be used: %v", err)
			}
			// What is sent to the cluster is read there as the same token.
			again, err := otp.ParseURI(r.URI.Format())
			if err != nil || again.Params != r.URI.Params || again.Counter != r.URI.Counter ||
				!bytes.Equal(again.Secret.Reveal(), r.URI.Secret.Reveal()) {
				t.Errorf("a token comes out as another: %v", err)
			}
			for _, text := range []string{r.Owner, r.Serial, r.Manufacturer} {
				if strings.ContainsAny(text, "\x00\x1b\r\n\x7f") {
					t.Errorf("%q may not be shown on a terminal", text)
				}
			}
		}
	})
}

func FuzzURIs(f *testing.F) {
	f.Add([]byte("otpauth://totp/ACME:ann?secret=" + twenty32 + "&issuer=ACME\n# x\notpauth://hotp/b?counter=1&secret=" + twenty32))
	fuzz(f, OTPAuth)
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("account,issuer,label,secret,encoding,mode,hash,digits,period,counter,serial\na,b,c," + twenty32 + ",base32,hotp,SHA1,6,,1,s\n"))
	f.Add([]byte("secret,encoding\n\"" + twentyHex + "\",hex\n"))
	fuzz(f, CSV)
}

func FuzzLinOTP(f *testing.F) {
	f.Add([]byte(fmt.Sprintf("tok3, %s, totp, 8, 60, sha256,\n", twentyHex)))
	fuzz(f, LinOTP)
}

func FuzzPrivacyIDEA(f *testing.F) {
	f.Add([]byte("# version: 2\nann, ldap, acme, token01, " + twentyHex + ", totp, 6, 30\n"))
	f.Add([]byte("n/a, HOTP1, " + twenty32 + ", hotp, 8\n"))
	f.Add([]byte("token01, " + twentyHex + ", hotp, 6, 42\n"))
	fuzz(f, PrivacyIDEA)
}

func FuzzYubico(f *testing.F) {
	f.Add([]byte("OATH-HOTP,11.12.13 18:55,1,cccccccccccc,," + twentyHex + ",,,0,0,0,6,0,0,0,0,0,0\n"))
	fuzz(f, Yubico)
}
