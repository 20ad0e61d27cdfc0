package tiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Open opens the directory of a tree and finds out how far it is complete. It makes the directory if there is none. A file
// that has to be there and isn't is ErrDamaged.
//
// It reads the mark, at most 255 tiles of each level, for the right edge, and the bundles that were completed after the
// mark, which are no more than 64. A directory that has lost its mark is read whole; if its tree was pruned, that fails.
func Open(dir string) (*Store, error) { return open(dir, osDisk{}) }

func open(dir string, d disk) (*Store, error) {
	s := &Store{dir: filepath.Clean(dir), disk: d, marked: -1, durable: map[string]bool{}}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("opening the tree in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) load() error {
	if err := makeRoot(s.disk, s.dir); err != nil {
		return err
	}
	if err := s.emptyTmp(); err != nil {
		return err
	}
	m, found, err := s.readMark()
	if err != nil {
		return err
	}
	if found {
		s.marked = m.complete
	}
	st, err := s.rebuild(m, found)
	if err != nil {
		return err
	}
	if !st.finished {
		if st, err = s.probe(st); err != nil {
			return err
		}
	}
	if !found && st.complete == 0 {
		// The first mark is there before the first tile is.
		if _, err := os.Stat(s.path("tile")); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: there are tiles, but neither %s nor %s", ErrDamaged, s.path(markFile),
				s.path(tilePath(entriesLevel, 0, BundleSize)))
		}
	}
	s.state.Store(st)
	return nil
}

func (s *Store) emptyTmp() error {
	left, err := os.ReadDir(s.path(tmpDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range left {
		if err := s.disk.remove(s.path(tmpDir + "/" + e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// rebuild makes the state that the mark tells of, from the tiles along the right edge.
func (s *Store) rebuild(m mark, found bool) (*state, error) {
	st := &state{complete: m.complete, pruned: m.pruned, removed: m.removed, finished: found && m.size >= 0}
	if m.complete > m.pruned {
		// The edge is of tiles. One look at the entries finds out that they are somewhere else.
		if _, err := s.readBundle(m.complete/BundleSize-1, BundleSize); err != nil {
			return nil, err
		}
	}
	for level := 1; level < levels; level++ {
		count := hashesOf(m.complete, level)
		from := count / BundleSize * BundleSize
		if w, ok := keptEdge(m.pruned, m.complete); ok && level == 1 {
			kept, err := s.readTile(1, from/BundleSize, w)
			if err != nil {
				return nil, err
			}
			st.edge[1] = kept
			from += int64(w)
		}
		for n := from; n < count; n++ {
			tile, err := s.readTile(level-1, n, BundleSize)
			if err != nil {
				return nil, err
			}
			root := tileRoot(tile)
			st.edge[level] = append(st.edge[level], root[:]...)
		}
	}
	if rest := int(m.size - m.complete); st.finished && rest > 0 {
		var err error
		if st.edge[0], err = s.readTile(0, m.complete/BundleSize, rest); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// probe goes forward over the bundles that are wholly in place, and makes sure that they stay there.
func (s *Store) probe(st *state) (*state, error) {
	var dirs []string
	for {
		entries, err := s.readBundle(st.complete/BundleSize, BundleSize)
		if ok, err := inPlace(err); err != nil {
			return nil, err
		} else if !ok {
			break
		}
		next, outputs, err := step(st, entries)
		if err != nil {
			return nil, err
		}
		whole := true
		for _, o := range outputs[1:] {
			b, err := readFile(s.path(o.path), tileSize)
			ok, err := inPlace(err)
			if err != nil {
				return nil, err
			}
			whole = whole && ok && bytes.Equal(b, o.content)
		}
		if !whole {
			break
		}
		for _, o := range outputs {
			if d := path.Dir(o.path); !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
		st = next
	}
	// The process that put them there may have ended before it synced the directories. Those themselves were durable before
	// anything was put in them.
	for _, d := range dirs {
		if err := s.disk.syncDir(s.path(d)); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// inPlace tells a file that isn't whole, or isn't there, from one of which that can't be told.
func inPlace(err error) (bool, error) {
	var pathErr *fs.PathError
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errSize), !errors.As(err, &pathErr):
		return false, nil
	}
	return false, err
}
