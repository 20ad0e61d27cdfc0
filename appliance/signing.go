package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
	"strongroom.internal/cluster/failpoint"
	"strongroom.internal/hsm"
)

const (
	// checkpointEvery is how often the leader has the log signed when there is news.
	checkpointEvery = time.Second
	// settle is how long a node that was told of something new waits for it to be in a view.
	settle = 20 * time.Millisecond
	// lookAgain is how often who waits for a checkpoint looks whether there is one.
	lookAgain = 100 * time.Millisecond
	// signTimeout bounds one signature with the module, and its way into the log.
	signTimeout = 5 * time.Second
)

// SignedHead is what a node remembers of the last checkpoint that it signed.
type SignedHead struct {
	Tree string   `json:"tree"`
	Size int64    `json:"size"`
	Root [32]byte `json:"root"`
}

// Memory keeps what this node signed last, outside of the replicated state: a state that was rolled back can't make it
// sign another root at a size.
type Memory interface {
	// Last is the zero SignedHead when there is none yet.
	Last() (SignedHead, error)
	// Keep returns when h is durable.
	Keep(h SignedHead) error
}

// ErrRolledBack ends the node: see Service.Run.
var ErrRolledBack = errors.New("this node's state is not the one that the node has signed")

// signLog is a node's part in the log's checkpoints, until ctx ends: it signs what is to be signed, and on the leader it
// asks for more when there is news. What fails is tried again; only a state that was rolled back is an error.
func (s *Service) signLog(ctx context.Context) error {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var trouble trouble
	for {
		err := s.signOnce(ctx)
		if errors.Is(err, ErrRolledBack) {
			return err
		}
		// A leader that can't sign, because it is still fetching its log or its module is away, asks the others all the same.
		trouble.note(ctx, s.log, "signing the log", errors.Join(err, s.askForCheckpoint(ctx)))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.logChanged:
			// The machine was told before the views are: what it did is in one soon.
			applied := s.members.Status().Applied
			wait, cancel := context.WithTimeout(ctx, settle)
			_ = s.engine.WaitApplied(wait, applied+1)
			cancel()
		}
		s.published.tell()
	}
}

// signOnce signs the intent, if there is one without this node's signature.
func (s *Service) signOnce(ctx context.Context) error {
	info := s.estate.Load()
	if info == nil || s.memory == nil {
		return nil
	}
	i, err := s.intent()
	if err != nil || i.Tree == "" || slices.ContainsFunc(i.Signed, func(v vote) bool { return v.Node == s.nodeID }) {
		return err
	}
	failpoint.Hit("log-intent")
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	if may, err := s.remember(ctx, i.head()); err != nil || !may {
		return err
	}
	failpoint.Hit("log-remembered")
	key, err := s.pool.Signer(ctx, hsm.KeyLog)
	if err != nil {
		return moduleError("signing a checkpoint", err)
	}
	text := audit.CheckpointText(audit.Origin(info.TrustDomain, i.Tree), i.Size, i.Root)
	lines, err := audit.Sign(s.rand, text, audit.CosignerName(info.TrustDomain, s.nodeID), int64(i.Time)/1000, key)
	if err != nil {
		return moduleError("signing a checkpoint", err)
	}
	failpoint.Hit("log-signed")
	err = s.proposeLog(ctx, logCommand{Sign: &signed{
		Tree: i.Tree, Size: i.Size, Root: i.Root, Effects: i.Effects, Log: lines.Log, Cosigner: lines.Cosigner,
	}})
	if err == nil {
		failpoint.Hit("log-voted")
	}
	return err
}

// remember notes durably what is about to be signed. What was noted before and never got out is signed again. It is false
// for an intent that is over: a node that has just started sees it again while it catches up. It is errNotHeld for a root
// that this node's log does not have.
func (s *Service) remember(ctx context.Context, h SignedHead) (may bool, err error) {
	last, err := s.memory.Last()
	if err != nil {
		return false, fmt.Errorf("reading what this node signed last: %w", err)
	}
	switch {
	case last == h:
		return true, nil
	case h.before(last):
		// What it noted, it had seen committed: a state with all that is committed has that intent, or a later one.
		if err := s.engine.Sync(ctx); err != nil {
			return false, engineError(err)
		}
		i, err := s.intent()
		if err != nil || !i.head().before(last) {
			return false, err
		}
		return false, rolledBack(last, i.head())
	case h.Tree == last.Tree && h.Size == last.Size:
		return false, rolledBack(last, h)
	}
	if err := s.vouch(last, h); err != nil {
		return false, err
	}
	if err := s.memory.Keep(h); err != nil {
		return false, fmt.Errorf("noting what this node signs: %w", err)
	}
	return true, nil
}

// errNotHeld: this node's log has another root at that size.
var errNotHeld = errors.New("the root to be signed is not that of this node's log")

// vouch compares what is to be signed, and what was signed last, with the entries and tiles that this node holds. The
// intent's own root isn't enough: it may have come in a snapshot with the whole state, from a leader that made it up, and
// that one's signature and this one's would be a majority. A node that has yet to fetch its part of the log signs nothing.
func (s *Service) vouch(last, h SignedHead) error {
	if last.Size > 0 {
		root, err := s.rootOf(last)
		switch {
		case errors.Is(err, ErrPruned): // long ago, then: nothing is left of it to compare
		case err != nil:
			return fmt.Errorf("reading the log that was signed last: %w", err)
		case root != last.Root:
			return rolledBack(last, SignedHead{Tree: last.Tree, Size: last.Size, Root: root})
		}
	}
	root, err := s.rootOf(h)
	if err != nil {
		return fmt.Errorf("reading the log that is to be signed: %w", err)
	}
	if root != h.Root {
		return fmt.Errorf("size %d of tree %s, root %x, and %x here: %w", h.Size, h.Tree, h.Root, root, errNotHeld)
	}
	return nil
}

// rootOf is the root that this node's log has where h is.
func (s *Service) rootOf(h SignedHead) (root [audit.HashSize]byte, err error) {
	t, err := s.engine.Log().Tree(h.Tree)
	if err == nil {
		root, err = rootAt(t, h.Size)
	}
	return root, logError(err)
}

// before says that h is an earlier head than other.
func (h SignedHead) before(other SignedHead) bool {
	return h.Tree < other.Tree || h.Tree == other.Tree && h.Size < other.Size
}

func rolledBack(signed, state SignedHead) error {
	return fmt.Errorf("%w: size %d of tree %s with root %x was signed, and size %d of tree %s with root %x is in the state. "+
		"Remove the node, and let a new one join", ErrRolledBack, signed.Size, signed.Tree, signed.Root, state.Size, state.Tree, state.Root)
}

// askForCheckpoint is the leader's: a new tree with the new year, and an intent when there is news.
func (s *Service) askForCheckpoint(ctx context.Context) error {
	if s.estate.Load() == nil || s.members.Status().Leader != s.nodeID || s.members.ClockError() != nil {
		return nil
	}
	heads, err := s.engine.Log().Heads()
	if err != nil {
		return err
	}
	head := heads[len(heads)-1]
	if year := treeOf(s.now()); head.Size > 0 && head.Tree < year {
		return s.proposeLog(ctx, logCommand{Begin: &begin{Tree: year}})
	}
	i, err := s.intent()
	if err != nil {
		return err
	}
	now := account.Time(s.now().UnixMilli())
	if head.Size == 0 || !i.due(head, now) || i.Published && now-i.Time < account.Time(checkpointEvery/time.Millisecond)*9/10 {
		return nil
	}
	if err := s.proposeLog(ctx, logCommand{Intent: &intend{}}); err != nil {
		return err
	}
	failpoint.Hit("log-intended")
	return nil
}

// treeOf names the tree of a moment: its year, UTC.
func treeOf(t time.Time) string { return strconv.Itoa(t.UTC().Year()) }

func (s *Service) intent() (i intent, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		i, _, err = readRecord[intent](r, intentRecord)
		return err
	})
	return i, err
}

func (s *Service) proposeLog(ctx context.Context, cmd logCommand) error {
	cmd.Time, cmd.Node = account.Time(s.now().UnixMilli()), s.nodeID
	_, err := s.engine.Propose(ctx, append([]byte{logCommandByte}, mustEncode(cmd)...))
	return engineError(err)
}

// checkpoint is the newest of a tree that this node knows of; its size is 0 while there is none.
func (s *Service) checkpoint(tree string) (c checkpoint, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		c, _, err = readRecord[checkpoint](r, checkpointPrefix+tree)
		return err
	})
	return c, err
}

// askIfDue proposes to sign the log as it is, unless that would be refused: many wait for one checkpoint, and look again
// and again while there is no majority.
func (s *Service) askIfDue(ctx context.Context, i intent) error {
	heads, err := s.engine.Log().Heads()
	if err != nil || !i.due(heads[len(heads)-1], account.Time(s.now().UnixMilli())) {
		return err
	}
	return s.proposeLog(ctx, logCommand{Intent: &intend{}})
}

// awaitCheckpoint returns a checkpoint of the tree of at least that size, asking for one if need be.
func (s *Service) awaitCheckpoint(ctx context.Context, tree string, size int64) (checkpoint, error) {
	for {
		published := s.published.wait()
		c, err := s.checkpoint(tree)
		if err != nil || c.Size >= size {
			return c, err
		}
		i, err := s.intent()
		if err != nil {
			return c, err
		}
		if i.Tree != tree || i.Size < size {
			if err := s.askIfDue(ctx, i); err != nil {
				return c, err
			}
		}
		timer := time.NewTimer(lookAgain)
		select {
		case <-published:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return c, fmt.Errorf("waiting for a checkpoint: %w: %w", ctx.Err(), ErrUnavailable)
		}
	}
}
