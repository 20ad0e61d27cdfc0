package tiles

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
)

// The mark is a file of text beside the tiles, replaced whole:
//
//	strongroom tiles 1
//	complete 65536
//	pruned 512
//	removed 512
//	size -1
//	sha256 ae82…
//
// Numbers are of entries. complete, pruned and removed are multiples of 256: what is in full bundles, the minimum that is
// served, and how far what is below the minimum has been removed. size is -1 while the tree grows, and the tree's size
// once it is finished. The last line is the hash of those before it, in hex. All that it says was durable before it was
// written; there may be more bundles than it says. It is there before the first file of the tree is.
const (
	markFile   = "mark"
	markFormat = "strongroom tiles 1\ncomplete %d\npruned %d\nremoved %d\nsize %d\n"
	maxMark    = 512
	// markEvery is how many entries are completed between marks: what Open has to look at is no more, and a mark costs
	// two fsyncs.
	markEvery = 64 * BundleSize
)

type mark struct {
	complete, pruned, removed, size int64
}

func (st *state) mark() mark {
	m := mark{st.complete, st.pruned, st.removed, -1}
	if st.finished {
		m.size = st.size()
	}
	return m
}

func (m mark) encode() []byte {
	b := fmt.Appendf(nil, markFormat, m.complete, m.pruned, m.removed, m.size)
	return fmt.Appendf(b, "sha256 %x\n", sha256.Sum256(b))
}

// parseMark reads what encode made, and nothing else.
func parseMark(b []byte) (m mark, err error) {
	if len(b) > maxMark {
		return mark{}, errors.New("too long for a mark")
	}
	_, err = fmt.Sscanf(string(b), markFormat, &m.complete, &m.pruned, &m.removed, &m.size)
	if err != nil || string(b) != string(m.encode()) {
		return mark{}, errors.New("not a mark, or not as it was written")
	}
	whole := m.complete%BundleSize == 0 && m.pruned%BundleSize == 0 && m.removed%BundleSize == 0
	ordered := 0 <= m.removed && m.removed <= m.pruned && m.pruned <= m.complete && m.complete < maxTree
	if !whole || !ordered || m.size != -1 && (m.size < m.complete || m.size >= m.complete+BundleSize) {
		return mark{}, errors.New("a mark that can't be true")
	}
	return m, nil
}

// readMark answers false if there is none.
func (s *Store) readMark() (mark, bool, error) {
	b, err := readFile(s.path(markFile), maxMark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mark{}, false, nil
	case err != nil:
		return mark{}, false, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	m, err := parseMark(b)
	if err != nil {
		return mark{}, false, fmt.Errorf("%w: %s: %w", ErrDamaged, s.path(markFile), err)
	}
	return m, true, nil
}

// writeMark replaces the mark. s.write is held.
func (s *Store) writeMark(st *state) error {
	if err := s.put(output{markFile, st.mark().encode()}); err != nil {
		return err
	}
	s.marked = st.complete
	return nil
}

// firstMark writes a mark if there is none: the files of a tree without a mark would be those of a tree that lost it.
func (s *Store) firstMark(st *state) error {
	if s.marked >= 0 {
		return nil
	}
	return s.writeMark(st)
}
