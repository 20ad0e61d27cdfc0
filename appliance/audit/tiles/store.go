package tiles

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"strongroom.internal/appliance/audit"
)

// Store is the directory of one tree. It has one writer, that calls Append and Finish; everything else is safe beside it.
// Nothing else may write to the directory.
type Store struct {
	dir  string
	disk disk

	state  atomic.Pointer[state]
	health atomic.Pointer[error] // of the last write; nil or to nil if it succeeded

	checked [levels]atomic.Pointer[fullTile] // the last of each level that was read and found right; none of level 0

	write   sync.Mutex      // guards the steps from one state to the next, and what follows
	marked  int64           // what the mark says is complete; -1 if there is none
	durable map[string]bool // directories that are known to be there, synced in their parents

	removing sync.Mutex // held by the one Prune that removes files
}

// Complete is the number of entries that are durable in full bundles with their tiles: those at positions below it.
func (s *Store) Complete() int64 { return s.state.Load().complete }

// Pruned is the minimum: entries at positions below it were given up.
func (s *Store) Pruned() int64 { return s.state.Load().pruned }

// Finished gives the size of a tree that Finish was called on.
func (s *Store) Finished() (size int64, ok bool) {
	st := s.state.Load()
	return st.size(), st.finished
}

// Health is the error of the last write, or nil if it succeeded. It never waits for the disk.
func (s *Store) Health() error {
	if err := s.health.Load(); err != nil {
		return *err
	}
	return nil
}

// note remembers how a write ended, and passes it on.
func (s *Store) note(err error) error {
	s.health.Store(&err)
	return err
}

// Append writes the next full bundle, the entries at [Store.Complete] and after it: exactly [BundleSize] of them, each of
// at most [audit.MaxEntry] bytes; and the tiles that are full by it. If it answers nil they are durable and count. If not,
// none of them counts, and the same entries are to be given again when the disk is better. A finished tree answers
// ErrFinished.
func (s *Store) Append(entries [][]byte) error {
	if len(entries) != BundleSize {
		return fmt.Errorf("appending to a tree: %d entries are not a full bundle", len(entries))
	}
	if err := checkEntries(entries); err != nil {
		return fmt.Errorf("appending to a tree: %w", err)
	}
	s.write.Lock()
	defer s.write.Unlock()
	st := s.state.Load()
	if st.finished {
		return fmt.Errorf("appending to a tree: %w", ErrFinished)
	}
	next, outputs, err := step(st, entries)
	if err != nil {
		return fmt.Errorf("appending to a tree: %w", err)
	}
	err = s.firstMark(st)
	if err == nil {
		err = s.put(outputs...)
	}
	// The mark comes before the bundle counts: an error after it counts would have the caller append it twice.
	if err == nil && next.complete-s.marked >= markEvery {
		err = s.writeMark(next)
	}
	if err != nil {
		return s.note(fmt.Errorf("writing bundle %d: %w", st.complete/BundleSize, err))
	}
	s.state.Store(next)
	return s.note(nil)
}

// step says what a tree becomes by a full bundle, and what files that makes.
func step(st *state, entries [][]byte) (*state, []output, error) {
	bundle, err := appendBundle(nil, entries)
	if err != nil {
		return nil, nil, err
	}
	outputs := []output{{tilePath(entriesLevel, st.complete/BundleSize, BundleSize), bundle}}
	next, full := st.grow(leafTile(entries))
	for _, t := range full {
		outputs = append(outputs, output{tilePath(t.level, t.n, BundleSize), t.content})
	}
	return next, outputs, nil
}

func checkEntries(entries [][]byte) error {
	for i, e := range entries {
		if len(e) > audit.MaxEntry {
			return fmt.Errorf("entry %d of the bundle has %d bytes", i, len(e))
		}
	}
	return nil
}

// Finish writes the right edge of a tree that grows no more: rest are the entries after [Store.Complete], fewer than
// [BundleSize], or none. After it the directory has every file of a log of that size. Calling it again with the same
// entries does nothing, with others answers ErrFinished.
func (s *Store) Finish(rest [][]byte) error {
	if len(rest) >= BundleSize {
		return fmt.Errorf("finishing a tree: %d entries are a full bundle", len(rest))
	}
	if err := checkEntries(rest); err != nil {
		return fmt.Errorf("finishing a tree: %w", err)
	}
	s.write.Lock()
	defer s.write.Unlock()
	st := s.state.Load()
	next := *st
	next.finished = true
	next.edge[0] = leafTile(rest)
	if st.finished {
		if !bytes.Equal(st.edge[0], next.edge[0]) {
			return fmt.Errorf("finishing a tree: %w", ErrFinished)
		}
		return nil
	}
	bundle, err := appendBundle(nil, rest)
	if err != nil {
		return fmt.Errorf("finishing a tree: %w", err)
	}
	var outputs []output
	if len(rest) > 0 {
		outputs = append(outputs, output{tilePath(entriesLevel, st.complete/BundleSize, len(rest)), bundle})
	}
	for level, edge := range next.edge {
		if width := len(edge) / hashSize; width > 0 {
			n := hashesOf(st.complete, level) / BundleSize
			outputs = append(outputs, output{tilePath(level, n, width), edge})
		}
	}
	err = s.firstMark(st)
	if err == nil {
		err = s.put(outputs...)
	}
	if err == nil {
		err = s.writeMark(&next)
	}
	if err != nil {
		return s.note(fmt.Errorf("finishing a tree: %w", err))
	}
	s.state.Store(&next)
	return s.note(nil)
}
