package export

import (
	"errors"
	"iter"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileWidth  = torchwood.TileWidth
	tileHeight = torchwood.TileHeight
	bundles    = -1 // the level of entry bundles in a tlog.Tile
)

// file is a tile or an entry bundle of a tree.
type file struct {
	tree int // in the manifest
	name string
	tlog.Tile
}

func newFile(tree int, name string, level int, n int64, width int) file {
	return file{tree, name, tlog.Tile{H: tileHeight, L: level, N: n, W: width}}
}

// resource is the file's path in its tree, path that in the export.
func (f file) resource() string { return torchwood.TilePath(f.Tile) }
func (f file) path() string     { return f.name + "/" + f.resource() }
func (f file) partial() bool    { return f.W < tileWidth }

// width is the width of tile n at a level (bundles: as level 0) in a tree of a size; 0 when there is no such tile.
func width(size int64, level int, n int64) int {
	count := size >> (tileHeight * max(level, 0))
	switch whole := count / tileWidth; {
	case n < 0 || n > whole:
		return 0
	case n < whole:
		return tileWidth
	}
	return int(count % tileWidth)
}

// levels is the number of a tree's levels of tiles.
func levels(size int64) (n int) {
	for ; size > 0; size >>= tileHeight {
		n++
	}
	return n
}

// plan says which tiles and bundles of a tree are in an export. It is all that exporter and verifier need to agree on.
type plan struct {
	tree    int // in the manifest
	name    string
	size    int64
	minimum int64 // position below which tiles may be gone
	lo, hi  int64 // positions of entries that are needed, lo up to before hi; lo == hi: none
	begin   bool  // so is the first entry: it vouches for the tree before
	since   int64 // size of an earlier checkpoint whose edge is needed; 0: none
}

// whole says whether all entries of the tree are there.
func (p plan) whole() bool { return p.lo == 0 && p.hi == p.size }

// has says whether a tile or bundle is in the export.
func (p plan) has(t tlog.Tile) bool {
	if t.W == 0 || t.L < bundles || t.L >= levels(p.size) || t.W != width(p.size, t.L, t.N) {
		return false
	}
	switch {
	case t.L == bundles:
		return p.bundle(t.N)
	case t.W < tileWidth:
		return true
	case t.L == 0:
		return p.bundle(t.N) || p.since%tileWidth != 0 && t.N == p.since/tileWidth
	}
	// A tile that ends at or below the minimum may be pruned (C2SP tlog-tiles); the hash of it is in the one above.
	return (t.N+1)<<(tileHeight*(t.L+1)) > p.minimum
}

func (p plan) bundle(n int64) bool {
	return p.begin && n == 0 || p.lo < p.hi && n >= p.lo/tileWidth && n <= (p.hi-1)/tileWidth
}

// files gives the tiles and bundles in the order in which an archive has them: first the right edge, from the top, then
// each full tile before those under it, and a bundle after the tile that has its hashes. So whoever reads can check
// each with what came before, and needs no more than one tile of each level.
func (p plan) files() iter.Seq[file] {
	return func(yield func(file) bool) {
		top := levels(p.size) - 1
		for level := top; level >= 0; level-- {
			n := p.size >> (tileHeight * level) / tileWidth
			if w := width(p.size, level, n); w > 0 && !yield(newFile(p.tree, p.name, level, n, w)) {
				return
			}
		}
		give := func(level int, n int64) bool {
			f := newFile(p.tree, p.name, level, n, width(p.size, level, n))
			return !p.has(f.Tile) || level >= 0 && f.partial() || yield(f)
		}
		start := p.minimum / tileWidth // nothing below it is there
		for n := start; n*tileWidth < p.size; n++ {
			for level := top; level > 0; level-- {
				span := int64(1) << (tileHeight * level) // tiles of level 0 under one hash's tile
				if (n == start || n%span == 0) && !give(level, n/span) {
					return
				}
			}
			if !give(0, n) || !give(bundles, n) {
				return
			}
		}
	}
}

// entries is the number of entries in the bundles.
func (p plan) entries() (sum int64) {
	if p.lo < p.hi {
		first, last := p.lo/tileWidth, (p.hi-1)/tileWidth
		sum = min((last+1)*tileWidth, p.size) - first*tileWidth
	}
	if p.begin && (p.lo >= p.hi || p.lo >= tileWidth) {
		sum += min(tileWidth, p.size)
	}
	return sum
}

// allFiles gives the files of all trees.
func allFiles(plans []plan) iter.Seq[file] {
	return func(yield func(file) bool) {
		for _, p := range plans {
			for f := range p.files() {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// parseTile reads a path in a tree as C2SP tlog-tiles has it, and no other spelling of it.
func parseTile(resource string) (tlog.Tile, error) {
	t, err := torchwood.ParseTilePath(resource)
	if err == nil && torchwood.TilePath(t) != resource {
		err = errors.New("not written the one way")
	}
	return t, err
}
