package index

import (
	"encoding/binary"

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
	scratch  []byte
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

// write puts the postings into a batch.
func (b *builder) write(batch *pebble.Batch) error {
	for i := range b.postings {
		p := &b.postings[i]
		b.scratch = appendPrefix(append(b.scratch[:0], b.segment...), p.field, p.value.value)
		b.scratch = binary.BigEndian.AppendUint16(b.scratch, b.within)
		b.scratch = p.set.append(b.scratch)
		if err := batch.Set(b.scratch[:postingSize], b.scratch[postingSize:], nil); err != nil {
			return err
		}
	}
	return nil
}
