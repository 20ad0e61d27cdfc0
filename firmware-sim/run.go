package firmwaresim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Run runs the strongroom program and returns what it wrote to stdout. An error has what it wrote to stderr.
func (r *Rack) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, r.binary, args...)
	command.Env = childEnv()
	command.Stdin = strings.NewReader(stdin)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	started := make(chan error)
	launcher() <- func() { started <- command.Start() }
	err := <-started
	if err == nil {
		err = command.Wait()
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("strongroom %s: %w: %s", args[0], errors.Join(err, ctx.Err()),
			strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// RunAs runs a command of a client, with credentials and all nodes.
func (r *Rack) RunAs(ctx context.Context, c Credentials, stdin string, args ...string) (string, error) {
	return r.Run(ctx, stdin, append(args, "--nodes", strings.Join(addresses(r.Chassis), ","), "--credentials", c.Dir)...)
}
