//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// STRONGROOM_FAILPOINT is name or name:n: the process kills itself with SIGKILL when it comes to that point for the n-th
// time, 1 by default. @ and a path stand for what the file of that path says; it may come, change and go while the process
// runs, so that a test can choose a node by what it has become, such as the leader.
var wanted = os.Getenv("STRONGROOM_FAILPOINT")

var armed struct {
	sync.Mutex
	by   string // what was wanted when hits were counted last
	hits int64
}

// want is what is asked for now.
func want() string {
	path, ok := strings.CutPrefix(wanted, "@")
	if !ok {
		return wanted
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func parse(s string) (name string, times int64) {
	name, n, _ := strings.Cut(s, ":")
	times, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		times = 1
	}
	return name, times
}

// Hit kills the process if this is the point that was asked for.
func Hit(point string) {
	if wanted == "" {
		return
	}
	now := want()
	name, times := parse(now)
	if point != name {
		return
	}
	armed.Lock()
	if armed.by != now {
		armed.by, armed.hits = now, 0
	}
	armed.hits++
	kill := armed.hits == times
	armed.Unlock()
	if kill {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
