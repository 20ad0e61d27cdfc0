package firmwaresim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// program is a node that is a shell script.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// A node that ends at once is an error with its last words, not a time-out.
func TestPowerOnTellsWhyTheNodeEnded(t *testing.T) {
	r := newTestRack(t, 1)
	r.binary = program(t, "echo my disk is full >&2; exit 7")
	err := r.Chassis[0].PowerOn(t.Context())
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"powering n1 on", "exit status 7", "my disk is full"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if got := r.Chassis[0].Power(); got != Off {
		t.Errorf("the chassis is %v", got)
	}
}

// A program's helpers end with it, and pausing reaches them.
func TestGroupEndsWithTheProgram(t *testing.T) {
	dir := t.TempDir()
	helper := filepath.Join(dir, "helper")
	p, err := start(program(t, "sleep 600 & echo $! > "+helper+".new; mv "+helper+".new "+helper+"; wait"), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.signal(syscall.SIGKILL) }()
	err = poll(t.Context(), never, func(context.Context) error { _, err := os.Stat(helper); return err })
	if err != nil {
		t.Fatal(err)
	}
	pid, err := readLine(helper)
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		raw, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return "gone"
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		return rest[:1]
	}
	await := func(want ...string) {
		t.Helper()
		err := poll(t.Context(), never, func(context.Context) error {
			for _, w := range want {
				if state() == w {
					return nil
				}
			}
			return errors.New("the helper is " + state())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await("T")
	if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL); err != nil { // the program alone
		t.Fatal(err)
	}
	await("gone", "Z") // a zombie's reaping is init's
}

func TestChassisThatIsOff(t *testing.T) {
	c := newTestRack(t, 1).Chassis[0]
	for doing, err := range map[string]error{"pausing": c.Pause(), "resuming": c.Resume(), "readiness": c.Ready(t.Context())} {
		if !errors.Is(err, ErrOff) {
			t.Errorf("%s: %v", doing, err)
		}
	}
	if err := errors.Join(c.PowerOff(), c.Kill(), c.WipeDisk()); err != nil {
		t.Errorf("what is off stays off: %v", err)
	}
}
