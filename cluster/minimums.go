package cluster

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/tiles"
)

// minimums are the positions below which trees are pruned, as Log.Prune was told. No node has the entries any more: one
// that hasn't had them yet is whole without them. A peer's word that it has pruned something would not be enough.
type minimums struct {
	mu sync.Mutex // guards what follows
	of map[string]int64
}

func (m *minimums) raise(tree string, position int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[string]int64{}
	}
	m.of[tree] = max(m.of[tree], position)
}

func (m *minimums) get(tree string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[tree]
}

// skipPruned brings a tree's files past what is pruned and not on this node. Of that, peers have kept the roots of the
// level-0 tiles, which hash up to the tree's root as entries do.
func (w *logWriter) skipPruned(ctx context.Context, st *state, s *tiles.Store, h audit.Head) error {
	to := min(w.r.minimums.get(h.Tree), h.Size) &^ (tiles.BundleSize - 1)
	for at := s.Complete(); at < to && ctx.Err() == nil; at = s.Complete() {
		here, err := entriesOf(st, h.First+at, tiles.BundleSize)
		if err != nil || len(here) == tiles.BundleSize { // this node has them, and all after them, and will prune them itself
			return err
		}
		first := at / tiles.BundleSize
		n := min(to/tiles.BundleSize-first, tiles.BundleSize-first%tiles.BundleSize) // to the end of the level-1 tile
		var roots []tlog.Hash
		err = w.ask(ctx, h, func(p *peerTiles) (err error) {
			roots, err = p.roots(h, first, n)
			return err
		})
		if err != nil {
			return fmt.Errorf("%w: hashes of entries %d to %d, which are pruned: %w", errFetch, h.First+at, h.First+at+n*tiles.BundleSize, err)
		}
		if err := s.Skip(roots); err != nil {
			return err
		}
	}
	return nil
}

// roots gets roots of level-0 tiles that hash up to the tree's root.
func (p *peerTiles) roots(h audit.Head, first, n int64) ([]tlog.Hash, error) {
	indexes := make([]int64, n)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(p.Height(), first+int64(i))
	}
	return tlog.TileHashReader(tlog.Tree{N: h.Size, Hash: h.Root}, p).ReadHashes(indexes)
}
