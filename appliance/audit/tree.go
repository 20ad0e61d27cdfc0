package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// HashSize is the length of the tree's hashes, in bytes.
const HashSize = sha256.Size

// maxTree bounds the size of a tree: entries are counted in an int64.
const maxTree = 1 << 62

// treeFormat is the first byte of a marshalled tree.
const treeFormat = 1

// Tree is the right edge of an RFC 6962 tree: for each bit of the size, from the highest, the hash of one perfect
// subtree. That is enough to append and to tell the root, in memory that does not grow. The zero Tree is empty. A Tree is
// not safe for concurrent use.
type Tree struct {
	size int64
	edge [62][HashSize]byte // edge[:popcount(size)], the largest subtree first
	buf  []byte             // of hashLeaf, kept for reuse
}

// Append puts a leaf's bytes at the end.
func (t *Tree) Append(leaf []byte) { t.AppendLeaf(t.hashLeaf(leaf)) }

// AppendLeaf is Append for a leaf whose hash is known.
func (t *Tree) AppendLeaf(h [HashSize]byte) {
	n := bits.OnesCount64(uint64(t.size))
	// Each trailing one bit of the size is a perfect subtree that the new leaf completes to one twice as large.
	for s := t.size; s&1 == 1; s >>= 1 {
		n--
		h = hashNode(&t.edge[n], &h)
	}
	t.edge[n] = h
	t.size++
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Root is the Merkle tree hash of all leaves. That of the empty tree is SHA-256 of nothing.
func (t *Tree) Root() [HashSize]byte {
	n := bits.OnesCount64(uint64(t.size))
	if n == 0 {
		return sha256.Sum256(nil)
	}
	h := t.edge[n-1]
	for n--; n > 0; n-- {
		h = hashNode(&t.edge[n-1], &h)
	}
	return h
}

// Floor is the tree of the first entries, as many of them as are a multiple of width, a power of two: the part whose hash
// does not depend on what is added later.
func (t *Tree) Floor(width int64) Tree {
	f := Tree{size: t.size &^ (width - 1)}
	copy(f.edge[:], t.edge[:bits.OnesCount64(uint64(f.size))])
	return f
}

// EndsWith says whether rest, a tree of its own over the entries after Floor(width), is how t ends.
func (t *Tree) EndsWith(rest *Tree, width int64) bool {
	n := bits.OnesCount64(uint64(rest.size))
	all := bits.OnesCount64(uint64(t.size))
	return rest.size == t.size&(width-1) && slices.Equal(rest.edge[:n], t.edge[all-n:all])
}

// AppendBinary appends the tree's edge: the byte 1, the size in eight bytes, big-endian, then the hashes, largest
// subtree first. It never fails.
func (t *Tree) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, treeFormat)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.size))
	for i := range bits.OnesCount64(uint64(t.size)) {
		dst = append(dst, t.edge[i][:]...)
	}
	return dst, nil
}

// MarshalBinary returns what AppendBinary appends.
func (t *Tree) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// ErrTree: the bytes are not those of a tree's edge.
var ErrTree = errors.New("not a tree's edge")

// UnmarshalBinary reads what MarshalBinary made, and answers ErrTree for anything else, leaving t as it was.
func (t *Tree) UnmarshalBinary(b []byte) error {
	if len(b) < 9 || b[0] != treeFormat {
		return fmt.Errorf("%w: %d bytes", ErrTree, len(b))
	}
	size := binary.BigEndian.Uint64(b[1:])
	n := bits.OnesCount64(size)
	if size >= maxTree || len(b) != 9+n*HashSize {
		return fmt.Errorf("%w: size %d in %d bytes", ErrTree, size, len(b))
	}
	t.size = int64(size)
	for i := range n {
		copy(t.edge[i][:], b[9+i*HashSize:])
	}
	return nil
}

// LeafHash is SHA-256(0x00 || leaf). RFC 6962, Section 2.1.
func LeafHash(leaf []byte) [HashSize]byte {
	var t Tree
	return t.hashLeaf(leaf)
}

// hashLeaf is LeafHash without an allocation for each.
func (t *Tree) hashLeaf(leaf []byte) [HashSize]byte {
	t.buf = append(append(t.buf[:0], 0), leaf...)
	return sha256.Sum256(t.buf)
}

// hashNode is SHA-256(0x01 || left || right). RFC 6962, Section 2.1.
func hashNode(left, right *[HashSize]byte) [HashSize]byte {
	var b [1 + 2*HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+HashSize:], right[:])
	return sha256.Sum256(b[:])
}
