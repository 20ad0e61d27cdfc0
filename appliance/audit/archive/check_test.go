package archive

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"strongroom.internal/appliance/audit"
)

// checkFault wants Check to answer a Fault, and gives it.
func checkFault(t *testing.T, db *pgx.Conn, l *testLog) *Fault {
	t.Helper()
	_, err := Check(deadline(t), db, l.policy)
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("Check answered %v", err)
	}
	return f
}

// within runs f inside of a transaction that is rolled back.
func within(t *testing.T, db *pgx.Conn, f func()) {
	t.Helper()
	change(t, db, "BEGIN")
	defer change(t, db, "ROLLBACK")
	f()
}

// tableColumns are the columns of a table, with their types.
func tableColumns(t *testing.T, db *pgx.Conn, table string) map[string]string {
	t.Helper()
	rows, err := db.Query(context.Background(), `SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1`, table)
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]string{}
	var name, kind string
	if _, err := pgx.ForEachRow(rows, []any{&name, &kind}, func() error { columns[name] = kind; return nil }); err != nil {
		t.Fatal(err)
	}
	return columns
}

// TestEveryMemberHasAColumn: an entry that gets a new member gets a new column.
func TestEveryMemberHasAColumn(t *testing.T) {
	if got, want := len(numbers)+len(texts)+1, reflect.TypeFor[audit.Entry]().NumField(); got != want {
		t.Errorf("an entry has %d members, a row %d", want, got)
	}
	db := emptyDatabase(t)
	if err := Migrate(deadline(t), db); err != nil {
		t.Fatal(err)
	}
	want := append(strings.Split(columnList, ", "), "origin")
	got := slices.Collect(func(yield func(string) bool) {
		for name := range tableColumns(t, db, tableEntries) {
			if !yield(name) {
				return
			}
		}
	})
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("columns (-known +there):\n%s", d)
	}
}

// TestTamperedColumns changes each column of a row by itself.
func TestTamperedColumns(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(30).add(500).turn("2027").add(300).sign()
	l.archive(t, db)
	l.add(100).sign().archive(t, db)
	origin := l.trees[1].Origin
	changes := map[string][]string{
		"bigint":                   {"%[1]s + 1", "-%[1]s - 1", "9223372036854775807"},
		"text":                     {"%[1]s || 'x'", "'\u202e'", "repeat('x', 5000)"},
		"bytea":                    {"%[1]s || 'x'", "''", "set_byte(%[1]s, 5, 49)", "'{}'", "decode(repeat('00', 1000000), 'hex')"},
		"timestamp with time zone": {"%[1]s + interval '1 microsecond'", "%[1]s - interval '1 hour'", "'infinity'", "'-infinity'"},
	}
	for column, kind := range tableColumns(t, db, tableEntries) {
		for _, to := range changes[kind] {
			to := to
			if strings.Contains(to, "%") {
				to = fmt.Sprintf(to, column)
			}
			t.Run(column+" "+to[:min(len(to), 30)], func(t *testing.T) {
				within(t, db, func() {
					want := &Fault{Table: tableEntries, Origin: origin, Position: 123, Last: 123, Column: column}
					set := column + " = " + to
					switch column {
					case "origin":
						// It becomes a row of a tree that isn't there, or of nothing.
						want.Column, want.Origin, want.Position, want.Last = "position", "", 0, 0
					case "position":
						if to[0] == '-' {
							set = "position = 100000"
						}
						want.Column = "position"
						if strings.HasSuffix(to, "+ 1") {
							change(t, db, `DELETE FROM log_entries WHERE origin = $1 AND position = 124`, origin)
						}
					}
					change(t, db, `UPDATE log_entries SET `+set+` WHERE origin = $1 AND position = 123`, origin)
					got := checkFault(t, db, l)
					if column == "origin" {
						want.Origin = got.Origin
						if got.Origin == origin {
							t.Error("it is of a tree that is well but for a row")
						}
					}
					want.Reason = got.Reason
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("(-want +got):\n%s", d)
					}
					if strings.ContainsFunc(got.Error(), func(r rune) bool { return r == '\u202e' }) || len(got.Error()) > 1000 {
						t.Errorf("the message is not fit for a terminal: %s", got)
					}
				})
			})
		}
	}
	l.check(t, db)
}

// TestTamperedRows changes rows so that each of them is well by itself.
func TestTamperedRows(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(31).add(200).sign()
	l.archive(t, db)
	l.add(300).sign().archive(t, db)
	l.turn("2027").add(50).sign().archive(t, db)
	first, second := l.trees[0].Origin, l.trees[1].Origin
	rest := strings.TrimPrefix(columnList, "position, ")
	copyRow := func(origin string, from, to int64) {
		change(t, db, `INSERT INTO log_entries (origin, position, `+rest+`) SELECT $1, $3, `+rest+` FROM log_entries WHERE origin = $1 AND position = $2`, origin, from, to)
	}
	// forge replaces an entry by another that is as well formed.
	forge := func(origin string, position int64) {
		raw, err := archivedRow(context.Background(), db, origin, position)
		if err != nil {
			t.Fatal(err)
		}
		e := must(audit.ParseEntry(raw))
		e.Outcome = "forged"
		change(t, db, `UPDATE log_entries SET bytes = $3, outcome = 'forged' WHERE origin = $1 AND position = $2`, origin, position, e.AppendJSON(nil))
	}
	for what, c := range map[string]struct {
		tamper func()
		want   Fault
	}{
		"deleted": {
			func() { change(t, db, `DELETE FROM log_entries WHERE origin = $1 AND position = 77`, first) },
			Fault{tableEntries, first, 77, 77, "position", ""},
		},
		"first deleted": {
			func() { change(t, db, `DELETE FROM log_entries WHERE origin = $1 AND position = 0`, first) },
			Fault{tableEntries, first, 0, 0, "position", ""},
		},
		"last deleted": {
			func() { change(t, db, `DELETE FROM log_entries WHERE origin = $1 AND position = 50`, second) },
			Fault{tableEntries, second, 50, 50, "position", ""},
		},
		"appended": {
			func() { copyRow(second, 50, 51) },
			Fault{tableEntries, second, 51, 51, "position", ""},
		},
		"doubled": {
			func() {
				change(t, db, `DELETE FROM log_entries WHERE origin = $1 AND position = 301`, first)
				copyRow(first, 300, 301)
			},
			Fault{tableEntries, first, 301, 301, "bytes", ""},
		},
		"forged under the first checkpoint":  {func() { forge(first, 10) }, Fault{tableEntries, first, 0, 199, "bytes", ""}},
		"forged under the second checkpoint": {func() { forge(first, 200) }, Fault{tableEntries, first, 200, 499, "bytes", ""}},
		"forged in the newest tree":          {func() { forge(second, 0) }, Fault{tableEntries, second, 0, 50, "bytes", ""}},
		"forged, with the chain's root forged": {
			func() {
				forge(first, 300)
				change(t, db, `DELETE FROM log_checkpoints WHERE origin = $1 AND size > 200`, first)
			},
			Fault{tableEntries, first, 200, 500, "bytes", ""},
		},
		"a tree is gone": {
			func() {
				for _, table := range []string{tableTrees, tableCheckpoints, tableEntries} {
					change(t, db, `DELETE FROM `+table+` WHERE origin = $1`, first)
				}
			},
			Fault{tableTrees, first, 0, 0, "origin", ""},
		},
	} {
		t.Run(what, func(t *testing.T) {
			within(t, db, func() {
				c.tamper()
				got := checkFault(t, db, l)
				c.want.Reason = got.Reason
				if d := cmp.Diff(&c.want, got); d != "" {
					t.Errorf("(-want +got):\n%s\n%v", d, got)
				}
			})
		})
	}
	l.check(t, db)
}

// TestTamperedCheckpoints changes the rows that aren't entries.
func TestTamperedCheckpoints(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(32).add(200).sign()
	l.archive(t, db)
	l.add(100).sign().archive(t, db)
	l.turn("2027").add(50).sign().archive(t, db)
	first, second := l.trees[0].Origin, l.trees[1].Origin
	wrongRoot := audit.CheckpointText(second, 51, [32]byte{1})
	for what, c := range map[string]struct {
		statement string
		args      []any
		want      Fault
	}{
		"root":           {`UPDATE log_checkpoints SET root = 'x' WHERE size = 200`, nil, Fault{tableCheckpoints, first, 200, 200, "root", ""}},
		"long root":      {`UPDATE log_checkpoints SET root = root || root WHERE size = 200`, nil, Fault{tableCheckpoints, first, 200, 200, "root", ""}},
		"size":           {`UPDATE log_checkpoints SET size = 199 WHERE size = 200`, nil, Fault{tableCheckpoints, first, 199, 199, "size", ""}},
		"origin":         {`UPDATE log_checkpoints SET origin = $1 WHERE size = 51`, []any{first}, Fault{tableCheckpoints, first, 51, 51, "origin", ""}},
		"unknown origin": {`UPDATE log_checkpoints SET origin = 'x' WHERE size = 51`, nil, Fault{tableEntries, "x", 0, 0, "position", ""}},
		"note":           {`UPDATE log_checkpoints SET note = 'x' WHERE size = 200`, nil, Fault{tableCheckpoints, first, 200, 200, "note", ""}},
		"empty text":     {`UPDATE log_checkpoints SET note = E'\n\n' WHERE size = 200`, nil, Fault{tableCheckpoints, first, 200, 200, "note", ""}},
		"long note":      {`UPDATE log_checkpoints SET note = note || repeat('x', 1000000) WHERE size = 200`, nil, Fault{tableCheckpoints, first, 200, 200, "note", ""}},
		"signature": {
			`UPDATE log_checkpoints SET note = left(note, -20) || E'\n' WHERE size = 51`, nil,
			Fault{tableCheckpoints, second, 51, 51, "note", ""},
		},
		"one node alone": {
			`UPDATE log_checkpoints SET note = $1 WHERE size = 51`,
			[]any{string(l.checkpoint(l.trees[1], 51, 0))},
			Fault{tableCheckpoints, second, 51, 51, "note", ""},
		},
		"another root, one node alone": {
			`UPDATE log_checkpoints SET note = $1, root = $2 WHERE size = 51`,
			[]any{string(l.checkpointOf(wrongRoot, 0)), append([]byte{1}, make([]byte, 31)...)},
			Fault{tableCheckpoints, second, 51, 51, "note", ""},
		},
		"another root, signed": {
			`UPDATE log_checkpoints SET note = $1, root = $2 WHERE size = 51`,
			[]any{string(l.checkpointOf(wrongRoot, 0, 1)), append([]byte{1}, make([]byte, 31)...)},
			Fault{tableEntries, second, 0, 50, "bytes", ""},
		},
		"newest deleted": {`DELETE FROM log_checkpoints WHERE size = 51`, nil, Fault{tableEntries, second, 0, 0, "position", ""}},
		"name":           {`UPDATE log_trees SET name = '2028' WHERE origin = $1`, []any{second}, Fault{tableTrees, second, 0, 0, "name", ""}},
		"first index":    {`UPDATE log_trees SET first_index = 5 WHERE origin = $1`, []any{second}, Fault{tableTrees, second, 0, 0, "first_index", ""}},
		"previous":       {`UPDATE log_trees SET previous = '' WHERE origin = $1`, []any{second}, Fault{tableTrees, second, 0, 0, "previous", ""}},
		"tree deleted":   {`DELETE FROM log_trees WHERE origin = $1`, []any{second}, Fault{tableTrees, second, 0, 0, "origin", ""}},
		"tree renamed":   {`UPDATE log_trees SET origin = '' WHERE origin = $1`, []any{second}, Fault{tableEntries, "", 0, 0, "position", ""}},
	} {
		t.Run(what, func(t *testing.T) {
			within(t, db, func() {
				change(t, db, c.statement, c.args...)
				got := checkFault(t, db, l)
				c.want.Reason = got.Reason
				if d := cmp.Diff(&c.want, got); d != "" {
					t.Errorf("(-want +got):\n%s\n%v", d, got)
				}
			})
		})
	}
	l.check(t, db)
}

func TestNoArchive(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(33)
	refused := func(what string) {
		t.Helper()
		if _, err := Check(deadline(t), db, l.policy); !errors.Is(err, ErrNoArchive) {
			t.Errorf("%s: Check answered %v", what, err)
		}
	}
	refused("no tables")
	if _, err := Archived(deadline(t), db); !errors.Is(err, ErrNoArchive) {
		t.Errorf("no tables: Archived answered %v", err)
	}
	if err := Migrate(deadline(t), db); err != nil {
		t.Fatal(err)
	}
	refused("empty")
	change(t, db, `INSERT INTO log_schema VALUES (1000)`)
	refused("of a later release")
	if err := Migrate(deadline(t), db); !errors.Is(err, ErrNoArchive) {
		t.Errorf("of a later release: Migrate answered %v", err)
	}
}

// TestMigrationIsTakenUp ends the making of the tables after each of its statements.
func TestMigrationIsTakenUp(t *testing.T) {
	list := must(steps())
	schema := schemas(t)
	for n := range list[0].statements {
		db := connect(t, schema())
		for _, s := range list[0].statements[:n+1] {
			change(t, db, s)
		}
		for range 2 {
			if err := Migrate(deadline(t), db); err != nil {
				t.Fatalf("after %d statements: %v", n+1, err)
			}
		}
		l := newLog(34).add(5).sign()
		l.archive(t, db)
		l.check(t, db)
		_ = db.Close(context.Background())
	}
}

// TestMemoryIsFlat archives and checks logs of two sizes and compares how much is live meanwhile.
func TestMemoryIsFlat(t *testing.T) {
	l := newLog(35)
	var most [2]int64
	for i, n := range []int{2000, 18_000} {
		l.add(n).sign()
		db := emptyDatabase(t)
		archiving := liveDuring(func() { l.archive(t, db) })
		checking := liveDuring(func() { l.check(t, db) })
		most[i] = max(archiving, checking)
		t.Logf("%d entries: %d bytes while archiving, %d while checking", l.last().Size, archiving, checking)
	}
	// What is allocated during a collection counts as found, too; an entry and its row are more than a kilobyte.
	if most[1] > most[0]+8<<20 {
		t.Errorf("%d bytes are live for 2,000 entries and %d for 20,000", most[0], most[1])
	}
}

// liveDuring is the most that f keeps alive, in bytes.
func liveDuring(f func()) int64 {
	live := func() int64 {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}} // that the last collection has found
		runtime.GC()
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	before := live()
	done, most := make(chan struct{}), make(chan int64)
	go func() {
		var m int64
		for {
			m = max(m, live()-before)
			select {
			case <-done:
				most <- m
				return
			default:
			}
		}
	}()
	f()
	close(done)
	return <-most
}
