package export_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// The program in docs/audit.md shares nothing with this module. It has to accept what we accept, and refuse the same.
func TestPythonOfTheDocs(t *testing.T) {
	for _, program := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no " + program + ": apt-get install python3 openssl makes this run")
		}
	}
	page, err := os.ReadFile("../../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, ok := strings.Cut(string(page), "```python\n")
	script, _, ok2 := strings.Cut(script, "```\n")
	if !ok || !ok2 {
		t.Fatal("docs/audit.md has no program in Python")
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	l := makeLog(t, audittest.Config{Trees: []int64{700, 300}})
	policy, err := l.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export.Run(t.Context(), l, export.Config{Out: in("whole")}); err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(in(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("check.py", []byte(script))
	write("policy", policy)
	check := func() string {
		out, err := exec.Command("python3", in("check.py"), in("policy"), in("whole")).CombinedOutput()
		if _, ended := err.(*exec.ExitError); err != nil && !ended {
			t.Fatal(err)
		}
		if (err != nil) != strings.Contains(string(out), "REFUSED: ") || (err == nil) != strings.HasSuffix(string(out), "\nVERIFIED\n") {
			t.Errorf("it ends with %v and says:\n%s", err, out)
		}
		return string(out)
	}
	if out := check(); strings.Contains(out, "REFUSED") || strings.Count(out, "cosigned by n1 n2 n3\n") != 2 {
		t.Errorf("of a good export it says:\n%s", out)
	}
	for path, change := range map[string]func([]byte) []byte{
		"whole/2026/tile/entries/001": func(b []byte) []byte { return []byte(strings.Replace(string(b), "accepted", "rejected", 1)) },
		"whole/2027/checkpoint": func(b []byte) []byte {
			return []byte(strings.NewReplacer("/node/n1 ", "/node/m1 ", "/node/n3 ", "/node/m3 ").Replace(string(b)))
		},
	} {
		good, err := os.ReadFile(in(path))
		if err != nil {
			t.Fatal(err)
		}
		write(path, change(good))
		if out := check(); !strings.Contains(out, "REFUSED") {
			t.Errorf("after a change of %s it says:\n%s", path, out)
		}
		write(path, good)
	}
}
