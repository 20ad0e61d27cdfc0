package audit

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// ErrEntry: the bytes are not those of an entry.
var ErrEntry = errors.New("not a log entry")

// ParseEntry reads the bytes of an entry. It accepts exactly what AppendJSON makes of some entry with an index and a
// time that are not negative, and answers ErrEntry otherwise. The strings of an entry share one copy of b.
//
// It is written by hand, like AppendJSON: each entry of the log is read to be indexed and to be verified, and a JSON
// library, lenient about order, case, space, escapes and repeats, needs the entry written anew to see that it is strict.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("%w: %d bytes are too many", ErrEntry, len(b))
	}
	s := string(b)
	p := &entryParser{rest: s}
	e := &Entry{Version: uint8(p.number(`{"v":`, math.MaxUint8))}
	if !p.failed && e.Version != 1 && e.Version != formatVersion {
		return nil, fmt.Errorf("%w: version %d is not known", ErrEntry, e.Version)
	}
	e.Index = int64(p.number(`,"index":`, math.MaxInt64))
	e.Time = int64(p.number(`,"time":`, math.MaxInt64))
	e.Tenant = p.string(`,"tenant":"`, MaxField)
	e.Account = p.string(`,"account":"`, MaxField)
	e.Actor = p.string(`,"actor":"`, MaxField)
	e.Request = p.string(`,"request":"`, MaxField)
	e.Operation = p.string(`,"operation":"`, MaxField)
	e.Key = p.string(`,"key":"`, MaxField)
	e.Subject = p.string(`,"subject":"`, MaxField)
	e.KeyVersion = uint32(p.number(`,"key_version":`, math.MaxUint32))
	e.MACs = uint32(p.number(`,"macs":`, math.MaxUint32))
	e.Outcome = p.string(`,"outcome":"`, MaxField)
	e.Node = p.string(`,"node":"`, MaxField)
	e.Module = p.string(`,"module":"`, MaxField)
	if e.Version >= 2 {
		e.Coalesced = uint32(p.number(`,"coalesced":`, math.MaxUint32))
		e.Detail = p.string(`,"detail":"`, MaxDetail)
	}
	p.literal("}")
	if p.failed || p.rest != "" {
		return nil, fmt.Errorf("%w: it isn't written the one way, from byte %d on", ErrEntry, len(s)-len(p.rest))
	}
	return e, nil
}

// entryParser reads from the left. Once something wasn't there it has failed, stays where that was and reads nothing.
type entryParser struct {
	rest   string
	failed bool
}

func (p *entryParser) literal(want string) {
	after, ok := strings.CutPrefix(p.rest, want)
	if p.failed || !ok {
		p.failed = true
		return
	}
	p.rest = after
}

// number reads what strconv.AppendUint writes of numbers up to most, which is at least 9, after a literal.
func (p *entryParser) number(before string, most uint64) uint64 {
	p.literal(before)
	if p.failed {
		return 0
	}
	n, i := uint64(0), 0
	for ; i < len(p.rest) && '0' <= p.rest[i] && p.rest[i] <= '9'; i++ {
		digit := uint64(p.rest[i] - '0')
		if n > (most-digit)/10 {
			p.failed = true
			return 0
		}
		n = 10*n + digit
	}
	if i == 0 || p.rest[0] == '0' && i > 1 {
		p.failed = true
		return 0
	}
	p.rest = p.rest[i:]
	return n
}

// string reads what appendBounded writes, after a literal that ends with the opening quotation mark.
func (p *entryParser) string(before string, most int) string {
	p.literal(before)
	if p.failed {
		return ""
	}
	s := p.rest
	var unescaped []byte // all before start, once there was an escape
	start := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"':
			v := s[start:i]
			if unescaped != nil {
				v = string(append(unescaped, v...))
			}
			if len(v) > most || !utf8.ValidString(v) {
				p.failed = true
				return ""
			}
			p.rest = s[i+1:]
			return v
		case c == '\\':
			r, n := unescape(s[i:])
			if n == 0 {
				p.failed = true
				return ""
			}
			unescaped = append(append(unescaped, s[start:i]...), r)
			i += n
			start = i
		case c < 0x20:
			p.failed = true
			return ""
		default:
			i++
		}
	}
	p.failed = true
	return ""
}

// unescape reads the escape at the start of s, and its length; 0 if it is none of those that AppendJSON writes.
func unescape(s string) (c byte, n int) {
	if strings.HasPrefix(s, `\"`) || strings.HasPrefix(s, `\\`) {
		return s[1], 2
	}
	if len(s) < 6 || s[:5] != `\u000` && s[:5] != `\u001` {
		return 0, 0
	}
	low := strings.IndexByte("0123456789abcdef", s[5])
	if low < 0 {
		return 0, 0
	}
	return (s[4]-'0')<<4 | byte(low), 6
}
