// Package archive keeps the key-usage log as rows in PostgreSQL or CockroachDB, for SQL and for longer than a cluster
// keeps it.
//
// # What is stored
//
// log_entries has a row for each entry. Its primary key is the tree's origin and the entry's position in the tree, so
// that an entry is there once, whatever happens. The column bytes is exactly what was hashed into the tree; the other
// columns are the members of [audit.Entry], for SQL (log_index is its Index; U+0000 is U+FFFD there, because a text of
// PostgreSQL can't hold it). log_checkpoints has the signed checkpoints that the entries came under, and log_trees which
// trees there are. migrations has the tables, docs/audit-queries.sql what auditors ask of them.
//
// A database (or schema of one) is for one log. Rows are only ever added: who archives needs INSERT and SELECT and
// nothing else once the tables are made, who checks or asks needs SELECT.
//
// # What is believed
//
// [Archive] believes the policy and nothing else. A checkpoint has to satisfy it; every entry has to hash to the leaf that
// the tree has at its position, by hashes that add up to the checkpoint's root, before it is stored; and a checkpoint that
// is in the archive has to be the past of the one that is served. Older trees need no signatures: the first entry of each
// tree has the last checkpoint of the one before.
//
// [Check] believes the policy and not the database: it computes the roots anew from the column bytes, and compares
// the other columns with it. What it can't see is rows that were cut off at the end together with their checkpoint:
// that is an archive of an earlier day. The next run of Archive brings them back; an auditor compares sizes with a
// checkpoint that came by another way.
//
// # How it is stored
//
// A checkpoint is stored before the entries that come under it, and these in batches, each one transaction (see inTx for
// which). A run may end at any point: the next one begins at the first position that is missing. Rows that are there
// already are compared and never overwritten.
package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"strongroom.internal/appliance/audit"
)

// Options are for Archive. The zero value is good.
type Options struct {
	// Batch is how many entries are stored in one transaction: 2,048 when it is 0, at most 8,192.
	Batch int
	// Progress, when it isn't nil, is called after each transaction, by the goroutine that called Archive.
	Progress func(Progress)
}

const (
	defaultBatch = 2048
	mostBatch    = 8192
	// batchBytes ends a batch early: entries are at most 64 KiB, so a transaction has at most this and one bundle more.
	batchBytes = 8 << 20
)

// Progress is how far a tree is.
type Progress struct {
	Tree     string
	Position int64 // below which all entries are stored
	Size     int64 // of the tree, by its checkpoint
}

// Extent is how much of a tree is archived.
type Extent struct {
	Origin string
	Tree   string               // its name
	First  int64                // index of its first entry in the whole log
	Size   int64                // every position below is there
	Root   [audit.HashSize]byte // RFC 6962 Merkle tree hash of that size
}

// Result is what Archive has done.
type Result struct {
	Trees    []Extent // of the log, oldest first, as its checkpoints have them: all of it is archived
	Inserted int64    // how many entries were stored now
	// Unlisted are origins of trees that are archived and not part of the log that is served: what a cluster wrote
	// after the backup that it was restored from.
	Unlisted []string
}

// Archive stores what a log has and the database has not, verified against the policy, and makes the tables if need be.
// What it stored stays stored when it fails. Errors: audit.ErrCheckpoint, ErrSource, ErrOlder, ErrPruned, ErrNoArchive,
// *Fork, and *Fault for a row that is there and isn't the log's. When ctx ends during a statement, db is closed.
func Archive(ctx context.Context, db *pgx.Conn, source Source, policy *audit.Policy, o Options) (*Result, error) {
	if o.Batch < 0 || o.Batch > mostBatch {
		return nil, fmt.Errorf("a batch of %d entries: at most %d are possible", o.Batch, mostBatch)
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if err := Migrate(ctx, db); err != nil {
		return nil, err
	}
	chain, err := heads(ctx, db, source, policy)
	if err != nil {
		return nil, err
	}
	result := &Result{}
	if result.Unlisted, err = unlisted(ctx, db, chain); err != nil {
		return nil, err
	}
	for _, h := range chain {
		if err := h.archive(ctx, db, source, policy, o, result); err != nil {
			return result, err
		}
		result.Trees = append(result.Trees, Extent{h.origin, h.name, h.first, h.size, h.root})
	}
	return result, nil
}

// unlisted are the trees of the database that the log doesn't have. Another log's are refused.
func unlisted(ctx context.Context, db *pgx.Conn, chain []*head) ([]string, error) {
	archived, err := origins(ctx, db)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, origin := range archived {
		if family(origin) != family(chain[0].origin) {
			return nil, fmt.Errorf("this database has the log %s already, and is not for %s: give each log a database or a schema of its own",
				quoted(family(origin)), family(chain[0].origin))
		}
		known := false
		for _, h := range chain {
			known = known || h.origin == origin
		}
		if !known {
			list = append(list, origin)
		}
	}
	return list, nil
}

// archive stores one tree.
func (h *head) archive(ctx context.Context, db *pgx.Conn, source Source, policy *audit.Policy, o Options, result *Result) error {
	r := newReader(source, h.name, h.size, h.root)
	if err := h.follows(ctx, db, r, policy); err != nil {
		return err
	}
	if err := h.store(ctx, db); err != nil {
		return err
	}
	next, err := firstMissing(ctx, db, h.origin)
	if err != nil || next >= h.size {
		return err
	}
	if next < h.minimum {
		return fmt.Errorf("%w: tree %s, positions %d to %d", ErrPruned, h.name, next, h.minimum-1)
	}
	return h.copy(ctx, db, r, next, o, result)
}

// follows makes sure that what is archived of the tree is its past: the newest checkpoint that is stored stands for all
// rows below it.
func (h *head) follows(ctx context.Context, db *pgx.Conn, r *reader, policy *audit.Policy) error {
	c, err := newestCheckpoint(ctx, db, h.origin)
	if err != nil || c == nil {
		return err
	}
	root, err := c.read()
	if err != nil {
		return err
	}
	size := c.size
	if size > h.size {
		if h.closed {
			// A cluster that was restored from a backup knows less of its old tree than it had once signed. Nothing is to
			// be added; whether the chain's root is that of the first rows is for Check to say.
			return nil
		}
		return fmt.Errorf("%w: tree %s has size %d, and %d in the archive", ErrOlder, h.name, h.size, size)
	}
	err = r.contains(ctx, size, root)
	if !errors.Is(err, ErrSource) || r.failed != nil {
		return err
	}
	if _, err2 := policy.Open([]byte(c.note)); err2 != nil {
		return &Fault{tableCheckpoints, h.origin, size, size, "note", fmt.Sprintf("the log doesn't contain it, and its signatures don't count: %v", err2)}
	}
	return &Fork{Archived: []byte(c.note), Served: h.note}
}

// store makes the rows that say which tree this is and which checkpoint its entries come under.
func (h *head) store(ctx context.Context, db *pgx.Conn) error {
	return inTx(ctx, db, func() error {
		_, err := db.Exec(ctx, `INSERT INTO log_trees (origin, name, first_index, previous) VALUES ($1, $2, $3, $4)
			ON CONFLICT (origin) DO NOTHING`, h.origin, h.name, h.first, h.previous)
		if err != nil {
			return fmt.Errorf("storing tree %s: %w", h.name, err)
		}
		if err := h.checkTree(ctx, db); err != nil {
			return err
		}
		_, err = db.Exec(ctx, `INSERT INTO log_checkpoints (origin, size, root, note) VALUES ($1, $2, $3, $4)
			ON CONFLICT (origin, size) DO NOTHING`, h.origin, h.size, h.root[:], string(h.note))
		if err != nil {
			return fmt.Errorf("storing the checkpoint of tree %s at size %d: %w", h.name, h.size, err)
		}
		return nil
	})
}

// copy stores the entries from a position on. One goroutine reads and verifies ahead of the one that stores.
func (h *head) copy(ctx context.Context, db *pgx.Conn, r *reader, next int64, o Options, result *Result) error {
	ahead, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan *batch, 1)
	var g errgroup.Group
	g.Go(func() error {
		defer close(batches)
		return h.read(ahead, r, next, o.Batch, batches)
	})
	var err error
	for b := range batches {
		var inserted int64
		if inserted, err = b.insert(ctx, db, h.origin); err != nil {
			break
		}
		result.Inserted += inserted
		if o.Progress != nil {
			o.Progress(Progress{h.name, b.first + b.len(), h.size})
		}
	}
	cancel()
	return errors.Join(err, ended(g.Wait(), err))
}

// ended is the reader's error, unless it is only that the other one has given up.
func ended(reading, storing error) error {
	if storing != nil && errors.Is(reading, context.Canceled) {
		return nil
	}
	return reading
}

// read gives batches of verified entries until the tree's end.
func (h *head) read(ctx context.Context, r *reader, next int64, most int, batches chan<- *batch) error {
	b := &batch{}
	give := func() error {
		select {
		case batches <- b:
			b = &batch{}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for next < h.size {
		n := next / torchwood.TileWidth
		bundle, err := r.bundle(ctx, n)
		if err != nil {
			return err
		}
		for _, raw := range bundle[next-n*torchwood.TileWidth:] {
			e, err := parse(raw, h.name, h.first, next)
			if err != nil {
				return err
			}
			b.add(next, raw, e)
			next++
			if b.len() == int64(most) || b.size >= batchBytes {
				if err := give(); err != nil {
					return err
				}
			}
		}
	}
	if b.len() == 0 {
		return nil
	}
	return give()
}

// insert stores a batch, and says how many of its rows were not there. One that is there with other bytes is a *Fault.
func (b *batch) insert(ctx context.Context, db *pgx.Conn, origin string) (inserted int64, err error) {
	err = inTx(ctx, db, func() error {
		tag, err := db.Exec(ctx, insertRows, b.arguments(origin)...)
		if err != nil {
			return fmt.Errorf("storing entries from position %d on: %w", b.first, err)
		}
		if inserted = tag.RowsAffected(); inserted == b.len() {
			return nil
		}
		return scanBytes(ctx, db, origin, b.first, b.first+b.len(), func(position int64, raw []byte) error {
			if !bytes.Equal(raw, b.bytes[position-b.first]) {
				return fault(origin, position, "bytes", "the row that is there has other bytes than the log")
			}
			return nil
		})
	})
	return inserted, err
}
