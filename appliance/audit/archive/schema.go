package archive

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one step of the schema. Steps are numbered from 1 by their files' names, and never changed once released.
type migration struct {
	version    int64
	statements []string
}

// steps are all migrations, in order.
func steps() ([]migration, error) {
	files, err := migrations.ReadDir("migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	var list []migration
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version != int64(len(list)+1) {
			return nil, fmt.Errorf("the migration %s is out of order", f.Name())
		}
		b, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, migration{version, statements(string(b))})
	}
	return list, nil
}

// statements splits a file of ours: a statement ends with a semicolon at the end of a line.
func statements(file string) []string {
	var list []string
	for _, s := range strings.Split(file, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// SQLSTATE codes, the same on PostgreSQL and CockroachDB.
const (
	undefinedTable   = "42P01"
	uniqueViolation  = "23505"
	duplicateTable   = "42P07"
	duplicateObject  = "42710"
	serializeFailure = "40001"
)

func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// ErrNoArchive: the database has no archive, or one of another release.
var ErrNoArchive = errors.New("this database has no archive that this release can read")

// schemaVersion is the version that the database has, 0 for none.
func schemaVersion(ctx context.Context, db *pgx.Conn) (int64, error) {
	var v int64
	err := db.QueryRow(ctx, `SELECT COALESCE(max(version), 0) FROM log_schema`).Scan(&v)
	if sqlState(err) == undefinedTable {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", err)
	}
	return v, nil
}

// needSchema refuses a database whose schema isn't the one that is known here. It changes nothing: whoever checks an
// archive needs no right to write.
func needSchema(ctx context.Context, db *pgx.Conn) error {
	list, err := steps()
	if err != nil {
		return err
	}
	have, err := schemaVersion(ctx, db)
	if err == nil && have != int64(len(list)) {
		err = fmt.Errorf("%w: its schema has version %d, %d is needed", ErrNoArchive, have, len(list))
	}
	return err
}

// Migrate makes the tables, or brings them up to date. It needs the right to create tables only if there is something
// to do; a run that ends at any point is taken up by the next, and several at once do no harm.
func Migrate(ctx context.Context, db *pgx.Conn) error {
	list, err := steps()
	if err != nil {
		return err
	}
	have, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if have > int64(len(list)) {
		return fmt.Errorf("%w: its schema has version %d, this release knows %d", ErrNoArchive, have, len(list))
	}
	if have == int64(len(list)) {
		return nil
	}
	err = execDDL(ctx, db, `CREATE TABLE IF NOT EXISTS log_schema (
		version bigint NOT NULL PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`)
	if err != nil {
		return fmt.Errorf("making the schema: %w", err)
	}
	for _, m := range list[have:] {
		for _, s := range m.statements {
			if err := execDDL(ctx, db, s); err != nil {
				return fmt.Errorf("making the schema, step %d: %w", m.version, err)
			}
		}
		_, err := db.Exec(ctx, `INSERT INTO log_schema (version) VALUES ($1) ON CONFLICT (version) DO NOTHING`, m.version)
		if err != nil {
			return fmt.Errorf("making the schema, step %d: %w", m.version, err)
		}
	}
	return nil
}

// execDDL runs a statement with IF NOT EXISTS. On PostgreSQL two sessions that make the same thing at once both find it
// missing, and the later one stumbles over a unique index of the catalogue: the second time it finds it.
func execDDL(ctx context.Context, db *pgx.Conn, statement string) error {
	for attempt := 0; ; attempt++ {
		_, err := db.Exec(ctx, statement)
		switch sqlState(err) {
		case uniqueViolation, duplicateTable, duplicateObject, serializeFailure:
			if attempt < 10 {
				continue
			}
		}
		return err
	}
}
