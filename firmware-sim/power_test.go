package firmwaresim

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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
	p, err := start(program(t, "sleep 600 & echo $! > "+helper+".new; mv "+helper+".new "+helper+"; wait"), filepath.Join(dir, "log"), nil)
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
	if err := p.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitState(t, pid, "T")
	// A stopped group whose last parent ends is hung up by the kernel: it has to run for us to be the ones who end it.
	if err := p.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	awaitState(t, pid, "S")
	if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL); err != nil { // the program alone
		t.Fatal(err)
	}
	awaitState(t, pid, "gone", "Z") // a zombie's reaping is init's
}

// Nodes end with the program that holds them, also when that is killed and can't do anything about it.
func TestChildrenEndWithTheirParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), holdVariable+"="+filepath.Join(t.TempDir(), "log"))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	child := strings.TrimSpace(line)
	if err == nil {
		awaitState(t, child, "S")
	}
	if killed := parent.Process.Kill(); err != nil || killed != nil {
		t.Fatal(err, killed)
	}
	_ = parent.Wait() // it was killed
	awaitState(t, child, "gone", "Z")
}

// awaitState waits until a process is in one of these states (proc(5)), or gone.
func awaitState(t *testing.T, pid string, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := poll(ctx, never, func(context.Context) error {
		state := "gone"
		if raw, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
			_, rest, _ := strings.Cut(string(raw), ") ")
			state = rest[:1]
		}
		if !slices.Contains(want, state) {
			return errors.New("it is " + state)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("process %s: %v", pid, err)
	}
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
