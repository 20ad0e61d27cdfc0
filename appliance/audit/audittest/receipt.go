package audittest

import (
	"context"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
)

// Receipt is the receipt of the entry at an index, under its tree's checkpoint.
func (l *Log) Receipt(ctx context.Context, index int64) ([]byte, error) {
	for _, t := range l.All {
		position := index - t.First
		if position < 0 || position >= t.Size {
			continue
		}
		proof, err := tlog.ProveRecord(t.Size, position, l.hashes(ctx, t))
		if err != nil {
			return nil, err
		}
		entry, err := l.Entry(ctx, t, position)
		if err != nil {
			return nil, err
		}
		checkpoint, err := l.Read(ctx, t.Tree, "checkpoint")
		if err != nil {
			return nil, err
		}
		return audit.FormatReceipt(position, entry, proof, checkpoint), nil
	}
	return nil, fmt.Errorf("the log has no entry %d", index)
}

// Entry is the entry at a position of a tree, as it is in its bundle.
func (l *Log) Entry(ctx context.Context, t *Tree, position int64) (entry []byte, err error) {
	rest, err := l.Read(ctx, t.Tree, torchwood.TilePath(t.tile(-1, position/torchwood.TileWidth)))
	for range position%torchwood.TileWidth + 1 {
		if err != nil {
			return nil, err
		}
		entry, rest, err = torchwood.ReadTileEntry(rest)
	}
	return entry, err
}

// Root is the root of a tree when it had a size.
func (l *Log) Root(ctx context.Context, t *Tree, size int64) ([audit.HashSize]byte, error) {
	return tlog.TreeHash(size, l.hashes(ctx, t))
}

// tile is the tile n of a level as the tree has it, full or partial. The level of bundles is -1.
func (t *Tree) tile(level int, n int64) tlog.Tile {
	count := t.Size >> (torchwood.TileHeight * max(level, 0))
	tile := tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: torchwood.TileWidth}
	if n == count/torchwood.TileWidth {
		tile.W = int(count % torchwood.TileWidth)
	}
	return tile
}

// hashes reads a tree's hashes from its tiles.
func (l *Log) hashes(ctx context.Context, t *Tree) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var all []tlog.Hash
		for _, i := range indexes {
			tile := tlog.TileForIndex(torchwood.TileHeight, i)
			tile = t.tile(tile.L, tile.N)
			b, err := l.Read(ctx, t.Tree, torchwood.TilePath(tile))
			if err != nil {
				return nil, err
			}
			h, err := tlog.HashFromTile(tile, b, i)
			if err != nil {
				return nil, err
			}
			all = append(all, h)
		}
		return all, nil
	})
}
