package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	"github.com/jackc/pgx/v5"
)

// inTx runs fn in a SERIALIZABLE transaction of db and commits it, again from the start for as long as the database asks
// for that (SQLSTATE 40001, at most 50 times). When it answers nil, the transaction is committed. A *crdb.AmbiguousCommitError
// is a COMMIT that failed: where the connection was lost, it may have been done.
//
// fn must keep the causes of its errors (%w), or no repetition is asked for, and must be fit to be run again.
//
// cockroach-go has two ways of its own to do this, crdb.ExecuteTx and crdbpgxv5.ExecuteTx. Neither may be used here: they
// take RELEASE of a savepoint for the commit, which it is on CockroachDB alone, and drop the error of the COMMIT that
// follows. On PostgreSQL that COMMIT is the real one, and what it refuses is lost in silence.
func inTx(ctx context.Context, db *pgx.Conn, fn func() error) error {
	return crdb.ExecuteInTx(ctx, plainTx{db}, fn)
}

// plainTx gives crdb.ExecuteInTx whole transactions where it asks for a savepoint. They mean the same on CockroachDB and
// PostgreSQL, and on PostgreSQL they do what a savepoint can't: a repetition sees what has happened since.
type plainTx struct{ db *pgx.Conn }

const begin = "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE"

// errRolledBack: the database answered COMMIT with a rollback, because a statement of the transaction had failed.
var errRolledBack = errors.New("the transaction was rolled back where it should have been committed")

func (t plainTx) Exec(ctx context.Context, statement string, _ ...any) error {
	switch statement {
	case "SAVEPOINT cockroach_restart":
		_, err := t.db.Exec(ctx, begin)
		return err
	case "RELEASE SAVEPOINT cockroach_restart":
		tag, err := t.db.Exec(ctx, "COMMIT")
		if err == nil && tag.String() != "COMMIT" {
			return errRolledBack
		}
		return err
	case "ROLLBACK TO SAVEPOINT cockroach_restart":
		if err := t.Rollback(ctx); err != nil {
			return err
		}
		_, err := t.db.Exec(ctx, begin)
		return err
	}
	// Another release of cockroach-go might ask for something else. What is not understood is not guessed at.
	return fmt.Errorf("running a transaction: %q is not known here", statement)
}

// Commit has nothing to do: it follows a RELEASE that was answered, which is COMMIT here.
func (plainTx) Commit(context.Context) error { return nil }

// rollbackTime bounds the wait for a ROLLBACK. A context that has ended must not keep it from being sent, or the
// connection would be left inside of a transaction.
const rollbackTime = 5 * time.Second

func (t plainTx) Rollback(ctx context.Context) error {
	// A transaction that COMMIT refused is over already; CockroachDB, unlike PostgreSQL, calls a ROLLBACK then an error.
	const idle = 'I'
	if t.db.IsClosed() || t.db.PgConn().TxStatus() == idle {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	_, err := t.db.Exec(ctx, "ROLLBACK")
	return err
}
