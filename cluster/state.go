package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// The state is one Pebble database. Its keys:
//
//	l/<index>    log entries that the log's files may not have yet, see entrygroup.go; the index of the first in eight
//	             bytes, big-endian
//	m/config     the index (8 bytes) and raft encoding of the newest committed configuration
//	m/floor      index and term (8 bytes each) up to which Raft's log may be truncated
//	m/log        names, heads and time of the log's trees, and the hash of all effects
//	m/position   index and term of the last entry whose effects are here
//	m/tree       the edge of the tree that grows
//	s/<key>      what the machine keeps
//	z/erase      index and term up to which there are deletions, and
//	z/erased     up to which these are gone from the disk, and
//	z/renewed    nothing: see eraser
//
// Pebble's own write-ahead log is off: Raft's log is the write-ahead log. Pebble makes whole batches durable in their
// order, and a batch holds its position, so what is found after a crash is the exact state of some earlier position, and
// Raft replays from there. Before Raft truncates its log, the state is flushed beyond what is truncated (see keep).
var (
	keyConfig   = []byte("m/config")
	keyFloor    = []byte("m/floor")
	keyPosition = []byte("m/position")
	keyLog      = []byte("m/log")
	keyTree     = []byte("m/tree")
)

const (
	userPrefix  = "s/"
	entryPrefix = "l/"
)

// position is a place in Raft's log.
type position struct{ index, term uint64 }

func (p position) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, p.index), p.term)
}

// state is an open database. It is closed when the last user lets it go, so that a state that a snapshot replaced lives
// on for the views that still read it.
type state struct {
	db  *pebble.DB
	dir string

	mu     sync.Mutex // guards what follows
	users  int
	doomed bool // remove the directory once closed

	streams atomic.Int32 // that send this state to other nodes
}

// maxManifest is the size in bytes from which Pebble begins its list of tables anew when as many tables have come and gone
// as there are. At its default, 128 MiB, the names of an erased account's neighbours, and its own, stay there for good.
const maxManifest = 1

// openState opens the database in dir; create says whether it must be new or must be there.
func openState(cfg *Config, dir string, create bool, fatal func(error)) (*state, error) {
	cache := pebble.NewCache(cfg.CacheBytes)
	defer cache.Unref()
	o := &pebble.Options{
		Cache:                       cache,
		DisableWAL:                  true,
		ErrorIfExists:               create,
		ErrorIfNotExists:            !create,
		FormatMajorVersion:          pebble.FormatColumnarBlocks,
		Logger:                      pebbleLogger{cfg.Logger, fatal},
		MemTableSize:                32 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		MaxManifestFileSize:         maxManifest,
		EventListener: &pebble.EventListener{BackgroundError: func(err error) {
			fatal(fmt.Errorf("writing the state: %w", err))
		}},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most reads of request ids find nothing
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("opening the state in %s: %w", dir, err)
	}
	return &state{db: db, dir: dir, users: 1}, nil
}

// acquire keeps the state open until release; it is false when the state is closed already.
func (s *state) acquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		return false
	}
	s.users++
	return true
}

func (s *state) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users > 0 {
		return nil
	}
	err := s.db.Close()
	if s.doomed {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// doom has the directory removed when the last user is gone.
func (s *state) doom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doomed = true
}

// getter is what a database, a batch and a snapshot of Pebble have in common.
type getter interface {
	Get(key []byte) ([]byte, io.Closer, error)
}

// get returns a copy of the value, or nil when there is none.
func get(g getter, key []byte) ([]byte, error) {
	v, c, err := g.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(v)), v...), c.Close()
}

// meta is what the m/ keys say.
type meta struct {
	at          position // the last position whose effects are in the state, entries without effects counted
	applied     position // the last entry that had effects
	configIndex uint64
	config      raft.Configuration
	ledger      ledger

	erase, erased uint64
}

// readMeta reads the m/ keys. The state of a new node has none: everything is zero.
func readMeta(g getter) (m meta, err error) {
	place := func(key []byte) (position, error) {
		b, err := get(g, key)
		if err != nil || b == nil {
			return position{}, err
		}
		if len(b) != 16 {
			return position{}, fmt.Errorf("reading %s: %d bytes", key, len(b))
		}
		return position{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
	}
	if m.applied, err = place(keyPosition); err != nil {
		return m, err
	}
	floor, err := place(keyFloor)
	if err != nil {
		return m, err
	}
	erase, err := place(keyErase)
	if err != nil {
		return m, err
	}
	erased, err := place(keyErased)
	if err != nil {
		return m, err
	}
	m.erase, m.erased = erase.index, erased.index
	m.at = m.applied
	if floor.index > m.at.index {
		// Raft took its snapshot at an entry that has no effects, such as a barrier: nothing came between.
		m.at = floor
	}
	b, err := get(g, keyConfig)
	if err != nil {
		return m, err
	}
	if b != nil {
		if m.configIndex, m.config, err = parseConfig(b); err != nil {
			return m, err
		}
	}
	m.ledger, err = readLedger(g)
	return m, err
}

func readLedger(g getter) (l ledger, err error) {
	edge, err := get(g, keyTree)
	if err != nil {
		return l, err
	}
	record, err := get(g, keyLog)
	if err != nil {
		return l, err
	}
	return l, l.decode(edge, record)
}

// parseConfig reads the value of m/config. Raft's decoder panics on bytes that aren't its own.
func parseConfig(b []byte) (index uint64, c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading the configuration: %v", p)
		}
	}()
	if len(b) < 8 {
		return 0, c, errors.New("reading the configuration: it is cut short")
	}
	return binary.BigEndian.Uint64(b), raft.DecodeConfiguration(b[8:]), nil
}

// The database lies in a numbered directory that the file CURRENT names, so that an installed snapshot replaces it in
// one durable rename. Crash points: before the rename, the old state is current and the new directory is an orphan;
// after it, the new one is current and the old an orphan. Orphans are removed at the next start.
const currentFile = "CURRENT"

// currentState returns the directory that is current, or "" when there is none.
func currentState(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, currentFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSuffix(string(b), "\n")
	if _, err := strconv.ParseUint(name, 10, 64); err != nil {
		return "", fmt.Errorf("reading %s: %q names no state", currentFile, name)
	}
	return filepath.Join(root, name), nil
}

// makeCurrent makes dir the current state, durably.
func makeCurrent(root, dir string) error {
	return writeFile(filepath.Join(root, currentFile), []byte(filepath.Base(dir)+"\n"))
}

// nextState names a directory that isn't there yet.
func nextState(root string) (string, error) {
	all, err := os.ReadDir(root)
	if err != nil {
		return "", err
	}
	var last uint64
	for _, e := range all {
		if n, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			last = max(last, n)
		}
	}
	return filepath.Join(root, fmt.Sprintf("%06d", last+1)), nil
}

// removeOrphans removes every state but the current one.
func removeOrphans(root, current string) error {
	all, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Name() == currentFile || e.Name() == filepath.Base(current) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// writeFile replaces a file: after a crash there is the old one or the new one, and on return the new one is durable.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// pebbleLogger passes on what Pebble finds worth an operator's time.
type pebbleLogger struct {
	hclog.Logger
	fatal func(error)
}

func (l pebbleLogger) Infof(format string, args ...any) {
	if l.IsDebug() {
		l.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble goes on as if it had ended the process.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf("keeping the state: "+format, args...))
	select {}
}
