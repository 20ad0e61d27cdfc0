package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// parseEntryByJSON is the obvious way to read an entry and refuse all but the one encoding of it: read it leniently,
// write it anew, compare. ParseEntry has to accept and answer the same.
func parseEntryByJSON(b []byte) (*Entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("%w: %d bytes are too many", ErrEntry, len(b))
	}
	var w struct {
		V          uint8  `json:"v"`
		Index      int64  `json:"index"`
		Time       int64  `json:"time"`
		Tenant     string `json:"tenant"`
		Account    string `json:"account"`
		Actor      string `json:"actor"`
		Request    string `json:"request"`
		Operation  string `json:"operation"`
		Key        string `json:"key"`
		Subject    string `json:"subject"`
		KeyVersion uint32 `json:"key_version"`
		MACs       uint32 `json:"macs"`
		Outcome    string `json:"outcome"`
		Node       string `json:"node"`
		Module     string `json:"module"`
		Coalesced  uint32 `json:"coalesced"`
		Detail     string `json:"detail"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEntry, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more follows it", ErrEntry)
	}
	if w.V != 1 && w.V != formatVersion {
		return nil, fmt.Errorf("%w: version %d is not known", ErrEntry, w.V)
	}
	if w.Index < 0 || w.Time < 0 {
		return nil, fmt.Errorf("%w: a negative index or time", ErrEntry)
	}
	e := &Entry{
		Version: w.V, Index: w.Index, Time: w.Time, Tenant: w.Tenant, Account: w.Account, Actor: w.Actor, Request: w.Request,
		Operation: w.Operation, Key: w.Key, Subject: w.Subject, KeyVersion: w.KeyVersion, MACs: w.MACs, Outcome: w.Outcome, Node: w.Node,
		Module: w.Module, Coalesced: w.Coalesced, Detail: w.Detail,
	}
	// The JSON package is lenient about order, case, space, escapes and repeats; one comparison refuses all of that.
	if !bytes.Equal(b, e.AppendJSON(make([]byte, 0, len(b)))) {
		return nil, fmt.Errorf("%w: it isn't written the one way", ErrEntry)
	}
	return e, nil
}

// sameAnswer says whether both parsers accept b or both refuse it, and read the same.
func sameAnswer(b []byte) error {
	want, wantErr := parseEntryByJSON(b)
	got, err := ParseEntry(b)
	if (err == nil) != (wantErr == nil) {
		return fmt.Errorf("%q: %v, by JSON %v", b, err, wantErr)
	}
	if err != nil && !errors.Is(err, ErrEntry) {
		return fmt.Errorf("%q: %v is no ErrEntry", b, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("%q (-by JSON +got):\n%s", b, d)
	}
	return nil
}

// anyEntry draws an entry of which each string can have any bytes, up to beyond where it is cut.
func anyEntry() *rapid.Generator[*Entry] {
	piece := rapid.OneOf(
		rapid.String(), rapid.StringMatching(`[a-z0-9]{0,40}`),
		rapid.SampledFrom([]string{"\x00", "\x1f", "\x7f", `"`, `\`, "\ufffd", "\xff", "\xed\xa0\x80", "\u2028", "🔑"}),
	)
	long := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(piece.Draw(t, "piece"), rapid.IntRange(1, 2*MaxField).Draw(t, "times"))
	})
	text := rapid.OneOf(piece, piece, piece, long)
	return rapid.Custom(func(t *rapid.T) *Entry {
		return &Entry{
			Version: uint8(rapid.IntRange(0, 2).Draw(t, "version")),
			Index:   rapid.Int64Min(0).Draw(t, "index"), Time: rapid.Int64Min(0).Draw(t, "time"),
			Tenant: text.Draw(t, "tenant"), Account: text.Draw(t, "account"), Actor: text.Draw(t, "actor"),
			Request: text.Draw(t, "request"), Operation: text.Draw(t, "operation"), Key: text.Draw(t, "key"),
			Subject: text.Draw(t, "subject"), KeyVersion: rapid.Uint32().Draw(t, "key version"), MACs: rapid.Uint32().Draw(t, "macs"),
			Outcome: text.Draw(t, "outcome"), Node: text.Draw(t, "node"), Module: text.Draw(t, "module"),
			Coalesced: rapid.Uint32().Draw(t, "coalesced"), Detail: text.Draw(t, "detail"),
		}
	})
}

// Entries, and entries of which a few bytes were changed, are read by both parsers alike.
func TestParseEntryAgreesWithJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := anyEntry().Draw(t, "entry").AppendJSON(nil)
		if _, err := ParseEntry(b); err != nil {
			t.Fatal(err)
		}
		if err := sameAnswer(b); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			piece := rapid.OneOf(
				rapid.SampledFrom([]string{"", `\u0009`, `\u000A`, `\u0020`, `\n`, `\/`, "0", "-", "9", " ", `"`, `\`, "}", ",", "\x80", "1e0"}),
				rapid.StringN(1, 2, 4),
			).Draw(t, "piece")
			b = bytes.Join([][]byte{b[:at], b[at+rapid.IntRange(0, 1).Draw(t, "dropped"):]}, []byte(piece))
			if len(b) == 0 {
				return
			}
		}
		if err := sameAnswer(b); err != nil {
			t.Fatal(err)
		}
	})
}

// Each byte of the golden entries replaced by each byte that means something somewhere, and its neighbours; and each
// beginning of them.
func TestParseEntryAgreesWithJSONOnEveryByte(t *testing.T) {
	for _, file := range []string{"testdata/entries-v1.golden", "testdata/entries.golden"} {
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(golden) {
			b := bytes.TrimSuffix(line, []byte("\n"))
			for i := range b {
				for _, c := range []byte("\x00\x1f \"\\-/0129:,{}aAfgu\x7f\x80\xbf\xff") {
					changed := bytes.Clone(b)
					changed[i] = c
					if err := sameAnswer(changed); err != nil {
						t.Fatal(err)
					}
				}
				if err := sameAnswer(b[:i]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestParseEntryNumbers(t *testing.T) {
	entry := func(member, number string) []byte {
		s := string((&Entry{Index: 11, Time: 12, KeyVersion: 13, MACs: 14, Coalesced: 15}).AppendJSON(nil))
		return []byte(strings.Replace(s, `"`+member+`":1`, `"`+member+`":`+number+`?`, 1))
	}
	for _, member := range []string{"index", "time", "key_version", "macs", "coalesced"} {
		for _, number := range []string{
			"", "0", "00", "01", "-0", "-1", "+1", "1.0", "1e2", "4294967295", "4294967296", "9223372036854775807",
			"9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999", "null", `"1"`,
		} {
			b := entry(member, number)
			i := bytes.IndexByte(b, '?')
			b = append(b[:i:i], b[i+2:]...) // with the second digit of the number that was there
			if err := sameAnswer(b); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzParseEntryAgreesWithJSON(f *testing.F) {
	for _, version := range []uint8{1, 2} {
		e := sample()
		e.Version = version
		f.Add(e.AppendJSON(nil))
	}
	f.Add((&Entry{Tenant: "\x00\x1f\"\\\xff\u2028é🔑", Detail: strings.Repeat("\n", MaxDetail)}).AppendJSON(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := sameAnswer(b); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkParseEntry(b *testing.B) {
	raw := sample().AppendJSON(nil)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEntry(raw); err != nil {
			b.Fatal(err)
		}
	}
}
