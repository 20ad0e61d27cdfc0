// Package tests is what crosses packages.
package tests

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "strongroom.internal/"

// rule says what the packages under a folder may not import, not even through other packages of ours, in code that
// ships; tests may.
type rule struct {
	folder    string
	forbidden []string // imports, with all under them; paths of ours are relative to the module
	allowed   []string // exceptions, exact
	why       string
}

var (
	ours = []string{"appliance", "hsm", "cluster", "api", "radius", "cmd", "firmware-sim", "tests"}
	// impure is what would let a clock, a chance, a module, a goroutine or a logger into the core.
	impure = []string{
		"time", "crypto/rand", "math/rand", "math/rand/v2", "log", "log/slog", "os", "net", "net/http", "sync", "sync/atomic",
		"syscall", "runtime", "context", "os/exec", "os/signal", "github.com/hashicorp/go-hclog",
	}
)

// rules are DESIGN.md's, "The house": imports point inward.
var rules = []rule{
	{"appliance/otp", ours, nil, "the arithmetic stands alone"},
	{"appliance/otp/pskc", ours, []string{"appliance/otp"}, "a reader of files knows tokens, nothing else"},
	{"appliance/otp/tokenfile", ours, []string{"appliance/otp", "appliance/otp/pskc"}, "a reader of files knows tokens, nothing else"},
	{"appliance/audit", ours, nil, "an auditor verifies without the appliance"},
	{"appliance/audit/index", ours, []string{"appliance/audit"}, "an index of a log is made of entries and nothing else"},
	{"appliance/audit/tiles", ours, []string{"appliance/audit"}, "files of a log are made of entries and nothing else"},
	{"appliance/audit/archive", ours, []string{"appliance/audit"}, "an auditor archives without the appliance"},
	{"appliance/audit/export", ours, []string{"appliance/audit"}, "an auditor verifies without the appliance"},
	{"appliance/audit/audittest", ours, []string{"appliance/audit", "appliance/audit/export"}, "logs for tests are made without the appliance"},
	{"appliance/account", ours, []string{"appliance/audit", "appliance/otp"}, "the core knows codes and entries, nothing else"},
	{"hsm", ours, []string{"hsm", "hsm/pkcs11", "hsm/hsmtest"}, "hardware knows nobody who uses it"},
	{"cluster", ours, []string{"cluster", "cluster/clustertest", "cluster/failpoint", "appliance/audit", "appliance/audit/tiles", "appliance/audit/index"}, "an engine knows commands and entries, not what they mean"},
	{"appliance", []string{"api", "radius", "cmd", "firmware-sim", "tests"}, nil, "use cases don't know who calls"},
	{"api", []string{"radius", "cmd", "firmware-sim", "tests"}, nil, "only the binary sees everything"},
	{"api/client", ours, []string{"api/client", "api/wire"}, "a front-end links nothing of the server"},
	{"api/device", ours, []string{"api/device"}, "a phone links nothing of the server"},
	{"api/demo", ours, []string{"api/demo", "api/demo/app", "api/client", "api/device", "api/wire"}, "a customer has the public API and nothing else"},
	{"api/demo/app", ours, []string{"api/demo/app", "api/device", "api/wire"}, "a phone reaches its account through a front-end only"},
	{"radius", ours, []string{"api/client", "api/wire", "hsm"}, "a front-end like any other: it has the client and nothing of the server"},
	{"api/wire", ours, nil, "a front-end links nothing of the server"},
	{
		"cmd/strongroom-verify",
		[]string{"appliance", "hsm", "cluster", "api", "radius", "firmware-sim", "tests"},
		[]string{"appliance/audit", "appliance/audit/export"},
		"an auditor's program has nothing of the server in it",
	},
}

// worldly is what arithmetic and parsers have no use for.
var worldly = []string{"crypto/rand", "math/rand", "math/rand/v2", "os", "net", "net/http", "sync", "log", "os/exec"}

// direct are rules for a package's own imports, which are named exactly.
var direct = []rule{
	{"appliance/account", impure, nil, "same command + same state = same result on every node"},
	{"appliance/otp", worldly, nil, "the arithmetic is pure"},
	{"appliance/otp/pskc", worldly, nil, "a parser is pure"},
	{"appliance/otp/tokenfile", worldly, nil, "a parser is pure"},
	{
		"appliance/audit/archive",
		[]string{"database/sql", "github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"},
		nil,
		"both have an ExecuteTx that drops the error of COMMIT on PostgreSQL",
	},
}

func TestImportsPointInward(t *testing.T) {
	root, packages := packagesOfOurs(t)
	for _, r := range rules {
		r.check(t, packages, reachable(packages), within)
	}
	for _, r := range direct {
		r.check(t, packages, func(p string) []string { return packages[p] }, func(path, f string) bool { return path == f })
	}
	for p, imports := range packages {
		for _, i := range imports {
			if strings.HasPrefix(i, module+"cmd/") && !within(p, "cmd") {
				t.Errorf("%s imports %s: nobody imports a command", p, i)
			}
		}
	}
	if len(packages) < 8 {
		t.Errorf("only %d packages were found under %s", len(packages), root)
	}
}

// check applies a rule to the packages that it is for: those under its folder for which no other rule is nearer.
func (r rule) check(
	t *testing.T, packages map[string][]string, imports func(string) []string, match func(path, forbidden string) bool,
) {
	t.Helper()
	found := false
	for p := range packages {
		if nearest(p) != r.folder {
			continue
		}
		found = true
		for _, i := range imports(p) {
			path := strings.TrimPrefix(i, module)
			if slices.Contains(r.allowed, path) || path == p {
				continue
			}
			for _, f := range r.forbidden {
				if match(path, f) && (isOurs(i) || !slices.Contains(ours, f)) {
					t.Errorf("%s imports %s: %s", p, path, r.why)
				}
			}
		}
	}
	if !found {
		t.Errorf("no package is under %s: the rule has nothing to watch", r.folder)
	}
}

func isOurs(path string) bool { return strings.HasPrefix(path, module) }

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// nearest is the folder of the rule that is for a package.
func nearest(p string) (folder string) {
	for _, r := range rules {
		if within(p, r.folder) && len(r.folder) > len(folder) {
			folder = r.folder
		}
	}
	return folder
}

// reachable gives our packages that p reaches through any chain of imports.
func reachable(packages map[string][]string) func(string) []string {
	return func(p string) []string {
		var found []string
		for next := slices.Clone(packages[p]); len(next) > 0; next = next[1:] {
			if !isOurs(next[0]) || slices.Contains(found, next[0]) {
				continue
			}
			found = append(found, next[0])
			next = append(next, packages[strings.TrimPrefix(next[0], module)]...)
		}
		return found
	}
}

// packagesOfOurs reads what each package imports, by its folder. It reads files, because `go list` in a test is hidden
// from the test cache.
func packagesOfOurs(t *testing.T) (root string, packages map[string][]string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	packages = make(map[string][]string)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "run" || name == "bin") {
			return filepath.SkipDir
		}
		p, err := build.ImportDir(path, 0)
		if _, none := err.(*build.NoGoError); none {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		packages[filepath.ToSlash(relative)] = p.Imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return root, packages
}
