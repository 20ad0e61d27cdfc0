package archive

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// FuzzBundle serves any bytes for a bundle: nothing is taken for an entry but what is one.
func FuzzBundle(f *testing.F) {
	l := newLog(40).add(300).sign()
	tree := l.trees[0]
	for _, n := range []string{"tile/entries/000", "tile/entries/001.p/44"} {
		b, err := l.resource("2026", n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add([]byte{0, 0, 255, 255})
	var served []byte
	l.edit = func(_, path string, b []byte) ([]byte, error) {
		if strings.HasPrefix(path, "tile/entries/") {
			return served, nil
		}
		return b, nil
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		served = b
		for n := range int64(2) {
			entries, err := newReader(l, "2026", tree.Size, tree.root(tree.Size)).bundle(context.Background(), n)
			if err != nil {
				continue
			}
			for i, e := range entries {
				if !bytes.Equal(e, tree.entries[n*256+int64(i)]) {
					t.Fatalf("%q was taken for the entry at position %d", e, n*256+int64(i))
				}
			}
		}
	})
}
