package index

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"strongroom.internal/appliance/audit"
)

// Query says which entries are wanted: those of which each member has the value that is given here. An empty string asks
// nothing of its member.
type Query struct {
	Tenant    string
	Account   string // pseudonym
	Key       string
	Subject   string
	Actor     string
	Operation string
	Outcome   string
	Request   string
	Node      string
	From      time.Time // the earliest time, inclusive; zero: from the start
	To        time.Time // the time before which entries are, exclusive; zero: to the end
}

// maxValue bounds the values of a query, in bytes: no string of an entry that can be asked for is longer.
const maxValue = audit.MaxField

// fields are the members that can be asked for. A field's place, from 1, is its byte in the keys of the database. Those
// that tell most come first, because a search looks them up first.
var fields = [...]struct {
	name  string
	query func(*Query) string
	entry func(*audit.Entry) string
}{
	{"request", func(q *Query) string { return q.Request }, func(e *audit.Entry) string { return e.Request }},
	{"account", func(q *Query) string { return q.Account }, func(e *audit.Entry) string { return e.Account }},
	{"key", func(q *Query) string { return q.Key }, func(e *audit.Entry) string { return e.Key }},
	{"subject", func(q *Query) string { return q.Subject }, func(e *audit.Entry) string { return e.Subject }},
	{"actor", func(q *Query) string { return q.Actor }, func(e *audit.Entry) string { return e.Actor }},
	{"operation", func(q *Query) string { return q.Operation }, func(e *audit.Entry) string { return e.Operation }},
	{"outcome", func(q *Query) string { return q.Outcome }, func(e *audit.Entry) string { return e.Outcome }},
	{"tenant", func(q *Query) string { return q.Tenant }, func(e *audit.Entry) string { return e.Tenant }},
	{"node", func(q *Query) string { return q.Node }, func(e *audit.Entry) string { return e.Node }},
}

// ErrQuery: the query can't match any entry of any log.
var ErrQuery = errors.New("not a query")

// Validate reports everything that is wrong, joined, as ErrQuery. It doesn't repeat values, which can be anything.
func (q Query) Validate() error {
	var errs []error
	for _, f := range fields {
		if v := f.query(&q); len(v) > maxValue {
			errs = append(errs, fmt.Errorf("%w: %s has more than %d bytes", ErrQuery, f.name, maxValue))
		} else if !utf8.ValidString(v) {
			errs = append(errs, fmt.Errorf("%w: %s is not UTF-8", ErrQuery, f.name))
		}
	}
	for _, t := range []time.Time{q.From, q.To} {
		if y := t.Year(); y < 1 || y > 9999 {
			errs = append(errs, fmt.Errorf("%w: the year %d is not one of 1 to 9999", ErrQuery, y))
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		errs = append(errs, fmt.Errorf("%w: from is not before to", ErrQuery))
	}
	return errors.Join(errs...)
}

// Match says whether the entry is wanted.
func (q Query) Match(e *audit.Entry) bool {
	for i := range fields {
		if v := fields[i].query(&q); v != "" && v != fields[i].entry(e) {
			return false
		}
	}
	first, last := q.times()
	return first <= e.Time && e.Time <= last
}

// times are the first and the last Unix millisecond that are wanted. Entries' times are whole milliseconds, so both
// bounds are rounded up to such.
func (q Query) times() (first, last int64) {
	ceil := func(t time.Time) int64 { return t.Add(time.Millisecond - time.Nanosecond).UnixMilli() }
	last = math.MaxInt64
	if !q.From.IsZero() {
		first = ceil(q.From)
	}
	if !q.To.IsZero() {
		last = ceil(q.To) - 1
	}
	return first, last
}
