package index

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/go-hclog"
)

// openDB opens the database of the present format, or makes it.
//
// Pebble's write-ahead log is off. Pebble makes batches durable whole and in their order, and the batch of a bundle holds
// the tree's record, so what is found after a crash is the exact state after some earlier bundle, and the record says
// after which.
func (x *Index) openDB() (*pebble.DB, error) {
	cache := pebble.NewCache(x.cfg.CacheBytes)
	defer cache.Unref()
	return pebble.Open(filepath.Join(x.dir, formatName), &pebble.Options{
		FS:                 x.fs,
		Cache:              cache,
		DisableWAL:         true,
		FormatMajorVersion: pebble.FormatColumnarBlocks,
		Logger:             databaseLogger{x.cfg.Logger, x.cfg.OnFatal},
		// Each compaction of a segment under way rewrites what there is of it, so they are few. A search looks into at most
		// that many tables more.
		L0CompactionThreshold:       16,
		L0StopWritesThreshold:       48,
		MaxOpenFiles:                200,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: 4,
		EventListener: &pebble.EventListener{
			// Called while something is read: it may not block, nor close the database.
			DataCorruption: func(i pebble.DataCorruptionInfo) { x.damage(errors.New(i.String())) },
			BackgroundError: func(err error) {
				if pebble.IsCorruptionError(err) {
					x.damage(err)
					return
				}
				// Pebble would try again, at once and for ever, and writers would wait for it.
				x.cfg.OnFatal(fmt.Errorf("writing the index: %w", err))
			},
		},
	})
}

// memTableSize bounds what a crash loses, and so what is added again: about 130 bundles. A larger one costs more
// CPU for each insertion than it saves in compactions.
const memTableSize = 8 << 20

var formats = regexp.MustCompile(`^v[0-9]+$`)

func (x *Index) removeOtherFormats() error {
	names, err := x.fs.List(x.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == formatName || !formats.MatchString(name) {
			continue
		}
		x.cfg.Logger.Warn("removing an index of another format", "format", name)
		if err := x.fs.RemoveAll(filepath.Join(x.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// get returns a copy of the value, or nil when there is none.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, c, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(v)), v...), c.Close()
}

// databaseLogger passes on what Pebble finds worth an operator's time.
type databaseLogger struct {
	hclog.Logger
	fatal func(error)
}

func (l databaseLogger) Infof(format string, args ...any) {
	if l.IsDebug() {
		l.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l databaseLogger) Errorf(format string, args ...any) {
	l.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble goes on as if it had ended the process.
func (l databaseLogger) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf("keeping the index: "+format, args...))
	select {}
}
