package cluster

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"github.com/fxamacker/cbor/v2"
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

// fetch gets entries at a position of a tree from peers.
func (w *logWriter) fetch(ctx context.Context, h audit.Head, at int64, n int) ([][]byte, error) {
	from := &peerTiles{ctx: ctx, r: w.r, tree: h.Tree}
	leaves := make([]int64, n)
	for i := range leaves {
		leaves[i] = tlog.StoredHashIndex(0, at+int64(i))
	}
	want, err := tlog.TileHashReader(tlog.Tree{N: h.Size, Hash: h.Root}, from).ReadHashes(leaves)
	if err != nil {
		return nil, fmt.Errorf("%w: hashes: %w", errFetch, err)
	}
	b, err := from.ask(logRequest{Tree: h.Tree, Level: -1, N: at / tiles.BundleSize, Width: n})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	entries := make([][]byte, 0, n)
	for len(b) > 0 && len(entries) < n {
		var e []byte
		if e, b, err = torchwood.ReadTileEntry(b); err != nil {
			return nil, fmt.Errorf("%w: %w", errFetch, err)
		}
		if tlog.Hash(audit.LeafHash(e)) != want[len(entries)] {
			return nil, fmt.Errorf("%w: entry %d is not the one that was logged", errFetch,
				h.First+at+int64(len(entries)))
		}
		entries = append(entries, e)
	}
	if len(entries) != n || len(b) != 0 {
		return nil, fmt.Errorf("%w: a bundle has another length", errFetch)
	}
	return entries, nil
}

// peerTiles reads tiles from whichever peer has them. It is a tlog.TileReader.
type peerTiles struct {
	ctx  context.Context
	r    *Raft
	tree string
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

// ask asks one peer after the other.
func (p *peerTiles) ask(q logRequest) ([]byte, error) {
	payload, err := cbor.Marshal(q)
	if err != nil {
		return nil, err
	}
	errs := []error{errors.New("no other node has it")}
	for _, m := range p.r.known() {
		if m.ID == p.r.cfg.NodeID {
			continue
		}
		ctx, cancel := context.WithTimeout(p.ctx, p.r.cfg.rpcTimeout())
		b, err := p.r.peers.call(ctx, address(m.ID, m.Address), kindLog, payload)
		cancel()
		if err == nil {
			return b, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", m.ID, err))
	}
	return nil, errors.Join(errs...)
}
