package export_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// Logs that a majority has signed and that are wrong all the same: exporter and verifier say the same of them.
func TestSignedAndWrong(t *testing.T) {
	edit := func(tree string, position int64, change func(*audit.Entry)) func(string, int64, []byte) []byte {
		return func(name string, at int64, entry []byte) []byte {
			if name != tree || at != position {
				return entry
			}
			e, err := audit.ParseEntry(entry)
			if err != nil {
				t.Fatal(err)
			}
			change(e)
			return e.AppendJSON(nil)
		}
	}
	raw := func(change func(entry []byte) []byte) func(string, int64, []byte) []byte {
		return func(name string, at int64, entry []byte) []byte {
			if name == "2027" && at == 280 {
				return change(entry)
			}
			return entry
		}
	}
	for name, c := range map[string]struct {
		edit     func(string, int64, []byte) []byte
		path     string
		position int64
		why      string
	}{
		"an index twice": {edit("2026", 270, func(e *audit.Entry) { e.Index-- }), "2026/tile/entries/001.p/44", 270, "it says that its index is 269"},
		"an index left out": {
			edit("2027", 1, func(e *audit.Entry) { e.Index++ }), "2027/tile/entries/000", 1, "it says that its index is 302",
		},
		"time runs backwards": {
			edit("2027", 256, func(e *audit.Entry) { e.Time -= 120_000 }), "2027/tile/entries/001.p/144", 256, "its time is before that of the entry before",
		},
		"time runs backwards from tree to tree": {
			edit("2027", 0, func(e *audit.Entry) { e.Time = 0 }), "2027/tile/entries/000", 0, "its time is before that of the entry before",
		},
		"no entry": {
			raw(func([]byte) []byte { return nil }), "2027/tile/entries/001.p/144", 280, "not a log entry",
		},
		"another spelling": {
			raw(func(b []byte) []byte { return append(b, ' ') }), "2027/tile/entries/001.p/144", 280, "not a log entry",
		},
		"a version that is not known": {
			raw(func(b []byte) []byte { return append([]byte(`{"v":3`), b[len(`{"v":2`):]...) }), "2027/tile/entries/001.p/144", 280, "version 3 is not known",
		},
		"no end-tree": {
			edit("2026", 299, func(e *audit.Entry) { e.Operation = "verify" }), "2026/tile/entries/001.p/44", 299, "this is no end-tree entry for tree 2027",
		},
		"an end-tree for another tree": {
			edit("2026", 299, func(e *audit.Entry) { e.Subject = "2029" }), "2026/tile/entries/001.p/44", 299, `it says that tree "2029" follows`,
		},
		"an end-tree in the middle": {
			edit("2026", 100, func(e *audit.Entry) { e.Operation = "end-tree" }), "2026/tile/entries/000", 100, "it ends the tree, and more follows it",
		},
		"no begin-tree": {
			edit("2027", 0, func(e *audit.Entry) { e.Operation = "verify" }), "2027/tile/entries/000", 0, "a tree begins with a begin-tree entry",
		},
		"a begin-tree in the middle": {
			edit("2027", 7, func(e *audit.Entry) { e.Operation = "begin-tree" }), "2027/tile/entries/000", 7, "has no other",
		},
		"a begin-tree in the first tree": {
			edit("2026", 0, func(e *audit.Entry) { e.Operation = "begin-tree" }), "2026/tile/entries/000", 0, "but for the first",
		},
		"a begin-tree of another tree": {
			edit("2027", 0, func(e *audit.Entry) { e.Subject = "2028" }), "2027/tile/entries/000", 0, `it begins the tree "2028"`,
		},
		"a begin-tree after nothing": {
			edit("2027", 0, func(e *audit.Entry) { e.Detail = "" }), "2027/tile/entries/000", 0, "not the text of the old tree's last checkpoint",
		},
		"a begin-tree after another root": {
			edit("2027", 0, func(e *audit.Entry) {
				e.Detail = audit.CheckpointText("strongroom.test/log/2026", 300, [32]byte{1})
			}), "2026/checkpoint", -1, "tree 2027 begins after another root of 2026",
		},
		"a begin-tree after another size": {
			edit("2027", 0, func(e *audit.Entry) {
				e.Detail = strings.Replace(e.Detail, "\n300\n", "\n299\n", 1)
			}), "export.json", -1, "of size 300 comes before tree 2027; the tree itself says",
		},
		"a begin-tree after another log": {
			edit("2027", 0, func(e *audit.Entry) {
				e.Detail = strings.Replace(e.Detail, "strongroom.test", "elsewhere.test", 1)
			}), "export.json", -1, "the tree itself says that it is elsewhere.test/log/2026",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := makeLog(t, audittest.Config{Trees: []int64{300, 400}, Edit: c.edit})
			_, err := export.Run(t.Context(), l, export.Config{Out: filepath.Join(t.TempDir(), "export")})
			var f *export.Fault
			if !errors.As(err, &f) || f.Path != c.path || f.Position != c.position || !strings.Contains(f.Why, c.why) {
				t.Errorf("it is answered with %v", err)
			}
		})
	}
}

// An older tree whose nodes are gone is vouched for by the tree after it, whether its checkpoint is there or not.
func TestOlderTreeOfOtherNodes(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{300, 400}})
	old := l.All[0]
	checkpoint, err := l.Checkpoint(audit.CheckpointText(old.Origin, old.Size, old.Root), stranger(t, "m1"), stranger(t, "m2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Put("2026", "checkpoint", checkpoint); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "export")
	if _, err := export.Run(t.Context(), l, export.Config{Out: out}); err != nil {
		t.Fatal(err)
	}
	r, err := verify(t, out, export.Options{Policy: policyOf(t, l)})
	if err != nil || len(r.Trees[0].Signed) != 0 || r.Trees[0].Chain != "2027" {
		t.Errorf("%+v, %v", r, err)
	}
	s := &server{Log: l, answer: func(tree, path string, b []byte) ([]byte, error) {
		if tree == "2026" && path == "checkpoint" {
			return nil, fs.ErrNotExist
		}
		return b, nil
	}}
	out = filepath.Join(t.TempDir(), "export")
	if _, err := export.Run(t.Context(), s, export.Config{Out: out}); err != nil {
		t.Fatal(err)
	}
	if r, err := verify(t, out, export.Options{Policy: policyOf(t, l)}); err != nil || r.Entries != 700 {
		t.Errorf("%+v, %v", r, err)
	}
}
