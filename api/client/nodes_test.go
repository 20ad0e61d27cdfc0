package client

import (
	"testing"
	"time"
)

func TestNodes(t *testing.T) {
	now := time.Now()
	var n nodes
	n.init([]string{"a", "b", "c"})
	pick := func(want string, tried ...bool) int {
		t.Helper()
		at, addr := n.pick(append(tried, make([]bool, 3-len(tried))...), now)
		if addr != want {
			t.Errorf("picked %s, want %s", addr, want)
		}
		return at
	}
	pick("a")
	pick("b", true)
	pick("a", true, true, true) // all tried: better the current one than none
	n.failed(0, 0, now)
	n.answered(pick("b"))
	pick("b")
	n.failed(1, 10*time.Second, now)
	pick("c")
	n.failed(2, 5*time.Second, now)
	now = now.Add(time.Second)
	pick("a") // has rested
	n.failed(0, 20*time.Second, now)
	pick("c") // nobody has rested: the one that will be first
	n.answered(2)
	pick("c")
	n.failed(2, 0, now)
	if rest := n.list[2].until.Sub(now); rest < minRest/2 || rest > minRest {
		t.Errorf("after an answer the first failure costs %v", rest)
	}
	for range 40 {
		n.failed(2, time.Hour, now)
	}
	if rest := n.list[2].until.Sub(now); rest != maxRest {
		t.Errorf("a rest of %v", rest)
	}
}
