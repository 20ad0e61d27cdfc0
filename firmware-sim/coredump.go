package firmwaresim

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
)

// CoreDump writes all of a running node's memory to a file beginning with prefix and returns its path. The node stands
// still meanwhile. It needs gcore (apt-get install gdb) and the right to trace, which root has.
func (c *Chassis) CoreDump(ctx context.Context, prefix string) (string, error) {
	pid := c.PID()
	if pid == 0 {
		return "", fmt.Errorf("dumping the memory of %s: %w", c.ID(), ErrOff)
	}
	// -a: what a process marks as not to be dumped is what we look for.
	out, err := exec.CommandContext(ctx, "gcore", "-a", "-o", prefix, fmt.Sprint(pid)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("dumping the memory of %s: gcore: %w: %s", c.ID(), err, bytes.TrimSpace(out))
	}
	return fmt.Sprintf("%s.%d", prefix, pid), nil
}
