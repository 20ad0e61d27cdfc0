package index

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// The keys of the database; numbers are big-endian. The first two bytes are the number that a tree has in this index:
//
//	0 (2)     name of a tree                                    what is known of the tree: see treeRecord
//	tree (2)  segment (3)  0                         bundle (2)  the latest time of the tree up to this bundle's end (8)
//	tree (2)  segment (3)  field (1)  value's hash (8)  bundle (2)  in which of the bundle's entries the field has the value
//
// A segment is 2^segmentBits bundles, and the bundle's number in the last two bytes counts from the segment's start. The
// hash is the first eight bytes of SHA-256 of the value; whoever finds two values that have the same makes a search look
// at entries in vain, no more.
//
// Another layout needs another formatName.
const (
	formatName  = "v1"
	segmentBits = 13

	timeSize    = 2 + 3 + 1 + 2
	prefixSize  = 2 + 3 + 1 + 8 // of a posting, all but its bundle
	postingSize = prefixSize + 2

	kindTime = 0

	maxTrees    = 1<<16 - 2 // so that there is a key after all keys of a tree
	maxSegments = 1 << 24
	maxTreeName = 255
)

// ErrTree: no tree can have that name, or there are too many of them.
var ErrTree = errors.New("not a tree for the index")

// errRecord: a record of the database is not one that we wrote, though Pebble's checksums are right.
var errRecord = errors.New("a record makes no sense")

func treeKey(name string) []byte { return append([]byte{0, 0}, name...) }

// appendSegment appends what all keys of a tree's segment begin with.
func appendSegment(dst []byte, tree uint16, segment int64) []byte {
	dst = binary.BigEndian.AppendUint16(dst, tree)
	return append(dst, byte(segment>>16), byte(segment>>8), byte(segment))
}

func (l layout) timeKey(tree uint16, bundle int64) []byte {
	b := append(appendSegment(make([]byte, 0, timeSize), tree, bundle>>l.bits), kindTime)
	return binary.BigEndian.AppendUint16(b, l.within(bundle))
}

// layout is how bundles are divided into segments; tests have small ones.
type layout struct{ bits uint }

func (l layout) within(bundle int64) uint16 { return uint16(bundle & (1<<l.bits - 1)) }

// last is the last bundle of a bundle's segment, in the direction of a search.
func (l layout) last(bundle int64, descending bool) int64 {
	start := bundle >> l.bits << l.bits
	if descending {
		return start
	}
	return start + 1<<l.bits - 1
}

// maxBundle is above the numbers of all bundles.
func (l layout) maxBundle() int64 { return maxSegments << l.bits }

// appendPrefix completes what appendSegment appended to a posting's key up to its bundle. No value is longer than maxValue.
func appendPrefix(dst []byte, field int, value string) []byte {
	var b [maxValue]byte // so that the conversion to bytes does not allocate
	h := sha256.Sum256(b[:copy(b[:], value)])
	return append(append(dst, byte(field+1)), h[:8]...)
}

// treeRecord is what is known of a tree. It is written in one batch with each bundle, so it never speaks of a bundle
// that is not there.
type treeRecord struct {
	id     uint16
	begin  int64 // the first bundle that was not forgotten
	added  int64 // the first bundle that was not added
	latest int64 // the latest time of all entries added, in milliseconds
	// behind is the most by which an entry's time was before the latest time of earlier bundles: 0 if times never ran
	// backwards. Then no entry of bundle b is earlier than the latest time up to the end of bundle b-1, minus behind.
	behind int64
}

func (r treeRecord) bytes() []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 34), r.id)
	for _, n := range []int64{r.begin, r.added, r.latest, r.behind} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func parseTreeRecord(b []byte) (r treeRecord, err error) {
	if len(b) != 34 {
		return r, fmt.Errorf("%w: a tree's, of %d bytes", errRecord, len(b))
	}
	r.id = binary.BigEndian.Uint16(b)
	for i, n := range []*int64{&r.begin, &r.added, &r.latest, &r.behind} {
		*n = int64(binary.BigEndian.Uint64(b[2+8*i:]))
	}
	if r.id == 0 || r.begin < 0 || r.added < r.begin || r.latest < 0 || r.behind < 0 {
		return r, fmt.Errorf("%w: a tree's", errRecord)
	}
	return r, nil
}
