package export_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

func makeLog(t testing.TB, c audittest.Config) *audittest.Log {
	t.Helper()
	l, err := audittest.MakeLog(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sharedLog makes a log once for all tests, which only read it.
func sharedLog(t testing.TB, trees []int64) *audittest.Log {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	key := fmt.Sprint(trees)
	if shared.logs[key] == nil {
		shared.logs[key] = makeLog(t, audittest.Config{Trees: trees})
	}
	return shared.logs[key]
}

var shared = struct {
	sync.Mutex
	logs map[string]*audittest.Log
}{logs: map[string]*audittest.Log{}}

func policyOf(t testing.TB, l *audittest.Log) *audit.Policy {
	t.Helper()
	b, err := l.Policy(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p, err := audit.ParsePolicy(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// headAt is the head of a tree of a log when it had a size, as an auditor would have it of an earlier export.
func headAt(t testing.TB, l *audittest.Log, k int, size int64) *audit.SignedHead {
	t.Helper()
	h, err := policyOf(t, l).Open(checkpointAt(t, l, k, size))
	if err != nil {
		t.Fatal(err)
	}
	return &h
}

// checkpointAt is what the nodes signed of tree k when it had a size.
func checkpointAt(t testing.TB, l *audittest.Log, k int, size int64) []byte {
	t.Helper()
	tree := l.All[k]
	root, err := l.Root(context.Background(), tree, size)
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Checkpoint(audit.CheckpointText(tree.Origin, size, root))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify opens an export and verifies it.
func verify(t testing.TB, path string, o export.Options) (*export.Report, error) {
	t.Helper()
	e, err := export.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r, err := export.Verify(context.Background(), e, o)
	if err == nil {
		t.Cleanup(r.Close)
	}
	return r, err
}

// shape is an export of a log.
type shape struct {
	trees    []int64
	from, to string
	since    int64 // size of the last tree of the earlier log
	sinceIn  int   // how many trees that had fewer
	first    int64 // index that the range has to begin with
	entries  int64 // that have to be in it
}

func (s shape) String() string {
	return fmt.Sprintf("%v,%s..%s,since-%d", s.trees, s.from, s.to, s.since)
}

// The three entries of a trio have the same time, and the trios are a minute apart: entry 300 is of minute 100, 01:40.
var shapes = []shape{
	{trees: []int64{1}, entries: 1},
	{trees: []int64{2}, entries: 2},
	{trees: []int64{255}, entries: 255},
	{trees: []int64{256}, entries: 256},
	{trees: []int64{257}, entries: 257},
	{trees: []int64{511}, entries: 511},
	{trees: []int64{512}, entries: 512},
	{trees: []int64{1000}, since: 300, entries: 1000},
	{trees: []int64{256, 1}, entries: 257},
	{trees: []int64{1, 1}, entries: 2},
	{trees: []int64{300, 256, 257}, entries: 813},
	{trees: []int64{300, 256, 257}, since: 100, sinceIn: 2, entries: 813},
	{trees: []int64{2000}, from: "1", to: "1", first: 1, entries: 1},
	{trees: []int64{2000}, from: "0", to: "0", entries: 1},
	{trees: []int64{2000}, from: "1999", first: 1999, entries: 1},
	{trees: []int64{2000}, from: "256", to: "511", first: 256, entries: 256},
	{trees: []int64{2000}, from: "500", to: "99999", first: 500, entries: 1500},
	{trees: []int64{2000}, to: "300", entries: 301},
	{trees: []int64{2000}, from: "2026-01-01T01:40:00Z", to: "2026-01-01T01:40:00Z", first: 300, entries: 3},
	{trees: []int64{2000}, from: "2026-01-01T01:40:00.001Z", to: "2026-01-01T01:42:00.000Z", first: 303, entries: 6},
	{trees: []int64{2000}, from: "2026-01-01T01:40:01Z", to: "2026-01-01T01:40:59Z", first: 303, entries: 0},
	{trees: []int64{2000}, from: "2026-01-01", to: "2026-01-01", entries: 2000},
	{trees: []int64{2000}, from: "2026-01-02", to: "2026-01-03", first: 2000, entries: 0},
	{trees: []int64{2000}, from: "2025-01-02", to: "2025-01-03", entries: 0},
	{trees: []int64{2000}, from: "2026-01-01T04:15:00+02:00", since: 1500, first: 405, entries: 1595},
	{trees: []int64{2000}, from: "1000", to: "2026-01-01T07:00:00Z", first: 1000, entries: 263},
	{trees: []int64{5000}, from: "2026-01-02", since: 4096, first: 4320, entries: 680},
	{trees: []int64{5000}, from: "2026-01-02", since: 5000, first: 4320, entries: 680},
	{trees: []int64{5000}, from: "2026-01-02", since: 1, first: 4320, entries: 680},
	{trees: []int64{600, 600, 600}, from: "2026-01-01T03:20:00Z", to: "2026-01-01T05:00:00Z", first: 600, entries: 303},
	{trees: []int64{600, 600, 600}, from: "1300", first: 1300, entries: 500},
	{trees: []int64{600, 600, 600}, from: "1300", since: 77, sinceIn: 2, first: 1300, entries: 500},
	{trees: []int64{600, 600, 600}, from: "1200", to: "1200", first: 1200, entries: 1},
	{trees: []int64{600, 600, 600}, from: "0", to: "2026-01-01T03:20:00Z", entries: 603},
	{trees: []int64{65536}, from: "2026-01-16", since: 65000, first: 64800, entries: 736},
	{trees: []int64{65537}, entries: 65537},
	{trees: []int64{66000, 700}, from: "65900", to: "66100", since: 65536, sinceIn: 1, first: 65900, entries: 201},
}

// earlier is the head of the log when there was an earlier export; nil when there was none.
func (s shape) earlier(t testing.TB, l *audittest.Log) *audit.SignedHead {
	if s.since == 0 {
		return nil
	}
	return headAt(t, l, len(s.trees)-1-s.sinceIn, s.since)
}

func (s shape) export(t testing.TB, l *audittest.Log, out string) *export.Done {
	t.Helper()
	done, err := export.Run(context.Background(), l, export.Config{
		Out: out, Asked: export.Asked{From: s.from, To: s.to}, Since: s.earlier(t, l),
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestShapes(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			l := sharedLog(t, s.trees)
			dir := t.TempDir()
			o := export.Options{Policy: policyOf(t, l), Since: s.earlier(t, l)}
			for _, out := range []string{filepath.Join(dir, "export"), filepath.Join(dir, "export.tar")} {
				s.export(t, l, out)
				r, err := verify(t, out, o)
				if err != nil {
					t.Fatal(err)
				}
				if r.From != s.first || r.To != s.first+s.entries || r.Entries != s.entries {
					t.Errorf("entries %d to before %d are in the range, %d in all; want %d of them from %d on", r.From, r.To, r.Entries, s.entries, s.first)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "export.tar.partial")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the archive's directory is left: %v", err)
			}
		})
	}
}

// Two exports of the same thing are the same bytes.
func TestArchivesAreAlike(t *testing.T) {
	s := shape{trees: []int64{700, 300}, from: "2026-01-01T03:00:00Z"}
	l := makeLog(t, audittest.Config{Trees: s.trees})
	var archives [][]byte
	for range 2 {
		out := filepath.Join(t.TempDir(), "a.tar")
		s.export(t, l, out)
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, b)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives of two exports differ")
	}
}
