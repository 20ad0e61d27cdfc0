// Package index finds entries of the key-usage log by what their members say: an account, a key, an actor, a time.
//
// The index is one node's own. It is derived from the log and proves nothing: whoever wants proof takes the positions that
// are found here and asks for entries and inclusion proofs. It can be removed at any time, and [Open] does so when it is
// damaged or in another format. [Index.Added] then says 0 and the bundles are added again; until they are, [Index.Search]
// reads those that it has no postings of.
//
// Who writes the log calls, after a full bundle of 256 entries of a tree is durable, and at the start:
//
//	for b := x.Added(tree); b < full; b++ {
//		err := x.Add(tree, first, b, entries(b))
//	}
//
// DESIGN.md has the layout, the reasons and what was measured.
package index

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
)

// Config is how an index is kept.
type Config struct {
	// Logger gets what operators should see. Default: nothing is logged.
	Logger hclog.Logger
	// OnFatal is called when the index's disk fails: a write that was lost in the background can't be told to anybody
	// else. It must end the process, soon, and can be called again until then. Default: panic.
	OnFatal func(error)
	// CacheBytes is the memory for blocks of the index. Default: 8 MiB.
	CacheBytes int64
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.OnFatal == nil {
		c.OnFatal = func(err error) { panic(err) }
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = 8 << 20
	}
	return c
}

var (
	// ErrClosed: the index was closed.
	ErrClosed = errors.New("the index is closed")
	// ErrDamaged: the index can't be read. Added says 0 from now on, and the next Add or Forget begins it anew.
	ErrDamaged = errors.New("the index is damaged")
)

// Index is an open index. It is safe for concurrent use.
type Index struct {
	cfg    Config
	fs     vfs.FS
	dir    string
	layout layout
	budget budget
	lock   io.Closer // of dir

	// damaged is set as soon as anybody, Pebble in the background included, finds the database damaged.
	damaged atomic.Bool

	life   sync.RWMutex // held for reading by whoever uses db; who closes or replaces it waits for them
	db     *pebble.DB   // nil once closed, or while it can't be begun anew
	closed bool

	adding  sync.Mutex // guards what follows: one bundle is added at a time
	builder builder
}

// Open opens the index in a directory of its own, and makes it if there is none. An index that is damaged or in another
// format is removed and begun anew, so what fails here is the disk, or another process has the index open. Nothing but
// the index may be kept in dir.
func Open(dir string, cfg Config) (*Index, error) {
	return open(vfs.Default, dir, cfg, layout{segmentBits}, defaultBudget)
}

func open(fs vfs.FS, dir string, cfg Config, l layout, b budget) (*Index, error) {
	x := &Index{cfg: cfg.withDefaults(), fs: fs, dir: dir, layout: l, budget: b}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the index: %w", err)
	}
	// Removing needs a lock that isn't in what is removed.
	lock, err := fs.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("opening the index: locking its directory: %w", err)
	}
	x.lock = lock
	if err := x.removeOtherFormats(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the index: %w", err), lock.Close())
	}
	if x.db, err = x.openDB(); err != nil {
		x.cfg.Logger.Warn("the index of the log can't be opened and begins anew", "error", err)
		err = x.anew()
	}
	if err == nil {
		err = errors.Join(x.syncDir(dir), x.syncDir(filepath.Dir(dir)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the index: %w", err), x.closeDB(), lock.Close())
	}
	return x, nil
}

// syncDir makes durable that a directory has what was made in it.
func (x *Index) syncDir(dir string) error {
	d, err := x.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close makes durable what was added and closes the index, after searches that are under way. A second Close does
// nothing.
func (x *Index) Close() error {
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	var err error
	if x.db != nil && !x.damaged.Load() {
		err = x.db.Flush()
	}
	return errors.Join(err, x.closeDB(), x.lock.Close())
}

// use calls fn with the database, which stays open until it returns.
func (x *Index) use(fn func(*pebble.DB) error) error {
	x.life.RLock()
	defer x.life.RUnlock()
	switch {
	case x.closed:
		return ErrClosed
	case x.db == nil || x.damaged.Load():
		return ErrDamaged
	}
	err := fn(x.db)
	if pebble.IsCorruptionError(err) || errors.Is(err, errRecord) {
		x.damage(err)
	}
	switch {
	case !x.damaged.Load():
		return err
	case err == nil: // what was read can't be trusted, though it looked well
		return ErrDamaged
	}
	return fmt.Errorf("%w: %v", ErrDamaged, err)
}

// damage notes that the database is damaged, if it isn't noted yet.
func (x *Index) damage(cause error) {
	if !x.damaged.Swap(true) {
		x.cfg.Logger.Error("the index of the log is damaged and will be made anew", "error", cause)
	}
}

// heal begins the index anew if it is damaged.
func (x *Index) heal() error {
	if !x.damaged.Load() {
		return nil
	}
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed || !x.damaged.Load() {
		return nil
	}
	if err := x.anew(); err != nil {
		return fmt.Errorf("beginning the index anew: %w", err)
	}
	return nil
}

// anew replaces the database with an empty one. The caller holds life, or is alone.
func (x *Index) anew() error {
	if err := x.closeDB(); err != nil {
		x.cfg.Logger.Warn("closing the damaged index", "error", err)
	}
	if err := x.fs.RemoveAll(filepath.Join(x.dir, formatName)); err != nil {
		return err
	}
	db, err := x.openDB()
	if err != nil {
		return err
	}
	x.db = db
	x.damaged.Store(false)
	return nil
}

func (x *Index) closeDB() error {
	db := x.db
	x.db = nil
	if db == nil {
		return nil
	}
	return db.Close()
}
