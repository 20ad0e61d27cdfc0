package tiles

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

// The mark is read by later releases: the file in testdata must go on being what these numbers are.
func TestMarkGolden(t *testing.T) {
	golden := filepath.Join("testdata", "marks.golden")
	marks := []mark{
		{0, 0, 0, -1},
		{65536, 512, 256, -1},
		{1<<62 - 256, 1 << 40, 1 << 39, 1<<62 - 1},
		{0, 0, 0, 0},
	}
	var got []byte
	for _, m := range marks {
		got = append(got, m.encode()...)
		if back, err := parseMark(m.encode()); err != nil || back != m {
			t.Errorf("%v is read as %v: %v", m, back, err)
		}
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("\n got %s\nwant %s, %v", got, want, err)
	}
}

func TestMarkRefuses(t *testing.T) {
	for _, m := range []mark{
		{1, 0, 0, -1},
		{512, 1, 0, -1},
		{512, 256, 1, -1},
		{256, 512, 0, -1},
		{512, 256, 512, -1},
		{-256, -256, -256, -1},
		{256, -256, -256, -1},
		{256, 0, -256, -1},
		{256, 0, 0, 255},
		{256, 0, 0, 512},
		{256, 0, 0, -2},
		{1 << 62, 0, 0, -1},
	} {
		if _, err := parseMark(m.encode()); err == nil {
			t.Errorf("%v is believed", m)
		}
	}
	good := mark{65536, 512, 512, -1}.encode()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := parseMark(bad); err == nil {
			t.Errorf("%q is believed", bad)
		}
		if _, err := parseMark(good[:i]); err == nil {
			t.Errorf("%q is believed", good[:i])
		}
	}
	for _, bad := range []string{"\n", " ", strings.Repeat("x", maxMark)} {
		if _, err := parseMark(append(bytes.Clone(good), bad...)); err == nil {
			t.Errorf("%q after a mark is believed", bad)
		}
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add(mark{65536, 512, 256, -1}.encode())
	f.Add(mark{256, 0, 0, 300}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMark(b); err == nil && !bytes.Equal(m.encode(), b) {
			t.Errorf("%q is read as %v", b, m)
		}
	})
}

func FuzzSplitBundle(f *testing.F) {
	b, _ := appendBundle(nil, [][]byte{nil, []byte("an entry"), bytes.Repeat([]byte("x"), 300)})
	f.Add(b, 3)
	f.Add([]byte{0, 0}, 1)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		if width < 0 || width > BundleSize {
			return
		}
		entries, err := splitBundle(b, width)
		if err != nil {
			return
		}
		if again, err := appendBundle(nil, entries); err != nil || len(entries) != width || !bytes.Equal(again, b) {
			t.Errorf("%x becomes %x: %v", b, again, err)
		}
	})
}

// A damaged mark is told, and a lost one is made up for by reading everything; neither is an empty tree.
func TestLostMark(t *testing.T) {
	dir := built(t, 257)
	p := filepath.Join(dir, markFile)
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := replace(p, append(b, 'x')); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), p) {
		t.Errorf("a damaged mark: %v", err)
	}
	if err := os.Remove(p); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir)
	if s.Complete() != 257*BundleSize {
		t.Errorf("%d complete", s.Complete())
	}
	verify(t, s)
	if err := s.Append(aModel().bundle(257)); err != nil {
		t.Fatal(err)
	}
	if m, found, err := s.readMark(); err != nil || !found || m.complete != 257*BundleSize {
		t.Errorf("there is no new mark: %v, %v", m, err)
	}

	first := filepath.Join(dir, "tile", "entries", "000")
	if err := errors.Join(os.Remove(p), os.Remove(first)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), first) {
		t.Errorf("without its mark and its first bundle: %v", err)
	}
}
