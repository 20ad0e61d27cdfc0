package tiles

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Prune gives up the bundles and level-0 tiles whose end is at or below before, a number of entries; before may not be
// above what is in files. Higher levels stay, so roots and proofs of what is left still work. When it answers nil, or an
// error after [Store.Pruned] has risen, they are never served again; that they are off the disk is sure only with nil.
// Calling it again, with any number, goes on with what a crash left. It may run beside Append. Before it removes anything
// it writes two small files, so a disk that is full to the last block has to be given a few kilobytes first.
func (s *Store) Prune(before int64) error {
	s.removing.Lock()
	defer s.removing.Unlock()
	old := s.state.Load()
	if before < 0 || before > old.size() {
		return fmt.Errorf("pruning before %d: there are %d entries in files", before, old.size())
	}
	if to := min(before, old.complete) / BundleSize * BundleSize; to > old.pruned {
		if err := s.raise(to); err != nil {
			return s.note(fmt.Errorf("pruning before %d: %w", before, err))
		}
	}
	st := s.state.Load()
	if st.removed == st.pruned {
		return nil
	}
	if err := s.removeRange(st.removed/BundleSize, st.pruned/BundleSize); err != nil {
		return s.note(fmt.Errorf("removing what was pruned: %w", err))
	}
	// The level-1 tile that was kept for an older minimum: there is a wider one, or the full one.
	if w, _ := keptEdge(st.removed, st.complete); w > 0 {
		if err := s.gone(tilePath(1, hashesOf(st.removed, 2), w)); err != nil {
			return s.note(fmt.Errorf("removing what was pruned: %w", err))
		}
	}
	if err := s.set(func(next *state) { next.removed = st.pruned }); err != nil {
		return s.note(fmt.Errorf("removing what was pruned: %w", err))
	}
	return s.note(nil)
}

// keptEdge is the width of the level-1 tile that a pruned tree keeps as a partial file: the roots of level-0 tiles that
// were removed while the level-1 tile over them isn't full. Without it they would be nowhere.
func keptEdge(pruned, complete int64) (width int, ok bool) {
	width = int(pruned / BundleSize % BundleSize)
	return width, width > 0 && hashesOf(pruned, 2) == hashesOf(complete, 2)
}

// raise makes the new minimum durable, before anything is removed.
func (s *Store) raise(to int64) error {
	s.write.Lock()
	st := s.state.Load()
	var err error
	if w, ok := keptEdge(to, st.complete); ok {
		err = s.put(output{tilePath(1, hashesOf(to, 2), w), st.edge[1][:w*hashSize]})
	}
	s.write.Unlock()
	if err != nil {
		return err
	}
	return s.set(func(next *state) { next.pruned = to })
}

// set makes a changed state durable in the mark, and then true.
func (s *Store) set(change func(next *state)) error {
	s.write.Lock()
	defer s.write.Unlock()
	next := *s.state.Load()
	change(&next)
	if err := s.writeMark(&next); err != nil {
		return err
	}
	s.state.Store(&next)
	return nil
}

// removeRange removes bundles and their level-0 tiles, and directories that are empty by that. It answers nil for what is
// gone already.
func (s *Store) removeRange(from, to int64) error {
	const inDir = 1000 // names of a directory, C2SP tlog-tiles
	for _, level := range []int{entriesLevel, 0} {
		top := path.Dir(tilePath(level, 0, BundleSize))
		for n := from; n < to; n++ {
			p := tilePath(level, n, BundleSize)
			if err := s.gone(p); err != nil {
				return err
			}
			d, after := path.Dir(p), n+1
			if after%inDir == 0 || after == to {
				if err := s.disk.syncDir(s.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			for ; after%inDir == 0 && d != top; after /= inDir {
				if err := s.gone(d); err != nil {
					return err
				}
				d = path.Dir(d)
			}
		}
	}
	return nil
}

func (s *Store) gone(rel string) error {
	if err := s.disk.remove(s.path(rel)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
