package export_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// golden compares with a file of testdata. These are formats that auditors keep: if a test fails here, find another way
// than changing a file. STRONGROOM_GOLDEN=write makes one that is not there.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && os.Getenv("STRONGROOM_GOLDEN") == "write" {
		err = os.WriteFile(path, got, 0o644)
		want = got
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s changed (-golden +now):\n%s", path, cmp.Diff(string(want), string(got)))
	}
}

// The archive of a log of two trees: made the same today as ever, and accepted as ever.
func TestArchiveGolden(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{4, 5}})
	dir := t.TempDir()
	s := shape{trees: []int64{4, 5}, from: "2026-01-01T00:01:00Z", to: "6", since: 2}
	s.export(t, l, filepath.Join(dir, "export.tar"))
	archive, err := os.ReadFile(filepath.Join(dir, "export.tar"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "export.tar", archive)
	policy, err := l.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "policy", policy)
	s.export(t, l, filepath.Join(dir, "export"))
	manifest, err := os.ReadFile(filepath.Join(dir, "export/export.json"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "export.json", manifest)

	p, err := export.ReadPolicy("testdata/policy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, "testdata/export.tar", export.Options{Policy: p}); err != nil {
		t.Error(err)
	}
}

var seconds = regexp.MustCompile(`"seconds": [0-9.e-]+|in [0-9.]+ s, [0-9]+/s`)

func TestReportGolden(t *testing.T) {
	l := makeLog(t, audittest.Config{Trees: []int64{40, 50}, Edit: func(_ string, position int64, entry []byte) []byte {
		if position != 17 {
			return entry
		}
		e, err := audit.ParseEntry(entry)
		if err != nil {
			t.Fatal(err)
		}
		e.Operation, e.Key = "clear\x1b[2J the screen", "<key>"
		return e.AppendJSON(nil)
	}})
	out := filepath.Join(t.TempDir(), "export")
	since := headAt(t, l, 1, 7)
	if _, err := export.Run(t.Context(), l, export.Config{Out: out, Asked: export.Asked{From: "10", To: "2026-01-01"}, Since: since}); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int{0, 1} { // counted in memory and in files, it reads the same
		r, err := verify(t, out, export.Options{Policy: policyOf(t, l), Since: since, MaxDistinct: most})
		if err != nil {
			t.Fatal(err)
		}
		var text, asJSON bytes.Buffer
		if err := r.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteJSON(&asJSON); err != nil {
			t.Fatal(err)
		}
		golden(t, "report.txt", seconds.ReplaceAll(text.Bytes(), []byte("in TIME")))
		golden(t, "report.json", seconds.ReplaceAll(asJSON.Bytes(), []byte(`"seconds": 0`)))
		if !json.Valid(asJSON.Bytes()) {
			t.Error("the report is no JSON")
		}
	}
}
