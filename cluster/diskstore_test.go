package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func logEntry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: []byte{byte(index)}}
}

func newLog(t *testing.T) (*Config, logStore) {
	t.Helper()
	cfg := Config{DataDir: t.TempDir()}.withDefaults()
	if err := os.Mkdir(filepath.Join(cfg.DataDir, logDir), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := openLog(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &cfg, l
}

// A follower cuts off the end of its log when a new leader has other entries there. After a restart the rest must be
// readable: raft-wal 0.4.0 could not.
func TestLogSurvivesCutAndRestart(t *testing.T) {
	cfg, l := newLog(t)
	for i := range uint64(10) {
		if err := l.StoreLogs([]*raft.Log{logEntry(i+1, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.DeleteRange(8, 10), l.StoreLogs([]*raft.Log{logEntry(8, 2)}), l.Close()); err != nil {
		t.Fatal(err)
	}
	l, err := openLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range uint64(8) {
		var got raft.Log
		if err := l.GetLog(i+1, &got); err != nil || got.Index != i+1 {
			t.Fatalf("entry %d: %+v, %v", i+1, got, err)
		}
	}
	if last, err := l.LastIndex(); err != nil || last != 8 {
		t.Errorf("the last entry is %d, %v", last, err)
	}
}

// faultyLog fails writes of entries as it is told.
type faultyLog struct {
	logStore
	write func(write func() error) error
}

func (f *faultyLog) StoreLogs(l []*raft.Log) error {
	return f.write(func() error { return f.logStore.StoreLogs(l) })
}

// The first write that fails, or hangs, is the last, and ends the node once; whether the entry is on disk or not.
func TestGuardedStorePoisons(t *testing.T) {
	broken := errors.New("I/O error")
	for name, write := range map[string]func(func() error) error{
		"failed, not written": func(func() error) error { return broken },
		"failed, but written": func(write func() error) error { return errors.Join(write(), broken) },
		"hung":                func(func() error) error { time.Sleep(time.Minute); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faulty := &faultyLog{logStore: inmemLog{raft.NewInmemStore()}, write: write}
				var fatal []error
				g := &guardedStore{
					logStore: faulty, deadline: 3 * time.Second, fatal: func(err error) { fatal = append(fatal, err) },
					never: make(chan struct{}),
				}
				begin := time.Now()
				if err := g.StoreLog(logEntry(1, 1)); err == nil {
					t.Fatal("the write succeeded")
				}
				if took := time.Since(begin); took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
				for _, again := range []error{g.StoreLog(logEntry(1, 1)), g.DeleteRange(1, 1)} {
					if !errors.Is(again, errPoisoned) {
						t.Errorf("a later write: %v", again)
					}
				}
				voted := make(chan error, 1)
				go func() {
					voted <- g.SetUint64([]byte("term"), 2)
				}()
				synctest.Wait()
				select {
				case err := <-voted:
					t.Errorf("a vote returned: %v", err)
				default:
				}
				if len(fatal) != 1 {
					t.Errorf("the node was ended %d times: %v", len(fatal), fatal)
				}
				close(g.never)
				<-voted
				time.Sleep(2 * time.Minute) // virtual: the write that hung ends too
			})
		})
	}
}

// inmemLog is Raft's own log in memory.
type inmemLog struct{ *raft.InmemStore }

func (inmemLog) Close() error      { return nil }
func (inmemLog) IsMonotonic() bool { return true }
