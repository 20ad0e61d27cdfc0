package appliance

import (
	"context"
	"errors"
	"testing"

	"strongroom.internal/cluster"
)

// slate is a Memory.
type slate struct{ last SignedHead }

func (s *slate) Last() (SignedHead, error) { return s.last, nil }
func (s *slate) Keep(h SignedHead) error   { s.last = h; return nil }

// lagging is an engine whose state is behind until Sync.
type lagging struct {
	cluster.Engine
	behind, current memory
	synced          bool
}

func (l *lagging) Sync(context.Context) error { l.synced = true; return nil }

func (l *lagging) View(fn func(cluster.Reader) error) error {
	if l.synced {
		return fn(l.current)
	}
	return fn(l.behind)
}

// A node that has just started sees old intents again while Raft applies what its state had not kept: it signs nothing,
// and it isn't one whose state was set back. That is one that has less than it signed when it has all that is committed.
func TestOldIntentsAreNoRollback(t *testing.T) {
	head := func(tree string, size int64, root byte) SignedHead {
		return SignedHead{Tree: tree, Size: size, Root: [32]byte{root}}
	}
	for name, tc := range map[string]struct {
		signed, now, later SignedHead // now: in the state; later: once it has all
		may                bool
		err                error
	}{
		"the first":                   {now: head("2026", 5, 1), later: head("2026", 5, 1), may: true},
		"the next":                    {head("2026", 5, 1), head("2026", 9, 2), head("2026", 9, 2), true, nil},
		"the same again":              {head("2026", 5, 1), head("2026", 5, 1), head("2026", 5, 1), true, nil},
		"the next tree's":             {head("2026", 5, 1), head("2027", 1, 2), head("2027", 1, 2), true, nil},
		"catching up to it":           {head("2026", 5, 1), head("2026", 3, 3), head("2026", 5, 1), false, nil},
		"catching up beyond it":       {head("2026", 5, 1), head("2026", 3, 3), head("2026", 8, 4), false, nil},
		"catching up from a tree ago": {head("2027", 1, 1), head("2026", 3, 3), head("2027", 1, 1), false, nil},
		"set back":                    {head("2026", 5, 1), head("2026", 3, 3), head("2026", 4, 4), false, ErrRolledBack},
		"set back by a tree":          {head("2027", 1, 1), head("2026", 9, 3), head("2026", 9, 3), false, ErrRolledBack},
		"another root":                {head("2026", 5, 1), head("2026", 5, 2), head("2026", 9, 2), false, ErrRolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			with := func(h SignedHead) memory {
				return memory{intentRecord: mustEncode(intent{Tree: h.Tree, Size: h.Size, Root: h.Root})}
			}
			noted := &slate{tc.signed}
			s := &Service{engine: &lagging{behind: with(tc.now), current: with(tc.later)}, memory: noted}
			may, err := s.remember(t.Context(), tc.now)
			if may != tc.may || !errors.Is(err, tc.err) {
				t.Errorf("%v, %v; want %v, %v", may, err, tc.may, tc.err)
			}
			want := tc.signed
			if tc.may {
				want = tc.now
			}
			if noted.last != want {
				t.Errorf("it noted %+v, want %+v", noted.last, want)
			}
		})
	}
}
