// Package postgres starts a private PostgreSQL server for the tests of a package: in a temporary directory, on a Unix
// socket and no port, and gone when the tests are, however they end. Only the directory outlives a test that crashes.
package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// bin is where Debian has the server's programs.
const bin = "/usr/lib/postgresql/15/bin"

// Server is a server that is started when its first database is asked for. Its zero value is ready; TestMain calls Stop
// after the tests.
type Server struct {
	once      sync.Once
	failed    error  // to start
	dir       string // 0700 and the server's
	databases atomic.Int64
	process   *os.Process
	ended     <-chan error // closed when it has ended
}

// superuser is the role of the tests. Everybody who reaches the socket's directory may be it.
const superuser = "strongroom"

// startTime bounds the wait for a server to get ready.
const startTime = time.Minute

// start makes and starts the server.
func (s *Server) start() error {
	attr, err := attributes()
	if err != nil {
		return err
	}
	// The path of a socket has at most 107 bytes, so it isn't a directory of the testing package.
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return err
	}
	if c := attr.Credential; c != nil {
		err = os.Chown(s.dir, int(c.Uid), int(c.Gid))
	}
	if err == nil {
		err = run(attr, "initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username="+superuser, "--pgdata="+s.data())
	}
	if err == nil {
		err = s.serve(attr)
	}
	return err
}

// attributes are those of a process that ends with this one, and is not root: initdb and postgres refuse to be.
func attributes() (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} // an immediate shutdown
	if os.Geteuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, errors.Join(err1, err2)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func command(attr *syscall.SysProcAttr, name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(bin, name), args...)
	c.SysProcAttr = attr
	c.Dir = "/" // the caller's may be closed to whom it runs as
	c.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + bin}
	return c
}

func run(attr *syscall.SysProcAttr, name string, args ...string) error {
	// The kernel sends Pdeathsig when the thread ends that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := command(attr, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// ready is in the line that the server writes when it takes connections.
const ready = "database system is ready to accept connections"

// serve starts the server and waits until it takes connections.
func (s *Server) serve(attr *syscall.SysProcAttr) error {
	c := command(attr, "postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "max_connections=50", "-c", "max_wal_size=4GB")
	messages, err := c.StderrPipe()
	if err != nil {
		return err
	}
	started, up, ended := make(chan error), make(chan struct{}), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for as long as the server runs; see run
		err := c.Start()
		started <- err
		if err != nil {
			return
		}
		var log bytes.Buffer
		var once sync.Once
		for lines := bufio.NewScanner(messages); lines.Scan(); {
			if strings.Contains(lines.Text(), ready) {
				once.Do(func() { close(up) })
			}
			if log.Len() < maxLog {
				fmt.Fprintln(&log, lines.Text())
			}
		}
		if err := c.Wait(); err != nil {
			ended <- fmt.Errorf("the server: %w\n%s", err, log.Bytes())
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.ended = c.Process, ended
	select {
	case <-up:
		return nil
	case err := <-ended:
		return fmt.Errorf("it ended at once: %w", err)
	case <-time.After(startTime):
		return errors.Join(errors.New("the server doesn't get ready"), s.end())
	}
}

// maxLog bounds what is kept of the server's messages, in bytes.
const maxLog = 1 << 20

// end has the server end its sessions and itself: a fast shutdown.
func (s *Server) end() error {
	return errors.Join(s.process.Signal(syscall.SIGINT), <-s.ended)
}

// Stop ends the server, if it was started, and removes what it wrote.
func (s *Server) Stop() error {
	var err error
	if s.process != nil && s.failed == nil {
		err = s.end()
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func (s *Server) url(database string) string {
	return fmt.Sprintf("host=%s user=%s dbname=%s", s.dir, superuser, database)
}

// Database makes an empty database and gives its connection string. It skips the test where there is no PostgreSQL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(bin, "postgres")); err != nil {
		t.Skip("no PostgreSQL 15: apt-get install postgresql makes this run")
	}
	if s.once.Do(func() { s.failed = s.start() }); s.failed != nil {
		t.Fatal(s.failed)
	}
	ctx := context.Background()
	db, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	if _, err := db.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}
