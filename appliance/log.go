package appliance

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/index"
	"strongroom.internal/appliance/audit/tiles"
	"strongroom.internal/cluster"
)

// LogTree is a tree of the key-usage log as this node has it.
type LogTree struct {
	audit.Head
	Origin  string
	Closed  bool
	Minimum int64 // position below which entries are pruned
	Signed  int64 // size of the newest checkpoint; 0 while there is none
}

// ErrPruned: the entry is no longer on the nodes; an archive has it.
var ErrPruned = errors.New("the entry was pruned")

// founded is what the cluster agrees on; ErrUnavailable until this node has it.
func (s *Service) founded() (*clusterInfo, error) {
	if info := s.estate.Load(); info != nil {
		return info, nil
	}
	return nil, errNoKeys
}

// LogTrees are all trees of the log, oldest first; at least one.
func (s *Service) LogTrees(context.Context) ([]LogTree, error) {
	info, err := s.founded()
	if err != nil {
		return nil, err
	}
	heads, err := s.engine.Log().Heads()
	if err != nil {
		return nil, err
	}
	trees := make([]LogTree, len(heads))
	err = s.engine.View(func(r cluster.Reader) error {
		for i, h := range heads {
			c, _, err := readRecord[checkpoint](r, checkpointPrefix+h.Tree)
			if err != nil {
				return err
			}
			pruned, _, err := readRecord[int64](r, prunedPrefix+h.Tree)
			if err != nil {
				return err
			}
			trees[i] = LogTree{
				Head: h, Origin: audit.Origin(info.TrustDomain, h.Tree), Closed: i < len(heads)-1, Signed: c.Size,
				Minimum: pruned &^ (tiles.BundleSize - 1),
			}
		}
		return nil
	})
	return trees, err
}

// SignedUpTo is how many entries of the whole log there are up to which a checkpoint counts.
func SignedUpTo(trees []LogTree) int64 {
	for _, t := range slices.Backward(trees) {
		if t.Signed > 0 {
			return t.First + t.Signed
		}
	}
	return 0
}

// LogCheckpoint is the newest checkpoint of a tree, with its signatures; ErrNotFound while there is none.
func (s *Service) LogCheckpoint(_ context.Context, tree string) ([]byte, error) {
	info, err := s.founded()
	if err != nil {
		return nil, err
	}
	c, err := s.checkpoint(tree)
	if err != nil {
		return nil, err
	}
	if c.Size == 0 {
		return nil, ErrNotFound
	}
	return c.note(info.TrustDomain), nil
}

// fromTree reads from a tree. What is not there may be there on other nodes already, which the asker has a checkpoint of:
// so nothing is called absent before this node has caught up.
func fromTree[T any](ctx context.Context, s *Service, tree string, read func(*tiles.Reader) (T, error)) (v T, err error) {
	for caughtUp := false; ; caughtUp = true {
		t, err := s.engine.Log().Tree(tree)
		if err == nil {
			v, err = read(t)
		}
		if err = logError(err); caughtUp || !errors.Is(err, ErrNotFound) {
			return v, err
		}
		if err := s.engine.Sync(ctx); err != nil {
			return v, engineError(err)
		}
	}
}

// LogTile is a hash tile of a tree, by C2SP tlog-tiles: width hashes of a level from n*256 on. ErrNotFound for one that
// the tree doesn't have, ErrPruned, and ErrUnavailable for one that this node has yet to get.
func (s *Service) LogTile(ctx context.Context, tree string, level int, n int64, width int) ([]byte, error) {
	return fromTree(ctx, s, tree, func(t *tiles.Reader) ([]byte, error) { return t.Tile(level, n, width) })
}

// LogBundle is an entry bundle of a tree: width entries from n*256 on. Errors are those of LogTile.
func (s *Service) LogBundle(ctx context.Context, tree string, n int64, width int) ([]byte, error) {
	return fromTree(ctx, s, tree, func(t *tiles.Reader) ([]byte, error) { return t.Bundle(n, width) })
}

// LogPolicy is the C2SP tlog-policy that this cluster proposes to auditors.
func (s *Service) LogPolicy(ctx context.Context) ([]byte, error) {
	if err := s.engine.Sync(ctx); err != nil { // the witness that was just added belongs into it
		return nil, engineError(err)
	}
	witnesses, err := s.witnesses()
	if err != nil {
		return nil, err
	}
	return s.logPolicy(witnesses)
}

func (s *Service) logPolicy(witnesses []audit.Witness) ([]byte, error) {
	info, err := s.founded()
	if err != nil {
		return nil, err
	}
	members, err := s.memberRecords()
	if err != nil {
		return nil, err
	}
	heads, err := s.engine.Log().Heads()
	if err != nil {
		return nil, err
	}
	var signers []audit.Signer
	for _, m := range members {
		if !m.counts() {
			continue
		}
		key, err := x509.ParsePKIXPublicKey(m.LogKey)
		if err != nil {
			return nil, fmt.Errorf("reading the log key of %s: %w", m.ID, err)
		}
		signers = append(signers, audit.Signer{Node: m.ID, Key: key})
	}
	return audit.FormatPolicy(info.TrustDomain, heads[len(heads)-1].Tree, signers, witnesses)
}

// LogEntries returns the exact bytes of up to n entries, all of one tree.
func (s *Service) LogEntries(_ context.Context, from int64, n int) ([][]byte, error) {
	entries, err := s.engine.Log().Entries(from, n)
	return entries, logError(err)
}

// LogNews returns when this node's log has an entry with this index, or a checkpoint counts that covers more entries of
// the whole log than signed. It may return early.
func (s *Service) LogNews(ctx context.Context, index, signed int64) error {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	logged := make(chan error, 1)
	waiting.Go(func() { logged <- s.engine.Log().Wait(ctx, index) })
	for {
		published := s.published.wait()
		trees, err := s.LogTrees(ctx)
		if err != nil || SignedUpTo(trees) > signed {
			return err
		}
		select {
		case err := <-logged:
			return err
		case <-published:
		}
	}
}

// LogReceipt is the C2SP tlog-proof of an entry: the entry, its inclusion proof, and a checkpoint that counts. It waits
// for one that has the entry, as long as ctx lasts.
func (s *Service) LogReceipt(ctx context.Context, index int64) ([]byte, error) {
	info, err := s.founded()
	if err != nil {
		return nil, err
	}
	if err := s.engine.Sync(ctx); err != nil {
		return nil, engineError(err)
	}
	heads, err := s.engine.Log().Heads()
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		position := index - h.First
		if position < 0 || position >= h.Size {
			continue
		}
		c, err := s.awaitCheckpoint(ctx, h.Tree, position+1)
		if err != nil {
			return nil, err
		}
		return s.receipt(*info, c, position)
	}
	return nil, ErrNotFound
}

func (s *Service) receipt(info clusterInfo, c checkpoint, position int64) ([]byte, error) {
	t, err := s.engine.Log().Tree(c.Tree)
	if err != nil {
		return nil, logError(err)
	}
	entry, err := t.Entries(position, 1)
	if err != nil {
		return nil, logError(err)
	}
	if len(entry) != 1 {
		return nil, ErrNotFound
	}
	proof, err := tlog.ProveRecord(c.Size, position, t)
	if err != nil {
		return nil, logError(err)
	}
	return audit.FormatReceipt(position, entry[0], proof, c.note(info.TrustDomain)), nil
}

// AccountReceipt is LogReceipt for a front-end: of entries of its own tenant about that account only, as long as the
// account exists. It answers ErrPolicy for attempts whose code was not accepted, unless the tenant's policy tells spent
// codes from wrong ones.
func (s *Service) AccountReceipt(ctx context.Context, c Caller, name string, index int64) ([]byte, error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return nil, err
	}
	entries, err := s.engine.Log().Entries(index, 1)
	if err != nil {
		return nil, logError(err)
	}
	if len(entries) != 1 {
		return nil, ErrNotFound
	}
	e, err := audit.ParseEntry(entries[0])
	if err != nil {
		return nil, err
	}
	if e.Tenant != c.Tenant || e.Account != pseudonym(state, c.Tenant, name) {
		return nil, ErrNotFound
	}
	if !s.mayShow(c.Tenant, e.Outcome) {
		return nil, ErrPolicy
	}
	return s.LogReceipt(ctx, index)
}

// rootAt is the root that a tree had at a size.
func rootAt(t *tiles.Reader, size int64) (root [audit.HashSize]byte, err error) {
	h, err := tlog.TreeHash(size, t)
	return h, err
}

// logError translates the errors of the log.
func logError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cluster.ErrNoTree), errors.Is(err, tiles.ErrNoTile):
		return ErrNotFound
	case errors.Is(err, tiles.ErrPruned):
		return ErrPruned
	case errors.Is(err, tiles.ErrAbsent):
		return fmt.Errorf("this node is still fetching that part of the log: %w", ErrUnavailable)
	case errors.Is(err, tiles.ErrDamaged): // its path is for this node's log; another node has the file as it was
		return fmt.Errorf("%w: %w", err, ErrUnavailable)
	case errors.Is(err, index.ErrDamaged), errors.Is(err, index.ErrClosed):
		return fmt.Errorf("this node makes its index of the log anew: %w", ErrUnavailable)
	}
	return err
}

// pseudonym is how the log names an account.
func pseudonym(state *account.State, tenant, name string) string {
	return account.Pseudonym(state.Salt, tenant, name)
}
