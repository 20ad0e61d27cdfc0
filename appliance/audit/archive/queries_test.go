package archive

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"strongroom.internal/appliance/audit"
)

var title = regexp.MustCompile(`(?m)^-- (\d+\.|Is) `)

// questions are the statements of the file of queries, by the first word of the comment before each: "1.", "Is".
func questions(t *testing.T) (titles []string, query map[string]string) {
	t.Helper()
	file, err := os.ReadFile("../../../docs/audit-queries.sql")
	if err != nil {
		t.Fatal(err)
	}
	query = map[string]string{}
	for _, s := range statements(string(file)) {
		found := title.FindStringSubmatch(s)
		if found == nil {
			t.Fatalf("a statement has no comment:\n%s", s)
		}
		titles, query[found[1]] = append(titles, found[1]), s
	}
	return titles, query
}

// answer is a query's rows, with their times in Unix milliseconds.
func answer(t *testing.T, db *pgx.Conn, query string) [][]any {
	t.Helper()
	rows, err := db.Query(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) {
		values, err := r.Values()
		for i, v := range values {
			switch v := v.(type) {
			case time.Time:
				values[i] = v.UnixMilli()
			case int32:
				values[i] = int64(v)
			}
		}
		return values, err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return list
}

const exampleAccount = "9f86d081884c7d659a2feaa0c55ad015"

// spreadLog is a log of the last nine months, in two trees.
func spreadLog(now time.Time, n int) *testLog {
	l := newLog(50)
	l.time = now.AddDate(0, -9, 0).UnixMilli()
	step := (now.UnixMilli() - l.time) / int64(n+10)
	l.append(&audit.Entry{Operation: "found-cluster", Outcome: "done", Key: "wrapping", KeyVersion: 1, Subject: "c1"})
	for i := range n {
		e := l.entry()
		e.Time = l.time + step
		if strings.HasSuffix(e.Account, "07") {
			e.Account = exampleAccount
		}
		l.append(e)
		if i == n/2 {
			l.turn("2027")
		}
	}
	return l.sign()
}

// located is an entry and where it is.
type located struct {
	*audit.Entry
	origin   string
	position int64
}

func (l *testLog) located() (list []located) {
	for _, t := range l.trees {
		for i, raw := range t.entries {
			e := must(audit.ParseEntry(raw))
			for _, s := range []*string{&e.Tenant, &e.Subject, &e.Detail, &e.Key} {
				*s = sqlText(*s)
			}
			list = append(list, located{e, t.Origin, int64(i)})
		}
	}
	return list
}

// wanted are rows of the entries that satisfy a condition, in order.
func wanted(all []located, condition func(located) bool, columns func(located) []any) (rows [][]any) {
	for _, e := range all {
		if condition(e) {
			rows = append(rows, append(columns(e), e.origin, e.position))
		}
	}
	return rows
}

func granted(e located) bool { return e.Outcome == "accepted" || e.Outcome == "done" }

func TestQuestions(t *testing.T) {
	db := emptyDatabase(t)
	change(t, db, `SET timezone = 'Pacific/Chatham'`) // no query may depend on it
	var now time.Time
	if err := db.QueryRow(deadline(t), `SELECT now()`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	now = now.UTC()
	l := spreadLog(now, 3000)
	l.archive(t, db)
	l.check(t, db)
	all := l.located()
	quarter := time.Date(now.Year(), (now.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC)
	operation := func(names ...string) func(located) bool {
		return func(e located) bool { return slices.Contains(names, e.Operation) }
	}
	want := map[string][][]any{
		"1.": wanted(all, func(e located) bool {
			return e.Key == "totp-1" && e.Time >= quarter.AddDate(0, -3, 0).UnixMilli() && e.Time < quarter.UnixMilli()
		}, func(e located) []any {
			return []any{e.Time, e.Tenant, e.Account, e.Actor, e.Operation, e.Outcome, int64(e.KeyVersion), int64(e.MACs), e.Node, e.Module}
		}),
		"2.": wanted(all, func(e located) bool { return e.Account == exampleAccount }, func(e located) []any {
			return []any{
				e.Time, e.Operation, e.Key, int64(e.KeyVersion), int64(e.MACs), e.Outcome, int64(e.Coalesced), e.Actor, e.Request, e.Node,
				e.Module, e.Detail,
			}
		}),
		"3.": refusals(all),
		"4.": wanted(all, func(e located) bool { return strings.HasPrefix(e.Actor, "spiffe://"+domain+"/operator/") }, func(e located) []any {
			return []any{e.Time, e.Actor, e.Operation, e.Subject, e.Key, e.Outcome, e.Node, e.Detail}
		}),
		"5.": wanted(all, operation("set-policy"), func(e located) []any {
			return []any{e.Time, e.Subject, e.Actor, e.Outcome, e.Detail}
		}),
		"6.": wanted(all, operation("issue-certificate"), func(e located) []any {
			return []any{e.Time, e.Subject, e.Actor, int64(e.KeyVersion), e.Outcome, e.Node, e.Module}
		}),
		"7.": wanted(all, operation("found-cluster", "admit-node", "join-node", "remove-node"), func(e located) []any {
			return []any{e.Time, e.Operation, e.Subject, e.Detail, e.Outcome, e.Actor, e.Node, e.Module}
		}),
		"8.": wanted(all, operation("reveal-seed", "import-seed"), func(e located) []any {
			return []any{e.Time, e.Operation, e.Tenant, e.Account, e.Key, e.Outcome, e.Actor, e.Node, e.Module}
		}),
		"9.":  versions(all),
		"10.": failures(all),
		"Is":  {},
	}
	titles, query := questions(t)
	if d := gocmp.Diff([]string{"1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.", "9.", "10.", "Is"}, titles); d != "" {
		t.Fatalf("the questions (-want +got):\n%s", d)
	}
	for _, title := range titles {
		got := answer(t, db, query[title])
		if len(want[title]) == 0 && title != "Is" {
			t.Errorf("%s the log has nothing of it", title)
		}
		if d := gocmp.Diff(want[title], got); d != "" {
			t.Errorf("%s (-want +got):\n%.2000s", title, d)
		}
	}
}

func refusals(all []located) (rows [][]any) {
	type of struct{ tenant, day string }
	sums := map[of][]any{}
	for _, e := range all {
		if granted(e) && e.Coalesced == 0 {
			continue
		}
		day := time.UnixMilli(e.Time).UTC().Truncate(24 * time.Hour)
		s := sums[of{e.Tenant, day.String()}]
		if s == nil {
			s = []any{e.Tenant, day.UnixMilli(), int64(0), int64(0), int64(0), int64(0)}
			sums[of{e.Tenant, day.String()}] = s
			rows = append(rows, s)
		}
		for i, counts := range []bool{!granted(e), e.Outcome == "refused-by-policy", e.Outcome == "locked"} {
			if counts {
				s[2+i] = s[2+i].(int64) + 1
			}
		}
		s[5] = s[5].(int64) + int64(e.Coalesced)
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(int64), b[1].(int64)))
	})
	return rows
}

func versions(all []located) (rows [][]any) {
	type key struct{ account, key string }
	latest := map[key]located{}
	for _, e := range all {
		if e.Operation == "delete-account" && e.Outcome == "done" {
			for k := range latest {
				if k.account == e.Account {
					delete(latest, k)
				}
			}
		}
		if e.Key != "" {
			latest[key{e.Account, e.Key}] = e
		}
	}
	type version struct {
		kind    string
		version int64
	}
	sums := map[version][]any{}
	for _, e := range latest {
		if e.Operation == "remove-credential" && e.Outcome == "done" {
			continue
		}
		v := version{"seeds under the wrapping key", int64(e.KeyVersion)}
		if e.Account == "" {
			v.kind = e.Key
		}
		s := sums[v]
		if s == nil {
			s = []any{v.kind, v.version, int64(0), int64(0)}
			sums[v] = s
			rows = append(rows, s)
		}
		s[2], s[3] = s[2].(int64)+1, max(s[3].(int64), e.Time)
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(int64), b[1].(int64)))
	})
	return rows
}

func failures(all []located) (rows [][]any) {
	type account struct{ tenant, account string }
	sums := map[account][]any{}
	for _, e := range all {
		if e.Account == "" || granted(e) && e.Coalesced == 0 {
			continue
		}
		s := sums[account{e.Tenant, e.Account}]
		if s == nil {
			s = []any{e.Tenant, e.Account, int64(0), int64(0), int64(0)}
			sums[account{e.Tenant, e.Account}] = s
			rows = append(rows, s)
		}
		if slices.Contains([]string{"wrong", "spent", "expired", "locked"}, e.Outcome) {
			s[2] = s[2].(int64) + 1
		}
		s[2], s[3], s[4] = s[2].(int64)+int64(e.Coalesced), s[3].(int64)+int64(e.Coalesced), e.Time
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(
			-cmp.Compare(a[2].(int64), b[2].(int64)), cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(string), b[1].(string)))
	})
	return rows[:20]
}

// TestGapsAreSeen: the last question has an answer where something is missing.
func TestGapsAreSeen(t *testing.T) {
	db := emptyDatabase(t)
	l := newLog(51).add(100).turn("2027").add(50).sign()
	l.archive(t, db)
	first, second := l.trees[0].Origin, l.trees[1].Origin
	change(t, db, `DELETE FROM log_entries WHERE origin = $1 AND (position < 2 OR position IN (50, 51, 100))`, first)
	change(t, db, `DELETE FROM log_entries WHERE origin = $1 AND position > 20`, second)
	change(t, db, `UPDATE log_entries SET log_index = 0 WHERE origin = $1 AND position = 3`, second)
	_, query := questions(t)
	want := [][]any{
		{first, "missing", int64(0), int64(1)},
		{first, "missing", int64(50), int64(51)},
		{first, "missing", int64(100), int64(100)},
		{second, "of another place", int64(3), int64(3)},
		{second, "missing", int64(21), int64(50)},
	}
	if d := gocmp.Diff(want, answer(t, db, query["Is"])); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestQuestionsUseIndexes: no question but those that are about all rows needs to read all rows.
func TestQuestionsUseIndexes(t *testing.T) {
	db := emptyDatabase(t)
	l := spreadLog(time.Now().UTC(), 2000)
	l.archive(t, db)
	change(t, db, `ANALYZE`)
	change(t, db, `SET enable_seqscan = off`) // so small a table is read faster as a whole
	titles, query := questions(t)
	for _, title := range titles {
		var plan strings.Builder
		for _, line := range answer(t, db, "EXPLAIN "+query[title]) {
			fmt.Fprintln(&plan, line...)
		}
		uses := strings.Contains(plan.String(), "log_entries_")
		if title != "9." && title != "Is" && (!uses || strings.Contains(plan.String(), "Seq Scan") || strings.Contains(plan.String(), "log_entries_pkey")) {
			t.Errorf("%s has the plan\n%s", title, &plan)
		}
	}
}
