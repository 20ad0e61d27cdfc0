package archive

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	crdbpgx "github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"
	"github.com/jackc/pgx/v5"
)

// deferred has a database where a row with a dangling reference is refused by COMMIT and not before.
func deferred(t *testing.T) *pgx.Conn {
	db := emptyDatabase(t)
	change(t, db, `CREATE TABLE parent (id int PRIMARY KEY)`)
	change(t, db, `CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`)
	return db
}

const foreignKeyViolation = "23503"

func TestCommitErrorIsTold(t *testing.T) {
	db := deferred(t)
	err := inTx(deadline(t), db, func() error {
		_, err := db.Exec(context.Background(), `INSERT INTO child VALUES (1)`)
		return err
	})
	var ambiguous *crdb.AmbiguousCommitError
	if sqlState(err) != foreignKeyViolation || !errors.As(err, &ambiguous) {
		t.Errorf("inTx answered %v", err)
	}
	if n := count(t, db, `SELECT count(*) FROM child`); n != 0 {
		t.Errorf("%d rows were committed", n)
	}
	idle(t, db)
}

// idle wants the connection to be fit for the next transaction.
func idle(t *testing.T, db *pgx.Conn) {
	t.Helper()
	if s := db.PgConn().TxStatus(); s != 'I' {
		t.Errorf("the connection is left in transaction state %c", s)
	}
}

// TestLibraryDropsCommitError is why inTx is as it is. When it fails, cockroach-go has changed: see whether plainTx is
// still needed.
func TestLibraryDropsCommitError(t *testing.T) {
	db := deferred(t)
	err := crdbpgx.ExecuteTx(deadline(t), db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), `INSERT INTO child VALUES (1)`)
		return err
	})
	if err != nil || count(t, db, `SELECT count(*) FROM child`) != 0 {
		t.Errorf("crdbpgxv5.ExecuteTx answered %v: it drops the error of COMMIT no more?", err)
	}
}

// skew is two transactions that each read what the other writes: SERIALIZABLE lets one of them win.
func skew(t *testing.T) (db, other *pgx.Conn, attempts *int, transaction func() error) {
	connection := server.Database(t)
	db, other = connect(t, connection), connect(t, connection)
	change(t, db, `CREATE TABLE duty (name text PRIMARY KEY, here bool)`)
	change(t, db, `INSERT INTO duty VALUES ('ada', true), ('ben', true)`)
	attempts = new(int)
	return db, other, attempts, func() error {
		*attempts++
		var here int
		if err := db.QueryRow(context.Background(), `SELECT count(*) FROM duty WHERE here`).Scan(&here); err != nil {
			return err
		}
		if *attempts == 1 { // the other is faster
			change(t, other, `BEGIN ISOLATION LEVEL SERIALIZABLE`)
			count(t, other, `SELECT count(*) FROM duty WHERE here`)
			change(t, other, `UPDATE duty SET here = false WHERE name = 'ben'`)
			change(t, other, `COMMIT`)
		}
		if here < 2 {
			return nil // somebody has to stay
		}
		_, err := db.Exec(context.Background(), `UPDATE duty SET here = false WHERE name = 'ada'`)
		return err
	}
}

func TestSerializationFailureIsRepeated(t *testing.T) {
	db, _, attempts, transaction := skew(t)
	if err := inTx(deadline(t), db, transaction); err != nil {
		t.Fatal(err)
	}
	if *attempts != 2 {
		t.Errorf("it took %d attempts", *attempts)
	}
	if n := count(t, db, `SELECT count(*) FROM duty WHERE here`); n != 1 {
		t.Errorf("%d are on duty", n)
	}
	idle(t, db)
}

// TestLibraryNeverWins: with a savepoint, the repetition still sees what it saw.
func TestLibraryNeverWins(t *testing.T) {
	db, _, attempts, transaction := skew(t)
	ctx := crdb.WithMaxRetries(deadline(t), 5)
	err := crdbpgx.ExecuteTx(ctx, db, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(pgx.Tx) error { return transaction() })
	if err == nil && *attempts == 2 {
		t.Error("crdbpgxv5.ExecuteTx has won: is plainTx still needed?")
	}
}

func TestTxOfFailedStatementIsNotCommitted(t *testing.T) {
	db := emptyDatabase(t)
	change(t, db, `CREATE TABLE t (id int)`)
	err := inTx(deadline(t), db, func() error {
		_, err := db.Exec(context.Background(), `INSERT INTO t VALUES (1)`)
		_, _ = db.Exec(context.Background(), `no statement`) // and nobody looks
		return err
	})
	if !errors.Is(err, errRolledBack) {
		t.Errorf("inTx answered %v", err)
	}
	idle(t, db)
}

func TestTxIsRolledBack(t *testing.T) {
	db := emptyDatabase(t)
	change(t, db, `CREATE TABLE t (id int)`)
	cause := errors.New("no")
	for name, f := range map[string]func(ctx context.Context, cancel func()) error{
		"error":    func(context.Context, func()) error { return cause },
		"canceled": func(ctx context.Context, cancel func()) error { cancel(); return ctx.Err() },
		"panic":    func(context.Context, func()) error { panic("no") },
	} {
		ctx, cancel := context.WithCancel(deadline(t))
		func() {
			defer func() { _ = recover() }()
			err := inTx(ctx, db, func() error {
				change(t, db, `INSERT INTO t VALUES (1)`)
				return f(ctx, cancel)
			})
			if err == nil {
				t.Errorf("%s: it answered nil", name)
			}
		}()
		cancel()
		idle(t, db)
		if n := count(t, db, `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("%s: %d rows were committed", name, n)
		}
	}
}

func TestUnknownStatementIsRefused(t *testing.T) {
	db := emptyDatabase(t)
	if err := (plainTx{db}).Exec(deadline(t), "SAVEPOINT other"); err == nil {
		t.Error("it was taken for something")
	}
}
