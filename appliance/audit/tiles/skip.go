package tiles

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Skip goes on past bundles that were pruned elsewhere before they were here, by the roots of their level-0 tiles, which
// are the tree's hashes of level 1 from Complete/256 on. That they are right is for the caller to see to. If it answers
// nil, all bundles up to there are complete and pruned, and that is durable; what was here of them is for [Store.Prune] to
// remove. If not, nothing has changed, and the same may be tried again. It is the writer's, as Append is.
func (s *Store) Skip(roots []tlog.Hash) error {
	if len(roots) == 0 {
		return errors.New("skipping bundles: there are none")
	}
	s.write.Lock()
	defer s.write.Unlock()
	old := s.state.Load()
	if old.finished {
		return fmt.Errorf("skipping bundles: %w", ErrFinished)
	}
	var outputs []output
	next := old
	for _, root := range roots {
		var full []fullTile
		next, full = next.growAbove(root)
		for _, t := range full {
			outputs = append(outputs, output{tilePath(t.level, t.n, BundleSize), t.content})
		}
	}
	next.pruned = next.complete
	if w, ok := keptEdge(next.pruned, next.complete); ok {
		outputs = append(outputs, output{tilePath(1, hashesOf(next.pruned, 2), w), next.edge[1]})
	}
	err := s.firstMark(old)
	if err == nil && len(outputs) > 0 {
		err = s.put(outputs...)
	}
	if err == nil {
		err = s.writeMark(next)
	}
	if err != nil {
		return s.note(fmt.Errorf("skipping bundles from %d on: %w", old.complete/BundleSize, err))
	}
	s.state.Store(next)
	return s.note(nil)
}
