package archive

import (
	"context"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
)

// Source is where a log is read. Nothing that it says is believed before it hashes to a checkpoint that the policy
// accepts; it can only leave things out.
type Source interface {
	// Trees lists the log's trees, oldest first.
	Trees(ctx context.Context) ([]Tree, error)
	// Read reads a resource of the tree of that name as C2SP tlog-tiles names it: "checkpoint", "tile/0/000",
	// "tile/entries/000.p/12". It bounds what it reads, and answers an error for what isn't there.
	Read(ctx context.Context, tree, path string) ([]byte, error)
}

// Tree is what a source says of one tree.
type Tree struct {
	Name    string
	Origin  string // of its checkpoints
	First   int64  // index of its first entry in the whole log
	Size    int64  // number of its entries
	Closed  bool   // another tree has followed
	Minimum int64  // position below which entries are pruned
	Signed  int64  // size of its newest checkpoint; 0 while it has none
}

// reader reads one tree as it was at one size, and verifies all it gives. It is a [torchwood.TileReader]: tiles that
// belong to the tree are kept, for the way from a tile up to the root is nearly the same for its neighbour.
type reader struct {
	source Source
	name   string
	tree   tlog.Tree
	kept   map[tlog.Tile][]byte
	failed error // of the source, and not of what it gave
}

// maxKept bounds reader.kept. The edge of a tree is at most eight tiles high, and two such edges are in use; when more
// than this has gathered, all goes, and the few that are needed are read again.
const maxKept = 64

func newReader(source Source, name string, size int64, root [audit.HashSize]byte) *reader {
	return &reader{source: source, name: name, tree: tlog.Tree{N: size, Hash: root}, kept: map[tlog.Tile][]byte{}}
}

// ReadEndpoint is part of torchwood.TileReader.
func (r *reader) ReadEndpoint(ctx context.Context, path string) ([]byte, error) {
	b, err := r.source.Read(ctx, r.name, path)
	if err != nil {
		err = fmt.Errorf("reading %s of tree %s: %w", path, r.name, err)
		r.failed = err
	}
	return b, err
}

// readTile reads a tile or a bundle. A partial one may be gone as soon as the tree has outgrown it; then the beginning of
// the full one is the same.
func (r *reader) readTile(ctx context.Context, t tlog.Tile) (b []byte, full bool, err error) {
	b, err = r.ReadEndpoint(ctx, torchwood.TilePath(t))
	if err == nil || t.W == torchwood.TileWidth || ctx.Err() != nil {
		return b, t.W == torchwood.TileWidth, err
	}
	before := r.failed
	t.W = torchwood.TileWidth
	if b, err2 := r.ReadEndpoint(ctx, torchwood.TilePath(t)); err2 == nil {
		r.failed = nil
		return b, true, nil
	}
	r.failed = before
	return nil, false, err
}

// ReadTiles is part of torchwood.TileReader.
func (r *reader) ReadTiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		if b, ok := r.kept[t]; ok {
			data[i] = b
			continue
		}
		b, _, err := r.readTile(ctx, t)
		if err != nil {
			return nil, err
		}
		if n := t.W * tlog.HashSize; len(b) > n {
			b = b[:n] // package tlog refuses what is shorter
		}
		data[i] = b
	}
	return data, nil
}

// SaveTiles is part of torchwood.TileReader: these have been verified.
func (r *reader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	if len(r.kept)+len(tiles) > maxKept {
		clear(r.kept)
	}
	for i, t := range tiles {
		r.kept[t] = data[i]
	}
}

// hashes gives hashes that belong to the tree.
func (r *reader) hashes(ctx context.Context) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		r.failed = nil
		h, err := torchwood.TileHashReaderWithContext(ctx, r.tree, r).ReadHashes(indexes)
		if err != nil && r.failed == nil {
			err = fmt.Errorf("%w: the tiles of tree %s: %v", ErrSource, r.name, err)
		}
		return h, err
	})
}

// bundle reads the entries from position n*256 on, as many as belong to that bundle at the tree's size. Each of them is
// in the tree, at its position.
func (r *reader) bundle(ctx context.Context, n int64) ([][]byte, error) {
	first := n * torchwood.TileWidth
	width := int(min(torchwood.TileWidth, r.tree.N-first))
	r.failed = nil
	rest, full, err := r.readTile(ctx, tlog.Tile{H: torchwood.TileHeight, L: -1, N: n, W: width})
	if err != nil {
		return nil, err
	}
	indexes := make([]int64, width)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	hashes, err := r.hashes(ctx).ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, width)
	for i := range entries {
		if entries[i], rest, err = torchwood.ReadTileEntry(rest); err != nil {
			return nil, fmt.Errorf("%w: tree %s ends before position %d", ErrSource, r.name, first+int64(i))
		}
		if tlog.RecordHash(entries[i]) != hashes[i] {
			return nil, fmt.Errorf("%w: the entry at position %d of tree %s is another one", ErrSource, first+int64(i), r.name)
		}
	}
	if len(rest) > 0 && (width == torchwood.TileWidth || !full) {
		return nil, fmt.Errorf("%w: more follows position %d of tree %s in its bundle", ErrSource, first+int64(width)-1, r.name)
	}
	return entries, nil
}

// contains says whether a checkpoint of the same tree at a smaller size is one of its past. It answers ErrSource if it
// isn't: all hashes that it was told come from the tiles of the tree.
func (r *reader) contains(ctx context.Context, size int64, root [audit.HashSize]byte) error {
	if size == r.tree.N {
		if root != r.tree.Hash {
			return fmt.Errorf("%w: two checkpoints of tree %s at size %d", ErrSource, r.name, size)
		}
		return nil
	}
	proof, err := tlog.ProveTree(r.tree.N, size, r.hashes(ctx))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, r.tree.N, r.tree.Hash, size, root); err != nil {
		return fmt.Errorf("%w: tree %s at size %d is not the beginning of the one at size %d", ErrSource, r.name, size, r.tree.N)
	}
	return nil
}

// parse reads the entry at a position and checks that it knows its place.
func parse(raw []byte, name string, first, position int64) (*audit.Entry, error) {
	e, err := audit.ParseEntry(raw)
	if err != nil {
		return nil, fmt.Errorf("position %d of tree %s: %w", position, name, err)
	}
	if e.Index != first+position {
		return nil, fmt.Errorf("%w: the entry at position %d of tree %s has index %d, not %d", ErrSource, position, name, e.Index, first+position)
	}
	if e.Time > maxTime {
		return nil, fmt.Errorf("%w: the entry at position %d of tree %s is of a time after the year 9999", ErrSource, position, name)
	}
	return e, nil
}
