package export

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
)

// hash is one of a tree's hashes.
type hash = [audit.HashSize]byte

// perfect is the hash over the hashes of a perfect subtree, one to 256 of them. RFC 6962, Section 2.1.
func perfect(hashes []byte) hash {
	if len(hashes) == audit.HashSize {
		return hash(hashes)
	}
	half := len(hashes) / 2
	return hash(tlog.NodeHash(perfect(hashes[:half]), perfect(hashes[half:])))
}

// rootOf is the root of a tree of a size, 1 at least, from its right edge: edge(level) gives the hashes of the last tile
// of a level, as many as the tree of that size has in it. It is asked only for levels where there are any.
func rootOf(size int64, edge func(level int) []byte) (root hash) {
	begun := false
	for level := range levels(size) {
		w := int(size >> (tileHeight * level) % tileWidth)
		if w == 0 {
			continue
		}
		hashes := edge(level)
		// Each bit of the width is a perfect subtree; the smallest is the rightmost.
		for left := w; left > 0; left &= left - 1 {
			n := 1 << bits.TrailingZeros(uint(left))
			h := perfect(hashes[(left-n)*audit.HashSize : left*audit.HashSize])
			if begun {
				h = hash(tlog.NodeHash(tlog.Hash(h), tlog.Hash(root)))
			}
			root, begun = h, true
		}
	}
	return root
}
