package bulk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, path string) *Journal {
	t.Helper()
	j, err := OpenJournal(path, "file", "target", "spiffe://x/a", noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func write(t testing.TB, j *Journal, lines ...journalLine) {
	t.Helper()
	for _, l := range lines {
		if err := j.append(l); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJournalGolden: what one release writes, the next one reads.
func TestJournalGolden(t *testing.T) {
	const golden = `{"strongroom_import":1,"file":"file","target":"target"}
{"run":"spiffe://x/a","at":"2026-05-01T12:00:00Z"}
{"sent":7,"account":"ann","at":"2026-05-01T12:00:00Z"}
{"done":7,"account":"ann","credential":"c1"}
{"sent":8,"account":"ann","at":"2026-05-01T12:00:00Z"}
{"free":8}
{"sent":8,"account":"ann","at":"2026-05-01T12:00:00Z"}
`
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	write(t, j, journalLine{Sent: 7, Account: "ann", At: &noon}, journalLine{Done: 7, Account: "ann", Credential: "c1"},
		journalLine{Sent: 8, Account: "ann", At: &noon}, journalLine{Free: 8}, journalLine{Sent: 8, Account: "ann", At: &noon})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(golden, string(raw)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
	again, err := ReadJournal(path, "file", "target")
	if err != nil {
		t.Fatal(err)
	}
	if e := again.done[7]; e.account != "ann" || e.credential != "c1" || len(again.done) != 1 {
		t.Errorf("done: %+v", again.done)
	}
	if e, ok := again.pending(8); !ok || e.identity != "spiffe://x/a" || e.try != 2 || !e.at.Equal(noon) || len(again.sent) != 1 {
		t.Errorf("sent: %+v", again.sent)
	}
	if !again.accounts("ann", "c1") || again.accounts("ann", "c2") || again.accounts("ben", "c1") || again.Empty() {
		t.Error("it doesn't account for what it did")
	}
}

// TestJournalCutOff cuts a journal at every byte, as a crash would: what was durable is known, and it can be gone on with.
func TestJournalCutOff(t *testing.T) {
	dir := t.TempDir()
	j := open(t, filepath.Join(dir, "whole"))
	write(t, j, journalLine{Sent: 1, Account: "ann", At: &noon}, journalLine{Done: 1, Account: "ann", Credential: "c1"},
		journalLine{Sent: 2, Account: "ben", At: &noon})
	raw, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(raw) + 1 {
		path := filepath.Join(dir, "cut")
		if err := os.WriteFile(path, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := string(raw[:strings.LastIndexByte(string(raw[:n]), '\n')+1])
		cut, err := OpenJournal(path, "file", "target", "spiffe://x/b", noon)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if done := strings.Contains(whole, `"done":1`); (len(cut.done) == 1) != done {
			t.Errorf("cut at %d: done is %v", n, cut.done)
		}
		write(t, cut, journalLine{Sent: 3, Account: "carl", At: &noon})
		if err := cut.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := ReadJournal(path, "file", "target")
		if err != nil {
			t.Fatalf("cut at %d, written to: %v", n, err)
		}
		if e, ok := again.pending(3); !ok || e.identity != "spiffe://x/b" || len(again.done) != len(cut.done) {
			t.Errorf("cut at %d, written to: %+v", n, again.sent)
		}
	}
}

func TestJournalRefuses(t *testing.T) {
	const head = `{"strongroom_import":1,"file":"file","target":"target"}` + "\n"
	for name, content := range map[string]string{
		"another file":         strings.Replace(head, `"file":"file"`, `"file":"other"`, 1),
		"another target":       strings.Replace(head, `"target":"target"`, `"target":"other"`, 1),
		"another version":      strings.Replace(head, `:1,`, `:2,`, 1),
		"no head":              `{"done":1,"account":"ann"}` + "\n",
		"two heads":            head + head,
		"text":                 "hello\n",
		"a report":             `{"row":1,"outcome":"imported"}` + "\n",
		"a broken line":        head + "{\n" + `{"free":1}` + "\n",
		"an unknown member":    head + `{"done":1,"colour":"red"}` + "\n",
		"two values in a line": head + `{"done":1} {"done":2}` + "\n",
		"a negative row":       head + `{"done":-1}` + "\n",
		"a line without end":   head + `{"done":1,"account":"` + strings.Repeat("a", maxJournalLine) + `"}` + "\n",
	} {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenJournal(path, "file", "target", "x", noon); !errors.Is(err, ErrJournal) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ReadJournal(path, "file", "target"); !errors.Is(err, ErrJournal) {
			t.Errorf("%s, read only: %v", name, err)
		}
		if raw, _ := os.ReadFile(path); string(raw) != content {
			t.Errorf("%s: it was written to", name)
		}
	}
}

// TestJournalBusy: two imports of one file would double it.
func TestJournalBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	if _, err := OpenJournal(path, "file", "target", "x", noon); !errors.Is(err, ErrBusy) {
		t.Errorf("a second import: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a journal of nothing is still there: %v", err)
	}
	j = open(t, path)
	write(t, j, journalLine{Done: 1, Account: "ann", Credential: "c"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j = open(t, path); j.Empty() {
		t.Error("a journal of something is gone")
	}
}

// TestJournalRemoved: who waited for a journal that was removed must not write into it.
func TestJournalRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		j := &Journal{f: f}
		if err := j.begin(path, "file", "target", noon); !errors.Is(err, ErrBusy) {
			t.Errorf("it is written to: %v", err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil { // a new one under the name
			t.Fatal(err)
		}
	}
}

// TestJournalTogether: many write at once, and each line is there when its writer goes on.
func TestJournalTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := j.append(journalLine{Done: i + 1, Account: "ann", Credential: "c"}); err != nil {
				t.Error(err)
			}
			j.syncing.Lock()
			defer j.syncing.Unlock()
			if j.synced == 0 {
				t.Error("nothing is durable")
			}
		})
	}
	wg.Wait()
	again, err := ReadJournal(path, "file", "target")
	if err != nil || len(again.done) != 50 {
		t.Errorf("%d rows, %v", len(again.done), err)
	}
}

// TestJournalBroken: after a line that wasn't written whole, nothing is written any more.
func TestJournalBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	if err := j.f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := j.append(journalLine{Done: 1}); err == nil {
			t.Error("a line was written into nowhere")
		}
	}
	if len(j.done) != 0 {
		t.Error("what wasn't written is taken for true")
	}
}

func FuzzJournalLine(f *testing.F) {
	f.Add([]byte(`{"sent":7,"account":"ann","at":"2026-05-01T12:00:00Z"}` + "\n"))
	f.Add([]byte(`{"strongroom_import":1,"file":"file","target":"target"}` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := parseJournalLine(line)
		if err == nil && (l.Sent < 0 || l.Done < 0 || l.Free < 0) {
			t.Errorf("%+v", l)
		}
	})
}
