package tiles

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// Reader reads a tree at one size, from files and from the tail. It is safe for concurrent use. What it reads from files it
// compares with the tree's edge, which the store has in memory: a file that was changed is ErrDamaged. That the edge is that
// of the tree that was signed is for the store's owner to see to; whoever reads elsewhere verifies for himself.
type Reader struct {
	store *Store
	size  int64
	tail  func(from int64, n int) ([][]byte, error)

	mu    sync.Mutex // guards what was computed from the tail and stays the same at this size:
	roots map[place]tlog.Hash
	last  []byte // the partial tile of level 0
}

// place is that of a tile.
type place struct {
	level int
	n     int64
}

// NewReader reads the tree at a size that its owner knows to be right, and that may be more than the store has. tail gives
// entries that may not be in files yet: up to n from that position, none if it doesn't have the one there. The Reader
// doesn't change them. An entry may leave the tail once it is complete in files. tail may be nil.
func NewReader(s *Store, size int64, tail func(from int64, n int) ([][]byte, error)) *Reader {
	if tail == nil {
		tail = func(int64, int) ([][]byte, error) { return nil, nil }
	}
	return &Reader{store: s, size: size, tail: tail, roots: map[place]tlog.Hash{}}
}

// Size is the size that the tree is read at.
func (r *Reader) Size() int64 { return r.size }

// Bundle gives the bytes of an entry bundle: the entries from n*256, width of them, 1 to 256. Errors are ErrNoTile,
// ErrPruned, ErrAbsent, ErrDamaged, and those of the tail.
func (r *Reader) Bundle(n int64, width int) ([]byte, error) {
	if !r.has(0, n, width) {
		return nil, ErrNoTile
	}
	entries, err := r.Entries(n*BundleSize, width)
	if err != nil {
		return nil, err
	}
	return appendBundle(nil, entries)
}

// Tile gives the bytes of a tile: the hashes of a level from n*256, width of them, 1 to 256. Any is given that the tree
// has, or had when it was smaller. Errors are those of Bundle.
func (r *Reader) Tile(level int, n int64, width int) ([]byte, error) {
	if !r.has(level, n, width) {
		return nil, ErrNoTile
	}
	b, err := r.hashes(level, n, width)
	return slices.Clone(b), err
}

// has tells whether all hashes of a tile exist.
func (r *Reader) has(level int, n int64, width int) bool {
	if level < 0 || level >= levels || n < 0 || width < 1 || width > BundleSize {
		return false
	}
	count := hashesOf(r.size, level)
	return n <= count/BundleSize && n*BundleSize+int64(width) <= count
}

// Entries gives n entries from a position, or as many as there are. Errors are those of Bundle, but for ErrNoTile. The
// entries share memory, and must not be changed.
func (r *Reader) Entries(from int64, n int) ([][]byte, error) {
	if from < 0 || from > r.size || n < 0 {
		return nil, fmt.Errorf("reading %d entries from %d: the tree has %d", n, from, r.size)
	}
	var entries [][]byte
	for n = int(min(int64(n), r.size-from)); n > 0; {
		in := int(from % BundleSize)
		part, err := settled(r, func(st *state) ([][]byte, error) {
			return r.within(st, from/BundleSize, in, min(in+n, BundleSize))
		})
		if err != nil {
			return nil, err
		}
		entries = append(entries, part...)
		from += int64(len(part))
		n -= len(part)
	}
	return entries, nil
}

// within gives entries from, up to but without to, of bundle n.
func (r *Reader) within(st *state, n int64, from, to int) ([][]byte, error) {
	full := st.complete / BundleSize
	width := BundleSize
	switch {
	case (n+1)*BundleSize <= st.pruned:
		return nil, ErrPruned
	case n < full:
	case n == full && to <= st.rest():
		width = st.rest()
	default:
		return r.fromTail(n*BundleSize+int64(from), to-from)
	}
	entries, err := r.store.readBundle(n, width)
	if err != nil {
		return nil, err
	}
	leaves := st.edge[0]
	if n < full {
		if leaves, err = r.fullTile(st, 0, n); err != nil {
			return nil, err
		}
	}
	if !bytes.Equal(leafTile(entries), leaves) {
		return nil, r.store.changed(entriesLevel, n, width)
	}
	return entries[from:to], nil
}

// fromTail gives exactly that many entries, or ErrAbsent.
func (r *Reader) fromTail(from int64, n int) ([][]byte, error) {
	var entries [][]byte
	for len(entries) < n {
		more, err := r.tail(from+int64(len(entries)), n-len(entries))
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the log's tail: %w", err)
		case len(more) == 0:
			return nil, ErrAbsent
		}
		entries = append(entries, more[:min(len(more), n-len(entries))]...)
	}
	return entries, nil
}

// settled reads from the store as it is, and once more if by then entries had gone from the tail to files, or were pruned.
func settled[T any](r *Reader, read func(*state) (T, error)) (T, error) {
	for {
		st := r.store.state.Load()
		v, err := read(st)
		if err == nil {
			return v, nil
		}
		now := r.store.state.Load()
		moved := errors.Is(err, ErrAbsent) && now.size() > st.size()
		pruned := errors.Is(err, ErrDamaged) && now.pruned > st.pruned
		if !moved && !pruned {
			return v, err
		}
	}
}

// hashes gives the bytes of a tile that the tree has. They must not be changed.
func (r *Reader) hashes(level int, n int64, width int) ([]byte, error) {
	return settled(r, func(st *state) ([]byte, error) { return r.hashesIn(st, level, n, width) })
}

func (r *Reader) hashesIn(st *state, level int, n int64, width int) ([]byte, error) {
	full := hashesOf(st.complete, level) / BundleSize
	var known []byte
	switch {
	case level == 0 && (n+1)*BundleSize <= st.pruned:
		return nil, ErrPruned
	case n < full:
		b, err := r.fullTile(st, level, n)
		if err != nil {
			return nil, err
		}
		return b[:width*hashSize], nil
	case n == full:
		known = st.edge[level]
	}
	if width*hashSize <= len(known) {
		return known[:width*hashSize], nil
	}
	if level == 0 {
		return r.leaves(n, width)
	}
	// Roots of tiles below that are wholly or partly in the tail.
	b := slices.Clone(known)
	for len(b) < width*hashSize {
		root, err := r.root(st, level-1, n*BundleSize+int64(len(b)/hashSize))
		if err != nil {
			return nil, err
		}
		b = append(b, root[:]...)
	}
	return b, nil
}

// fullTile reads a full tile from its file, and compares its root with the hash of it in the level above, and so on up to
// the edge.
func (r *Reader) fullTile(st *state, level int, n int64) ([]byte, error) {
	if c := r.store.checked[level].Load(); c != nil && c.n == n {
		return c.content, nil
	}
	b, err := r.store.readTile(level, n, BundleSize)
	if err != nil {
		return nil, err
	}
	at := int(n % BundleSize)
	above, err := r.hashesIn(st, level+1, n/BundleSize, at+1)
	if err != nil {
		return nil, err
	}
	if root := tileRoot(b); !bytes.Equal(root[:], above[at*hashSize:]) {
		return nil, r.store.changed(level, n, BundleSize)
	}
	if level > 0 { // 256 tiles of the level below need it, and most readers go on to the next of them
		r.store.checked[level].Store(&fullTile{level, n, b})
	}
	return b, nil
}

// root is that of a full tile which isn't in files.
func (r *Reader) root(st *state, level int, n int64) (tlog.Hash, error) {
	at := place{level, n}
	r.mu.Lock()
	root, ok := r.roots[at]
	r.mu.Unlock()
	if ok {
		return root, nil
	}
	tile, err := r.hashesIn(st, level, n, BundleSize)
	if err != nil {
		return tlog.Hash{}, err
	}
	root = tileRoot(tile)
	r.mu.Lock()
	r.roots[at] = root
	r.mu.Unlock()
	return root, nil
}

// leaves is a level-0 tile from the tail. The last one is kept: every proof has need of it.
func (r *Reader) leaves(n int64, width int) ([]byte, error) {
	if n < r.size/BundleSize {
		entries, err := r.fromTail(n*BundleSize, width)
		return leafTile(entries), err
	}
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last == nil {
		entries, err := r.fromTail(n*BundleSize, int(r.size%BundleSize))
		if err != nil {
			return nil, err
		}
		last = leafTile(entries)
		r.mu.Lock()
		r.last = last
		r.mu.Unlock()
	}
	return last[:width*hashSize], nil
}

// ReadHashes is [tlog.HashReader], for [tlog.ProveRecord] and [tlog.ProveTree] up to the reader's size, and
// [tlog.TreeHash]. Errors are those of Bundle.
func (r *Reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	read := map[place][]byte{}
	for i, x := range indexes {
		if x < 0 || x >= tlog.StoredHashIndex(0, r.size) {
			return nil, fmt.Errorf("reading hash %d: the tree of size %d has none", x, r.size)
		}
		t := tlog.TileForIndex(8, x)
		at := place{t.L, t.N}
		if read[at] == nil {
			t.W = int(min(BundleSize, hashesOf(r.size, t.L)-t.N*BundleSize))
			b, err := r.hashes(t.L, t.N, t.W)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", tilePath(t.L, t.N, t.W), err)
			}
			read[at] = b
		}
		t.W = len(read[at]) / hashSize
		var err error
		if hashes[i], err = tlog.HashFromTile(t, read[at], x); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}
