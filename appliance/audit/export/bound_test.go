package export

import (
	"strings"
	"testing"
	"time"
)

func TestParseRange(t *testing.T) {
	at := func(s string) int64 {
		m, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return m.UnixMilli()
	}
	for _, c := range []struct {
		text  string
		first bound // as the beginning of a range
		last  bound // as its end
	}{
		{"", bound{kind: boundOpen}, bound{kind: boundOpen}},
		{"0", bound{kind: boundIndex}, bound{kind: boundIndex}},
		{"2026", bound{kind: boundIndex, index: 2026}, bound{kind: boundIndex, index: 2026}},
		{
			"2026-03-31",
			bound{kind: boundTime, milli: at("2026-03-31T00:00:00Z")},
			bound{kind: boundTime, milli: at("2026-03-31T23:59:59.999Z")},
		},
		{
			"2026-03-31T23:59:59Z",
			bound{kind: boundTime, milli: at("2026-03-31T23:59:59Z")},
			bound{kind: boundTime, milli: at("2026-03-31T23:59:59.999Z")},
		},
		{
			"2026-03-31T23:59:59.25+02:00",
			bound{kind: boundTime, milli: at("2026-03-31T21:59:59.250Z")},
			bound{kind: boundTime, milli: at("2026-03-31T21:59:59.250Z")},
		},
	} {
		f, l, err := parseRange(c.text, c.text)
		if err != nil || f != c.first || l != c.last {
			t.Errorf("%q is from %+v to %+v, %v", c.text, f, l, err)
		}
	}
	for _, c := range []struct{ from, to, why string }{
		{"-1", "", "it must be an index"},
		{"007", "", "no index"},
		{"9223372036854775807", "", "no index"},
		{"99999999999999999999", "", "no index"},
		{"yesterday", "", "it must be an index"},
		{"2026-02-30", "", "it must be an index"},
		{"2026-03-31 12:00:00", "", "it must be an index"},
		{"2026-03-31T12:00:00", "", "it must be an index"},
		{"", "2026-03-31T12:00:00.0001Z", "whole milliseconds"},
		{"1969-12-31", "", "before 1970"},
		{"6", "5", "6 is after 5"},
		{"2026-04-01", "2026-03-31", "2026-04-01 is after 2026-03-31"},
	} {
		if _, _, err := parseRange(c.from, c.to); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("from %q to %q: %v", c.from, c.to, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("", "2026-03-31")
	f.Add("12", "2026-03-31T12:00:00+01:00")
	f.Fuzz(func(t *testing.T, from, to string) {
		a, b, err := parseRange(from, to)
		if err != nil {
			return
		}
		if a.index < 0 || b.index < 0 || a.milli < 0 || b.milli < 0 || a.kind == boundInvalid || b.kind == boundInvalid {
			t.Errorf("from %q to %q: %+v, %+v", from, to, a, b)
		}
	})
}
