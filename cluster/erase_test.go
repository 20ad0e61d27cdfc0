package cluster_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
)

// book is a machine that keeps names: "put NAME VALUE" and "del NAME".
type book struct{}

func (book) Apply(tx cluster.Tx, command []byte) (cluster.Applied, error) {
	verb, rest, _ := bytes.Cut(command, []byte(" "))
	name, value, _ := bytes.Cut(rest, []byte(" "))
	a := cluster.Applied{Entries: []*audit.Entry{{Operation: string(verb)}}}
	switch string(verb) {
	case "put":
		tx.Set(name, value)
	case "del":
		tx.Delete(name)
		a.Erases = [][]byte{bytes.Clone(name)}
	default:
		return a, errors.New("a command that isn't known")
	}
	return a, nil
}

// person is a name and a secret that nothing else on a disk looks like.
type person struct{ name, secret string }

func newPerson() person {
	b := make([]byte, 24)
	_, _ = rand.Read(b)
	return person{"name-" + rand.Text(), strings.ReplaceAll(string(b), " ", "+")}
}

// traces lists the files below a directory that have the person's name or secret.
func (p person) traces(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) { // the node is at work
				err = nil
			}
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, what := range []string{p.name, p.secret} {
			if bytes.Contains(b, []byte(what)) {
				found = append(found, fmt.Sprintf("%q in %s", what, path))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// propose repeats a command until its outcome is known: none of book's minds.
func (book) propose(t *testing.T, e *cluster.Raft, format string, args ...any) {
	t.Helper()
	err := untilKnown(t.Context(), func() error {
		_, err := e.Propose(t.Context(), fmt.Appendf(nil, format, args...))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What was deleted leaves the state's tables and Raft's log, on every node: on one that was down too, and on those that
// crash before they are done.
func TestWhatIsDeletedLeavesTheDisk(t *testing.T) {
	c := startCluster(t, 3, book{}, func(cfg *cluster.Config) {
		cfg.EraseEvery = 50 * time.Millisecond
		cfg.Heartbeat = time.Second // padding is a load
	})
	propose := book{}.propose
	_, e := c.node(c.leader())
	gone, kept := newPerson(), newPerson()
	for range 20 { // so that there is more than one version of each
		for _, p := range []person{gone, kept} {
			propose(t, e, "put %s %s", p.name, p.secret)
		}
	}
	for i := range 3 { // one that is behind would not have all in its tables
		if _, e := c.node(i); e.Sync(t.Context()) != nil {
			t.Fatalf("node %d does not catch up", i)
		}
	}
	for i := range 3 {
		n, _ := c.node(i)
		c.close(i) // in order: what is in memory goes to tables
		for _, p := range []person{gone, kept} {
			if found := strings.Join(p.traces(t, n.dir), " "); !strings.Contains(found, ".wal") || !strings.Contains(found, ".sst") {
				t.Fatalf("node %d: the test does not see what it looks for: only %s", i, found)
			}
		}
	}
	for i := range 3 {
		c.start(i)
	}
	leader := c.leader()
	away := (leader + 1) % 3
	_, e = c.node(leader)
	c.crash(away)
	propose(t, e, "del %s", gone.name)
	for i := range 3 {
		c.crash(i)
	}
	for i := range 3 {
		c.start(i)
	}
	for i := range 3 {
		n, _ := c.node(i)
		left := []string{"all"}
		for end := time.Now().Add(30 * time.Second); len(left) > 0 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			left = gone.traces(t, n.dir)
		}
		if len(left) > 0 {
			t.Fatalf("node %d still has %v", i, left)
		}
		if len(kept.traces(t, n.dir)) == 0 {
			t.Errorf("node %d: the other person is gone as well", i)
		}
	}
	_, e = c.node(c.leader())
	propose(t, e, "put %s again", gone.name) // and all is well
	for i := range 3 {
		_, e := c.node(i)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := e.View(func(r cluster.Reader) error {
			b, err := r.Get([]byte(kept.name))
			if string(b) != kept.secret {
				t.Errorf("node %d: what was not deleted reads %q", i, b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
