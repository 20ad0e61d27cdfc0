package firmwaresim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// BinaryVariable names a strongroom program that is already built, for test runs of many packages.
const BinaryVariable = "STRONGROOM_BINARY"

// Build builds the strongroom program into dir, from the module that the working directory is in, and returns its path.
// The program that BinaryVariable names is taken instead. Flags are more of go build's.
func Build(ctx context.Context, dir string, flags ...string) (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "strongroom")
	build := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", path}, flags...), "strongroom.internal/cmd/strongroom")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building strongroom: %w: %s", err, bytes.TrimSpace(out))
	}
	return path, nil
}

// built is shared by the tests of one test program.
var built struct {
	sync.Mutex
	dir, path string
}

// Main runs the tests (m is a *testing.M) of a package that powers racks up, and removes the program that they built. Call it from TestMain
// and exit with its result.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	built.Lock()
	defer built.Unlock()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// TestBinary builds the strongroom program once for all tests of a test program; see Main. It has the points at which a
// test can have a node killed: see cluster/failpoint.
func TestBinary(ctx context.Context) (path string, err error) {
	built.Lock()
	defer built.Unlock()
	if built.path != "" {
		return built.path, nil
	}
	dir, err := os.MkdirTemp("", "strongroom-binary-")
	if err != nil {
		return "", fmt.Errorf("building strongroom: %w", err)
	}
	path, err = Build(ctx, dir, "-tags", "failpoints")
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	built.dir, built.path = dir, path
	return path, nil
}
