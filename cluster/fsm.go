package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// fsm applies Raft's entries to the state. Raft calls its methods from one goroutine, but for Persist.
type fsm struct {
	cfg    *Config
	root   string // of the states
	fatal  func(error)
	eraser *eraser

	// Of Raft's goroutine alone.
	ledger  ledger
	group   entryGroup
	applied position
	recent  recent
	erased  [][]byte // prefixes, by the batch that is being applied

	progress progress // the index up to which views contain everything that has effects
	logged   progress // the number of entries of the key-usage log

	mu          sync.Mutex // guards what follows
	st          *state
	configIndex uint64
	config      raft.Configuration // the newest that is committed
	incoming    map[string]string  // verified snapshots that wait to be installed: id to directory
	halted      error
	closed      bool
}

// openFSM opens the current state, or makes an empty one when there is none.
func openFSM(cfg *Config, root string, fatal func(error)) (*fsm, error) {
	dir, err := currentState(root)
	if err != nil {
		return nil, err
	}
	create := dir == ""
	if create {
		if dir, err = nextState(root); err != nil {
			return nil, err
		}
	}
	if err := removeOrphans(root, dir); err != nil {
		return nil, err
	}
	f := &fsm{cfg: cfg, root: root, fatal: fatal, eraser: &eraser{}, incoming: map[string]string{}}
	if f.st, err = openState(cfg, dir, create, fatal); err != nil {
		return nil, err
	}
	if create {
		if err := makeCurrent(root, dir); err != nil {
			return nil, errors.Join(err, f.st.release())
		}
	}
	if err := f.load(f.st); err != nil {
		return nil, errors.Join(err, f.st.release())
	}
	return f, nil
}

// load takes over what the state's m/ keys say.
func (f *fsm) load(st *state) error {
	m, err := readMeta(st.db)
	if err != nil {
		return fmt.Errorf("reading the state in %s: %w", st.dir, err)
	}
	f.ledger, f.applied = m.ledger, m.at
	f.recent.forget()
	if m.erase > m.erased {
		f.eraser.resume(m.erase)
	}
	f.mu.Lock()
	f.configIndex, f.config = m.configIndex, m.config
	f.mu.Unlock()
	f.progress.advance(m.at.index)
	f.logged.advance(uint64(m.ledger.next()))
	return nil
}

// current returns the state, held for the caller, who releases it, or errStopped.
func (f *fsm) current() (*state, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.st.acquire() {
		return nil, errStopped
	}
	return f.st, nil
}

// configuration is the newest committed one that was applied.
func (f *fsm) configuration() (uint64, raft.Configuration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.configIndex, f.config
}

// halt stops the state for good. Whatever waits for an outcome learns that it is unknown.
func (f *fsm) halt(err error) error {
	f.mu.Lock()
	if f.halted == nil {
		f.halted = err
	}
	f.mu.Unlock()
	f.fatal(err)
	return err
}

func (f *fsm) haltedBy() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.halted
}

// ApplyBatch applies entries and keeps their writes, their log entries and the new position in one atomic step. It
// answers []Result for a batch of commands, or an error, after which nothing more is applied.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	err := f.haltedBy()
	if err == nil {
		err = f.apply(logs, answers)
	}
	if err != nil {
		for i := range answers {
			answers[i] = err
		}
	}
	return answers
}

func (f *fsm) apply(logs []*raft.Log, answers []any) error {
	db := f.st.db // replaced by this goroutine only
	b := db.NewIndexedBatch()
	defer b.Close()
	at := f.applied
	var config *raft.Configuration
	var configIndex uint64
	for i, l := range logs {
		if l.Index <= f.applied.index {
			answers[i] = fmt.Errorf("entry %d was applied before", l.Index)
			continue
		}
		switch l.Type {
		case raft.LogCommand:
			results, err := f.applyEntry(b, l)
			if err != nil {
				return f.halt(fmt.Errorf("applying entry %d: %w", l.Index, err))
			}
			answers[i] = results
		case raft.LogConfiguration:
			c := raft.DecodeConfiguration(l.Data)
			config, configIndex = &c, l.Index
			if err := b.Set(keyConfig, append(binary.BigEndian.AppendUint64(nil, l.Index), l.Data...), nil); err != nil {
				return f.halt(err)
			}
		default:
			return f.halt(fmt.Errorf("entry %d has a type that isn't known: %v", l.Index, l.Type))
		}
		at = position{l.Index, l.Term}
	}
	if at == f.applied {
		return nil
	}
	edge, record := f.ledger.encode()
	err := errors.Join(f.group.flush(b), b.Set(keyPosition, at.bytes(), nil), b.Set(keyTree, edge, nil), b.Set(keyLog, record, nil))
	if len(f.erased) > 0 {
		err = errors.Join(err, b.Set(keyErase, at.bytes(), nil))
	}
	if err == nil {
		// It waits for the disk only when several flushes are behind: a disk that hangs ends the node here too.
		hung := time.AfterFunc(4*f.cfg.StoreDeadline, func() { f.fatal(errors.New("keeping the state: the disk hangs")) })
		err = b.Commit(pebble.NoSync)
		hung.Stop()
	}
	if err != nil {
		return f.halt(fmt.Errorf("keeping entry %d: %w", at.index, err))
	}
	f.applied = at
	if len(f.erased) > 0 {
		f.eraser.add(at.index, f.erased)
		f.erased = nil
	}
	if config != nil {
		f.mu.Lock()
		f.configIndex, f.config = configIndex, *config
		f.mu.Unlock()
	}
	f.progress.advance(at.index)
	f.logged.advance(uint64(f.ledger.next()))
	return nil
}

// applyEntry has the machine decide each command of an entry.
func (f *fsm) applyEntry(b *pebble.Batch, l *raft.Log) ([]Result, error) {
	if isPadding(l.Data) {
		return nil, nil
	}
	// Raft's log cache shares l.Data: the machine gets a copy.
	commands, err := parseBatch(bytes.Clone(l.Data))
	if err != nil {
		return nil, err
	}
	t := &tx{reader: reader{src: b}, b: b, recent: &f.recent, ledger: &f.ledger, group: &f.group}
	results := make([]Result, len(commands))
	for i, c := range commands {
		f.ledger.begin()
		a, err := f.cfg.Machine.Apply(t, c)
		if err != nil {
			return nil, fmt.Errorf("command %d: %w", i, err)
		}
		first, err := f.ledger.append(&a, t.keepEntry)
		if err != nil {
			return nil, fmt.Errorf("command %d: %w", i, err)
		}
		results[i].Position = l.Index
		if a.Finish != nil {
			results[i].Data = a.Finish(first)
		}
		if t.err != nil {
			return nil, t.err
		}
		f.erased = append(f.erased, a.Erases...)
		f.ledger.end()
	}
	return results, nil
}

// Apply is there for raft.FSM; Raft calls ApplyBatch.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// Restore installs the verified snapshot whose id the reader gives.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	id, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f.mu.Lock()
	dir, ok := f.incoming[string(id)]
	delete(f.incoming, string(id))
	f.mu.Unlock()
	if !ok {
		return fmt.Errorf("installing snapshot %q: it isn't there", id)
	}
	return f.install(dir)
}

// install makes the state in dir the current one.
func (f *fsm) install(dir string) error {
	st, err := openState(f.cfg, dir, false, f.fatal)
	if err != nil {
		return err
	}
	m, err := readMeta(st.db)
	if err == nil && m.at.index < f.applied.index {
		err = fmt.Errorf("installing a snapshot at entry %d: entry %d is applied here", m.at.index, f.applied.index)
	}
	if err != nil {
		st.doom()
		return errors.Join(err, st.release())
	}
	if err := makeCurrent(f.root, dir); err != nil {
		// Which of the two a restart finds isn't known: go no further on either.
		return f.halt(fmt.Errorf("making an installed snapshot the current state: %w", err))
	}
	f.mu.Lock()
	old := f.st
	f.st = st
	f.mu.Unlock()
	if err := f.load(st); err != nil {
		return f.halt(err)
	}
	old.doom()
	return old.release()
}

// close flushes the state, so that the next start has nothing to replay, and closes it.
func (f *fsm) close(flush bool) error {
	f.mu.Lock()
	st, halted, closed := f.st, f.halted, f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if flush && halted == nil {
		err = st.db.Flush()
	}
	return errors.Join(err, st.release())
}

// progress is a number that grows and can be waited for.
type progress struct {
	mu    sync.Mutex // guards what follows
	at    uint64
	grown chan struct{} // closed when at grows; nil while nobody waits
}

func (p *progress) advance(to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to <= p.at {
		return
	}
	p.at = to
	if p.grown != nil {
		close(p.grown)
		p.grown = nil
	}
}

func (p *progress) now() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// wait returns nil when the number is at least to; stop ends the wait too, with errStopped.
func (p *progress) wait(ctx context.Context, stop <-chan struct{}, to uint64) error {
	for {
		p.mu.Lock()
		if p.at >= to {
			p.mu.Unlock()
			return nil
		}
		if p.grown == nil {
			p.grown = make(chan struct{})
		}
		grown := p.grown
		p.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			return errStopped
		}
	}
}
