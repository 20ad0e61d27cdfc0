// Package tiles keeps the files of one tree of the key-usage log, in the layout of C2SP tlog-tiles, and reads them back
// together with the tree's tail, which is not in files yet.
//
// # What is on disk
//
// The directory of a tree is what any tool that knows tlog-tiles can read, and two names of ours:
//
//	tile/entries/<N>   256 entries, each after its length in two bytes, big-endian: a bundle
//	tile/<L>/<N>       256 hashes of 32 bytes: a tile. Level 0 has the hashes of entries (RFC 6962, Section 2.1), each
//	                   higher level the roots of the full tiles of the level below
//	mark               how far the tree is complete and pruned, see mark.go
//	tmp/               files that are being written; emptied by Open
//
// A growing tree has full bundles and full tiles only. What is partial changes with each entry, and is made when it is
// asked for: from the tail, and from the right edge, which a [Store] keeps in memory (at most 255 hashes a level). A tree
// that grows no more gets its partial files too ([Store.Finish]).
//
// # What holds after a crash
//
// A file is written under tmp, synced, renamed to its place, and the directory is synced: so a file in its place is whole.
// An entry counts as complete when its bundle, the level-0 tile, and each higher tile that the bundle completes are in
// place and their directories are synced. Whatever happens before that leaves files beyond the end, which are not served,
// and which the next [Store.Append] of the same entries replaces by the same bytes. A failure is treated like a crash:
// everything is written anew, for after a failed fsync the page cache has what the disk has not.
//
// [Open] believes the mark, which is never ahead of the files, and goes forward from there: a bundle counts if it and its
// tiles are exactly what Append would have written.
//
// [Open] does not read all files that are complete; a [Reader] compares each that it reads with the tree's edge. The edge is
// made of files too: the owner compares its root with what he knows of the tree.
package tiles

import (
	"errors"
	"fmt"
	"slices"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
)

// BundleSize is the number of entries in a full bundle, and of hashes in a full tile.
const BundleSize = 256

const (
	hashSize = tlog.HashSize
	tileSize = BundleSize * hashSize
	// maxBundle bounds a bundle's file, in bytes: 256 entries of the greatest length.
	maxBundle = BundleSize * (2 + audit.MaxEntry)
	// levels are more than a tree can have: its size is below 2^62, and each level has a 256th of the one below.
	levels  = 8
	maxTree = 1 << 62
)

var (
	// ErrNoTile: the tree has no such bundle or tile at its size.
	ErrNoTile = errors.New("the tree has no such tile")
	// ErrPruned: it was removed by Prune.
	ErrPruned = errors.New("pruned")
	// ErrAbsent: the entries that it is made of are neither in files nor in the tail: this node has yet to get them.
	ErrAbsent = errors.New("not on this node yet")
	// ErrDamaged: a file that should be there is missing, unreadable, of the wrong size, or not what was written. The error
	// has its path.
	ErrDamaged = errors.New("damaged file")
	// ErrFinished: the tree was finished, and with other entries than these.
	ErrFinished = errors.New("the tree is finished")
)

// entriesLevel is the level of entry bundles, as golang.org/x/mod/sumdb/tlog has it.
const entriesLevel = -1

// tilePath is a tile's path in the tree's directory, with slashes.
func tilePath(level int, n int64, width int) string {
	return torchwood.TilePath(tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: width})
}

// appendBundle appends entries in the form of a bundle.
func appendBundle(dst []byte, entries [][]byte) ([]byte, error) {
	size := 0
	for _, e := range entries {
		size += 2 + len(e)
	}
	dst = slices.Grow(dst, size)
	for _, e := range entries {
		var err error
		if dst, err = torchwood.AppendTileEntry(dst, e); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// splitBundle cuts a bundle of exactly width entries. They share its memory.
func splitBundle(b []byte, width int) ([][]byte, error) {
	entries := make([][]byte, width)
	for i := range entries {
		e, rest, err := torchwood.ReadTileEntry(b)
		if err != nil {
			return nil, fmt.Errorf("entry %d of %d: %w", i, width, err)
		}
		entries[i], b = e[:len(e):len(e)], rest
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes after %d entries", len(b), width)
	}
	return entries, nil
}

// leafTile is the level-0 tile of entries.
func leafTile(entries [][]byte) []byte {
	tile := make([]byte, 0, len(entries)*hashSize)
	for _, e := range entries {
		h := tlog.RecordHash(e)
		tile = append(tile, h[:]...)
	}
	return tile
}

// tileRoot is the root of a full tile: the hash that stands for it in the level above.
func tileRoot(tile []byte) tlog.Hash {
	var row [BundleSize]tlog.Hash
	for i := range row {
		row[i] = tlog.Hash(tile[i*hashSize:])
	}
	for n := BundleSize / 2; n > 0; n /= 2 {
		for i := range n {
			row[i] = tlog.NodeHash(row[2*i], row[2*i+1])
		}
	}
	return row[0]
}
