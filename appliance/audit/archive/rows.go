package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"strongroom.internal/appliance/audit"
)

// maxOrigins bounds how many trees a database is believed to have.
const maxOrigins = 2 * maxTrees

// origins are the trees that any table knows, sorted. It asks for one after the other, which an index answers at once,
// where DISTINCT would read all rows.
func origins(ctx context.Context, db *pgx.Conn) ([]string, error) {
	var list []string
	for _, table := range []string{tableTrees, tableCheckpoints, tableEntries} {
		query, args := `SELECT min(origin) FROM `+table, []any(nil)
		for n := 0; ; n++ {
			var next *string
			if err := db.QueryRow(ctx, query, args...).Scan(&next); err != nil {
				return nil, fmt.Errorf("listing the trees in %s: %w", table, err)
			}
			if next == nil {
				break
			}
			if n == maxOrigins {
				return nil, fmt.Errorf("listing the trees in %s: there are more than %d", table, maxOrigins)
			}
			list = append(list, *next)
			query, args = `SELECT min(origin) FROM `+table+` WHERE origin > $1`, []any{*next}
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// firstMissing is the lowest position of a tree that has no row. It counts, so it costs a scan of the primary key's
// index: a row that somebody deleted is found and filled in again.
func firstMissing(ctx context.Context, db *pgx.Conn, origin string) (int64, error) {
	var count, highest int64
	err := db.QueryRow(ctx, `SELECT count(*), COALESCE(max(position), -1) FROM log_entries WHERE origin = $1`, origin).Scan(&count, &highest)
	if err != nil {
		return 0, fmt.Errorf("looking for the first missing entry of tree %s: %w", treeName(origin), err)
	}
	if count == highest+1 { // positions aren't negative and none is twice
		return count, nil
	}
	var missing int64
	err = db.QueryRow(ctx, `SELECT min(want) FROM (
			SELECT position, row_number() OVER (ORDER BY position) - 1 AS want FROM log_entries WHERE origin = $1
		) AS numbered WHERE position <> want`, origin).Scan(&missing)
	if err != nil {
		return 0, fmt.Errorf("looking for the first missing entry of tree %s: %w", treeName(origin), err)
	}
	return missing, nil
}

// archivedRow is the bytes of one entry that is in the archive. It answers pgx.ErrNoRows if it isn't.
func archivedRow(ctx context.Context, db *pgx.Conn, origin string, position int64) (raw []byte, err error) {
	err = db.QueryRow(ctx, `SELECT bytes FROM log_entries WHERE origin = $1 AND position = $2`, origin, position).Scan(&raw)
	if err != nil {
		err = fmt.Errorf("reading the archived entry at position %d of tree %s: %w", position, treeName(origin), err)
	}
	return raw, err
}

// scanBytes hands out the bytes of the rows from a position to before another, in order. Those that aren't there are
// left out.
func scanBytes(ctx context.Context, db *pgx.Conn, origin string, from, to int64, f func(position int64, raw []byte) error) error {
	rows, err := db.Query(ctx, `SELECT position, `+boundedBytes+` FROM log_entries WHERE origin = $1 AND position >= $2 AND position < $3
		ORDER BY position`, origin, from, to)
	if err != nil {
		return fmt.Errorf("reading archived entries: %w", err)
	}
	var position int64
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&position, &raw}, func() error { return f(position, raw) })
	return err
}

// What a database gives is bounded by what an entry can be, and a little more, so that too much is seen as wrong.
var (
	boundedBytes   = fmt.Sprintf("substring(bytes, 1, %d)", audit.MaxEntry+1)
	boundedColumns = func() string {
		list := []string{"position", boundedBytes, "time"}
		for _, n := range numbers {
			list = append(list, n.column)
		}
		for _, t := range texts {
			list = append(list, fmt.Sprintf("substring(%s, 1, %d)", t.column, audit.MaxDetail+1))
		}
		return strings.Join(list, ", ")
	}()
)

// row is a row of log_entries.
type row struct {
	position int64
	bytes    []byte
	time     pgtype.Timestamptz // which may be infinite
	numbers  [len(numbers)]int64
	texts    [len(texts)]string
}

// scanRows hands out the rows from a position to before another, in order, as scanBytes does.
func scanRows(ctx context.Context, db *pgx.Conn, origin string, from, to int64, f func(*row) error) error {
	rows, err := db.Query(ctx, `SELECT `+boundedColumns+` FROM log_entries WHERE origin = $1 AND position >= $2 AND position < $3
		ORDER BY position`, origin, from, to)
	if err != nil {
		return fmt.Errorf("reading archived entries: %w", err)
	}
	var r row
	into := []any{&r.position, &r.bytes, &r.time}
	for i := range r.numbers {
		into = append(into, &r.numbers[i])
	}
	for i := range r.texts {
		into = append(into, &r.texts[i])
	}
	_, err = pgx.ForEachRow(rows, into, func() error { return f(&r) })
	return err
}

// checkpoint is a row of log_checkpoints.
type checkpoint struct {
	origin string
	size   int64
	root   []byte
	note   string
}

// checkpointAfter is the stored checkpoint of the smallest size above one, or nil.
func checkpointAfter(ctx context.Context, db *pgx.Conn, origin string, size int64) (*checkpoint, error) {
	return oneCheckpoint(db.QueryRow(ctx, `SELECT origin, size, root, note FROM log_checkpoints WHERE origin = $1 AND size > $2
		ORDER BY size LIMIT 1`, origin, size))
}

// newestCheckpoint is the stored checkpoint of the greatest size, or nil.
func newestCheckpoint(ctx context.Context, db *pgx.Conn, origin string) (*checkpoint, error) {
	return oneCheckpoint(db.QueryRow(ctx, `SELECT origin, size, root, note FROM log_checkpoints WHERE origin = $1
		ORDER BY size DESC LIMIT 1`, origin))
}

func oneCheckpoint(r pgx.Row) (*checkpoint, error) {
	c := &checkpoint{}
	err := r.Scan(&c.origin, &c.size, &c.root, &c.note)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading an archived checkpoint: %w", err)
	}
	return c, nil
}

// read is what the note's text says. It answers a *Fault unless the columns say the same. Signatures are not looked at.
func (c *checkpoint) read() (root [audit.HashSize]byte, err error) {
	wrong := func(column, format string, args ...any) error {
		return &Fault{tableCheckpoints, c.origin, c.size, c.size, column, fmt.Sprintf(format, args...)}
	}
	text, _, found := bytes.Cut([]byte(c.note), []byte("\n\n"))
	if !found || len(c.note) > maxNote {
		return root, wrong("note", "it is no checkpoint")
	}
	origin, size, root, err := audit.ParseCheckpointText(string(text) + "\n")
	switch {
	case err != nil:
		return root, wrong("note", "it is %v", err)
	case origin != c.origin:
		return root, wrong("origin", "its note is of %s", quoted(origin))
	case size != c.size:
		return root, wrong("size", "its note is of size %d", size)
	case !bytes.Equal(root[:], c.root):
		return root, wrong("root", "it is %x, and %x in its note", c.root[:min(len(c.root), audit.HashSize)], root)
	}
	return root, nil
}

// checkTree compares the row of log_trees with what is known of the tree.
func (h *head) checkTree(ctx context.Context, db *pgx.Conn) error {
	wrong := func(column, format string, args ...any) error {
		return &Fault{tableTrees, h.origin, 0, 0, column, fmt.Sprintf(format, args...)}
	}
	var name, previous string
	var first int64
	err := db.QueryRow(ctx, `SELECT name, first_index, previous FROM log_trees WHERE origin = $1`, h.origin).Scan(&name, &first, &previous)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return wrong("origin", "the row is missing")
	case err != nil:
		return fmt.Errorf("reading the archived tree %s: %w", h.name, err)
	case name != h.name:
		return wrong("name", "it is %s, not %s", quoted(name), h.name)
	case first != h.first:
		return wrong("first_index", "it is %d, and %d in the tree's first entry", first, h.first)
	case previous != h.previous:
		return wrong("previous", "it is %s, and %s in the tree's first entry", quoted(previous), quoted(h.previous))
	}
	return nil
}
