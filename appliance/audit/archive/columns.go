package archive

import (
	"fmt"
	"strings"
	"time"

	"strongroom.internal/appliance/audit"
)

// A row of log_entries is an entry's bytes and, for SQL, each of its members in a column. All columns follow from the
// bytes by the two lists below and timeOf; Check relies on that, so there is one place that says how.

// number is a column of type bigint, which holds an uint32 as well.
type number struct {
	column string
	of     func(*audit.Entry) int64
}

var numbers = [...]number{
	{"version", func(e *audit.Entry) int64 { return int64(e.Version) }},
	{"log_index", func(e *audit.Entry) int64 { return e.Index }}, // index is a reserved word on CockroachDB
	{"key_version", func(e *audit.Entry) int64 { return int64(e.KeyVersion) }},
	{"macs", func(e *audit.Entry) int64 { return int64(e.MACs) }},
	{"coalesced", func(e *audit.Entry) int64 { return int64(e.Coalesced) }},
}

// text is a column of type text.
type text struct {
	column string
	of     func(*audit.Entry) string
}

var texts = [...]text{
	{"tenant", func(e *audit.Entry) string { return e.Tenant }},
	{"account", func(e *audit.Entry) string { return e.Account }},
	{"actor", func(e *audit.Entry) string { return e.Actor }},
	{"request", func(e *audit.Entry) string { return e.Request }},
	{"operation", func(e *audit.Entry) string { return e.Operation }},
	{"key", func(e *audit.Entry) string { return e.Key }},
	{"subject", func(e *audit.Entry) string { return e.Subject }},
	{"outcome", func(e *audit.Entry) string { return e.Outcome }},
	{"node", func(e *audit.Entry) string { return e.Node }},
	{"module", func(e *audit.Entry) string { return e.Module }},
	{"detail", func(e *audit.Entry) string { return e.Detail }},
}

// sqlText is a member as a column has it: PostgreSQL's text can't hold U+0000, so U+FFFD stands for it.
func sqlText(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// maxTime is the end of the year 9999, in Unix milliseconds: what is later can't be written as a timestamp everywhere,
// and no committed time is.
const maxTime = 253402300799999

// timeOf is the entry's time with the millisecond that it has.
func timeOf(e *audit.Entry) time.Time { return time.UnixMilli(e.Time).UTC() }

// columnList is the columns but origin, in the order of the statements below.
var columnList = func() string {
	list := []string{"position", "bytes", "time"}
	for _, n := range numbers {
		list = append(list, n.column)
	}
	for _, t := range texts {
		list = append(list, t.column)
	}
	return strings.Join(list, ", ")
}()

// insertRows takes the origin and then an array for each column: one statement and one plan, whatever the number of
// rows. A row that is there stays as it is.
var insertRows = func() string {
	types := []string{"bigint", "bytea", "timestamptz"}
	for range numbers {
		types = append(types, "bigint")
	}
	for range texts {
		types = append(types, "text")
	}
	for i, t := range types {
		types[i] = fmt.Sprintf("$%d::%s[]", i+2, t)
	}
	return fmt.Sprintf(`INSERT INTO log_entries (origin, %s)
		SELECT $1::text, r.* FROM unnest(%s) AS r (%[1]s)
		ON CONFLICT (origin, position) DO NOTHING`, columnList, strings.Join(types, ", "))
}()

// batch is rows on their way into the database: one transaction.
type batch struct {
	first     int64 // position of the first; those that follow have no gap
	positions []int64
	bytes     [][]byte
	times     []time.Time
	numbers   [len(numbers)][]int64
	texts     [len(texts)][]string
	size      int // of bytes, summed
}

func (b *batch) add(position int64, raw []byte, e *audit.Entry) {
	if len(b.positions) == 0 {
		b.first = position
	}
	b.positions = append(b.positions, position)
	b.bytes = append(b.bytes, raw)
	b.times = append(b.times, timeOf(e))
	for i, n := range numbers {
		b.numbers[i] = append(b.numbers[i], n.of(e))
	}
	for i, t := range texts {
		b.texts[i] = append(b.texts[i], sqlText(t.of(e)))
	}
	b.size += len(raw)
}

func (b *batch) len() int64 { return int64(len(b.positions)) }

// arguments are those of insertRows.
func (b *batch) arguments(origin string) []any {
	args := []any{origin, b.positions, b.bytes, b.times}
	for i := range b.numbers {
		args = append(args, b.numbers[i])
	}
	for i := range b.texts {
		args = append(args, b.texts[i])
	}
	return args
}
