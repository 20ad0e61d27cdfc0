package audittest

import (
	"crypto/sha256"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// tileWriter makes the tiles and bundles of a tree as it grows. It holds no more than one of each level.
type tileWriter struct {
	put    func(path string, b []byte) error
	size   int64
	bundle []byte
	levels [][]byte // the open tile of each level
	counts []int64  // hashes of each level, those in tiles before the open one included
}

func (w *tileWriter) add(entry []byte) (err error) {
	if w.bundle, err = torchwood.AppendTileEntry(w.bundle, entry); err != nil {
		return err
	}
	w.size++
	if w.size%torchwood.TileWidth == 0 {
		if err := w.flushBundle(torchwood.TileWidth); err != nil {
			return err
		}
	}
	return w.push(0, tlog.RecordHash(entry))
}

func (w *tileWriter) push(level int, h tlog.Hash) error {
	if level == len(w.levels) {
		w.levels, w.counts = append(w.levels, nil), append(w.counts, 0)
	}
	w.levels[level] = append(w.levels[level], h[:]...)
	w.counts[level]++
	if w.counts[level]%torchwood.TileWidth != 0 {
		return nil
	}
	tile := w.levels[level]
	if err := w.flush(level, torchwood.TileWidth); err != nil {
		return err
	}
	return w.push(level+1, subtree(tile))
}

func (w *tileWriter) finish() error {
	if n := int(w.size % torchwood.TileWidth); n > 0 {
		if err := w.flushBundle(n); err != nil {
			return err
		}
	}
	for level, count := range w.counts {
		if n := int(count % torchwood.TileWidth); n > 0 {
			if err := w.flush(level, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *tileWriter) flushBundle(width int) error {
	b := w.bundle
	w.bundle = w.bundle[:0]
	return w.put(torchwood.TilePath(tlog.Tile{H: torchwood.TileHeight, L: -1, N: (w.size - 1) / torchwood.TileWidth, W: width}), b)
}

func (w *tileWriter) flush(level, width int) error {
	b := w.levels[level]
	w.levels[level] = nil
	return w.put(torchwood.TilePath(tlog.Tile{H: torchwood.TileHeight, L: level, N: (w.counts[level] - 1) / torchwood.TileWidth, W: width}), b)
}

// subtree is the hash of a perfect subtree. RFC 6962, Section 2.1.
func subtree(hashes []byte) tlog.Hash {
	if len(hashes) == sha256.Size {
		return tlog.Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

// pruned says whether a resource lies wholly below the tree's minimum (C2SP tlog-tiles, Pruning).
func (t *Tree) pruned(path string) bool {
	tile, err := torchwood.ParseTilePath(path)
	if err != nil || tile.W < torchwood.TileWidth {
		return false
	}
	return (tile.N+1)<<(torchwood.TileHeight*(max(tile.L, 0)+1)) <= t.Minimum
}
