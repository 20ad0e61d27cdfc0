package tiles

import (
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// state is how far a tree is in files. One that was published is never changed: readers hold it without a lock.
type state struct {
	complete int64 // entries in full bundles
	pruned   int64 // the minimum: bundles below it are not served
	removed  int64 // bundles below it are not on disk either; <= pruned
	finished bool

	// edge has the bytes of each level's partial tile: the hashes of the level that are in no full tile. Level 0 has none
	// until the tree is finished.
	edge [levels][]byte
}

// rest is the number of entries in the partial bundle.
func (st *state) rest() int { return len(st.edge[0]) / hashSize }

// size is the number of entries in files.
func (st *state) size() int64 { return st.complete + int64(st.rest()) }

// fullTile is a tile that has got its last hash.
type fullTile struct {
	level   int
	n       int64
	content []byte
}

// grow says what a tree becomes by a full level-0 tile at its end, and which tiles are full by that: this one first, then
// upward.
func (st *state) grow(tile []byte) (*state, []fullTile) {
	next, above := st.growAbove(tileRoot(tile))
	return next, append([]fullTile{{0, st.complete / BundleSize, tile}}, above...)
}

// growAbove is grow without level 0: root is that of the level-0 tile.
func (st *state) growAbove(root tlog.Hash) (*state, []fullTile) {
	next := *st
	next.complete += BundleSize
	var full []fullTile
	n := st.complete / BundleSize
	for level := 1; ; level++ {
		n /= BundleSize
		tile := append(slices.Clip(next.edge[level]), root[:]...)
		if len(tile) < tileSize {
			next.edge[level] = tile
			return &next, full
		}
		next.edge[level] = nil
		full = append(full, fullTile{level, n, tile})
		root = tileRoot(tile)
	}
}

// hashesOf is how many hashes of a level a tree of that size has.
func hashesOf(size int64, level int) int64 { return size >> (8 * level) }
