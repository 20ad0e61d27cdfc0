package export

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// bound is one end of a range: open, an index in the log, or a time.
type bound struct {
	kind  boundKind
	index int64
	milli int64 // Unix milliseconds
}

type boundKind uint8

const (
	boundInvalid boundKind = iota
	boundOpen
	boundIndex
	boundTime
)

// parseRange reads what was asked for. Both ends belong to the range, and what names more than an instant is meant as a
// whole: to the date 2026-03-31 is until that day is over (UTC), and to 23:59:59 until that second is.
func parseRange(from, to string) (f, t bound, err error) {
	if f, err = parseBound(from, false); err != nil {
		return f, t, fmt.Errorf("reading the range: from %q: %w", from, err)
	}
	if t, err = parseBound(to, true); err != nil {
		return f, t, fmt.Errorf("reading the range: to %q: %w", to, err)
	}
	if f.kind == boundIndex && t.kind == boundIndex && f.index > t.index ||
		f.kind == boundTime && t.kind == boundTime && f.milli > t.milli {
		return f, t, fmt.Errorf("reading the range: %s is after %s", from, to)
	}
	return f, t, nil
}

func parseBound(s string, end bool) (bound, error) {
	switch {
	case s == "":
		return bound{kind: boundOpen}, nil
	case strings.Trim(s, "0123456789") == "":
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != s || n == math.MaxInt64 {
			return bound{}, errors.New("that is no index")
		}
		return bound{kind: boundIndex, index: n}, nil
	}
	unit := time.Millisecond // what the text names
	at, err := time.Parse(time.DateOnly, s)
	switch {
	case err == nil:
		unit = 24 * time.Hour
	default:
		if at, err = time.Parse(time.RFC3339, s); err != nil {
			return bound{}, errors.New("it must be an index, a date such as 2026-03-31, or a time such as 2026-03-31T12:00:00Z")
		}
		if !strings.Contains(s, ".") {
			unit = time.Second
		}
	}
	if at.Nanosecond()%int(time.Millisecond) != 0 {
		return bound{}, errors.New("the log's times are whole milliseconds")
	}
	if end {
		at = at.Add(unit - time.Millisecond)
	}
	if at.UnixMilli() < 0 {
		return bound{}, errors.New("it is before 1970")
	}
	return bound{kind: boundTime, milli: at.UnixMilli()}, nil
}

// before says whether an entry is before a range that begins at b, and after whether it is after one that ends at b.
func (b bound) before(index, milli int64) bool {
	return b.kind == boundIndex && index < b.index || b.kind == boundTime && milli < b.milli
}

func (b bound) after(index, milli int64) bool {
	return b.kind == boundIndex && index > b.index || b.kind == boundTime && milli > b.milli
}
