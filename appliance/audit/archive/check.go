package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"strongroom.internal/appliance/audit"
)

// Checked is what Check found of a tree in which all is well.
type Checked struct {
	Extent
	// Signed is the size of the newest archived checkpoint of the tree that satisfies the policy, 0 if none does. The
	// rows above it, if any, are vouched for by the tree that followed.
	Signed int64
	// Checkpoints is how many are archived; Unsigned how many of them don't satisfy the policy. They have the right roots,
	// and a later checkpoint that counts has the same rows: they are of a time when others were to sign.
	Checkpoints int
	Unsigned    int
}

// page is how many rows are asked for at once. They are streamed, so memory doesn't grow with it.
const page = 4096

// Check computes the root of each tree anew from the column bytes and compares it with every archived checkpoint, opens
// these with the policy, follows the trees' chain, and compares all other columns with the bytes. The first row that is
// wrong is a *Fault. It only reads, in any number of statements, in memory that doesn't grow with the log, and may run
// beside Archive, except that it then may find entries missing that are about to be stored. Rows under no checkpoint that
// counts are a *Fault too: nil says that the log's signers vouch for every row.
func Check(ctx context.Context, db *pgx.Conn, policy *audit.Policy) ([]Checked, error) {
	if err := needSchema(ctx, db); err != nil {
		return nil, err
	}
	list, err := archivedTrees(ctx, db)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrNoArchive)
	}
	vouched := map[string]*head{} // by the tree that followed
	for _, t := range list {
		if t.older == nil {
			continue
		}
		if !slices.ContainsFunc(list, func(o *archivedTree) bool { return o.origin == t.older.origin }) {
			return nil, &Fault{tableTrees, t.older.origin, 0, 0, "origin", "the tree is missing that came before " + t.name}
		}
		if known := vouched[t.older.origin]; known == nil || known.size < t.older.size {
			vouched[t.older.origin] = t.older
		}
	}
	var report []Checked
	for _, t := range list {
		c, err := t.check(ctx, db, policy, vouched[t.origin])
		if err != nil {
			return report, err
		}
		report = append(report, *c)
	}
	return report, nil
}

// archivedTree is a tree of the database.
type archivedTree struct {
	head
	older *head // the tree before, as this one's first entry has it; nil for the first
}

// archivedTrees are all trees of the database, oldest first. What their first entries say is proven only when all rows
// have been checked.
func archivedTrees(ctx context.Context, db *pgx.Conn) ([]*archivedTree, error) {
	names, err := origins(ctx, db)
	if err != nil {
		return nil, err
	}
	var list []*archivedTree
	for _, origin := range names {
		t := &archivedTree{head: head{origin: origin, name: treeName(origin)}}
		raw, err := archivedRow(ctx, db, origin, 0)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, fault(origin, 0, "position", "the row is missing")
		}
		if err != nil {
			return nil, err
		}
		e, err := audit.ParseEntry(raw)
		if err != nil {
			return nil, fault(origin, 0, "bytes", "%v", err)
		}
		t.first = e.Index
		if t.older, err = predecessor(origin, e); err != nil {
			return nil, fault(origin, 0, "bytes", "%v", err)
		}
		if t.older != nil {
			t.previous = t.older.origin
		}
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(a, b *archivedTree) int { return cmp.Compare(a.first, b.first) })
	for _, t := range list {
		if t.older == nil {
			continue
		}
		for _, o := range list {
			if o.origin == t.older.origin && t.first < o.first+t.older.size {
				return nil, fault(t.origin, 0, "bytes", "its index %d is one of tree %s", t.first, o.name)
			}
		}
	}
	return list, nil
}

// check checks one tree. vouched, if it isn't nil, is its head by the tree that followed.
func (t *archivedTree) check(ctx context.Context, db *pgx.Conn, policy *audit.Policy, vouched *head) (*Checked, error) {
	if err := t.checkTree(ctx, db); err != nil {
		return nil, err
	}
	c := &Checked{Extent: Extent{Origin: t.origin, Tree: t.name, First: t.first}}
	var tree audit.Tree
	var covered int64 // below it, every row is under a root that counts
	var refusal error // of the newest checkpoint
	for {
		stored, err := checkpointAfter(ctx, db, t.origin, tree.Size())
		if err != nil {
			return nil, err
		}
		stop, byNext := int64(0), vouched != nil && vouched.size > tree.Size()
		switch {
		case stored != nil && byNext:
			stop = min(stored.size, vouched.size)
		case stored != nil:
			stop = stored.size
		case byNext:
			stop = vouched.size
		default:
			c.Size, c.Root = tree.Size(), tree.Root()
			return c, t.covers(ctx, db, c, covered, refusal)
		}
		if err := t.grow(ctx, db, &tree, stop); err != nil {
			return nil, err
		}
		if byNext && stop == vouched.size {
			if tree.Root() != vouched.root {
				return nil, rangeFault(t.origin, covered, stop, "the tree that followed names another root")
			}
			covered = stop
		}
		if stored == nil || stop != stored.size {
			continue
		}
		root, err := stored.read()
		if err != nil {
			return nil, err
		}
		c.Checkpoints++
		_, refusal = policy.Open([]byte(stored.note))
		switch {
		case root == tree.Root() && refusal == nil:
			covered, c.Signed = stop, stop
		case root == tree.Root():
			c.Unsigned++
		case refusal == nil:
			return nil, rangeFault(t.origin, covered, stop, "they don't hash to the root that was signed for size %d", stop)
		default:
			return nil, &Fault{tableCheckpoints, t.origin, stop, stop, "note", fmt.Sprintf("its root is not that of the rows, and %v", refusal)}
		}
	}
}

// rangeFault is a Fault that is known to be somewhere from one position to before another.
func rangeFault(origin string, from, to int64, format string, args ...any) *Fault {
	return &Fault{tableEntries, origin, from, to - 1, "bytes", fmt.Sprintf(format, args...)}
}

// covers says whether all rows of a tree are under a root that counts, when all checkpoints have been seen.
func (t *archivedTree) covers(ctx context.Context, db *pgx.Conn, c *Checked, covered int64, refusal error) error {
	var highest int64
	err := db.QueryRow(ctx, `SELECT COALESCE(max(position), -1) FROM log_entries WHERE origin = $1`, t.origin).Scan(&highest)
	if err != nil {
		return fmt.Errorf("reading the size of tree %s: %w", t.name, err)
	}
	switch {
	case highest >= c.Size:
		return fault(t.origin, c.Size, "position", "the row is under no checkpoint")
	case covered < c.Size:
		return &Fault{tableCheckpoints, t.origin, c.Size, c.Size, "note", refusal.Error()}
	}
	return nil
}

// grow appends the rows up to a size, each of them checked.
func (t *archivedTree) grow(ctx context.Context, db *pgx.Conn, tree *audit.Tree, size int64) error {
	for tree.Size() < size {
		to := min(size, tree.Size()+page)
		err := scanRows(ctx, db, t.origin, tree.Size(), to, func(r *row) error {
			if r.position != tree.Size() {
				return nil // the loop's end names the one that is missing
			}
			if err := t.compare(r); err != nil {
				return err
			}
			tree.Append(r.bytes)
			return nil
		})
		if err != nil {
			return err
		}
		if tree.Size() != to {
			return fault(t.origin, tree.Size(), "position", "the row is missing; the checkpoint it came under has size %d", size)
		}
	}
	return nil
}

// compare says whether a row's columns are what its bytes say.
func (t *archivedTree) compare(r *row) error {
	e, err := audit.ParseEntry(r.bytes)
	if err != nil {
		return fault(t.origin, r.position, "bytes", "%v", err)
	}
	if e.Index != t.first+r.position {
		return fault(t.origin, r.position, "bytes", "its index is %d, which belongs to position %d", e.Index, e.Index-t.first)
	}
	if at := timeOf(e); r.time.InfinityModifier != pgtype.Finite || !r.time.Time.Equal(at) {
		return fault(t.origin, r.position, "time", "it is not %s, which is in the bytes", at)
	}
	for i, n := range numbers {
		if got, want := r.numbers[i], n.of(e); got != want {
			return fault(t.origin, r.position, n.column, "it is %d, and %d in the bytes", got, want)
		}
	}
	for i, c := range texts {
		if got, want := r.texts[i], sqlText(c.of(e)); got != want {
			return fault(t.origin, r.position, c.column, "it is %s, and %s in the bytes", quoted(got), quoted(want))
		}
	}
	return nil
}

// Archived says how much of each tree is in the database: up to which size every position is there, and the root that
// these rows have, computed anew from their bytes. A cluster that is to prune what is archived compares the root with that
// of its own tree at that size, and prunes below that size only. It reads every row's bytes; memory doesn't grow.
func Archived(ctx context.Context, db *pgx.Conn) ([]Extent, error) {
	if err := needSchema(ctx, db); err != nil {
		return nil, err
	}
	names, err := origins(ctx, db)
	if err != nil {
		return nil, err
	}
	list := []Extent{}
	for _, origin := range names {
		x := Extent{Origin: origin, Tree: treeName(origin)}
		var tree audit.Tree
		for more := true; more; {
			from := tree.Size()
			err := scanBytes(ctx, db, origin, from, from+page, func(position int64, raw []byte) error {
				if position != tree.Size() {
					return nil // after a gap
				}
				if position == 0 {
					e, err := audit.ParseEntry(raw)
					if err != nil {
						return fault(origin, 0, "bytes", "%v", err)
					}
					x.First = e.Index
				}
				tree.Append(raw)
				return nil
			})
			if err != nil {
				return nil, err
			}
			more = tree.Size() == from+page
		}
		x.Size, x.Root = tree.Size(), tree.Root()
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b Extent) int { return cmp.Compare(a.First, b.First) })
	return list, nil
}
