package cluster

import (
	"context"
	"fmt"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/index"
	"strongroom.internal/appliance/audit/tiles"
)

// Log is of Engine.
func (r *Raft) Log() Log { return nodeLog{r} }

// nodeLog is the log as this node's state and files have it.
type nodeLog struct{ r *Raft }

func (n nodeLog) ledger() (l ledger, err error) {
	st, err := n.r.fsm.current()
	if err != nil {
		return l, err
	}
	defer st.release()
	snap := st.db.NewSnapshot() // the edge and the record of one moment
	defer snap.Close()
	return readLedger(snap)
}

func (n nodeLog) Heads() ([]audit.Head, error) {
	l, err := n.ledger()
	if err != nil {
		return nil, err
	}
	return append(l.closed, l.head().Head), nil
}

// find is the tree that has an index, or will have it.
func find(heads []audit.Head, index int64) audit.Head {
	for _, h := range heads[:len(heads)-1] {
		if index < h.First+h.Size {
			return h
		}
	}
	return heads[len(heads)-1]
}

func (n nodeLog) Tree(name string) (*tiles.Reader, error) {
	heads, err := n.Heads()
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if h.Tree == name {
			return n.read(h)
		}
	}
	return nil, ErrNoTree
}

func (n nodeLog) read(h audit.Head) (*tiles.Reader, error) {
	s, err := n.r.writer.store(h.Tree)
	if err != nil {
		return nil, err
	}
	return tiles.NewReader(s, h.Size, func(from int64, count int) ([][]byte, error) {
		st, err := n.r.fsm.current()
		if err != nil {
			return nil, err
		}
		defer st.release()
		return entriesOf(st, h.First+from, count)
	}), nil
}

func (n nodeLog) Entries(from int64, count int) ([][]byte, error) {
	if from < 0 || count <= 0 {
		return nil, nil
	}
	heads, err := n.Heads()
	if err != nil {
		return nil, err
	}
	h := find(heads, from)
	at := from - h.First
	if at >= h.Size {
		return nil, nil
	}
	t, err := n.read(h)
	if err != nil {
		return nil, err
	}
	return t.Entries(at, int(min(int64(count), h.Size-at)))
}

func (n nodeLog) Search(ctx context.Context, tree string, q index.Query, o index.Options) (index.Page, error) {
	t, err := n.Tree(tree)
	if err != nil {
		return index.Page{}, err
	}
	s, err := n.r.writer.store(tree)
	if err != nil {
		return index.Page{}, err
	}
	return n.r.index.search(ctx, t, s, tree, q, o)
}

func (n nodeLog) Wait(ctx context.Context, index int64) error {
	return n.r.fsm.logged.wait(ctx, n.r.stopping, uint64(index)+1)
}

func (n nodeLog) Health() error {
	if err := n.r.writer.health(); err != nil {
		return err
	}
	free, err := freeBytes(n.r.cfg.DataDir)
	if err != nil {
		return err
	}
	if free < n.r.cfg.MinFreeBytes {
		return fmt.Errorf("the disk has %d MiB free, %d MiB are needed", free>>20, n.r.cfg.MinFreeBytes>>20)
	}
	return nil
}

func (n nodeLog) Prune(tree string, position int64) error {
	n.r.minimums.raise(tree, position)
	s, err := n.r.writer.store(tree)
	if err != nil {
		return err
	}
	return s.Prune(position)
}
