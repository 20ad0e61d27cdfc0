package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/tiles"
	"strongroom.internal/cluster/failpoint"
)

const (
	// logRetry is how long the writer rests after a failure, and how often it looks for a tree that has ended.
	logRetry = time.Second
	// maxLogLag is how many entries may wait for their files before the node says that it is not ready. What waits is in
	// the state, and goes to a follower with it.
	maxLogLag = 64 * tiles.BundleSize
	// logStep is how many new entries the writer waits for, or for logRetry: each time it looks at the state and compares it
	// with the files, which costs as much as writing a bundle.
	logStep = 4 * tiles.BundleSize
	// dropAfter is how many entries that are in files are dropped from the state at once.
	dropAfter = 16 * tiles.BundleSize
)

// logWriter moves the log's entries from the state into files, a bundle at a time, after they were applied. Everything it
// does can be done again: the files of a bundle are a function of its entries, and entries are dropped from the state only
// when their files are durable. Crash points: before a bundle's files are durable, the entries are in the state, or Raft
// applies them again; between that and the drop, the files are found complete and the entries are dropped.
//
// What the state doesn't have, because it came as a snapshot, is fetched from peers: see backfill.go.
type logWriter struct {
	r   *Raft
	dir string

	mu     sync.Mutex // guards what follows
	stores map[string]*tiles.Store
	err    error  // why files can't be written now
	whole  *state // that has nothing missing: all entries are in it or in files
	lag    int64  // entries of full bundles that wait for their files

	// Of run's goroutine alone.
	finished map[string]bool  // closed trees that are whole
	checked  map[string]int64 // sizes at which files and state agreed
	dropped  int64            // entries below this index are no more in the state
	dropOf   *state           // that dropped is about
}

func newLogWriter(r *Raft) (*logWriter, error) {
	w := &logWriter{
		r: r, dir: filepath.Join(r.cfg.DataDir, logFilesDir), stores: map[string]*tiles.Store{},
		finished: map[string]bool{}, checked: map[string]int64{},
	}
	return w, os.MkdirAll(w.dir, 0o700)
}

// store opens a tree's files, once.
func (w *logWriter) store(tree string) (*tiles.Store, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.stores[tree]; s != nil {
		return s, nil
	}
	if !validTree(tree) {
		return nil, ErrNoTree
	}
	s, err := tiles.Open(filepath.Join(w.dir, tree))
	if err != nil {
		return nil, fmt.Errorf("opening the files of the log's tree %s: %w", tree, err)
	}
	w.stores[tree] = s
	return s, nil
}

// run writes until the node stops.
func (w *logWriter) run() {
	defer w.r.running.Done()
	for {
		next := w.r.fsm.logged.now()
		err := w.step(w.r.life)
		w.note(err)
		if err != nil {
			// Nothing is lost by waiting: the entries stay in the state.
			next = ^uint64(0) >> 1
		}
		ctx, cancel := context.WithTimeout(w.r.life, logRetry)
		_ = w.r.fsm.logged.wait(ctx, w.r.stopping, next+logStep)
		cancel()
		select {
		case <-w.r.stopping:
			return
		case <-w.r.dead:
			return
		default:
		}
	}
}

func (w *logWriter) note(err error) {
	w.mu.Lock()
	before := w.err
	w.err = err
	w.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		w.r.cfg.Logger.Error("the log's files can't be written; entries wait in the state", "error", err)
	case err == nil && before != nil:
		w.r.cfg.Logger.Info("the log's files are written again")
	}
}

// step writes what there is to write.
func (w *logWriter) step(ctx context.Context) error {
	st, err := w.r.fsm.current()
	if err != nil {
		return nil //nolint:nilerr // the node is stopping
	}
	defer st.release()
	l, err := readLedger(st.db)
	if err != nil {
		return err
	}
	if w.dropOf != st {
		w.dropOf, w.dropped = st, 0
	}
	for _, h := range l.closed {
		if w.finished[h.Tree] {
			continue
		}
		if err := w.writeTree(ctx, st, h, true); err != nil {
			return err
		}
	}
	growing := l.head().Head
	if err := w.writeTree(ctx, st, growing, false); err != nil {
		return err
	}
	if full := growing.Size &^ (tiles.BundleSize - 1); full != w.checked[growing.Tree] {
		floor := l.tree.Floor(tiles.BundleSize)
		if err := w.compare(growing.Tree, full, floor.Root()); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.whole = st
	w.mu.Unlock()
	return nil
}

// writeTree brings a tree's files up to its last full bundle; those of a tree that is over, to its end.
func (w *logWriter) writeTree(ctx context.Context, st *state, h audit.Head, closed bool) error {
	if h.Size == 0 {
		return nil
	}
	s, err := w.store(h.Tree)
	if err != nil {
		return err
	}
	full := h.Size &^ (tiles.BundleSize - 1)
	if err := w.skipPruned(ctx, st, s, h); err != nil {
		return err
	}
	for at := s.Complete(); at < full; at = s.Complete() {
		if ctx.Err() != nil {
			return nil
		}
		entries, err := w.take(ctx, st, h, at, tiles.BundleSize)
		if err != nil {
			return err
		}
		failpoint.Hit("log-tile")
		if err := s.Append(entries); err != nil {
			return fmt.Errorf("writing entries %d to %d of the log's tree %s: %w", at, at+tiles.BundleSize, h.Tree, err)
		}
		failpoint.Hit("log-published")
		w.waits(full - at - tiles.BundleSize)
		if err := w.drop(st, h.First+s.Complete(), dropAfter); err != nil {
			return err
		}
	}
	w.waits(0)
	if closed {
		return w.finish(ctx, st, s, h)
	}
	return w.drop(st, h.First+s.Complete(), 1)
}

// finish writes the right edge of a tree that grows no more.
func (w *logWriter) finish(ctx context.Context, st *state, s *tiles.Store, h audit.Head) error {
	full := h.Size &^ (tiles.BundleSize - 1)
	if _, ok := s.Finished(); !ok {
		entries, err := w.take(ctx, st, h, full, int(h.Size-full))
		if err != nil {
			return err
		}
		if err := s.Finish(entries); err != nil {
			return fmt.Errorf("writing the end of the log's tree %s: %w", h.Tree, err)
		}
	}
	if err := w.compare(h.Tree, h.Size, h.Root); err != nil {
		return err
	}
	w.finished[h.Tree] = true
	return w.drop(st, h.First+h.Size, 1)
}

// compare has the node stop when the files and the state are of different logs: one of the two was changed.
func (w *logWriter) compare(tree string, size int64, root [audit.HashSize]byte) error {
	s, err := w.store(tree)
	if err != nil {
		return err
	}
	if size > 0 {
		none := func(int64, int) ([][]byte, error) { return nil, nil }
		got, err := tlog.TreeHash(size, tiles.NewReader(s, size, none))
		if errors.Is(err, tiles.ErrPruned) {
			return nil // its leaves are gone, and with them what there was to compare
		}
		if err != nil {
			return fmt.Errorf("reading the files of the log's tree %s: %w", tree, err)
		}
		if got != tlog.Hash(root) {
			err := fmt.Errorf("the files of the log's tree %s have another root at size %d than the state: one of the two was changed",
				tree, size)
			w.r.die(err)
			return err
		}
	}
	w.checked[tree] = size
	return nil
}

// take gets entries that are to be written: from the state, or from peers.
func (w *logWriter) take(ctx context.Context, st *state, h audit.Head, at int64, n int) ([][]byte, error) {
	if n == 0 {
		return nil, nil
	}
	entries, err := entriesOf(st, h.First+at, n)
	if err != nil {
		return nil, err
	}
	if len(entries) == n {
		return entries, nil
	}
	return w.fetch(ctx, h, at, n)
}

// drop removes entries below an index from the state, once there are enough of them to be worth it.
func (w *logWriter) drop(st *state, below, enough int64) error {
	if below-w.dropped < enough {
		return nil
	}
	if err := dropEntries(st, below); err != nil {
		return err
	}
	failpoint.Hit("log-dropped")
	w.dropped = below
	return nil
}

// waits notes how many entries of full bundles have no files yet.
func (w *logWriter) waits(lag int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lag = lag
}

// missing is the number of entries that this node has still to fetch, for all it knows. A state that was just installed
// is taken for one that lacks something until the writer has been through it.
func (w *logWriter) missing() int64 {
	st, err := w.r.fsm.current()
	if err != nil {
		return 0
	}
	defer st.release()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole == st {
		return 0
	}
	return max(w.lag, 1)
}

// health says why the node must not go on as if all were well.
func (w *logWriter) health() error {
	missing := w.missing()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil && !errors.Is(w.err, errFetch):
		return w.err
	case w.lag > maxLogLag && missing == 0:
		return fmt.Errorf("the log's files are %d entries behind", w.lag)
	}
	return nil
}
