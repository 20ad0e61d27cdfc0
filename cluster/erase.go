package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// What is deleted or written over is gone from views at once, and not from the disk. There it stays in two places, on a
// quiet cluster for months: old tables of the state hold the record, and a tombstone whose key may be a name; segments of
// Raft's log hold the commands that wrote the record, and everything else that named it. An erased account's salt would
// still link the key-usage log to a person. So each node clears away both, a few seconds after a command that says what is
// to be erased (Applied.Erases):
//
//  1. It compacts what is under those prefixes: the newest values are all that is left. Pebble's list of tables (MANIFEST),
//     which names the first and the last key of each table that there was, is begun anew.
//  2. If Raft's log is still writing to the segment that has the command, on any node, the leader appends padding, one
//     segment's worth, so that every node's log goes on to another segment.
//  3. When all members have applied what is in the segments up to the command, it has Raft take a snapshot and cut its
//     log there, and the segments' files are removed. A member that is away holds this up for erasePatience; then it is cut
//     all the same, and gets a snapshot when it is back.
//
// The state says up to which entry there is something to clear away, so a crash at any of these is made up for after the
// restart. What remains is blocks that a file system has freed and not yet used again.
type eraser struct {
	r *Raft

	mu    sync.Mutex      // guards what follows
	index uint64          // of the last entry that erased something that may still be on the disk; 0: none
	since time.Time       // when the first of these was applied here
	under map[string]bool // prefixes of the state's keys that are to be compacted
	whole bool            // there are more than are in under

	stuck atomic.Bool // this node's log has to go on to another segment

	// Of run's goroutine alone.
	goal   uint64 // entry up to which Raft's log is to be cut now; 0: all is done
	padded time.Time
	rested time.Time // when the state may be compacted again
}

const (
	// erasePatience is for how long a member that is away keeps the others' logs from being cut.
	erasePatience = 10 * time.Minute
	// eraseSlack is how many entries a busy log keeps: members are that far behind now and then, and a snapshot is dear.
	eraseSlack = 1024
	// maxErased is how many prefixes are remembered; when there are more, all of the machine's keys are compacted.
	maxErased = 4096
	// eraseRest is how many times as long as a compaction took the next one waits at least.
	eraseRest = 10
	// padEvery is how many times Config.EraseEvery there are at least between two paddings.
	padEvery = 5
)

// Keys of the state.
var (
	keyErase   = []byte("z/erase")   // index and term of the last entry that erased something
	keyErased  = []byte("z/erased")  // index up to which that is cleared away
	keyRenewed = []byte("z/renewed") // nothing: see renewManifest
)

// add notes what an entry has erased.
func (e *eraser) add(index uint64, under [][]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.index == 0 {
		e.since = time.Now()
	}
	e.index = index
	for _, prefix := range under {
		e.put(userPrefix + string(prefix))
	}
}

// put remembers a prefix. The caller holds mu.
func (e *eraser) put(prefix string) {
	if e.whole || len(e.under) >= maxErased {
		e.under, e.whole = nil, true
		return
	}
	if e.under == nil {
		e.under = map[string]bool{}
	}
	e.under[prefix] = true
}

// resume notes what a state says is left from before it was opened.
func (e *eraser) resume(index uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.index == 0 {
		e.since = time.Now()
	}
	e.index, e.under, e.whole = max(e.index, index), nil, true
}

// run clears away until the node stops.
func (e *eraser) run() {
	defer e.r.running.Done()
	var last string
	tick := time.NewTicker(e.r.cfg.EraseEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.r.stopping:
			return
		case <-e.r.dead:
			return
		case <-tick.C:
		}
		err := errors.Join(e.step(e.r.life), e.pad())
		switch {
		case err == nil:
			last = ""
		case errors.Is(err, errNotYet) && time.Since(e.oldest()) < erasePatience:
		case err.Error() != last && e.r.life.Err() == nil:
			last = err.Error()
			e.r.cfg.Logger.Warn("what was erased is still on this disk; will try again", "error", err)
		}
	}
}

func (e *eraser) oldest() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.since
}

// errNotYet: the erasure goes on the next time.
var errNotYet = errors.New("waiting")

// take hands over what there is to do; give puts back what was not done.
func (e *eraser) take() (index uint64, under map[string]bool, whole bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.index == 0 || time.Since(e.since) < e.r.cfg.EraseEvery {
		return 0, nil, false
	}
	under, whole = e.under, e.whole
	e.under, e.whole = nil, false
	return e.index, under, whole
}

func (e *eraser) give(under map[string]bool, whole bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.whole = e.whole || whole
	for prefix := range under {
		e.put(prefix)
	}
}

func (e *eraser) step(ctx context.Context) error {
	index, under, whole := e.take()
	if index == 0 {
		return nil
	}
	st, err := e.r.fsm.current()
	if err != nil {
		return nil //nolint:nilerr // the node is stopping
	}
	defer st.release()
	err = e.compact(ctx, st, under, whole)
	if err != nil {
		e.give(under, whole)
	}
	// New erasures must not move the goal, or it would never be reached.
	if e.goal == 0 && err == nil {
		e.goal = index
	}
	if e.goal == 0 {
		return err
	}
	if err := e.cut(e.goal); err != nil {
		return err
	}
	// A crash that lost this would have all of the state compacted.
	if err := errors.Join(st.db.Set(keyErased, position{index: e.goal}.bytes(), pebble.NoSync), st.db.Flush()); err != nil {
		return err
	}
	e.r.cfg.Logger.Info("what was erased is gone from this disk", "up to entry", e.goal)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since = time.Now(); e.index == e.goal {
		e.index = 0
	}
	e.goal = 0
	return nil
}

// compact leaves under the prefixes what a view shows. A view that was opened before the erasure would keep more; but for
// those that are sent to other nodes they are short, and Config.EraseEvery is waited for.
func (e *eraser) compact(ctx context.Context, st *state, under map[string]bool, whole bool) error {
	switch {
	case len(under) == 0 && !whole:
		return nil
	case st.streams.Load() > 0:
		return fmt.Errorf("%w: the state is being sent to another node", errNotYet)
	case time.Now().Before(e.rested):
		return fmt.Errorf("%w: the state was compacted a while ago", errNotYet)
	}
	start := time.Now()
	ranges := slices.Sorted(maps.Keys(under))
	if whole || int64(len(ranges)) >= tables(st) { // each has at least one table written anew
		ranges = []string{userPrefix}
	}
	for _, prefix := range ranges {
		if err := st.db.Compact(ctx, []byte(prefix), after([]byte(prefix)), false); err != nil {
			return fmt.Errorf("compacting the state: %w", err)
		}
	}
	err := renewManifest(st)
	e.rested = time.Now().Add(eraseRest * time.Since(start))
	return err
}

// renewManifest makes Pebble drop the MANIFESTs that there are, of which it keeps two. It begins a new one when as many
// tables have come and gone as there are (see maxManifest): flushing a record of a few bytes makes one come.
func renewManifest(st *state) error {
	old, err := manifests(st)
	if err != nil {
		return err
	}
	for range 2*tables(st) + 16 {
		if err := errors.Join(st.db.Set(keyRenewed, nil, pebble.NoSync), st.db.Flush()); err != nil {
			return err
		}
		now, err := manifests(st)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(now, func(f string) bool { return slices.Contains(old, f) }) {
			return nil
		}
	}
	return errors.New("the list of tables was not begun anew")
}

func tables(st *state) (n int64) {
	m := st.db.Metrics()
	for i := range m.Levels {
		n += m.Levels[i].TablesCount
	}
	return n
}

func manifests(st *state) ([]string, error) {
	return filepath.Glob(filepath.Join(st.dir, "MANIFEST-*"))
}

// cut has the segments of Raft's log removed that have entries up to index.
func (e *eraser) cut(index uint64) error {
	next, done, err := e.segmentAfter(index)
	e.stuck.Store(false)
	if err != nil || done {
		return err
	}
	last, err := e.r.store.LastIndex()
	if err != nil {
		return err
	}
	if next == 0 || last < next { // Raft does not get on well with an empty log
		e.stuck.Store(true)
		return fmt.Errorf("%w: Raft's log has not gone on to another segment", errNotYet)
	}
	if time.Since(e.oldest()) < erasePatience {
		id := e.behind(next - 1)
		if id == "" && last-next < eraseSlack {
			id = e.behind(last)
		}
		if id != "" {
			return fmt.Errorf("%w: %s has not got so far", errNotYet, id)
		}
	}
	if err := e.snapshot(next-1, last); err != nil {
		return fmt.Errorf("cutting Raft's log: %w", err)
	}
	if _, done, err = e.segmentAfter(index); err == nil && !done {
		err = fmt.Errorf("%w: Raft's log was not cut", errNotYet)
	}
	return err
}

// segmentAfter finds the first entry of the first segment that has none up to index; 0 if there is no such segment. It is
// done when all segments are such.
func (e *eraser) segmentAfter(index uint64) (first uint64, done bool, err error) {
	files, err := os.ReadDir(filepath.Join(e.r.cfg.DataDir, logDir))
	if err != nil {
		return 0, false, err
	}
	done = true
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".wal" {
			continue
		}
		var base, id uint64
		if n, err := fmt.Sscanf(f.Name(), "%020d-%016x.wal", &base, &id); n != 2 || err != nil {
			return 0, false, fmt.Errorf("the name of Raft's segment %s can't be read", f.Name())
		}
		switch {
		case base <= index:
			done = false
		case first == 0 || base < first:
			first = base
		}
	}
	return first, done, nil
}

// pad is the leader's: it fills more than one segment of every log, if a node has need of that.
func (e *eraser) pad() error {
	if e.r.raft.State() != raft.Leader || !e.wanted() || time.Since(e.padded) < padEvery*e.r.cfg.EraseEvery {
		return nil
	}
	e.padded = time.Now()
	for range walSegment/maxBatchBytes + 1 {
		timeout := e.r.cfg.rpcTimeout()
		if err := e.r.await(e.r.raft.Apply(padding, timeout), timeout); err != nil {
			return fmt.Errorf("padding Raft's log: %w", err)
		}
	}
	return nil
}

// wanted says whether this node or one that was heard of late waits for padding.
func (e *eraser) wanted() bool {
	if e.stuck.Load() {
		return true
	}
	w := &e.r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.heard {
		if h.pad && time.Since(h.at) < heardFor {
			return true
		}
	}
	return false
}

// behind names a member that this node doesn't know to have applied all up to an entry, if there is one.
func (e *eraser) behind(index uint64) string {
	index = e.r.lastEffect(index)
	for _, m := range e.r.Status().Members {
		if m.Applied < index || time.Since(m.LastContact) > heardFor {
			return m.ID
		}
	}
	return ""
}

// snapshot has Raft flush the state and drop its log up to an entry; last is the log's last.
func (e *eraser) snapshot(upTo, last uint64) error {
	conf := e.r.raft.ReloadableConfig()
	keep := conf.TrailingLogs
	defer func() {
		conf.TrailingLogs = keep
		_ = e.r.raft.ReloadConfig(conf) // it was valid before
	}()
	conf.TrailingLogs = min(keep, last-upTo)
	if err := e.r.raft.ReloadConfig(conf); err != nil {
		return err
	}
	err := e.r.await(e.r.raft.Snapshot(), e.r.cfg.ProposeTimeout)
	if errors.Is(err, raft.ErrNothingNewToSnapshot) { // since this node started
		return fmt.Errorf("%w: %w", errNotYet, err)
	}
	return err
}

// lastEffect is the last entry up to an index that the state machine gets to see.
func (r *Raft) lastEffect(index uint64) uint64 {
	for ; index > 0; index-- {
		var l raft.Log
		if r.log.GetLog(index, &l) != nil || l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			break
		}
	}
	return index
}
