package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	firmwaresim "strongroom.internal/firmware-sim"
)

func TestMain(m *testing.M) { os.Exit(firmwaresim.Main(m)) }

// TestDemoLinesWorkWhenPasted does what `make run` does, runs exactly the lines that it prints, ends it with Ctrl-C, and
// finds its state the second time.
func TestDemoLinesWorkWhenPasted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	programs := filepath.Join(dir, "bin")
	link(ctx, t, programs)

	lines := powerUp(ctx, t, dir, func(lines []string, address string) {
		if page := get(ctx, t, address); !strings.Contains(page, "Make a person with a trusted phone") {
			t.Errorf("the site at %s shows:\n%s", address, page)
		}
		out := bash(ctx, t, dir, lines)
		outcomes := regexp.MustCompile(`"outcome":"(\w+)"`).FindAllStringSubmatch(out, -1)
		var got []string
		for _, o := range outcomes[:min(5, len(outcomes))] {
			got = append(got, o[1])
		}
		if want := []string{"accepted", "spent", "spent", "spent", "spent"}; !slices.Equal(got, want) {
			t.Errorf("outcomes %v, want %v, in:\n%s", got, want, out)
		}
		for _, want := range []string{
			`"operation":"verify"`, "quorum", "off", // entries, strongroom status, firmware-sim status
			"Failed to connect",                                                                            // the node that was killed
			"the entry is in the signed log", "every entry and tile of the export", "strongroom.test/log/", // the proof, and the export
		} {
			if !strings.Contains(out, want) {
				t.Errorf("no %s in:\n%s", want, out)
			}
		}
		second := exec.CommandContext(ctx, filepath.Join(programs, "firmware-sim"), "up")
		second.Dir = dir
		if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "is up already") {
			t.Errorf("a second up: %v: %s", err, out)
		}
	})
	again := powerUp(ctx, t, dir, func(lines []string, address string) {
		get(ctx, t, address)
		// The code was spent in another life, if its 90 s aren't over.
		if out := bash(ctx, t, dir, lines[:3]); !strings.Contains(out, `"outcome"`) {
			t.Errorf("the second time:\n%s", out)
		}
	})
	if !slices.Equal(lines, again) {
		t.Errorf("the second time other lines were printed:\n%s\n%s", strings.Join(lines, "\n"), strings.Join(again, "\n"))
	}
	down := exec.CommandContext(ctx, filepath.Join(programs, "firmware-sim"), "status")
	down.Dir = dir
	if out, err := down.CombinedOutput(); err == nil || !strings.Contains(string(out), "is not up") {
		t.Errorf("status of a rack that is down: %v: %s", err, out)
	}
}

// link puts both programs side by side, as make build does.
func link(ctx context.Context, t *testing.T, programs string) {
	t.Helper()
	strongroom, err := firmwaresim.TestBinary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(strongroom, filepath.Join(programs, "strongroom")); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", programs, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// powerUp runs `firmware-sim up --demo` in dir until it is ready, calls meanwhile with the lines to paste and the site's
// address, and ends it as
// Ctrl-C does.
func powerUp(ctx context.Context, t *testing.T, dir string, meanwhile func(lines []string, address string)) (lines []string) {
	t.Helper()
	up := exec.CommandContext(ctx, filepath.Join("bin", "firmware-sim"), "up", "--demo")
	up.Dir, up.Path = dir, filepath.Join(dir, "bin", "firmware-sim")
	up.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	up.Cancel = func() error { return up.Process.Signal(syscall.SIGTERM) }
	up.WaitDelay = time.Minute
	var messages bytes.Buffer
	up.Stderr = &messages
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := up.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		if err := up.Wait(); err != nil {
			t.Errorf("%v: %s", err, messages.String())
		}
	}()
	ready, address := false, ""
	for in := bufio.NewScanner(out); !ready && in.Scan(); {
		if line, ok := strings.CutPrefix(in.Text(), "  "); ok {
			lines = append(lines, line)
		}
		if _, at, ok := strings.Cut(in.Text(), "side by side: "); ok {
			address = at
		}
		ready = strings.HasPrefix(in.Text(), "Strongroom is ready.")
	}
	if !ready || len(lines) < 8 {
		t.Errorf("not ready, %d lines: %s", len(lines), messages.String())
		return lines
	}
	meanwhile(lines, address)
	return lines
}

func get(ctx context.Context, t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%s is answered %d, %v", address, answer.StatusCode, err)
	}
	return string(page)
}

func bash(ctx context.Context, t *testing.T, dir string, lines []string) string {
	t.Helper()
	shell := exec.CommandContext(ctx, "bash")
	shell.Dir = dir
	shell.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	out, err := shell.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s(bash: %v)", out, err)
	}
	return string(out)
}
