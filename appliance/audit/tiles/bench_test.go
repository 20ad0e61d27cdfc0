package tiles

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// countingDisk counts what waits for the disk.
type countingDisk struct {
	osDisk
	syncs *int
}

type countingFile struct {
	file
	syncs *int
}

func (f countingFile) Sync() error { *f.syncs++; return f.file.Sync() }

func (d countingDisk) create(path string) (file, error) {
	f, err := d.osDisk.create(path)
	return countingFile{f, d.syncs}, err
}
func (d countingDisk) syncDir(path string) error { *d.syncs++; return d.osDisk.syncDir(path) }

// An entry of the log has about 350 bytes.
func BenchmarkAppend(b *testing.B) {
	bundle := make([][]byte, BundleSize)
	for i := range bundle {
		bundle[i] = bytes.Repeat([]byte{byte(i)}, 350)
	}
	syncs := 0
	s, err := open(b.TempDir(), countingDisk{syncs: &syncs})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.Append(bundle); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*BundleSize/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(syncs)/float64(b.N), "fsyncs/op")
}

// sparse makes the directory of a tree of so many bundles, with no more files than Open reads.
func sparse(b *testing.B, bundles int64) string {
	b.Helper()
	dir := b.TempDir()
	put := func(rel string, content []byte) {
		p := filepath.Join(dir, filepath.FromSlash(rel))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(p, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	size := bundles * BundleSize
	put(markFile, mark{size, 0, 0, -1}.encode())
	put(tilePath(entriesLevel, bundles-1, BundleSize), make([]byte, 2*BundleSize))
	for level := 1; hashesOf(size, level) > 0; level++ {
		count := hashesOf(size, level)
		for n := count / BundleSize * BundleSize; n < count; n++ {
			put(tilePath(level-1, n, BundleSize), make([]byte, tileSize))
		}
	}
	return dir
}

// 100,000 bundles are 25,600,000 entries.
func BenchmarkOpen100000Bundles(b *testing.B) {
	dir := sparse(b, 100_000)
	for b.Loop() {
		if s, err := Open(dir); err != nil || s.Complete() != 100_000*BundleSize {
			b.Fatal(err)
		}
	}
}

// The worst that Open can meet: all edges but full, 63 bundles after the mark.
func BenchmarkOpenAfterTheMark(b *testing.B) {
	dir := built(b, 255)
	for b.Loop() {
		if s, err := Open(dir); err != nil || s.Complete() != 255*BundleSize {
			b.Fatal(err)
		}
	}
}

// A proof of an entry in files, at a size whose last 200 entries are in the tail.
func BenchmarkProve(b *testing.B) {
	s := mustOpen(b, built(b, 257))
	const size = 257*BundleSize + 200
	r := NewReader(s, size, aModel().tail(257*BundleSize))
	for n := int64(0); b.Loop(); n = (n + 7919) % size {
		if _, err := tlog.ProveRecord(size, n, r); err != nil {
			b.Fatal(err)
		}
	}
}
