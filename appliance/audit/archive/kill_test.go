package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// childEnv has the connection string for a process that archives killLog and tells each batch on its standard output.
const childEnv = "STRONGROOM_ARCHIVE_TEST_CHILD"

// killLog has the same bytes in every process.
func killLog() *testLog { return newLog(99).add(4000).turn("2027").add(1500).sign() }

const killBatch = 64

func child(connection string) int {
	ctx := context.Background()
	db, err := Connect(ctx, connection)
	if err == nil {
		l := killLog()
		_, err = Archive(ctx, db, l, l.policy, Options{Batch: killBatch, Progress: func(p Progress) { fmt.Println(p.Tree, p.Position) }})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestKill kills an archiver again and again, until one gets to the end: every entry is there once.
func TestKill(t *testing.T) {
	connection := server.Database(t)
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 2))
	kills := 0
	for kills < 200 {
		lines := random.IntN(20) // after which it is killed, wherever it then is; none: before it has said anything
		killed, err := runChild(t, connection, lines)
		if err != nil {
			t.Fatal(err)
		}
		if !killed {
			break
		}
		kills++
		// Nothing that is there may be wrong, and what is there has no gap.
		db := connect(t, connection)
		if n := count(t, db, `SELECT count(*) FROM (SELECT origin FROM log_entries GROUP BY origin HAVING count(*) <> max(position) + 1) AS x`); n != 0 {
			t.Fatalf("after %d kills a tree has a gap", kills)
		}
		_ = db.Close(context.Background())
	}
	if kills < 3 {
		t.Errorf("it was killed %d times only", kills)
	}
	l, db := killLog(), connect(t, connection)
	if r := l.archive(t, db); r.Inserted != 0 {
		t.Errorf("%d entries were missing at the end", r.Inserted)
	}
	l.check(t, db)
	t.Logf("%d kills", kills)
}

// runChild runs a child and kills it after that many lines, unless it has ended by itself.
func runChild(t *testing.T, connection string, lines int) (killed bool, err error) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+connection, "GORACE=atexit_sleep_ms=0")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var messages strings.Builder
	c.Stderr = &messages
	out, err := c.StdoutPipe()
	if err != nil {
		return false, err
	}
	runtime.LockOSThread() // the kernel sends Pdeathsig when the thread ends that started the process
	defer runtime.UnlockOSThread()
	if err := c.Start(); err != nil {
		return false, err
	}
	for s, n := bufio.NewScanner(out), 0; ; n++ {
		if n == lines {
			_ = c.Process.Kill()
		}
		if !s.Scan() {
			break
		}
	}
	err = c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true, nil
	}
	if err != nil {
		err = fmt.Errorf("the child: %w: %s", err, messages.String())
	}
	return false, err
}

// TestStop ends archivers at borders of batches, by their context, their connection or the source.
func TestStop(t *testing.T) {
	l := newLog(20).add(400).turn("2027").add(200).sign()
	schema := schemas(t)
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	for range 12 {
		connection := schema()
		watcher := connect(t, connection)
		for runs := 0; !stopped(t, l, connection, watcher, random); runs++ {
			if runs == 100 {
				t.Fatal("it gets nowhere")
			}
		}
		if r := l.archive(t, watcher); r.Inserted != 0 {
			t.Errorf("%d entries were missing at the end", r.Inserted)
		}
		l.check(t, watcher)
		_ = watcher.Close(context.Background())
	}
}

// stopped runs an archiver and stops it somewhere, and says whether it had got to the end.
func stopped(t *testing.T, l *testLog, connection string, watcher *pgx.Conn, random *rand.Rand) (done bool) {
	t.Helper()
	db := connect(t, connection)
	defer db.Close(context.Background())
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	left := 1 + random.IntN(12) // batches or reads
	down := func() bool { left--; return left == 0 }
	o := Options{Batch: 40}
	switch random.IntN(3) {
	case 0:
		o.Progress = func(Progress) {
			if down() {
				cancel()
			}
		}
	case 1:
		o.Progress = func(Progress) {
			if down() {
				change(t, watcher, `SELECT pg_terminate_backend($1)`, db.PgConn().PID())
			}
		}
	case 2:
		l.edit = func(_, _ string, b []byte) ([]byte, error) {
			if down() {
				return nil, errNotFound
			}
			return b, nil
		}
		defer func() { l.edit = nil }()
	}
	_, err := Archive(ctx, db, l, l.policy, o)
	return err == nil
}
