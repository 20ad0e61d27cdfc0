package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// logStore is Raft's log and its vote, on one disk.
type logStore interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
	Close() error
}

// walSegment is the size of the files of Raft's log, in bytes. A file is removed when all of it has been cut off: smaller
// ones go sooner, larger ones are begun less often.
const walSegment = 4 << 20

// openLog opens raft-wal's log. Version 0.4.1 at least: in 0.4.0, a log whose end had been cut off could not be read after
// a restart (hashicorp/raft-wal issue 31). 0.4.2 needs an older go-metrics than raft does.
func openLog(cfg *Config) (logStore, error) {
	w, err := wal.Open(filepath.Join(cfg.DataDir, logDir), wal.WithLogger(cfg.Logger.Named("log")),
		wal.WithSegmentSize(walSegment))
	if err != nil {
		return nil, fmt.Errorf("opening the Raft log: %w", err)
	}
	return w, nil
}

// errPoisoned: an earlier write failed or hung.
var errPoisoned = errors.New("the disk failed before")

// guardedStore gives each write a deadline. The first write that fails or hangs poisons the store: a leader whose disk
// hangs would otherwise keep its leadership for ever, because its heartbeats go on (hashicorp/raft issue 503), and after
// a failed fsync a second one can succeed without having written (the kernel forgets the pages that failed).
//
// A poisoned store takes nothing more. Writes of entries return an error; whether an entry that met the first failure is
// on disk isn't known. Writes of the term and the vote never return: Raft panics on their errors, and the process is
// being ended anyway.
type guardedStore struct {
	logStore
	deadline time.Duration
	fatal    func(error)
	poisoned atomic.Bool
	never    chan struct{} // nil; tests close it to let go of what never returns
}

func (g *guardedStore) guard(what string, write func() error) error {
	if g.poisoned.Load() {
		return fmt.Errorf("%s: %w", what, errPoisoned)
	}
	done := make(chan error, 1) // the write may end after everyone has gone
	go func() { done <- write() }()
	timer := time.NewTimer(g.deadline)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
	case <-timer.C:
		err = fmt.Errorf("the disk did not answer in %v", g.deadline)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
		g.poisoned.Store(true)
		g.fatal(err)
	}
	return err
}

func (g *guardedStore) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

func (g *guardedStore) StoreLogs(l []*raft.Log) error {
	return g.guard("writing the Raft log", func() error { return g.logStore.StoreLogs(l) })
}

func (g *guardedStore) DeleteRange(low, high uint64) error {
	return g.guard("truncating the Raft log", func() error { return g.logStore.DeleteRange(low, high) })
}

func (g *guardedStore) Set(key, value []byte) error {
	return g.orNever(g.guard("writing the vote", func() error { return g.logStore.Set(key, value) }))
}

func (g *guardedStore) SetUint64(key []byte, value uint64) error {
	return g.orNever(g.guard("writing the term", func() error { return g.logStore.SetUint64(key, value) }))
}

func (g *guardedStore) orNever(err error) error {
	if err != nil {
		<-g.never
	}
	return err
}
