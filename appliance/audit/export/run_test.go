package export_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// server is a log's server with hooks.
type server struct {
	*audittest.Log
	reads atomic.Int64 // of tiles and bundles
	// answer changes an answer, or fails instead; nil: never.
	answer func(tree, path string, b []byte) ([]byte, error)
	trees  func([]export.Tree) []export.Tree
}

func (s *server) Trees(ctx context.Context) ([]export.Tree, error) {
	trees, err := s.Log.Trees(ctx)
	if s.trees != nil {
		trees = s.trees(trees)
	}
	return trees, err
}

func (s *server) Read(ctx context.Context, tree, path string) ([]byte, error) {
	if path != "checkpoint" {
		s.reads.Add(1)
	}
	b, err := s.Log.Read(ctx, tree, path)
	if err == nil && s.answer != nil {
		return s.answer(tree, path, b)
	}
	return b, err
}

// Whatever a server spoils is found out at once, with the place, and there is no export after it.
func TestLyingServer(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{300, 700}})
	flip := func(b []byte) ([]byte, error) {
		b = slices.Clone(b)
		b[len(b)/2] ^= 4
		return b, nil
	}
	for path, change := range map[string]func([]byte) ([]byte, error){
		"2026/tile/entries/000":       flip,
		"2026/tile/0/001.p/44":        flip,
		"2027/tile/1/000.p/2":         flip,
		"2027/tile/entries/002.p/188": flip,
		"2027/tile/0/000":             flip,
		"2027/checkpoint":             flip,
		"2026/checkpoint":             flip,
		"2027/tile/0/001":             func(b []byte) ([]byte, error) { return b[:8000], nil },
		"2027/tile/entries/001":       func(b []byte) ([]byte, error) { return make([]byte, 17<<20), nil },
		"2026/tile/0/000":             func([]byte) ([]byte, error) { return nil, fs.ErrNotExist },
	} {
		t.Run(path, func(t *testing.T) {
			s := &server{Log: l, answer: func(tree, resource string, b []byte) ([]byte, error) {
				if tree+"/"+resource == path {
					return change(b)
				}
				return b, nil
			}}
			out := filepath.Join(t.TempDir(), "export")
			_, err := export.Run(t.Context(), s, export.Config{Out: out})
			var f *export.Fault
			if !errors.As(err, &f) || f.Path != path && !strings.Contains(f.Why, path) {
				t.Errorf("it is answered with %v", err)
			}
			if _, err := os.Stat(filepath.Join(out, "export.json")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is an export all the same: %v", err)
			}
		})
	}
}

// What a server says of its trees becomes paths and sizes here.
func TestStrangeTrees(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{300, 700}})
	for name, change := range map[string]func([]export.Tree){
		"a path":           func(all []export.Tree) { all[0].Name = "../../etc" },
		"no name":          func(all []export.Tree) { all[1].Name = "" },
		"no size":          func(all []export.Tree) { all[0].Size = 0 },
		"a huge size":      func(all []export.Tree) { all[0].Size = 1<<63 - 1 },
		"below zero":       func(all []export.Tree) { all[0].First = -1 },
		"a gap":            func(all []export.Tree) { all[1].First++ },
		"an odd minimum":   func(all []export.Tree) { all[1].Minimum = 1 << 40 },
		"another origin":   func(all []export.Tree) { all[0].Origin = "elsewhere.test/log/2026" },
		"a short origin":   func(all []export.Tree) { all[0].Origin = "x" },
		"nothing signed":   func(all []export.Tree) { all[0].Signed, all[1].Signed = 0, 0 },
		"the other order":  slices.Reverse[[]export.Tree],
		"another old size": func(all []export.Tree) { all[0].Size, all[1].First = 299, 299 },
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{Log: l, trees: func(all []export.Tree) []export.Tree {
				change(all)
				return all
			}}
			dir := t.TempDir()
			if _, err := export.Run(t.Context(), s, export.Config{Out: filepath.Join(dir, "export")}); err == nil {
				t.Error("it was exported")
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "..", "etc*")); len(left) > 0 {
				t.Errorf("there is %v", left)
			}
		})
	}
	// A tree that has no checkpoint yet is not of the export.
	s := &server{Log: l, trees: func(all []export.Tree) []export.Tree {
		return append(all, export.Tree{Name: "2028", Origin: "strongroom.test/log/2028", First: 1000, Size: 1})
	}}
	if done, err := export.Run(t.Context(), s, export.Config{Out: filepath.Join(t.TempDir(), "export")}); err != nil || done.Entries != 1000 {
		t.Errorf("%+v, %v", done, err)
	}
}

// An export that was broken off anywhere is gone on with. What was there and is right is not fetched again; what was
// spoilt meanwhile is.
func TestResume(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{300, 2000}})
	policy := policyOf(t, l)
	for _, name := range []string{"export", "export.tar"} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), name)
			s := &server{Log: l}
			files := int64(0)
			broken := errors.New("the line is cut")
			for stop := int64(0); ; stop += 5 {
				s.reads.Store(0)
				s.answer = func(_, _ string, b []byte) ([]byte, error) {
					if s.reads.Load() > stop {
						return nil, broken
					}
					return b, nil
				}
				done, err := export.Run(t.Context(), s, export.Config{Out: out, Workers: 1})
				if err == nil {
					files = done.Files
					break
				}
				if !errors.Is(err, broken) {
					t.Fatal(err)
				}
			}
			// Three trees' edges are five files, and they alone are fetched at each try.
			if n := s.reads.Load(); n > 15 {
				t.Errorf("the last of the tries fetched %d files of %d", n, files)
			}
			if _, err := verify(t, out, export.Options{Policy: policy}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestResumeMendsWhatWasSpoilt(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{2000}})
	out := filepath.Join(t.TempDir(), "export")
	s := &server{Log: l}
	s.answer = func(_, path string, b []byte) ([]byte, error) {
		if path == "tile/entries/006" {
			return nil, errors.New("no more")
		}
		return b, nil
	}
	if _, err := export.Run(t.Context(), s, export.Config{Out: out, Workers: 1}); err == nil {
		t.Fatal("the export did not break off")
	}
	for _, path := range []string{"2026/tile/0/001", "2026/tile/0/002", "2026/tile/entries/000", "2026/tile/entries/003", "2026/tile/0/007.p/208"} {
		if err := os.WriteFile(filepath.Join(out, path), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.answer = nil
	s.reads.Store(0)
	if _, err := export.Run(t.Context(), s, export.Config{Out: out}); err != nil {
		t.Fatal(err)
	}
	// Four spoilt ones, two of the edge, and those that were not there: two bundles and a tile.
	if n := s.reads.Load(); n > 10 {
		t.Errorf("%d files were fetched", n)
	}
	if _, err := verify(t, out, export.Options{Policy: policyOf(t, l)}); err != nil {
		t.Error(err)
	}
}

func TestDestinations(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{600}})
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	run := func(out string, a export.Asked) error {
		_, err := export.Run(t.Context(), l, export.Config{Out: out, Asked: a})
		return err
	}
	if err := os.MkdirAll(in("other"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("other/thesis.txt"), []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in("other"), export.Asked{}); !errors.Is(err, export.ErrExists) {
		t.Errorf("into a directory of something else: %v", err)
	}
	for _, name := range []string{"a", "a.tar"} {
		if err := run(in(name), export.Asked{}); err != nil {
			t.Fatal(err)
		}
		if err := run(in(name), export.Asked{}); !errors.Is(err, export.ErrExists) {
			t.Errorf("over a finished export: %v", err)
		}
	}
	if err := run("", export.Asked{}); err == nil {
		t.Error("to nowhere")
	}
	if err := run(in("b"), export.Asked{From: "600"}); err == nil {
		t.Error("from after the end")
	}
	if err := run(in("b"), export.Asked{From: "500", To: "2026-01-01T00:00:00Z"}); err == nil {
		t.Error("a range that ends before it begins")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := export.Run(ctx, l, export.Config{Out: in("c")}); !errors.Is(err, context.Canceled) {
		t.Errorf("when it was cancelled: %v", err)
	}
	if err := run(in("c"), export.Asked{From: "1"}); !errors.Is(err, export.ErrOther) {
		t.Errorf("over an unfinished export of something else: %v", err)
	}
	if err := run(in("c"), export.Asked{}); err != nil {
		t.Errorf("going on after it was cancelled: %v", err)
	}
}

// A log that is pruned can be exported from where it still is.
func TestPrunedLog(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{67_000, 100}})
	since, pruned := headAt(t, l, 0, 66_500), headAt(t, l, 0, 300)
	policy := policyOf(t, l)
	for _, minimum := range []int64{512, 65_000, 65_536, 66_000} {
		t.Run(fmt.Sprint(minimum), func(t *testing.T) {
			l.All[0].Minimum = minimum
			run := func(c export.Config) (string, error) {
				c.Out = filepath.Join(t.TempDir(), "export")
				_, err := export.Run(t.Context(), l, c)
				return c.Out, err
			}
			if _, err := run(export.Config{}); err == nil || !strings.Contains(err.Error(), "--from "+fmt.Sprint(minimum/256*256)) {
				t.Errorf("everything, which is not there: %v", err)
			}
			from := max(minimum, 64_900)
			out, err := run(export.Config{Asked: export.Asked{From: fmt.Sprint(from)}, Since: since})
			if err != nil {
				t.Fatal(err)
			}
			r, err := verify(t, out, export.Options{Policy: policy, Since: since})
			if err != nil || r.Entries != 67_100-from {
				t.Errorf("%+v, %v", r, err)
			}
			if _, err := run(export.Config{Asked: export.Asked{From: "66900"}, Since: pruned}); err == nil {
				t.Error("it is said to be consistent with what is pruned")
			}
		})
	}
	l = makeLog(t, audittest.Config{Trees: []int64{600, 400}})
	l.All[0].Minimum = 600
	out := filepath.Join(t.TempDir(), "export")
	if _, err := export.Run(t.Context(), l, export.Config{Out: out, Asked: export.Asked{From: "600"}}); err != nil {
		t.Fatal(err)
	}
	r, err := verify(t, out, export.Options{Policy: policyOf(t, l)})
	if err != nil || r.Entries != 400 || len(r.Trees) != 1 {
		t.Errorf("of the tree after one that is all pruned: %+v, %v", r, err)
	}
}

// Majority or not, a log that was rewritten is not consistent with what was exported before.
func TestRewrittenLog(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{1200}})
	for _, size := range []int64{1, 255, 256, 1000, 1199} {
		since := headAt(t, l, 0, size)
		for _, edited := range []int64{0, size / 2, size - 1, size} {
			other := makeLog(t, audittest.Config{Trees: []int64{1200}, Edit: func(_ string, position int64, entry []byte) []byte {
				if position != edited {
					return entry
				}
				e, err := audit.ParseEntry(entry)
				if err != nil {
					t.Fatal(err)
				}
				e.Outcome = "nothing happened"
				return e.AppendJSON(nil)
			}})
			out := filepath.Join(t.TempDir(), "export")
			if _, err := export.Run(t.Context(), other, export.Config{Out: out, Asked: export.Asked{From: "1100"}, Since: since}); err != nil {
				t.Fatal(err)
			}
			_, err := verify(t, out, export.Options{Policy: policyOf(t, l), Since: since})
			var f *export.Fault
			if rewritten := edited < size; rewritten != errors.As(err, &f) || rewritten && !strings.Contains(f.Why, "the log was rewritten") {
				t.Errorf("entry %d is another one, and of size %d it is said: %v", edited, size, err)
			}
		}
	}
	// An export that was not taken with that checkpoint in mind can't show it, unless it is whole.
	since := headAt(t, l, 0, 300)
	out := filepath.Join(t.TempDir(), "export")
	if _, err := export.Run(t.Context(), l, export.Config{Out: out, Asked: export.Asked{From: "1100"}}); err != nil {
		t.Fatal(err)
	}
	_, err := verify(t, out, export.Options{Policy: policyOf(t, l), Since: since})
	if f := (*export.Fault)(nil); !errors.As(err, &f) || f.Path != "2026/tile/0/001" || !strings.Contains(f.Why, "export again with --since") {
		t.Errorf("%v", err)
	}
	later := makeLog(t, audittest.Config{Trees: []int64{3000}})
	_, err = verify(t, out, export.Options{Policy: policyOf(t, l), Since: headAt(t, later, 0, 2500)})
	if f := (*export.Fault)(nil); !errors.As(err, &f) || !strings.Contains(f.Why, "it is earlier than what it should be consistent with") {
		t.Errorf("%v", err)
	}
	next := makeLog(t, audittest.Config{Trees: []int64{1200, 5}})
	_, err = verify(t, out, export.Options{Policy: policyOf(t, l), Since: headAt(t, next, 1, 5)})
	if f := (*export.Fault)(nil); !errors.As(err, &f) || !strings.Contains(f.Why, "it has nothing of strongroom.test/log/2027") {
		t.Errorf("%v", err)
	}
}
