package index

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
)

// BundleSize is the number of entries of a bundle: the width of C2SP tlog-tiles' full entry bundles.
const BundleSize = 256

// set is some of the entries of a bundle, by their place in it.
type set [BundleSize / 64]uint64

func (s *set) add(i int) { s[i>>6] |= 1 << (i & 63) }

// span is the set of places from, ..., to-1.
func span(from, to int) (s set) {
	for i := from; i < to; i++ {
		s.add(i)
	}
	return s
}

func (s set) and(o set) set {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

func (s set) len() int {
	return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) + bits.OnesCount64(s[2]) + bits.OnesCount64(s[3])
}

// all goes through the places in order.
func (s set) all(descending bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		for k := range s {
			if descending {
				k = len(s) - 1 - k
			}
			for w := s[k]; w != 0; {
				i := bits.TrailingZeros64(w)
				if descending {
					i = 63 - bits.LeadingZeros64(w)
				}
				if !yield(64*k + i) {
					return
				}
				w &^= 1 << i
			}
		}
	}
}

// bitmapSize is the length of a set's bitmap. A set of fewer places is shorter as a list of them.
const bitmapSize = BundleSize / 8

// append appends the set's bytes: its places in ascending order if they are fewer than 32, a bitmap otherwise, in which
// place i is bit i%8 of byte i/8.
func (s set) append(dst []byte) []byte {
	if s.len() < bitmapSize {
		for i := range s.all(false) {
			dst = append(dst, byte(i))
		}
		return dst
	}
	for _, w := range s {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

func parseSet(b []byte) (s set, err error) {
	if len(b) == bitmapSize {
		for i := range s {
			s[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		if s.len() < bitmapSize {
			return set{}, fmt.Errorf("%w: a bitmap of only %d places", errRecord, s.len())
		}
		return s, nil
	}
	if len(b) == 0 || len(b) > bitmapSize {
		return set{}, fmt.Errorf("%w: a posting of %d bytes", errRecord, len(b))
	}
	for i, place := range b {
		if i > 0 && place <= b[i-1] {
			return set{}, fmt.Errorf("%w: a posting out of order", errRecord)
		}
		s.add(int(place))
	}
	return s, nil
}
