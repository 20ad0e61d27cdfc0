package archive

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"strongroom.internal/appliance/audit"
)

func TestArchive(t *testing.T) {
	for _, size := range []int{1, 2, 255, 256, 257, 1000, 3000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			db := emptyDatabase(t)
			l := newLog(uint64(size)).add(size).sign()
			r := l.archive(t, db)
			if r.Inserted != int64(size) {
				t.Errorf("%d of %d were inserted", r.Inserted, size)
			}
			l.check(t, db)
			if r := l.archive(t, db); r.Inserted != 0 {
				t.Errorf("%d were inserted twice", r.Inserted)
			}
			report := l.check(t, db)
			if c := report[0]; c.Signed != int64(size) || c.Checkpoints != 1 || c.Unsigned != 0 {
				t.Errorf("the report is %+v", c)
			}
			extents, err := Archived(deadline(t), db)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r.Trees, extents); d != "" {
				t.Errorf("(-archived +there):\n%s", d)
			}
		})
	}
}

// TestResumption archives a growing log, in which trees follow one another, bit by bit.
func TestResumption(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(1)
	for i, n := range []int{10, 246, 1, 700, 0, 300} {
		l.add(n).sign()
		l.archive(t, db)
		if i%2 == 1 {
			l.turn(fmt.Sprintf("2026-%d", i)).sign()
			l.archive(t, db)
		}
	}
	report := l.check(t, db)
	if len(report) != 4 || report[0].Checkpoints != 3 {
		t.Errorf("the report is %+v", report)
	}
}

// TestChain has the older trees' checkpoints signed by nobody that the policy knows: the newest one vouches for all.
func TestChain(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(2).add(300).turn("2027").add(40).turn("2028").add(600).sign()
	stranger := newLog(2)
	for i := range stranger.nodes {
		stranger.nodes[i] = newKey(fmt.Sprint("another ", i))
	}
	for _, old := range l.trees[:2] {
		old.note = stranger.checkpointOf(audit.CheckpointText(old.Origin, old.Size, old.root(old.Size)), 0, 1, 2)
		if _, err := l.policy.Open(old.note); err == nil {
			t.Fatal("the policy knows the stranger")
		}
	}
	l.archive(t, db)
	report := l.check(t, db)
	for i, want := range []int{1, 1, 0} {
		if report[i].Unsigned != want {
			t.Errorf("tree %d: the report is %+v", i, report[i])
		}
	}
	var note, previous string
	if err := db.QueryRow(deadline(t), `SELECT note, previous FROM log_checkpoints JOIN log_trees USING (origin) WHERE name = '2027'`).Scan(&note, &previous); err != nil {
		t.Fatal(err)
	}
	if note != string(l.trees[1].note) || previous != l.trees[0].Origin {
		t.Errorf("it has the note %q and the previous tree %s", note, previous)
	}

	// A checkpoint that isn't the chain's, or could not be shown, is replaced by what the chain says.
	db = emptyDatabase(t)
	l.trees[0].note = []byte("nonsense")
	l.trees[1].note = append(l.trees[1].note, "— \x1b[31m AAAA\n"...)
	l.archive(t, db)
	l.check(t, db)
	for _, old := range l.trees[:2] {
		text := audit.CheckpointText(old.Origin, old.Size, old.root(old.Size))
		if n := count(t, db, `SELECT count(*) FROM log_checkpoints WHERE origin = $1 AND note = $2`, old.Origin, text+"\n"); n != 1 {
			t.Errorf("the checkpoint of %s isn't the chain's", old.Name)
		}
	}
}

func TestTreeWithoutCheckpointWaits(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(3)
	if _, err := Archive(deadline(t), db, l, l.policy, Options{}); err == nil {
		t.Error("a log without a checkpoint was archived")
	}
	l.add(20).turn("2027") // which isn't signed yet
	l.archive(t, db)
	l.check(t, db)
	l.sign().archive(t, db)
	l.check(t, db)
}

// TestKeysChange: a checkpoint that counted when it was stored may be signed by keys that are gone since.
func TestKeysChange(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(4).add(100).sign()
	l.archive(t, db)
	var signers []audit.Signer
	for i := range l.nodes {
		l.nodes[i] = newKey(fmt.Sprint("new ", i))
		signers = append(signers, audit.Signer{Node: nodeName(i), Key: l.nodes[i].Public()})
	}
	l.policy = must(audit.ParsePolicy(must(audit.FormatPolicy(domain, "2026", signers, nil))))
	var f *Fault
	if _, err := Check(deadline(t), db, l.policy); !errors.As(err, &f) || f.Table != tableCheckpoints || f.Column != "note" {
		t.Errorf("rows that nobody vouches for are taken: %v", err)
	}
	l.add(100).sign().archive(t, db)
	if c := l.check(t, db)[0]; c.Unsigned != 1 || c.Checkpoints != 2 || c.Signed != 200 {
		t.Errorf("the report is %+v", c)
	}
}

// TestPruned: what is archived need not be there any more, what isn't has to.
func TestPruned(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(5).add(600).sign()
	l.archive(t, db)
	l.trees[0].Minimum = 512
	l.add(300).sign().archive(t, db)
	l.check(t, db)
	l.turn("2027").add(300).sign()
	l.trees[0].Minimum = 512
	l.archive(t, db)
	l.trees[0].Minimum, l.trees[1].Minimum = l.trees[0].Size, 256
	l.add(10).sign().archive(t, db) // the begin-tree entry is in the archive alone
	l.check(t, db)

	db = emptyDatabase(t)
	l = newLog(6).add(600).sign()
	l.trees[0].Minimum = 256
	_, err := Archive(deadline(t), db, l, l.policy, Options{})
	if !errors.Is(err, errNotFound) {
		t.Errorf("a tree whose beginning is nowhere was archived: %v", err)
	}
	l.trees[0].Minimum = 0
	l.archive(t, db)
	change(t, db, `DELETE FROM log_entries WHERE position = 10`)
	l.trees[0].Minimum = 256
	if _, err = Archive(deadline(t), db, l, l.policy, Options{}); !errors.Is(err, ErrPruned) || !strings.Contains(err.Error(), "positions 10 to 255") {
		t.Errorf("a hole that can't be filled: %v", err)
	}
}

// TestHolesAreFilled: rows that somebody deleted come back.
func TestHolesAreFilled(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(7).add(270).turn("2027").add(20).sign()
	l.archive(t, db)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 4).Draw(rt, "holes") {
			from := rapid.IntRange(0, 271).Draw(rt, "from")
			change(t, db, `DELETE FROM log_entries WHERE position >= $1 AND position < $2`, from, from+rapid.IntRange(1, 100).Draw(rt, "width"))
		}
		left := count(t, db, `SELECT count(*) FROM log_entries`)
		extents, err := Archived(deadline(t), db)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range extents {
			if n := count(t, db, `SELECT count(*) FROM log_entries WHERE origin = $1 AND position < $2`, x.Origin, x.Size); n != x.Size {
				t.Fatalf("of %d entries %d are there", x.Size, n)
			}
			for _, tree := range l.trees {
				if tree.Origin == x.Origin && tree.root(x.Size) != x.Root {
					t.Fatalf("the root at %d is another", x.Size)
				}
			}
		}
		if r := l.archive(t, db); r.Inserted != 292-left {
			t.Fatalf("%d rows were inserted where %d had been left of 292", r.Inserted, left)
		}
		l.check(t, db)
	})
}

// TestRowsAreNotOverwritten: a row with other bytes is named and stays.
func TestRowsAreNotOverwritten(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(8).add(500).sign()
	l.archive(t, db)
	change(t, db, `UPDATE log_entries SET bytes = 'x' WHERE position = 321`)
	change(t, db, `DELETE FROM log_entries WHERE position = 100`)
	_, err := Archive(deadline(t), db, l, l.policy, Options{})
	var f *Fault
	if !errors.As(err, &f) || f.Table != tableEntries || f.Position != 321 || f.Origin != l.trees[0].Origin {
		t.Errorf("it answered %v", err)
	}
	if n := count(t, db, `SELECT count(*) FROM log_entries WHERE bytes = 'x'`); n != 1 {
		t.Error("the row was overwritten")
	}
}

// TestLyingSource: what a source changes is refused before anything of it is stored.
func TestLyingSource(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b = bytes.Clone(b)
			b[at%len(b)] ^= 1
			return b
		}
	}
	for what, c := range map[string]struct {
		path   string
		change func([]byte) []byte
		stored int64
		err    error
	}{
		"entry":              {"tile/entries/001", flip(300), 256, ErrSource},
		"length of an entry": {"tile/entries/001", flip(1), 256, ErrSource},
		"short bundle":       {"tile/entries/002.p/88", func(b []byte) []byte { return b[:len(b)-1] }, 512, ErrSource},
		"empty bundle":       {"tile/entries/002.p/88", func([]byte) []byte { return nil }, 512, ErrSource},
		"long bundle":        {"tile/entries/001", func(b []byte) []byte { return append(bytes.Clone(b), 0, 0) }, 256, ErrSource},
		"swapped entries":    {"tile/entries/001", swapFirst, 256, ErrSource},
		"leaf hash":          {"tile/0/001", flip(40), 256, ErrSource},
		"short tile":         {"tile/0/001", func(b []byte) []byte { return b[:len(b)-1] }, 256, ErrSource},
		"parent hash":        {"tile/1/000.p/2", flip(0), 0, ErrSource},
		"signature":          {"checkpoint", func(b []byte) []byte { return flip(len(b) - 10)(b) }, 0, audit.ErrCheckpoint},
		"checkpoint's size":  {"checkpoint", func(b []byte) []byte { return bytes.Replace(b, []byte("600"), []byte("599"), 1) }, 0, audit.ErrCheckpoint},
	} {
		t.Run(what, func(t *testing.T) {
			db := emptyDatabase(t)
			l := newLog(9).add(600).sign()
			changed := false
			l.edit = func(_, path string, b []byte) ([]byte, error) {
				if path != c.path {
					return b, nil
				}
				changed = true
				return c.change(b), nil
			}
			_, err := Archive(deadline(t), db, l, l.policy, Options{Batch: 256})
			if !errors.Is(err, c.err) || !changed {
				t.Fatalf("it answered %v", err)
			}
			if n := count(t, db, `SELECT count(*) FROM log_entries`); n != c.stored {
				t.Errorf("%d entries were stored, not %d", n, c.stored)
			}
			l.edit = nil
			l.archive(t, db)
			l.check(t, db)
		})
	}
}

// swapFirst swaps the first two entries of a bundle.
func swapFirst(b []byte) []byte {
	n := 2 + int(b[0])<<8 + int(b[1])
	m := 2 + int(b[n])<<8 + int(b[n+1])
	return append(append(append([]byte{}, b[n:n+m]...), b[:n]...), b[n+m:]...)
}

// TestLyingTrees: so is a list of trees that the chain doesn't have, or a chain that isn't one.
func TestLyingTrees(t *testing.T) {
	for what, lie := range map[string]func(l *testLog){
		"another tree's checkpoint": func(l *testLog) { l.trees[1].note = l.trees[0].note },
		"another origin":            func(l *testLog) { l.trees[1].Origin += "x" },
		"a tree that nobody names": func(l *testLog) {
			l.trees = append([]*testTree{{Tree: Tree{Name: "2025", Origin: audit.Origin(domain, "2025"), Signed: 1}}}, l.trees...)
		},
		"too little signed": func(l *testLog) { l.trees[1].note = l.checkpoint(l.trees[1], 101, 2) },
	} {
		t.Run(what, func(t *testing.T) {
			db := emptyDatabase(t)
			l := newLog(10).add(50).turn("2027").add(100).sign()
			lie(l)
			if _, err := Archive(deadline(t), db, l, l.policy, Options{}); !errors.Is(err, ErrSource) && !errors.Is(err, audit.ErrCheckpoint) {
				t.Errorf("it answered %v", err)
			}
			if n := count(t, db, `SELECT count(*) FROM log_entries`); n != 0 {
				t.Errorf("%d entries were stored", n)
			}
		})
	}
	for what, begin := range map[string]audit.Entry{
		"no begin-tree":    {Operation: "verify"},
		"another name":     {Operation: "begin-tree", Subject: "2028", Detail: audit.CheckpointText(audit.Origin(domain, "2026"), 5, [32]byte{})},
		"no checkpoint":    {Operation: "begin-tree", Subject: "2027", Detail: "2026"},
		"of another log":   {Operation: "begin-tree", Subject: "2027", Detail: audit.CheckpointText(audit.Origin("else.example", "2026"), 5, [32]byte{})},
		"empty tree":       {Operation: "begin-tree", Subject: "2027", Detail: audit.CheckpointText(audit.Origin(domain, "2026"), 0, [32]byte{})},
		"overlapping tree": {Operation: "begin-tree", Subject: "2027"},
		"a circle":         {Operation: "begin-tree", Subject: "2027", Detail: audit.CheckpointText(audit.Origin(domain, "2027"), 5, [32]byte{})},
	} {
		t.Run(what, func(t *testing.T) {
			db := emptyDatabase(t)
			l := newLog(11).add(50).turn("2027")
			old := l.trees[0]
			l.trees[1].entries, l.trees[1].hashes, l.trees[1].Size = nil, nil, 0
			l.next--
			if what == "overlapping tree" {
				begin.Detail = audit.CheckpointText(old.Origin, old.Size, old.root(old.Size))
				l.next--
			}
			l.append(&begin)
			l.sign()
			if _, err := Archive(deadline(t), db, l, l.policy, Options{}); !errors.Is(err, ErrSource) {
				t.Errorf("it answered %v", err)
			}
			if n := count(t, db, `SELECT count(*) FROM log_entries`); n != 0 {
				t.Errorf("%d entries were stored", n)
			}
		})
	}
}

// TestRewrittenLog: a log whose signers sign another past is found out, and both checkpoints are shown.
func TestRewrittenLog(t *testing.T) {
	for _, more := range []int{0, 1, 400} {
		db := emptyDatabase(t)
		l := newLog(12).add(300).sign()
		l.archive(t, db)
		other := newLog(13).add(300 + more).sign()
		_, err := Archive(deadline(t), db, other, other.policy, Options{})
		var fork *Fork
		if !errors.As(err, &fork) || !bytes.Equal(fork.Archived, l.trees[0].note) || !bytes.Equal(fork.Served, other.trees[0].note) {
			t.Errorf("it answered %v", err)
		}
		l.check(t, db)
	}
	db := emptyDatabase(t)
	l := newLog(12).add(300).sign()
	l.archive(t, db)
	older := newLog(12).add(299).sign()
	if _, err := Archive(deadline(t), db, older, older.policy, Options{}); !errors.Is(err, ErrOlder) {
		t.Errorf("an older checkpoint: %v", err)
	}
}

// TestRestoredBackup: the cluster goes on from a backup, and has forgotten the end of its tree and the tree after that.
func TestRestoredBackup(t *testing.T) {
	db := emptyDatabase(t)
	forgotten := newLog(14).add(300).sign()
	forgotten.archive(t, db)
	forgotten.add(100).turn("2026-1").add(10).sign().archive(t, db)
	l := newLog(14).add(300).sign()
	l.next = forgotten.next // an index is never used twice
	l.trees = append(l.trees, &testTree{Tree: Tree{Name: "2026-2", Origin: audit.Origin(domain, "2026-2"), First: l.next}})
	old := l.trees[0]
	l.append(&audit.Entry{Operation: "begin-tree", Subject: "2026-2", Detail: audit.CheckpointText(old.Origin, 300, old.root(300))})
	l.add(20).sign()
	r := l.archive(t, db)
	if d := cmp.Diff([]string{forgotten.trees[1].Origin}, r.Unlisted); d != "" {
		t.Errorf("what the cluster forgot (-want +got):\n%s", d)
	}
	report, err := Check(deadline(t), db, l.policy)
	if err != nil || len(report) != 3 || report[0].Size != 401 || report[1].Size != 11 || report[2].Size != 21 {
		t.Errorf("the report is %+v, %v", report, err)
	}
}

func TestOneLogPerDatabase(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(15).add(10).sign()
	l.archive(t, db)
	change(t, db, `INSERT INTO log_trees VALUES ('else.example/log/2026', '2026', 0, '')`)
	if _, err := Archive(deadline(t), db, l, l.policy, Options{}); err == nil {
		t.Error("two logs went into one database")
	}
}

// TestPartialTilesVanish: a log may drop a partial tile as soon as there is a fuller one.
func TestPartialTilesVanish(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(16).add(300).sign()
	l.mu.Lock()
	note := l.trees[0].note
	l.mu.Unlock()
	l.add(400) // it has grown since the checkpoint
	l.edit = func(_, path string, b []byte) ([]byte, error) {
		switch {
		case path == "checkpoint":
			return note, nil
		case strings.Contains(path, ".p/") && !strings.HasPrefix(path, "tile/1/"):
			return nil, errNotFound
		}
		return b, nil
	}
	l.archive(t, db)
	l.check(t, db)
}

// TestTwoAtOnce: two archivers don't disturb each other, not even while they make the tables.
func TestTwoAtOnce(t *testing.T) {
	connection := server.Database(t)
	l := newLog(17).add(3000).turn("2027").add(200).sign()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var inserted int64
	for range 4 {
		db := connect(t, connection)
		wg.Go(func() {
			r, err := Archive(deadline(t), db, l, l.policy, Options{Batch: 128})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inserted += r.Inserted
			mu.Unlock()
		})
	}
	wg.Wait()
	if inserted != 3202 {
		t.Errorf("%d rows were inserted", inserted)
	}
	l.check(t, connect(t, connection))
}

// TestRights: who archives needs to add and to read, who checks to read.
func TestRights(t *testing.T) {
	connection := server.Database(t)
	owner := connect(t, connection)
	l := newLog(18).add(300).sign()
	if err := Migrate(deadline(t), owner); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprint("r", count(t, owner, `SELECT oid::bigint FROM pg_database WHERE datname = current_database()`))
	change(t, owner, `CREATE ROLE `+name+`a LOGIN`)
	change(t, owner, `CREATE ROLE `+name+`b LOGIN`)
	change(t, owner, `GRANT SELECT, INSERT ON log_entries, log_checkpoints, log_trees TO `+name+`a`)
	change(t, owner, `GRANT SELECT ON log_schema TO `+name+`a, `+name+`b`)
	change(t, owner, `GRANT SELECT ON log_entries, log_checkpoints, log_trees TO `+name+`b`)
	as := func(role string) *pgx.Conn {
		return connect(t, strings.Replace(connection, "user=strongroom", "user="+role, 1))
	}
	l.archive(t, as(name+"a"))
	l.add(10).sign().archive(t, as(name+"a"))
	reader := as(name + "b")
	l.check(t, reader)
	if _, err := Archived(deadline(t), reader); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(19).add(1000).sign()
	for _, batch := range []int{-1, mostBatch + 1} {
		if _, err := Archive(deadline(t), db, l, l.policy, Options{Batch: batch}); err == nil {
			t.Errorf("a batch of %d was taken", batch)
		}
	}
	var got []Progress
	if _, err := Archive(deadline(t), db, l, l.policy, Options{Batch: 400, Progress: func(p Progress) { got = append(got, p) }}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Progress{{"2026", 400, 1000}, {"2026", 800, 1000}, {"2026", 1000, 1000}}, got); d != "" {
		t.Errorf("progress (-want +got):\n%s", d)
	}
}
