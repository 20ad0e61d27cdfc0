package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// term is one value that entries have to have, and where the search is in its postings.
type term struct {
	prefix [prefixSize]byte // of the value's postings in the segment
	it     *pebble.Iterator // over them; nil at first
	at     int64            // the bundle, counted from the segment's start, that it stands at; noBundle before a seek
	ended  bool
}

const noBundle = -1

// terms looks for the bundles of one segment after the other in which all terms have postings.
type terms struct {
	db         *pebble.Snapshot
	tree       uint16
	layout     layout
	descending bool
	list       []term
	segment    int64 // that the iterators are bounded to; noBundle at first
	steps      *int  // what is left of the search's budget
}

func newTerms(db *pebble.Snapshot, tree uint16, l layout, q *Query, descending bool, steps *int) *terms {
	ts := &terms{db: db, tree: tree, layout: l, descending: descending, segment: noBundle, steps: steps}
	for f := range fields {
		if v := fields[f].query(q); v != "" {
			var t term
			// The segment comes later, in place.
			appendPrefix(appendSegment(t.prefix[:0], tree, 0), f, v)
			ts.list = append(ts.list, t)
		}
	}
	return ts
}

func (ts *terms) close() (err error) {
	for i := range ts.list {
		if it := ts.list[i].it; it != nil {
			err = errors.Join(err, it.Close())
		}
	}
	return err
}

// enter bounds the iterators to a segment.
func (ts *terms) enter(segment int64) error {
	if segment == ts.segment {
		return nil
	}
	ts.segment = segment
	for i := range ts.list {
		t := &ts.list[i]
		appendSegment(t.prefix[:0], ts.tree, segment)
		t.at, t.ended = noBundle, false
		// No bundle has the number 0xffff in a segment of at most 2^15.
		upper := append(t.prefix[:len(t.prefix):len(t.prefix)], 0xff, 0xff)
		if t.it != nil {
			t.it.SetBounds(t.prefix[:], upper)
			continue
		}
		var err error
		if t.it, err = ts.db.NewIter(&pebble.IterOptions{LowerBound: t.prefix[:], UpperBound: upper}); err != nil {
			return err
		}
	}
	return nil
}

// next finds, from a bundle on in the direction of the search, the first bundle of its segment in which some entry may
// have all the values, and which entries may. It answers found false when there is none up to the segment's end, and
// stops with *steps at 0 at the bundle from which it has to go on.
func (ts *terms) next(from int64) (bundle int64, places set, found bool, err error) {
	if err := ts.enter(from >> ts.layout.bits); err != nil {
		return from, set{}, false, err
	}
	start := ts.segment << ts.layout.bits
	at := from - start
	// Leapfrog: whoever has no posting at the bundle that the others agree on says which is his next.
	for agreed, i := 0, 0; ; i = (i + 1) % len(ts.list) {
		if *ts.steps <= 0 {
			return start + at, set{}, false, nil
		}
		*ts.steps--
		t := &ts.list[i]
		if err := t.seek(at, ts.descending); err != nil {
			return start + at, set{}, false, err
		}
		if t.ended {
			return start + at, set{}, false, nil
		}
		if t.at != at {
			at, agreed = t.at, 0
		}
		if agreed++; agreed < len(ts.list) {
			continue
		}
		if places, err = ts.places(); err != nil || places.len() > 0 {
			return start + at, places, err == nil, err
		}
		agreed = 0
		if ts.descending {
			at--
		} else {
			at++
		}
	}
}

// seek goes to the first posting at or beyond a bundle; the search never turns back.
func (t *term) seek(bundle int64, descending bool) error {
	if t.ended || t.at == bundle || t.at != noBundle && (t.at > bundle) != descending {
		return nil
	}
	var ok bool
	switch {
	case descending && bundle < 0:
	case t.at == bundle-1 && !descending && t.at != noBundle:
		ok = t.it.Next()
	case t.at == bundle+1 && descending:
		ok = t.it.Prev()
	case descending:
		ok = t.it.SeekLT(binary.BigEndian.AppendUint16(t.prefix[:len(t.prefix):len(t.prefix)], uint16(bundle)+1))
	default:
		ok = t.it.SeekGE(binary.BigEndian.AppendUint16(t.prefix[:len(t.prefix):len(t.prefix)], uint16(bundle)))
	}
	if !ok {
		t.ended = true
		return t.it.Error()
	}
	k := t.it.Key()
	if len(k) != postingSize {
		return fmt.Errorf("%w: a key of %d bytes", errRecord, len(k))
	}
	t.at = int64(binary.BigEndian.Uint16(k[prefixSize:]))
	return nil
}

// places are those at which all terms have their values, in the bundle that all iterators are at.
func (ts *terms) places() (set, error) {
	all := span(0, BundleSize)
	for i := range ts.list {
		v, err := ts.list[i].it.ValueAndErr()
		if err != nil {
			return set{}, err
		}
		s, err := parseSet(v)
		if err != nil {
			return set{}, err
		}
		all = all.and(s)
	}
	return all, nil
}
