package pskc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance/otp"
)

// seen is what tests compare of a record.
type seen struct {
	Row                                 int
	Owner, Issuer, Label, Serial, Maker string
	Params                              otp.Params
	Counter                             otp.Step
	Drift                               int64
	Secret, NotBefore, NotAfter, Err    string
	Notes                               []string
}

func see(r otp.Record) seen {
	s := seen{
		Row: r.Row, Owner: r.Owner, Issuer: r.URI.Issuer, Label: r.URI.Account, Serial: r.Serial, Maker: r.Manufacturer,
		Params: r.URI.Params, Counter: r.URI.Counter, Drift: r.Drift, Secret: string(r.URI.Secret.Reveal()), Notes: r.Notes,
	}
	for at, to := range map[time.Time]*string{r.NotBefore: &s.NotBefore, r.NotAfter: &s.NotAfter} {
		if !at.IsZero() {
			*to = at.Format(time.RFC3339)
		}
	}
	if r.Err != nil {
		s = seen{Row: r.Row, Err: r.Err.Error()}
	}
	return s
}

func readAll(r io.Reader, o Options) (all []seen, info Info, err error) {
	o.Info = func(i Info) { info = i }
	for record, e := range Read(r, o) {
		if e != nil {
			return all, info, e
		}
		all = append(all, see(record))
		record.Destroy()
	}
	return all, info, nil
}

func key(b []byte) func(string) (*otp.Secret, error) {
	return func(string) (*otp.Secret, error) { return otp.NewSecret(bytes.Clone(b)), nil }
}

const twenty = "12345678901234567890"

func TestFigures(t *testing.T) {
	hotp8 := otp.Params{Mode: otp.HOTP, Hash: otp.SHA1, Digits: 8}
	base := seen{Row: 1, Issuer: "Issuer", Label: "987654321", Serial: "987654321", Maker: "Manufacturer", Params: hotp8, Secret: twenty}
	with := func(change func(*seen)) seen {
		s := base
		change(&s)
		return s
	}
	bulk := func(row int, serial, from, until string) seen {
		return with(func(s *seen) {
			s.Row, s.Label, s.Serial, s.Maker = row, serial, serial, "TokenVendorAcme"
			s.NotBefore, s.NotAfter = from+"T00:00:00Z", until+"T00:00:00Z"
		})
	}
	for figure, c := range map[string]struct {
		o    Options
		want []seen
		info Info
		err  error
	}{
		"2": {want: []seen{{Row: 1, Err: "it doesn't say how many digits its codes have"}}},
		"3": {want: []seen{with(func(s *seen) { s.Owner = "UID=jsmith,DC=example-bank,DC=net" })}},
		"4": {want: []seen{{Row: 1, Err: "its secret is not in the file"}}},
		"5": {want: []seen{base, {Row: 2, Err: "its algorithm is neither HOTP nor TOTP of RFC 6030"}}},
		"6": {
			o:    Options{Key: key(unhex(t, "12345678901234567890123456789012"))},
			want: []seen{base}, info: Info{Encrypted: true},
		},
		"7": {
			o: Options{Password: key([]byte("qwerty"))},
			want: []seen{with(func(s *seen) {
				s.Issuer, s.Maker, s.Notes = "Example-Issuer", "TokenVendorAcme", []string{"the file has no counter; 0 is taken"}
			})},
			info: Info{Encrypted: true},
		},
		"8": {err: ErrFile},
		"9": {
			want: []seen{with(func(s *seen) {
				s.Issuer, s.Label, s.Serial, s.Maker = "Example-Issuer", "0755225266", "0755225266", "TokenVendorAcme"
				s.Params.Digits = 6
			})},
			info: Info{Signed: true},
		},
		"10": {want: []seen{
			bulk(1, "654321", "2006-05-01", "2006-05-31"), bulk(2, "123456", "2006-05-01", "2006-05-31"),
			bulk(3, "9999999", "2006-03-01", "2006-03-31"), bulk(4, "9999999", "2006-04-01", "2006-04-30"),
		}},
	} {
		f, err := os.Open("testdata/rfc6030-figure" + figure + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		got, info, err := readAll(f, c.o)
		f.Close()
		if !errors.Is(err, c.err) || info != c.info {
			t.Errorf("Figure %s: %+v, %v", figure, info, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("Figure %s (-want +got):\n%s", figure, diff)
		}
	}
}

// TestFigureNames: the functions are asked for the keys that the file names, once.
func TestFigureNames(t *testing.T) {
	for figure, want := range map[string]string{"6": "Pre-shared-key", "7": "My Password 1"} {
		raw, err := os.ReadFile("testdata/rfc6030-figure" + figure + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		ask := func(name string) (*otp.Secret, error) {
			asked = append(asked, name)
			return nil, errors.New("no")
		}
		if _, _, err := readAll(bytes.NewReader(raw), Options{Key: ask, Password: ask}); err == nil || err.Error() != "no" {
			t.Errorf("Figure %s: %v", figure, err)
		}
		if len(asked) != 1 || asked[0] != want {
			t.Errorf("Figure %s asked for %q", figure, asked)
		}
	}
}

func TestWrongKeys(t *testing.T) {
	for figure, c := range map[string]struct{ right, wrong Options }{
		"6": {
			Options{Key: key(unhex(t, "12345678901234567890123456789012"))},
			Options{Key: key(unhex(t, "12345678901234567890123456789013"))},
		},
		"7": {Options{Password: key([]byte("qwerty"))}, Options{Password: key([]byte("qwertz"))}},
	} {
		raw, err := os.ReadFile("testdata/rfc6030-figure" + figure + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		refused := func(why string, raw []byte, o Options) {
			got, _, err := readAll(bytes.NewReader(raw), o)
			if err == nil && (len(got) != 1 || got[0].Err == "") {
				t.Errorf("Figure %s is taken with %s", figure, why)
			}
		}
		refused("another key", raw, c.wrong)
		refused("no key", raw, Options{})
		refused("a short key", raw, Options{Key: key(make([]byte, 15)), Password: key(nil)})
		refused("a long key", raw, Options{Key: key(make([]byte, 32)), Password: key(make([]byte, 1<<16))})
		// Anything of the ciphertext that is changed shows.
		for _, mark := range []string{"AAECAwQF", "oTvo+S22", "ESIzRFVm", "2GTTnLwM", "Su+NvtQf", "LP6xMvjt"} {
			if !bytes.Contains(raw, []byte(mark)) {
				continue
			}
			changed := bytes.Replace(raw, []byte(mark), []byte("Z"+mark[1:]), 1)
			got, _, err := readAll(bytes.NewReader(changed), c.right)
			if err == nil && (len(got) != 1 || got[0].Err == "") {
				t.Errorf("Figure %s is taken with %s changed", figure, mark)
			}
		}
		without := bytes.ReplaceAll(raw, []byte("ValueMAC"), []byte("FriendlyName"))
		got, _, err := readAll(bytes.NewReader(without), c.right)
		if err != nil || len(got) != 1 || !strings.Contains(got[0].Err, "without a MAC") {
			t.Errorf("Figure %s without its MAC: %+v, %v", figure, got, err)
		}
	}
}

func TestPrivacyIDEA(t *testing.T) {
	f, err := os.Open("testdata/privacyidea.xml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, info, err := readAll(f, Options{Key: key(unhex(t, "000102030405060708090a0b0c0d0e0f"))})
	if err != nil || !info.Encrypted {
		t.Fatal(info, err)
	}
	want := []seen{
		{
			Row: 1, Issuer: "privacyIDEA", Label: "TOTP0001A1B2", Serial: "TOTP0001A1B2", Maker: "new phone",
			Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA256, Digits: 6, Period: 30}, Drift: -2,
			Secret: "12345678901234567890123456789012",
		},
		{
			Row: 2, Issuer: "privacyIDEA", Label: "OATH0001C3D4", Serial: "OATH0001C3D4",
			Params: otp.Params{Mode: otp.HOTP, Hash: otp.SHA1, Digits: 8}, Counter: 42, Secret: twenty,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
