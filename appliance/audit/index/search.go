package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// MaxLimit is the most entries that one search finds.
const MaxLimit = 1000

// budget bounds what one search costs, so that no request holds a node for long.
type budget struct {
	bundles int // that are read
	steps   int // seeks in postings
	bytes   int // of entries that are found; the last may go beyond
}

var defaultBudget = budget{bundles: 256, steps: 1 << 15, bytes: 4 << 20}

// Options say where in the tree and how far to search.
type Options struct {
	Begin int64 // the lowest position that may be found
	// End is above the highest position that may be found; no more than the size of the tree. Entries that are not in the
	// index yet are read and matched one by one, so a search up to the tree's size is exact at any time. 0: the end of
	// what is in the index.
	End        int64
	Descending bool // find the highest positions first
	Limit      int  // entries to find; 0, or above MaxLimit: MaxLimit
}

// Found is an entry that was found.
type Found struct {
	Position int64  // in the tree
	Entry    []byte // as it was read
}

// Page is what a search found before it came to the end, the limit, or what one search may cost. It can have found
// nothing and still not be at the end.
type Page struct {
	Found []Found // in the order of the search
	// Next is where the search goes on: the Begin of the next search, or its End if it is Descending. At the end of an
	// ascending search it is the Begin of a search for entries that come later.
	Next int64
	More bool // the end was not reached
}

// ErrOptions: the options can't be meant.
var ErrOptions = errors.New("not options of a search")

// Read gives the entries of a bundle of a tree. A last bundle may have fewer than BundleSize. The page keeps those that
// are found. Read must not call the index, which may wait for the search to end.
type Read func(tree string, bundle int64) ([][]byte, error)

// Search finds the entries of a tree that the query matches, without exception and no others, as far as the page goes.
// It answers ErrQuery, ErrOptions, ErrDamaged, ErrClosed, audit.ErrEntry for entries that aren't, and the errors of ctx
// and read.
func (x *Index) Search(ctx context.Context, tree string, q Query, o Options, read Read) (Page, error) {
	if err := q.Validate(); err != nil {
		return Page{}, err
	}
	if o.Begin < 0 || o.End < 0 || o.Limit < 0 {
		return Page{}, fmt.Errorf("%w: a negative number", ErrOptions)
	}
	if o.Begin > x.layout.maxBundle()*BundleSize || o.End > x.layout.maxBundle()*BundleSize {
		return Page{}, fmt.Errorf("%w: no tree has that many entries", ErrOptions)
	}
	if o.Limit == 0 || o.Limit > MaxLimit {
		o.Limit = MaxLimit
	}
	s := &search{x: x, tree: tree, query: q, o: o, read: read, left: x.budget}
	err := x.use(func(db *pebble.DB) error {
		s.db = db.NewSnapshot() // the postings are those of the tree's record, whatever is added or forgotten meanwhile
		return errors.Join(s.run(ctx), s.db.Close())
	})
	if err != nil {
		return Page{}, fmt.Errorf("searching tree %q: %w", tree, err)
	}
	return s.page, nil
}
