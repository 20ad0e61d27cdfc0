//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// STRONGROOM_FAILPOINT is name or name:n: the process kills itself with SIGKILL when it comes to that point for the n-th
// time, 1 by default.
var name, times = parse(os.Getenv("STRONGROOM_FAILPOINT"))

var hits atomic.Int64

func parse(s string) (string, int64) {
	name, n, _ := strings.Cut(s, ":")
	times, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		times = 1
	}
	return name, times
}

// Hit kills the process if this is the point that was asked for.
func Hit(point string) {
	if point == name && hits.Add(1) == times {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
