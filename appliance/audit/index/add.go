package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"strongroom.internal/appliance/audit"
)

// ErrNotNext: bundles are missing between those in the index and the one to add; Added says which is next.
var ErrNotNext = errors.New("not the next bundle of the tree")

// Added is the number of the tree's first bundle that is not in the index: all before it are, or were forgotten. It is 0
// for a tree that the index has never heard of, and for every tree when the index is damaged or closed.
func (x *Index) Added(tree string) int64 {
	var r treeRecord
	err := x.use(func(db *pebble.DB) (err error) {
		r, err = readTree(db, tree)
		return err
	})
	if err != nil {
		return 0
	}
	return r.added
}

// readTree reads a tree's record; it is zero, its id included, for a tree that is not known.
func readTree(r pebble.Reader, name string) (treeRecord, error) {
	b, err := get(r, treeKey(name))
	if err != nil || b == nil {
		return treeRecord{}, err
	}
	return parseTreeRecord(b)
}

// newTree gives a tree the lowest number above those of all others. The caller is alone in that.
func newTree(db *pebble.DB, name string) (t treeRecord, err error) {
	if name == "" || len(name) > maxTreeName {
		return t, fmt.Errorf("%w: a name of %d bytes", ErrTree, len(name))
	}
	it, err := db.NewIter(&pebble.IterOptions{UpperBound: []byte{0, 1}})
	if err != nil {
		return t, err
	}
	var last uint16
	for ok := it.First(); ok; ok = it.Next() {
		other, err := parseTreeRecord(it.Value())
		if err != nil {
			return t, errors.Join(err, it.Close())
		}
		last = max(last, other.id)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return t, err
	}
	if last == maxTrees {
		return t, fmt.Errorf("%w: there are %d", ErrTree, last)
	}
	return treeRecord{id: last + 1}, nil
}

// Add adds a full bundle of a tree: the bytes of 256 entries, of which the one at place i has the index
// first + 256*bundle + i, first being the index of the tree's first entry. For a bundle that is there it does nothing. It
// answers ErrNotNext for one that is not the next, and audit.ErrEntry when the entries are not those of that bundle.
//
// What was added can be found on return, but is durable only after a while, or after Close; a crash loses the last
// bundles, and Added says so.
func (x *Index) Add(tree string, first, bundle int64, entries [][]byte) error {
	x.adding.Lock()
	defer x.adding.Unlock()
	if err := x.heal(); err != nil {
		return err
	}
	err := x.use(func(db *pebble.DB) error { return x.add(db, tree, first, bundle, entries) })
	if err != nil {
		return fmt.Errorf("adding bundle %d of tree %q to the index: %w", bundle, tree, err)
	}
	return nil
}

func (x *Index) add(db *pebble.DB, tree string, first, bundle int64, entries [][]byte) error {
	t, err := readTree(db, tree)
	if err == nil && t.id == 0 {
		t, err = newTree(db, tree)
	}
	switch {
	case err != nil:
		return err
	case bundle < t.added:
		return nil
	case bundle > t.added || bundle >= x.layout.maxBundle():
		return fmt.Errorf("%w: %d is", ErrNotNext, t.added)
	case len(entries) != BundleSize:
		return fmt.Errorf("%w: a bundle of %d entries", audit.ErrEntry, len(entries))
	}
	x.builder.reset(appendSegment(nil, t.id, bundle>>x.layout.bits), x.layout.within(bundle))
	latest := t.latest
	for i, raw := range entries {
		e, err := audit.ParseEntry(raw)
		if err != nil {
			return fmt.Errorf("the entry at place %d: %w", i, err)
		}
		if first < 0 || e.Index-first != bundle*BundleSize+int64(i) {
			return fmt.Errorf("%w: at place %d is the entry with index %d", audit.ErrEntry, i, e.Index)
		}
		latest = max(latest, e.Time)
		t.behind = max(t.behind, t.latest-e.Time)
		x.builder.entry(i, e)
	}
	t.latest = latest
	t.added++
	batch := db.NewBatchWithSize(32 << 10)
	return errors.Join(
		x.builder.write(batch),
		batch.Set(x.layout.timeKey(t.id, bundle), binary.BigEndian.AppendUint64(nil, uint64(t.latest)), nil),
		batch.Set(treeKey(tree), t.bytes(), nil),
		batch.Commit(pebble.NoSync),
		batch.Close(),
	)
}
