package export

import (
	"context"
	"errors"
	"fmt"
	"sort"
)

// locate finds where the range begins and ends that was asked for, and leaves only the trees that the export needs. What
// it reads is not verified yet: the export itself will show whether the range is right.
func (v *survey) locate(ctx context.Context, s Source, trees []Tree) error {
	m := v.Manifest
	from, to, err := parseRange(m.Asked.From, m.Asked.To)
	if err != nil {
		return err
	}
	l := locator{ctx: ctx, source: s}
	for k, t := range trees {
		t.Size = m.Trees[k].Size
		l.trees = append(l.trees, t)
	}
	switch from.kind {
	case boundOpen:
		m.From = 0
	case boundIndex:
		m.From = from.index
	case boundTime:
		if m.From, err = l.first(func(milli int64) bool { return milli >= from.milli }); err != nil {
			return err
		}
	}
	switch to.kind {
	case boundOpen:
		m.To = m.end()
	case boundIndex:
		m.To = min(to.index+1, m.end())
	case boundTime:
		if m.To, err = l.first(func(milli int64) bool { return milli > to.milli }); err != nil {
			return err
		}
	}
	if m.From >= m.end() && from.kind == boundIndex {
		return fmt.Errorf("the log has no entry %d: its newest checkpoint ends with %d", m.From, m.end()-1)
	}
	if m.To < m.From {
		return fmt.Errorf("the range from %s to %s ends before it begins", m.Asked.From, m.Asked.To)
	}
	lo, _ := m.needed()
	oldest := 0
	for ; oldest < len(m.Trees)-1; oldest++ {
		if t := m.Trees[oldest]; lo < t.First+t.Size || m.Since != nil && m.Since.Tree == t.Name {
			break
		}
	}
	m.Trees, v.Checkpoints = m.Trees[oldest:], v.Checkpoints[oldest:]
	for k, t := range l.trees[oldest:] {
		m.Trees[k].From = min(max(m.From-t.First, 0), t.Size)
		m.Trees[k].To = min(max(m.To-t.First, 0), t.Size)
		// What was pruned can't vouch for the tree before, so that can't be in an export either.
		if index := t.First + t.available(); t.Minimum > 0 && (k > 0 || lo < index && lo < t.First+t.Size) {
			return fmt.Errorf("entries before %d are pruned, and entry %d is needed: export from there on (--from %d)", index, lo, index)
		}
	}
	return nil
}

// locator looks up entries by time.
type locator struct {
	ctx    context.Context
	source Source
	trees  []Tree
}

// available is the first position whose bundle is not pruned.
func (t Tree) available() int64 { return t.Minimum / tileWidth * tileWidth }

// first is the index of the first entry whose time is late enough, or the index after the last entry. Times never run
// backwards, so it can be searched for.
func (l *locator) first(late func(milli int64) bool) (int64, error) {
	var all int64 // bundles that are there
	for _, t := range l.trees {
		all += l.bundles(t)
	}
	var failed error
	at := sort.Search(int(all), func(i int) bool {
		if failed != nil {
			return true
		}
		leaves, _, err := l.bundle(int64(i))
		if failed = err; err != nil {
			return true
		}
		return late(leaves[len(leaves)-1].entry.Time)
	})
	if failed != nil {
		return 0, failed
	}
	end := l.trees[len(l.trees)-1]
	if int64(at) == all {
		return end.First + end.Size, nil
	}
	leaves, index, err := l.bundle(int64(at))
	if err != nil {
		return 0, err
	}
	for k := range leaves {
		if late(leaves[k].entry.Time) {
			return index + int64(k), nil
		}
	}
	return 0, errors.New("looking up a time: the log's server answers this way and that")
}

func (l *locator) bundles(t Tree) int64 {
	if t.Minimum == t.Size {
		return 0
	}
	return (t.Size-1)/tileWidth + 1 - t.Minimum/tileWidth
}

// bundle reads the i-th bundle of those that are there.
func (l *locator) bundle(i int64) (leaves []leaf, index int64, err error) {
	for k, t := range l.trees {
		n := l.bundles(t)
		if i >= n {
			i -= n
			continue
		}
		i += t.Minimum / tileWidth
		f := newFile(k, t.Name, bundles, i, width(t.Size, bundles, i))
		b, err := fetch(l.ctx, l.source, f)
		if err != nil {
			return nil, 0, fmt.Errorf("looking up a time: %w", err)
		}
		c := f.read(b)
		if c.wrong != "" {
			return nil, 0, faultIn(t.Name, f.path(), "%s", c.wrong)
		}
		for k := range c.leaves {
			if err := c.leaves[k].err; err != nil {
				return nil, 0, faultIn(t.Name, f.path(), "entry %d: %v", t.First+i*tileWidth+int64(k), err)
			}
		}
		return c.leaves, t.First + i*tileWidth, nil
	}
	return nil, 0, errors.New("looking up a time: there is no such bundle")
}
