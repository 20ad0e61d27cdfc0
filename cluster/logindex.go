package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/index"
	"strongroom.internal/appliance/audit/tiles"
)

// indexEvery is how often the index is brought up to the files.
const indexEvery = time.Second

// logIndex has the log's entries found by what they say. It is kept in the background, from the files: nobody waits for
// it, what was missed comes in as what is new does, and one that was lost or damaged makes itself anew. Until a bundle is
// in it, a search reads the bundle.
type logIndex struct {
	r *Raft
	x *index.Index

	// Of run's goroutine alone.
	forgotten map[string]int64 // by tree: bundles below this one
	last      string           // error that was logged
}

func newLogIndex(r *Raft) (*logIndex, error) {
	x, err := index.Open(filepath.Join(r.cfg.DataDir, logIndexDir), index.Config{
		Logger: r.cfg.Logger.Named("index"), OnFatal: r.die,
	})
	if err != nil {
		return nil, err
	}
	return &logIndex{r: r, x: x, forgotten: map[string]int64{}}, nil
}

// run adds what there is to add until the node stops.
func (i *logIndex) run() {
	defer i.r.running.Done()
	tick := time.NewTicker(indexEvery)
	defer tick.Stop()
	for {
		i.note(i.catchUp(i.r.life))
		select {
		case <-tick.C:
		case <-i.r.stopping:
			return
		case <-i.r.dead:
			return
		}
	}
}

func (i *logIndex) note(err error) {
	switch {
	case err == nil:
		i.last = ""
	case err.Error() != i.last && i.r.life.Err() == nil:
		i.last = err.Error()
		i.r.cfg.Logger.Warn("the log's index is behind; searches read the log instead", "error", err)
	}
}

// catchUp adds the bundles that are in files and not in the index, and forgets those that were pruned.
func (i *logIndex) catchUp(ctx context.Context) error {
	heads, err := i.r.Log().Heads()
	if err != nil {
		return nil //nolint:nilerr // the node is stopping
	}
	for _, h := range heads {
		s, err := i.r.writer.store(h.Tree)
		if err != nil {
			return err
		}
		if pruned := s.Pruned() / tiles.BundleSize; pruned > i.forgotten[h.Tree] {
			if err := i.x.Forget(h.Tree, pruned); err != nil {
				return err
			}
			i.forgotten[h.Tree] = pruned
		}
		if err := i.add(ctx, h, s); err != nil {
			return err
		}
	}
	return nil
}

func (i *logIndex) add(ctx context.Context, h audit.Head, s *tiles.Store) error {
	t := tiles.NewReader(s, h.Size, nil)
	for b := i.x.Added(h.Tree); (b+1)*tiles.BundleSize <= min(s.Complete(), h.Size) && ctx.Err() == nil; b++ {
		entries, err := t.Entries(b*tiles.BundleSize, tiles.BundleSize)
		if errors.Is(err, tiles.ErrPruned) {
			return nil // meanwhile: to be forgotten the next time
		}
		if err != nil {
			return err
		}
		if err := i.x.Add(h.Tree, h.First, b, entries); err != nil {
			return err
		}
	}
	return nil
}

// search is of Log.
func (i *logIndex) search(
	ctx context.Context, t *tiles.Reader, s *tiles.Store, tree string, q index.Query, o index.Options,
) (index.Page, error) {
	if o.End == 0 || o.End > t.Size() {
		o.End = t.Size()
	}
	for {
		pruned := s.Pruned()
		if o.Begin = max(o.Begin, pruned); o.Begin >= o.End {
			return index.Page{Next: o.End}, q.Validate()
		}
		p, err := i.x.Search(ctx, tree, q, o, func(_ string, bundle int64) ([][]byte, error) {
			return t.Entries(bundle*tiles.BundleSize, tiles.BundleSize)
		})
		if errors.Is(err, tiles.ErrPruned) && s.Pruned() > pruned {
			continue
		}
		return p, err
	}
}
