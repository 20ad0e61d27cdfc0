package appliance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/tiles"
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
	proposed        int

	store *tiles.Store
	has   int64
}

func (l *lagging) Sync(context.Context) error { l.synced = true; return nil }

func (l *lagging) View(fn func(cluster.Reader) error) error {
	if l.synced {
		return fn(l.current)
	}
	return fn(l.behind)
}

func (l *lagging) Log() cluster.Log { return held{store: l.store, has: l.has} }

// held is the log of two trees, each of the same entries.
type held struct {
	cluster.Log
	store *tiles.Store
	has   int64 // entries that are on the node
}

const heldSize = 9

func (h held) Tree(string) (*tiles.Reader, error) {
	return tiles.NewReader(h.store, heldSize, func(from int64, n int) (entries [][]byte, err error) {
		for ; from < h.has && len(entries) < n; from++ {
			entries = append(entries, fmt.Append(nil, "entry ", from))
		}
		return entries, nil
	}), nil
}

func (h held) Heads() ([]audit.Head, error) { return []audit.Head{{Tree: "2026", Size: heldSize}}, nil }

// Propose is of a cluster that has no majority for anything.
func (l *lagging) Propose(context.Context, []byte) (cluster.Result, error) {
	l.proposed++
	return cluster.Result{}, nil
}

// TestWaitingForACheckpointAsksForOneNowAndThen: not each time that each of those who wait looks.
func TestWaitingForACheckpointAsksForOneNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory{intentRecord: mustEncode(intent{Tree: "2026", Size: 5, Time: account.Time(time.Now().UnixMilli())})}
		engine := &lagging{behind: state}
		s := &Service{engine: engine, now: time.Now}
		for _, tc := range []struct {
			wait time.Duration
			most int
		}{{4 * time.Second, 0}, {1100 * time.Millisecond, 2}} {
			ctx, cancel := context.WithTimeout(t.Context(), tc.wait)
			_, err := s.awaitCheckpoint(ctx, "2026", heldSize)
			cancel()
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v, want ErrUnavailable", err)
			}
			if engine.proposed > tc.most {
				t.Errorf("an intent waits for its majority, and within %v %d others were proposed", tc.wait, engine.proposed)
			}
		}
		if engine.proposed == 0 {
			t.Error("another intent was due, and nobody proposed it")
		}
	})
}

// leading is Members of which this node is the leader.
type leading struct{ Members }

func (leading) Status() cluster.Status { return cluster.Status{Leader: "n1"} }
func (leading) ClockError() error      { return nil }

// forgetful is a Memory that can't be read.
type forgetful struct{ slate }

func (*forgetful) Last() (SignedHead, error) { return SignedHead{}, errors.New("no memory") }

// TestALeaderThatCantSignAsksTheOthers: two of three nodes are enough, and only the leader asks.
func TestALeaderThatCantSignAsksTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory{intentRecord: mustEncode(intent{Tree: "2026", Size: 5, Time: account.Time(time.Now().UnixMilli())})}
		engine := &lagging{behind: state}
		s := &Service{nodeID: "n1", engine: engine, members: leading{}, memory: &forgetful{}, now: time.Now, log: hclog.NewNullLogger()}
		s.estate.Store(&clusterInfo{TrustDomain: "d.test"})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.signLog(ctx); err != nil {
			t.Fatal(err)
		}
		if engine.proposed == 0 {
			t.Error("it asked for nothing, because it can't sign itself")
		}
	})
}

// A node that has just started sees old intents again while Raft applies what its state had not kept: it signs nothing,
// and it isn't one whose state was set back. That is one that has less than it signed when it has all that is committed.
//
// Nor does it sign what its own log doesn't have, whatever its state says: a state comes whole from a leader.
func TestWhatIsSigned(t *testing.T) {
	head := func(tree string, size int64) SignedHead {
		var log audit.Tree
		for i := range size {
			log.Append(fmt.Append(nil, "entry ", i))
		}
		return SignedHead{Tree: tree, Size: size, Root: log.Root()}
	}
	other := func(h SignedHead) SignedHead {
		h.Root[0] ^= 1
		return h
	}
	all := int64(heldSize)
	for name, tc := range map[string]struct {
		signed, now, later SignedHead // now: in the state; later: once it has all
		has                int64      // entries that the node has
		may                bool
		err                error
	}{
		"the first":                   {now: head("2026", 5), later: head("2026", 5), has: all, may: true},
		"the next":                    {head("2026", 5), head("2026", 9), head("2026", 9), all, true, nil},
		"the same again":              {head("2026", 5), head("2026", 5), head("2026", 5), all, true, nil},
		"the next tree's":             {head("2026", 5), head("2027", 1), head("2027", 1), all, true, nil},
		"catching up to it":           {head("2026", 5), head("2026", 3), head("2026", 5), all, false, nil},
		"catching up beyond it":       {head("2026", 5), head("2026", 3), head("2026", 8), all, false, nil},
		"catching up from a tree ago": {head("2027", 1), head("2026", 3), head("2027", 1), all, false, nil},
		"set back":                    {head("2026", 5), head("2026", 3), head("2026", 4), all, false, ErrRolledBack},
		"set back by a tree":          {head("2027", 1), head("2026", 9), head("2026", 9), all, false, ErrRolledBack},
		"another root":                {head("2026", 5), other(head("2026", 5)), head("2026", 9), all, false, ErrRolledBack},
		"a root made up":              {head("2026", 5), other(head("2026", 9)), other(head("2026", 9)), all, false, errNotHeld},
		"the first made up":           {now: other(head("2026", 9)), later: other(head("2026", 9)), has: all, err: errNotHeld},
		"the next of another history": {other(head("2026", 5)), head("2026", 9), head("2026", 9), all, false, ErrRolledBack},
		"of another tree's history":   {other(head("2026", 5)), head("2027", 1), head("2027", 1), all, false, ErrRolledBack},
		"what is still being fetched": {head("2026", 5), head("2026", 9), head("2026", 9), 7, false, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			with := func(h SignedHead) memory {
				return memory{intentRecord: mustEncode(intent{Tree: h.Tree, Size: h.Size, Root: h.Root})}
			}
			store, err := tiles.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			noted := &slate{tc.signed}
			s := &Service{engine: &lagging{behind: with(tc.now), current: with(tc.later), store: store, has: tc.has}, memory: noted}
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
