package index

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"strongroom.internal/appliance/audit"
)

// builder makes the postings of one bundle after the other.
type builder struct {
	segment []byte // that all keys begin with
	within  uint16 // the bundle's place in it
	places  map[value]int
	last    [len(fields)]struct { // of each field: most entries have the values of the one before
		value string
		place int
	}
	postings []posting
	records  []byte   // of the postings: key and value, one after the other
	order    [][2]int // where each record is
}

// value is a value of a field.
type value struct {
	field int
	value string
}

type posting struct {
	value
	set set
}

func (b *builder) reset(segment []byte, within uint16) {
	if b.places == nil {
		b.places = make(map[value]int, 3*BundleSize)
	}
	clear(b.places)
	clear(b.last[:])
	clear(b.postings) // lets go of the strings
	b.segment, b.within, b.postings = segment, within, b.postings[:0]
}

// entry puts the entry at place i into the postings of its values. An empty string is none: nobody can ask for it.
func (b *builder) entry(i int, e *audit.Entry) {
	for f := range fields {
		v, last := fields[f].entry(e), &b.last[f]
		if v == "" {
			continue
		}
		if v != last.value {
			k := value{f, v}
			p, ok := b.places[k]
			if !ok {
				p = len(b.postings)
				b.places[k] = p
				b.postings = append(b.postings, posting{value: k})
			}
			last.value, last.place = v, p
		}
		b.postings[last.place].set.add(i)
	}
}

// write puts the postings into a batch, in the order of their keys: the database looks for the place of each from the one
// before, and would else search all of its table for each.
func (b *builder) write(batch *pebble.Batch) error {
	b.records, b.order = b.records[:0], b.order[:0]
	for i := range b.postings {
		p := &b.postings[i]
		from := len(b.records)
		b.records = appendPrefix(append(b.records, b.segment...), p.field, p.value.value)
		b.records = binary.BigEndian.AppendUint16(b.records, b.within)
		b.records = p.set.append(b.records)
		b.order = append(b.order, [2]int{from, len(b.records)})
	}
	record := func(at [2]int) []byte { return b.records[at[0]:at[1]] }
	slices.SortFunc(b.order, func(x, y [2]int) int { return bytes.Compare(record(x), record(y)) })
	for _, at := range b.order {
		r := record(at)
		if err := batch.Set(r[:postingSize], r[postingSize:], nil); err != nil {
			return err
		}
	}
	return nil
}
