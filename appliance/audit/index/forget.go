package index

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Forget drops what the index has of a tree's bundles before the given one, which were pruned from the log: nobody finds
// them any more, and Added is at least before. It is durable on return.
//
// Space is freed by whole segments of 8,192 bundles, and all of it once everything that was added is forgotten.
func (x *Index) Forget(tree string, before int64) error {
	x.adding.Lock()
	defer x.adding.Unlock()
	if err := x.heal(); err != nil {
		return err
	}
	if err := x.use(func(db *pebble.DB) error { return x.forget(db, tree, before) }); err != nil {
		return fmt.Errorf("forgetting bundles of tree %q: %w", tree, err)
	}
	return nil
}

func (x *Index) forget(db *pebble.DB, tree string, before int64) error {
	if before < 0 || before >= x.layout.maxBundle() {
		return fmt.Errorf("there is no bundle %d", before)
	}
	t, err := readTree(db, tree)
	if err == nil && t.id == 0 && before > 0 {
		t, err = newTree(db, tree)
	}
	if err != nil || before <= t.begin {
		return err
	}
	from, to := appendSegment(nil, t.id, t.begin>>x.layout.bits), appendSegment(nil, t.id, before>>x.layout.bits)
	t.begin = before
	if before >= t.added {
		t.added = before
		to = appendSegment(nil, t.id+1, 0)
	}
	batch := db.NewBatch()
	if bytes.Compare(from, to) < 0 {
		err = batch.DeleteRange(from, to, nil)
	}
	return errors.Join(err, batch.Set(treeKey(tree), t.bytes(), nil), batch.Commit(pebble.NoSync), batch.Close(), db.Flush())
}
