package bulk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/otp"
)

// records makes n tokens of different seeds, two for each account.
func records(n int) []otp.Record {
	all := make([]otp.Record, n)
	for i := range all {
		all[i] = otp.Record{
			Row: i + 1, Line: i + 1, Owner: fmt.Sprintf("user%d", i/2), Serial: fmt.Sprintf("S%d", i+1),
			URI: otp.URI{
				Params: otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30}, Account: "x",
				Secret: otp.NewSecret(fmt.Appendf(nil, "seed number %08d", i)),
			},
		}
	}
	return all
}

func users(n int) (names []string) {
	for i := range (n + 1) / 2 {
		names = append(names, fmt.Sprintf("user%d", i))
	}
	return names
}

// rig is an import against the fake cluster with its journal on disk.
type rig struct {
	t        testing.TB
	f        *fakeCluster
	client   *client.Client
	path     string
	identity string
	timeout  time.Duration // 0: more than it takes
}

func newRig(t testing.TB, f *fakeCluster) *rig {
	return &rig{
		t: t, f: f, client: f.client(t), path: filepath.Join(t.TempDir(), "journal"), identity: "spiffe://x/tenant/acme/frontend/web-1",
	}
}

// run is one run of the program.
func (g *rig) run(ctx context.Context, all []otp.Record, create bool) ([]*Row, error) {
	g.t.Helper()
	j, err := OpenJournal(g.path, "file", "target", g.identity, g.f.time())
	if err != nil {
		g.t.Fatal(err)
	}
	defer j.Close()
	rows, err := Plan(all, &Mapping{}, j, g.f.time())
	if err != nil {
		g.t.Fatal(err)
	}
	im := &Import{
		Cluster: g.client, Timeout: g.timeout, File: "file", Target: "target", Journal: j, Create: create, Concurrency: 3, Now: g.f.time,
	}
	if im.Timeout == 0 {
		im.Timeout = time.Minute
	}
	err = im.Run(ctx, rows)
	Leave(rows, "left")
	return rows, err
}

func TestRun(t *testing.T) {
	f := newFakeCluster(t)
	f.reset()
	g := newRig(t, f)
	rows, err := g.run(t.Context(), records(21), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Outcome != Imported || r.Credential == "" || r.Entry == 0 || r.record.URI.Secret.Reveal() != nil {
			t.Errorf("%+v", r)
		}
	}
	if n := len(f.secrets()); n != 21 {
		t.Errorf("%d seeds are there", n)
	}
	// Again: nothing is sent.
	before := f.adds
	rows, err = g.run(t.Context(), records(21), true)
	if err != nil || f.adds != before || Counts(rows)[Before] != 21 || rows[20].Credential == "" {
		t.Errorf("the second run: %v, %v, %d requests", Counts(rows), err, f.adds-before)
	}
}

// nowhere is a client of a cluster that nobody answers for.
func nowhere(t testing.TB) *client.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := client.New(client.Config{Nodes: []string{l.Addr().String()}, TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRunStops: what concerns one token settles it, what concerns all ends the run.
func TestRunStops(t *testing.T) {
	f := newFakeCluster(t)
	for name, c := range map[string]struct {
		change func(*rig)
		want   map[Outcome]int
		ends   func(error) bool
	}{
		"an account that isn't there": {
			func(*rig) { delete(f.accounts, "user0") }, map[Outcome]int{Imported: 4, Refused: 2}, func(err error) bool { return err == nil },
		},
		"a limit": {
			func(*rig) { f.limit = 1 }, map[Outcome]int{Imported: 3, Refused: 3}, func(err error) bool { return err == nil },
		},
		"a closed door": {
			func(*rig) { f.closed = true }, map[Outcome]int{Left: 6}, func(err error) bool { return named(err, "policy") },
		},
		"nobody there": {
			func(g *rig) { g.client, g.timeout = nowhere(t), 100*time.Millisecond },
			map[Outcome]int{Left: 6},
			func(err error) bool { return errors.Is(err, client.ErrUnavailable) },
		},
	} {
		f.reset(users(6)...)
		g := newRig(t, f)
		c.change(g)
		rows, err := g.run(t.Context(), records(6), false)
		if got := Counts(rows); fmt.Sprint(got) != fmt.Sprint(c.want) || !c.ends(err) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		// Nothing is pending: when the trouble is over, the rest is imported. The cluster remembers what it refused.
		f.closed, f.limit = false, 25
		if _, ok := f.accounts["user0"]; !ok {
			f.accounts["user0"] = nil
		}
		g.client, g.timeout = f.client(t), 0
		rows, err = g.run(t.Context(), records(6), false)
		if n := Counts(rows); err != nil || n[Imported]+n[Before] != 6 || len(f.secrets()) != 6 {
			t.Errorf("%s, afterwards: %v, %v", name, n, err)
		}
	}
}

// TestInterrupted: a run that is told to stop finishes what it has sent.
func TestInterrupted(t *testing.T) {
	f := newFakeCluster(t)
	f.reset(users(40)...)
	g := newRig(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	f.fault = func(r *http.Request) fault {
		if n++; n == 7 {
			cancel()
		}
		return works
	}
	rows, err := g.run(ctx, records(40), false)
	counts := Counts(rows)
	if !errors.Is(err, context.Canceled) || counts[Left] == 0 || counts[Imported]+counts[Left] != 40 || counts[Imported] != len(f.secrets()) {
		t.Fatalf("%v, %v", counts, err)
	}
	rows, err = g.run(t.Context(), records(40), false)
	if after := Counts(rows); err != nil || after[Before] != counts[Imported] || after[Imported] != counts[Left] {
		t.Errorf("%v, %v", after, err)
	}
}

// TestUnknown goes through what can become of a token that was sent and not answered.
func TestUnknown(t *testing.T) {
	f := newFakeCluster(t)
	for name, c := range map[string]struct {
		does     fault
		after    time.Duration
		identity string // of the second run; empty: the same
		want     Outcome
	}{
		"done, soon":                {done, time.Minute, "", Imported},
		"undone, soon":              {undone, time.Minute, "", Imported},
		"done, late":                {done, 9 * time.Minute, "", Unknown},
		"undone, late":              {undone, 9 * time.Minute, "", Imported},
		"done, much later":          {done, 30 * 24 * time.Hour, "", Unknown},
		"done, a clock turned back": {done, -time.Minute, "", Unknown},
		"done, another identity":    {done, time.Minute, "spiffe://x/tenant/acme/frontend/web-2", Unknown},
		"undone, another identity":  {undone, time.Minute, "spiffe://x/tenant/acme/frontend/web-2", Imported},
	} {
		f.reset("user0")
		g := newRig(t, f)
		f.fault = func(*http.Request) fault { return c.does }
		rows, err := g.run(t.Context(), records(1), false)
		if !errors.Is(err, client.ErrUnknownOutcome) || rows[0].Outcome != Unknown {
			t.Fatalf("%s: %+v, %v", name, rows[0], err)
		}
		f.mu.Lock()
		f.fault = func(*http.Request) fault { return works }
		f.mu.Unlock()
		f.pass(c.after)
		if c.identity != "" {
			g.identity = c.identity
			f.mu.Lock()
			clear(f.memory) // keys are an identity's own
			f.mu.Unlock()
		}
		rows, err = g.run(t.Context(), records(1), false)
		if err != nil || rows[0].Outcome != c.want {
			t.Errorf("%s: %+v, %v", name, rows[0], err)
		}
		if n := f.secrets()["user0 seed number 00000000"]; n != 1 {
			t.Errorf("%s: the seed is there %d times", name, n)
		}
		if c.want != Unknown {
			continue
		}
		// A person removes the one that is named, and runs it again.
		id := f.accounts["user0"][0].ID
		if !strings.Contains(rows[0].Reason, id) {
			t.Errorf("%s: the reason doesn't name %s: %s", name, id, rows[0].Reason)
		}
		f.remove("user0", id)
		rows, err = g.run(t.Context(), records(1), false)
		if n := f.secrets()["user0 seed number 00000000"]; err != nil || rows[0].Outcome != Imported || n != 1 {
			t.Errorf("%s, afterwards: %+v, %v, %d times", name, rows[0], err, n)
		}
	}
}

// TestNeverTwice: whatever fails, however often it is run again, by whomever and when, no seed is in an account twice, and
// what is said to be imported is there.
func TestNeverTwice(t *testing.T) {
	f := newFakeCluster(t)
	c := f.client(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "tokens")
		f.reset(users(n)...)
		g := &rig{t: t, f: f, client: c, path: filepath.Join(t.TempDir(), "journal")}
		for range rapid.IntRange(1, 4).Draw(rt, "runs") {
			g.identity = rapid.SampledFrom([]string{"spiffe://x/a", "spiffe://x/b"}).Draw(rt, "identity")
			faults := rapid.SliceOfN(rapid.SampledFrom([]fault{works, works, undone, done}), 16, 16).Draw(rt, "faults")
			request := 0
			f.mu.Lock()
			f.fault = func(r *http.Request) fault {
				if r.Method == http.MethodGet {
					return works
				}
				request++
				return faults[request%len(faults)]
			}
			f.mu.Unlock()
			rows, _ := g.run(t.Context(), records(n), false)
			check(rt, f, rows)
			f.pass(time.Duration(rapid.IntRange(0, 20).Draw(rt, "minutes")) * time.Minute)
		}
		// At last all goes well, and a person decides where it is asked for.
		f.mu.Lock()
		f.fault = func(*http.Request) fault { return works }
		f.mu.Unlock()
		for round := 0; ; round++ {
			rows, err := g.run(t.Context(), records(n), false)
			check(rt, f, rows)
			if counts := Counts(rows); err == nil && counts[Imported]+counts[Before] == n {
				break
			}
			if round > n {
				rt.Fatalf("it doesn't come to an end: %v, %v", Counts(rows), err)
			}
			for _, r := range rows {
				if r.Outcome == Unknown {
					_, after, _ := strings.Cut(r.Reason, "authenticator ")
					id, _, _ := strings.Cut(after, ";")
					f.remove(r.Account, id)
				}
			}
		}
		if got := len(f.secrets()); got != n {
			rt.Fatalf("%d of %d seeds are there", got, n)
		}
	})
}

func check(t *rapid.T, f *fakeCluster, rows []*Row) {
	for seed, n := range f.secrets() {
		if n > 1 {
			t.Fatalf("%s is there %d times", seed, n)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range rows {
		if r.Outcome != Imported && r.Outcome != Before {
			continue
		}
		found := false
		for _, c := range f.accounts[r.Account] {
			found = found || c.ID == r.Credential && c.secret == fmt.Sprintf("seed number %08d", i)
		}
		if !found {
			t.Fatalf("row %d is said to be %s as %s, and is not", r.Row, r.Outcome, r.Credential)
		}
	}
}

func TestCheck(t *testing.T) {
	f := newFakeCluster(t)
	f.reset("user0", "user1")
	g := newRig(t, f)
	j, err := ReadJournal(g.path, "file", "target")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		create bool
		limit  int
		want   map[Outcome]int
	}{
		{false, 0, map[Outcome]int{Refused: 2, Left: 4}},
		{true, 0, map[Outcome]int{Left: 6}},
		{false, 1, map[Outcome]int{Refused: 4, Left: 2}},
		{true, 2, map[Outcome]int{Left: 6}},
	} {
		rows, err := Plan(records(6), &Mapping{}, j, f.time())
		if err != nil {
			t.Fatal(err)
		}
		im := &Import{Cluster: g.client, Timeout: time.Minute, Journal: j, Create: c.create}
		if err := im.Check(t.Context(), rows, c.limit); err != nil {
			t.Fatal(err)
		}
		Leave(rows, "")
		if got := Counts(rows); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if f.adds != 0 || len(f.accounts) != 2 {
		t.Error("a check changed something")
	}
	rows, _ := Plan(records(6), &Mapping{}, j, f.time())
	im := &Import{Cluster: nowhere(t), Timeout: 100 * time.Millisecond, Journal: j}
	if err := im.Check(t.Context(), rows, 0); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("with nobody there: %v", err)
	}
}

// TestCheckBeside: a file that was edited, or a journal that was lost, doubles nothing.
func TestCheckBeside(t *testing.T) {
	f := newFakeCluster(t)
	f.reset(users(4)...)
	g := newRig(t, f)
	if _, err := g.run(t.Context(), records(4), false); err != nil {
		t.Fatal(err)
	}
	lost, err := ReadJournal(filepath.Join(t.TempDir(), "lost"), "file", "target")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := ReadJournal(g.path, "file", "target")
	if err != nil {
		t.Fatal(err)
	}
	// A run that was killed: of user0's tokens one was added and is not accounted for.
	f.mu.Lock()
	f.accounts["user0"] = append(f.accounts["user0"], fakeAuthenticator{Credential: wire.Credential{
		ID: "killed", Kind: wire.KindAuthenticator, Params: params(records(1)[0].URI.Params), Added: f.now,
	}})
	f.mu.Unlock()
	killed := open(t, filepath.Join(t.TempDir(), "killed"))
	write(t, killed, journalLine{Done: 1, Account: "user0", Credential: f.accounts["user0"][0].ID},
		journalLine{Done: 2, Account: "user0", Credential: f.accounts["user0"][1].ID}, journalLine{Sent: 5, Account: "user0", At: &f.now},
		journalLine{Done: 3, Account: "user1", Credential: f.accounts["user1"][0].ID},
		journalLine{Done: 4, Account: "user1", Credential: f.accounts["user1"][1].ID})
	resumed := records(6)
	resumed[4].Owner, resumed[5].Owner = "user0", "user0"
	more := func() []otp.Record { // a third token for an account that has two of this import, and the one above
		all := records(5)
		all[4].Owner = "user0"
		return all
	}
	other := records(5)
	for i := range other {
		other[i].URI.Params.Digits = 8
	}
	for name, c := range map[string]struct {
		records []otp.Record
		journal *Journal
		beside  bool
		want    map[Outcome]int
	}{
		"a lost journal":         {records(4), lost, false, map[Outcome]int{Refused: 4}},
		"a lost journal, forced": {records(4), lost, true, map[Outcome]int{Left: 4}},
		"one more token":         {more(), kept, false, map[Outcome]int{Before: 4, Refused: 1}},
		"one more token, forced": {more(), kept, true, map[Outcome]int{Before: 4, Left: 1}},
		"a run that was killed":  {resumed, killed, false, map[Outcome]int{Before: 4, Left: 2}},
		"other parameters":       {other[:4], lost, false, map[Outcome]int{Left: 4}},
	} {
		rows, err := Plan(c.records, &Mapping{}, c.journal, f.time())
		if err != nil {
			t.Fatal(err)
		}
		im := &Import{Cluster: g.client, Timeout: time.Minute, Journal: c.journal, Beside: c.beside}
		if err := im.Check(t.Context(), rows, 0); err != nil {
			t.Fatal(err)
		}
		Leave(rows, "")
		if got := Counts(rows); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestKeys(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range []string{
		key("f", "t", 1, "ann", 1), key("f", "t", 2, "ann", 1), key("f", "t", 1, "ben", 1), key("g", "t", 1, "ann", 1),
		key("f", "u", 1, "ann", 1), key("ft", "", 1, "ann", 1), key("f", "t", 1, "ann", 2), key("f", "t", 11, "ann", 1), key("f", "t1", 1, "ann", 1),
	} {
		if seen[k] || len(k) > 128 {
			t.Errorf("%s is there twice or too long", k)
		}
		seen[k] = true
	}
	// Golden: with a key that changes between releases, an import that was interrupted by an upgrade would be sent anew.
	if got := key("f", "t", 1, "ann", 1); got != "import-2cnbvrqc2jkedfb2ysnqe5hgue" {
		t.Errorf("the key of a row is %s", got)
	}
}
