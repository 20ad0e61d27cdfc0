package export_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// member is a file of an archive, with its header and padding: bytes from start to end.
type member struct {
	path       string
	start, end int
}

func membersOf(t *testing.T, archive []byte) (all []member) {
	r := bytes.NewReader(archive)
	at := func() int { return len(archive) - r.Len() }
	tr := tar.NewReader(r)
	start := 0
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		size := int(h.Size+511) / 512 * 512
		all = append(all, member{h.Name, start, start + 512 + size})
		if at() != start+512 {
			t.Fatalf("the header of %s has %d bytes", h.Name, at()-start)
		}
		start += 512 + size
	}
}

// What the directory's tests show of content holds here too; this is of what an archive has around it.
func TestTamperedArchivesAreRefused(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{300, 257}})
	sp := &specimen{log: l, policy: policyOf(t, l)}
	out := filepath.Join(t.TempDir(), "export.tar")
	shape{}.export(t, l, out)
	good, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	members := membersOf(t, good)
	end := members[len(members)-1].end
	check := func(what string, archive []byte, where place) {
		t.Helper()
		if err := where.check(sp.verifyOpened(export.OpenArchive(bytes.NewReader(archive)))); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	memberAt := func(at int) string {
		for _, m := range members {
			if at < m.end {
				return m.path
			}
		}
		return ""
	}
	part := func(m member) []byte { return good[m.start:m.end] }
	r := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		b := bytes.Clone(good)
		at := r.IntN(end)
		if r.IntN(2) == 0 { // in a header, or after a file
			m := members[r.IntN(len(members))]
			at = m.start + r.IntN(512)
		}
		b[at] ^= 1 << r.IntN(8)
		check("a bit flipped", b, place{paths: []string{memberAt(at)}, position: -1, named: isEdge(memberAt(at))})
	}
	for _, m := range members {
		if good[m.end-1] == 0 && !isTile(m.path) { // no file here ends in a zero: that is padding
			b := bytes.Clone(good)
			b[m.end-1] = 1
			check("something after a file", b, in(m.path))
		}
	}
	for range 40 {
		at := r.IntN(end)
		check("cut short", good[:at], in(memberAt(at)))
	}
	for range 20 {
		k := r.IntN(len(members) - 1)
		check("two files in the other order", append(append(append(bytes.Clone(good[:members[k].start]), part(members[k+1])...), part(members[k])...),
			good[members[k+1].end:]...), in(members[k].path))
		check("a file twice", append(append(bytes.Clone(good[:members[k].end]), part(members[k])...), good[members[k].end:]...), in(members[k+1].path))
		check("a file left out", append(bytes.Clone(good[:members[k].start]), good[members[k].end:]...), in(members[k].path))
	}
	check("the last file left out", append(bytes.Clone(good[:members[len(members)-1].start]), good[end:]...), in(members[len(members)-1].path))
	check("one more file", append(append(bytes.Clone(good[:end]), part(members[0])...), good[end:]...), in(members[0].path))
	check("no end", good[:end], in(""))
	check("half an end", good[:end+512], in(""))
	check("more after the end", append(bytes.Clone(good), 0), in(""))
	check("another archive after the end", append(bytes.Clone(good), good...), in(""))
	check("something at the end", append(bytes.Clone(good[:end+600]), append([]byte{1}, make([]byte, 423)...)...), in(""))
	check("nothing", nil, in("export.json"))
	if err := sp.verifyOpened(export.OpenArchive(bytes.NewReader(good))); err != nil {
		t.Errorf("the archive itself: %v", err)
	}
}

// An archive is plain tar: other programs unpack it to the directory.
func TestArchiveUnpacksToTheDirectory(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{300, 257}})
	dir := t.TempDir()
	shape{}.export(t, l, filepath.Join(dir, "export.tar"))
	f, err := os.Open(filepath.Join(dir, "export.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr := tar.NewReader(f)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "unpacked", filepath.FromSlash(h.Name))
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := verify(t, filepath.Join(dir, "unpacked"), export.Options{Policy: policyOf(t, l)}); err != nil {
		t.Error(err)
	}
}
