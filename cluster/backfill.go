package cluster

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/tiles"
)

// A node whose state came as a snapshot has the log's edge and its last entries. The files of all earlier ones it fetches
// from its peers, and believes nothing that does not hash up to the root that its own state has.

// logRequest asks a peer for a file of its log. Level is -1 for an entry bundle.
type logRequest struct {
	Tree  string `cbor:"1,keyasint"`
	Level int    `cbor:"2,keyasint"`
	N     int64  `cbor:"3,keyasint"`
	Width int    `cbor:"4,keyasint"`
}

// handleLog answers a logRequest with the file's bytes.
func (r *Raft) handleLog(payload []byte) ([]byte, error) {
	var q logRequest
	if err := cbor.Unmarshal(payload, &q); err != nil {
		return nil, fmt.Errorf("%w: reading the request: %v", ErrNoEffect, err)
	}
	t, err := r.Log().Tree(q.Tree)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoEffect, err)
	}
	var b []byte
	if q.Level < 0 {
		b, err = t.Bundle(q.N, q.Width)
	} else {
		b, err = t.Tile(q.Level, q.N, q.Width)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoEffect, err)
	}
	return b, nil
}

// errFetch: this node could not get what it lacks, for now. It serves all the same.
var errFetch = errors.New("fetching the log from other nodes")

// fetch gets entries at a position of a tree, from the first peer that has them and proves them.
func (w *logWriter) fetch(ctx context.Context, h audit.Head, at int64, n int) (entries [][]byte, err error) {
	err = w.ask(ctx, h, func(p *peerTiles) (err error) {
		entries, err = p.prove(h, at, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: entries %d to %d: %w", errFetch, h.First+at, h.First+at+int64(n), err)
	}
	return entries, nil
}

// ask asks one peer after the other, until one has what is wanted.
func (w *logWriter) ask(ctx context.Context, h audit.Head, one func(*peerTiles) error) error {
	errs := []error{errors.New("no other node has them")}
	for _, m := range w.r.known() {
		if m.ID == w.r.cfg.NodeID {
			continue
		}
		err := one(&peerTiles{ctx, w.r, address(m.ID, m.Address), h.Tree})
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("from %s: %w", m.ID, err))
	}
	return errors.Join(errs...)
}

// peerTiles reads a peer's tiles. It is a tlog.TileReader.
type peerTiles struct {
	ctx  context.Context
	r    *Raft
	peer raft.ServerAddress
	tree string
}

// prove gets entries, and compares them with leaves that hash up to the tree's root.
func (p *peerTiles) prove(h audit.Head, at int64, n int) ([][]byte, error) {
	leaves := make([]int64, n)
	for i := range leaves {
		leaves[i] = tlog.StoredHashIndex(0, at+int64(i))
	}
	want, err := tlog.TileHashReader(tlog.Tree{N: h.Size, Hash: h.Root}, p).ReadHashes(leaves)
	if err != nil {
		return nil, err
	}
	b, err := p.ask(logRequest{Tree: h.Tree, Level: -1, N: at / tiles.BundleSize, Width: n})
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, 0, n)
	for len(b) > 0 && len(entries) < n {
		var e []byte
		if e, b, err = torchwood.ReadTileEntry(b); err != nil {
			return nil, err
		}
		if tlog.Hash(audit.LeafHash(e)) != want[len(entries)] {
			return nil, fmt.Errorf("entry %d is not the one that was logged", h.First+at+int64(len(entries)))
		}
		entries = append(entries, e)
	}
	if len(entries) != n || len(b) != 0 {
		return nil, errors.New("a bundle has another length")
	}
	return entries, nil
}

func (p *peerTiles) Height() int { return torchwood.TileHeight }

func (p *peerTiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(list))
	for i, t := range list {
		var err error
		if all[i], err = p.ask(logRequest{Tree: p.tree, Level: t.L, N: t.N, Width: t.W}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (p *peerTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (p *peerTiles) ask(q logRequest) ([]byte, error) {
	payload, err := cbor.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.r.cfg.rpcTimeout())
	defer cancel()
	return p.r.peers.call(ctx, p.peer, kindLog, payload)
}
