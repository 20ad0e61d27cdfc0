package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"strongroom.internal/appliance/audit"
)

// search is one search that is under way.
type search struct {
	x     *Index
	tree  string
	query Query
	o     Options
	read  Read
	db    *pebble.Snapshot
	left  budget
	page  Page
}

// region is a run of bundles, from low to high-1. Those of an indexed region have postings.
type region struct {
	low, high int64
	indexed   bool
}

func (r region) has(bundle int64) bool { return r.low <= bundle && bundle < r.high }

// run searches until the page is full, the budget is spent or the end is reached.
func (s *search) run(ctx context.Context) (err error) {
	record, err := readTree(s.db, s.tree)
	if err != nil {
		return err
	}
	if s.o.End == 0 {
		s.o.End = record.added * BundleSize
	}
	s.o.Begin = max(s.o.Begin, record.begin*BundleSize)
	s.o.End = max(s.o.End, s.o.Begin)
	low, high := s.o.Begin/BundleSize, (s.o.End+BundleSize-1)/BundleSize
	indexed := region{low, min(high, record.added), true}
	rest := region{max(low, record.added), high, false}
	if err := s.narrow(record, &indexed); err != nil {
		return err
	}
	ts := newTerms(s.db, record.id, s.x.layout, &s.query, s.o.Descending, &s.left.steps)
	defer func() { err = errors.Join(err, ts.close()) }()
	regions := []region{indexed, rest}
	if s.o.Descending {
		regions = []region{rest, indexed}
	}
	for _, r := range regions {
		if full, err := s.scan(ctx, r, ts); full || err != nil {
			return err
		}
	}
	s.page.Next = s.o.End
	if s.o.Descending {
		s.page.Next = s.o.Begin
	}
	return nil
}

// narrow cuts off a region's bundles at both ends all of whose entries are too early or too late.
func (s *search) narrow(record treeRecord, r *region) (err error) {
	first, last := s.query.times()
	if !s.query.From.IsZero() {
		r.low, err = s.firstBundle(record, *r, func(latest int64) bool { return latest >= first })
		if err != nil {
			return err
		}
	}
	if !s.query.To.IsZero() {
		// Of the bundles after such a one no entry is early enough, however times ran.
		end, err := s.firstBundle(record, *r, func(latest int64) bool { return latest-record.behind > last })
		if err != nil {
			return err
		}
		r.high = min(r.high, end+1)
	}
	return nil
}

// firstBundle is the first bundle of a region for which is holds of the latest time up to its end, or the region's end.
// These latest times never decrease.
func (s *search) firstBundle(record treeRecord, r region, is func(latest int64) bool) (int64, error) {
	for r.low < r.high {
		middle := r.low + (r.high-r.low)/2
		b, err := get(s.db, s.x.layout.timeKey(record.id, middle))
		if err != nil {
			return 0, err
		}
		if len(b) != 8 {
			return 0, fmt.Errorf("%w: the time of bundle %d has %d bytes", errRecord, middle, len(b))
		}
		if is(int64(binary.BigEndian.Uint64(b))) {
			r.high = middle
		} else {
			r.low = middle + 1
		}
	}
	return r.low, nil
}

// scan looks at the bundles of a region that can have entries that match. It says whether the page is full.
func (s *search) scan(ctx context.Context, r region, ts *terms) (full bool, err error) {
	bundle, step := r.low, int64(1)
	if s.o.Descending {
		bundle, step = r.high-1, -1
	}
	for ; r.has(bundle); bundle += step {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		places := span(0, BundleSize)
		if r.indexed && len(ts.list) > 0 {
			var found bool
			from := bundle
			if bundle, places, found, err = ts.next(from); err != nil {
				return false, err
			}
			if !r.has(bundle) {
				return false, nil
			}
			if !found && s.left.steps > 0 { // no more in this segment
				bundle = s.x.layout.last(from, s.o.Descending)
				continue
			}
			if !found {
				return s.stop(bundle), nil
			}
		}
		if s.left.bundles == 0 {
			return s.stop(bundle), nil
		}
		if full, err := s.look(bundle, places); full || err != nil {
			return full, err
		}
	}
	return false, nil
}

// stop ends the page before a bundle. The next search makes headway: what one may cost is enough for a bundle.
func (s *search) stop(bundle int64) (full bool) {
	if s.o.Descending {
		return s.fill(min((bundle+1)*BundleSize, s.o.End))
	}
	return s.fill(max(bundle*BundleSize, s.o.Begin))
}

// fill ends the page; the next begins, or ends, at that position.
func (s *search) fill(next int64) (full bool) {
	s.page.Next = next
	s.page.More = next < s.o.End
	if s.o.Descending {
		s.page.More = next > s.o.Begin
	}
	return true
}

// look puts on the page those entries of a bundle at the given places that match.
func (s *search) look(bundle int64, places set) (full bool, err error) {
	base := bundle * BundleSize
	places = places.and(span(int(max(s.o.Begin-base, 0)), int(min(s.o.End-base, BundleSize))))
	if places.len() == 0 {
		return false, nil
	}
	s.left.bundles--
	entries, err := s.read(s.tree, bundle)
	if err != nil {
		return false, fmt.Errorf("reading bundle %d: %w", bundle, err)
	}
	for i := range places.all(s.o.Descending) {
		if i >= len(entries) {
			return false, fmt.Errorf("%w: bundle %d has only %d", audit.ErrEntry, bundle, len(entries))
		}
		e, err := audit.ParseEntry(entries[i])
		if err != nil {
			return false, fmt.Errorf("the entry at position %d: %w", base+int64(i), err)
		}
		if !s.query.Match(e) {
			continue
		}
		at := base + int64(i)
		s.page.Found = append(s.page.Found, Found{at, entries[i]})
		s.left.bytes -= len(entries[i])
		if len(s.page.Found) == s.o.Limit || s.left.bytes <= 0 {
			if !s.o.Descending {
				at++
			}
			return s.fill(at), nil
		}
	}
	return false, nil
}
