package export

import (
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
)

// maxBundle bounds a bundle of a width, in bytes: each entry has a length of two bytes before it.
func maxBundle(width int) int { return width * (2 + audit.MaxEntry) }

// leaf is an entry as a bundle has it. Its hash is what the tree vouches for; only then it matters whether it parses.
type leaf struct {
	raw   []byte
	hash  hash
	entry *audit.Entry
	err   error // of parsing
}

// content is a file's content with all that can be computed of it by itself, so that it can be done beside other files.
type content struct {
	data   []byte
	local  bool   // it was there from a run before
	wrong  string // what is wrong with its form; empty: nothing
	hash   hash   // of a full tile
	leaves []leaf // of a bundle, up to where its form is wrong
}

// read computes a file's content from its bytes.
func (f file) read(data []byte) *content {
	c := &content{data: data}
	if f.L == bundles {
		c.leaves, c.wrong = splitBundle(data, f.W)
		return c
	}
	if len(data) != f.W*audit.HashSize {
		c.wrong = fmt.Sprintf("it has %d bytes, and %d hashes have %d", len(data), f.W, f.W*audit.HashSize)
		return c
	}
	if !f.partial() {
		c.hash = perfect(data)
	}
	return c
}

// splitBundle gives the entries of a bundle of a width, and what is wrong with its form after them.
func splitBundle(data []byte, width int) (leaves []leaf, wrong string) {
	leaves = make([]leaf, 0, width)
	rest := data
	for len(leaves) < width {
		raw, after, err := torchwood.ReadTileEntry(rest)
		if err != nil {
			return leaves, fmt.Sprintf("the file is cut short in it: %d bytes are left", len(rest))
		}
		l := leaf{raw: raw, hash: hash(tlog.RecordHash(raw))}
		l.entry, l.err = audit.ParseEntry(raw)
		leaves, rest = append(leaves, l), after
	}
	if len(rest) > 0 {
		return leaves, fmt.Sprintf("%d bytes follow its last entry", len(rest))
	}
	return leaves, ""
}

// cut makes of a full tile or bundle the partial one of a smaller tree. A log may delete partial ones once there is the
// full one (C2SP tlog-tiles, Partial Tiles).
func (f file) cut(full []byte) ([]byte, error) {
	n := f.W * audit.HashSize
	if f.L == bundles {
		rest := full
		for range f.W {
			_, after, err := torchwood.ReadTileEntry(rest)
			if err != nil {
				return nil, err
			}
			rest = after
		}
		n = len(full) - len(rest)
	}
	if len(full) < n {
		return nil, fmt.Errorf("%d bytes are too few", len(full))
	}
	return full[:n], nil
}

// maxSize bounds the file in bytes.
func (f file) maxSize() int {
	if f.L == bundles {
		return maxBundle(f.W)
	}
	return f.W * audit.HashSize
}
