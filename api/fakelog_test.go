package api

import (
	"context"
	"fmt"
	"sync"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/audit"
)

// fakeLog is a log of two trees that a test lets grow: "a" with 3 entries, which is over, and "b".
type fakeLog struct {
	mu      sync.Mutex
	entries [][]byte // of both
	more    string   // in each new entry
	signed  int64    // of both
	changed chan struct{}
	waiting chan struct{} // told each time that somebody waits for news
}

const lengthOfA = 3

func newFakeLog() *fakeLog {
	l := &fakeLog{changed: make(chan struct{}), waiting: make(chan struct{}, 1024)}
	l.grow(lengthOfA + 1)
	return l
}

// grow appends entries, and sign has a checkpoint of all of them.
func (l *fakeLog) grow(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		l.entries = append(l.entries, fmt.Appendf(nil, "{\"v\":2,\"index\":%d,\"detail\":\"<&> \u2028%s\"}", len(l.entries), l.more))
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *fakeLog) sign() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signed = int64(len(l.entries))
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *fakeLog) trees() []appliance.LogTree {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []appliance.LogTree{
		{Head: audit.Head{Tree: "a", Size: lengthOfA}, Closed: true},
		{Head: audit.Head{Tree: "b", First: lengthOfA, Size: int64(len(l.entries)) - lengthOfA}},
	}
	if l.signed > 0 {
		all[0].Signed, all[1].Signed = lengthOfA, l.signed-lengthOfA
	}
	return all
}

func (l *fakeLog) checkpoint(tree string) []byte {
	for _, t := range l.trees() {
		if t.Tree == tree {
			return []byte(audit.CheckpointText("test/log/"+tree, t.Signed, t.Root) + "\n\u2014 test/log/" + tree + " AAAA\n")
		}
	}
	return nil
}

func (l *fakeLog) read(from int64, n int) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := int64(len(l.entries))
	if from < lengthOfA {
		end = lengthOfA
	}
	if from >= end {
		return nil
	}
	return l.entries[from:min(end, from+int64(n))]
}

func (l *fakeLog) news(ctx context.Context, index, signed int64) error {
	for {
		l.mu.Lock()
		there, changed := int64(len(l.entries)) > index || l.signed > signed, l.changed
		l.mu.Unlock()
		if there {
			return nil
		}
		l.waiting <- struct{}{}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
