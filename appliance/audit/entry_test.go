package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func sample() *Entry {
	return &Entry{
		Index: 7, Time: 1767225600000, Tenant: "acme", Account: "9f86d081884c7d659a2feaa0c55ad015",
		Actor: "spiffe://strongroom.example/frontend/acme/web", Request: "0b51a5f1d0d04c5c9c1d3b8f2a6e7c44",
		Operation: "verify", Key: "totp-1", KeyVersion: 3, MACs: 3, Outcome: "accepted", Node: "n1", Module: "SC-0001",
		Version: 2, Coalesced: 12, Detail: `{"a":1}`,
	}
}

// The golden files have one entry a line: a usual one, an empty one, and one whose strings need every kind of escape.
// These bytes are hashed and signed: if this test fails, find another way than changing a file.
func TestEntryGolden(t *testing.T) {
	for version, file := range map[uint8]string{1: "testdata/entries-v1.golden", 2: "testdata/entries.golden"} {
		testEntryGolden(t, version, file)
	}
}

func testEntryGolden(t *testing.T, version uint8, file string) {
	odd := &Entry{
		Coalesced: 1<<32 - 1, Detail: "a\nb\u20ac",
		Index: 1<<63 - 1, Time: 0, Tenant: "q\"b\\s/", Account: "\x00\x1f\x7f\n\r\t", Actor: "<&>'", Request: "\u2028é🔑",
		Operation: "bad\xffbyte\xc3", Key: "\ufffd", Subject: "\x1b[31m", KeyVersion: 1<<32 - 1, MACs: 1<<32 - 1, Outcome: "", Node: " ", Module: "ü",
	}
	var got []byte
	for _, e := range []*Entry{sample(), {}, odd} {
		e.Version = version
		got = append(e.AppendJSON(got), '\n')
		if _, err := ParseEntry(e.AppendJSON(nil)); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Fatalf("the bytes of entries changed (-golden +now):\n%s", d)
	}
}

func TestEntryStaysBelowItsBound(t *testing.T) {
	for _, fill := range []string{"\x01", "\xff", "🔑", "a", "\xf0\x9f", "é\xff"} {
		s := strings.Repeat(fill, 70_000)
		e := &Entry{
			Index: 1<<63 - 1, Time: 1<<63 - 1, Tenant: s, Account: s, Actor: s, Request: s, Operation: s, Key: s,
			Subject: s, KeyVersion: 1<<32 - 1, MACs: 1<<32 - 1, Outcome: s, Node: s, Module: s, Coalesced: 1<<32 - 1, Detail: s,
		}
		b := e.AppendJSON(nil)
		if len(b) > MaxEntry {
			t.Errorf("filled with %q: %d bytes", fill, len(b))
		}
		if _, err := ParseEntry(b); err != nil {
			t.Errorf("filled with %q: %v", fill, err)
		}
	}
}

func TestParseEntryIsStrict(t *testing.T) {
	good := string(sample().AppendJSON(nil))
	if e, err := ParseEntry([]byte(good)); err != nil || *e != *sample() {
		t.Fatalf("the good one: %v, %v", e, err)
	}
	for name, bad := range map[string]string{
		"empty":           "",
		"space":           " " + good,
		"line end":        good + "\n",
		"two":             good + good,
		"null":            "null",
		"version":         strings.Replace(good, `"v":2`, `"v":3`, 1),
		"no version":      strings.Replace(good, `"v":2,`, ``, 1),
		"unknown member":  strings.Replace(good, `"v":2`, `"v":2,"w":1`, 1),
		"repeated member": strings.Replace(good, `"tenant":"acme"`, `"tenant":"evil","tenant":"acme"`, 1),
		"case":            strings.Replace(good, `"tenant"`, `"Tenant"`, 1),
		"escape":          strings.Replace(good, `acme`, `\u0061cme`, 1),
		"negative":        strings.Replace(good, `"index":7`, `"index":-7`, 1),
		"exponent":        strings.Replace(good, `"index":7`, `"index":7e0`, 1),
		"older with new":  strings.Replace(good, `"v":2`, `"v":1`, 1),
		"missing member":  strings.Replace(good, `,"module":"SC-0001"`, ``, 1),
		"too long":        strings.Replace(good, `acme`, strings.Repeat("a", MaxField+1), 1),
		"huge":            strings.Replace(good, `acme`, strings.Repeat("a", MaxEntry), 1),
	} {
		if _, err := ParseEntry([]byte(bad)); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(sample().AppendJSON(nil))
	f.Add((&Entry{Tenant: "\x00\"\\\xff"}).AppendJSON(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err == nil && !bytes.Equal(e.AppendJSON(nil), b) {
			t.Fatalf("%q parses and is written as %q", b, e.AppendJSON(nil))
		}
	})
}

// Whatever stands in a string, the bytes are valid JSON that says the same, and they parse.
func FuzzEntryStrings(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\u2028\xff\xed\xa0\x80")
	f.Add(strings.Repeat("\xff", MaxField))
	f.Fuzz(func(t *testing.T, s string) {
		b := (&Entry{Tenant: s}).AppendJSON(nil)
		var j struct{ Tenant string }
		if err := json.Unmarshal(b, &j); err != nil {
			t.Fatalf("%q isn't JSON: %v", b, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); len(s) <= MaxField/3 && utf8.ValidString(s) && j.Tenant != want {
			t.Fatalf("%q reads as %q", s, j.Tenant)
		}
		if _, err := ParseEntry(b); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	e, buf := sample(), make([]byte, 0, 1024)
	for b.Loop() {
		buf = e.AppendJSON(buf[:0])
	}
}
