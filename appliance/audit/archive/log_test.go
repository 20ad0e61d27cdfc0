package archive

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/tests/postgres"
)

var server postgres.Server

func TestMain(m *testing.M) {
	if connection := os.Getenv(childEnv); connection != "" {
		os.Exit(child(connection))
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// connect opens a connection to a database.
func connect(t testing.TB, connection string) *pgx.Conn {
	t.Helper()
	db, err := Connect(context.Background(), connection)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	return db
}

// emptyDatabase is a connection to a database of the test's own.
func emptyDatabase(t testing.TB) *pgx.Conn {
	t.Helper()
	return connect(t, server.Database(t))
}

// schemas gives connection strings to empty schemas of one database, which are made faster than databases are.
func schemas(t testing.TB) func() string {
	connection, n := server.Database(t), 0
	db := connect(t, connection)
	return func() string {
		n++
		change(t, db, fmt.Sprintf(`CREATE SCHEMA s%d`, n))
		return fmt.Sprintf("%s search_path=s%d", connection, n)
	}
}

const domain = "strongroom.example"

// genesis is the time of the first entry, in Unix milliseconds.
const genesis = 1767225600000

// testLog is a log in memory, with the keys of its nodes. It is a Source.
type testLog struct {
	nodes  []ed25519.PrivateKey
	policy *audit.Policy
	file   []byte // the policy's
	random *rand.Rand
	next   int64 // index
	time   int64

	mu    sync.Mutex
	trees []*testTree
	reads map[string]int // by tree and path
	// edit, when it isn't nil, changes or refuses what is served.
	edit func(tree, path string, b []byte) ([]byte, error)
}

type testTree struct {
	Tree
	entries [][]byte
	hashes  []tlog.Hash // in the order of tlog.StoredHashes
	note    []byte
}

// newLog makes a log with three nodes, of which two have to sign, and one tree that is empty. The same seed gives the
// same bytes.
func newLog(seed uint64) *testLog {
	l := &testLog{random: rand.New(rand.NewPCG(seed, 1)), time: genesis, reads: map[string]int{}}
	var signers []audit.Signer
	for i := range 3 {
		l.nodes = append(l.nodes, newKey(fmt.Sprint("node ", i)))
		signers = append(signers, audit.Signer{Node: nodeName(i), Key: l.nodes[i].Public()})
	}
	l.file = must(audit.FormatPolicy(domain, "2026", signers, nil))
	l.policy = must(audit.ParsePolicy(l.file))
	l.trees = []*testTree{{Tree: Tree{Name: "2026", Origin: audit.Origin(domain, "2026")}}}
	return l
}

func newKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

func (l *testLog) last() *testTree { return l.trees[len(l.trees)-1] }

// append gives an entry its index and, if it has none, a time, and puts it at the end.
func (l *testLog) append(e *audit.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Index = l.next
	l.next++
	l.time = max(l.time+int64(l.random.IntN(1000)), e.Time)
	e.Time = l.time
	t := l.last()
	raw := e.AppendJSON(nil)
	added := must(tlog.StoredHashesForRecordHash(t.Size, tlog.RecordHash(raw), tlog.HashReaderFunc(t.stored)))
	t.hashes = append(t.hashes, added...)
	t.entries = append(t.entries, raw)
	t.Size++
}

func (t *testTree) stored(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(t.hashes)) {
			return nil, errors.New("no such hash")
		}
		list[i] = t.hashes[x]
	}
	return list, nil
}

// add appends n entries like those of a cluster.
func (l *testLog) add(n int) *testLog {
	for range n {
		l.append(l.entry())
	}
	return l
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// entry makes up an entry.
func (l *testLog) entry() *audit.Entry {
	r := l.random
	node := r.IntN(len(l.nodes))
	e := &audit.Entry{Node: nodeName(node), Module: fmt.Sprintf("SC-%04d", node), Outcome: "done"}
	operator := "spiffe://" + domain + "/operator/" + pick(r, "ada", "ben")
	switch n := r.IntN(100); {
	case n < 85:
		e.Tenant = pick(r, "acme", "operator", "globex")
		e.Account = fmt.Sprintf("%032x", r.IntN(40))
		e.Actor = "spiffe://" + domain + "/tenant/" + e.Tenant + "/frontend/web"
		e.Request = fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
		e.Operation = pick(r, "verify", "verify", "verify", "verify", "verify", "verify", "enrol-device", "import-seed", "reveal-seed", "remove-credential")
		e.Key = fmt.Sprintf("totp-%d", r.IntN(3))
		e.KeyVersion = uint32(1 + l.next*3/1000)
		e.MACs = uint32(r.IntN(4))
		if e.Operation == "verify" {
			e.Outcome = pick(r, "accepted", "accepted", "accepted", "wrong", "spent", "expired", "locked")
		} else {
			e.Outcome = pick(r, "done", "done", "refused-by-policy")
		}
		if r.IntN(10) == 0 {
			e.Coalesced = uint32(r.IntN(50))
		}
		if r.IntN(60) == 0 {
			e.Operation, e.Key, e.Outcome = "delete-account", "", "done"
		}
	case n < 90:
		e.Actor, e.Operation, e.Subject = operator, "set-policy", pick(r, "acme", "globex")
		e.Detail = fmt.Sprintf(`{"allow_reveal":%v,"allow_import":%v}`, r.IntN(2) == 0, r.IntN(2) == 0)
	case n < 94:
		e.Actor, e.Operation, e.Subject = operator, "issue-certificate", "spiffe://"+domain+"/tenant/acme/frontend/web"
		e.Key, e.KeyVersion = "authority", 1
	case n < 98:
		e.Actor, e.Operation = operator, pick(r, "admit-node", "join-node", "remove-node")
		e.Subject = fmt.Sprintf("n%d", 4+r.IntN(3))
		e.Detail = fmt.Sprintf(`{"module":"SC-%04d"}`, r.IntN(9999))
		e.Outcome = pick(r, "done", "not-found")
		if e.Operation == "admit-node" {
			e.Key, e.KeyVersion = "wrapping", uint32(1+l.next*3/1000)
		}
	default:
		// Whatever an entry may have, a column has to take.
		odd := strings.Repeat(pick(r, "\x00", "é", "\"\\", "\u2028", "\xff", "🔑"), 1+r.IntN(200))
		e.Tenant, e.Subject, e.Detail, e.Key, e.Outcome = odd, odd, odd, odd, "done"
		e.Coalesced, e.KeyVersion, e.Operation = 1<<32-1, 1<<32-1, "odd"
	}
	if l.next%7 == 3 {
		e.Version, e.Coalesced, e.Detail = 1, 0, "" // as an older release wrote them
	}
	return e
}

// sign publishes a checkpoint of the last tree.
func (l *testLog) sign() *testLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.last()
	t.note = l.checkpoint(t, t.Size, 0, 1)
	t.Signed = t.Size
	return l
}

func (t *testTree) root(size int64) [audit.HashSize]byte {
	return must(tlog.TreeHash(size, tlog.HashReaderFunc(t.stored)))
}

// checkpoint signs a tree's state at a size by some of the nodes.
func (l *testLog) checkpoint(t *testTree, size int64, by ...int) []byte {
	return l.checkpointOf(audit.CheckpointText(t.Origin, size, t.root(size)), by...)
}

func (l *testLog) checkpointOf(text string, by ...int) []byte {
	var lines []string
	for _, i := range by {
		s := must(audit.Sign(nil, text, audit.CosignerName(domain, nodeName(i)), genesis/1000, l.nodes[i]))
		lines = append(lines, s.Log, s.Cosigner)
	}
	return audit.Checkpoint(text, lines...)
}

// turn ends the last tree and begins another.
func (l *testLog) turn(name string) *testLog {
	l.append(&audit.Entry{Operation: "end-tree", Subject: name, Outcome: "done"})
	l.sign()
	old := l.last()
	old.Closed = true
	l.trees = append(l.trees, &testTree{Tree: Tree{Name: name, Origin: audit.Origin(domain, name), First: l.next}})
	l.append(&audit.Entry{
		Operation: "begin-tree", Subject: name, Outcome: "done", Detail: audit.CheckpointText(old.Origin, old.Size, old.root(old.Size)),
	})
	return l
}

// Trees is part of Source.
func (l *testLog) Trees(context.Context) ([]Tree, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []Tree
	for _, t := range l.trees {
		list = append(list, t.Tree)
	}
	return list, nil
}

var errNotFound = errors.New("not found")

// Read is part of Source.
func (l *testLog) Read(ctx context.Context, tree, path string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.reads[tree+" "+path]++
	b, err := l.resource(tree, path)
	if err == nil && l.edit != nil {
		b, err = l.edit(tree, path, b)
	}
	return b, err
}

func (l *testLog) resource(tree, path string) ([]byte, error) {
	for _, t := range l.trees {
		if t.Name != tree {
			continue
		}
		if path == "checkpoint" {
			if t.note == nil {
				return nil, errNotFound
			}
			return t.note, nil
		}
		tile, err := torchwood.ParseTilePath(path)
		if err != nil {
			return nil, err
		}
		if tile.L >= 0 {
			return tlog.ReadTileData(tile, tlog.HashReaderFunc(t.stored))
		}
		first := tile.N * torchwood.TileWidth
		if first+int64(tile.W) > t.Size || first < t.Minimum {
			return nil, errNotFound
		}
		var b []byte
		for _, e := range t.entries[first : first+int64(tile.W)] {
			b = must(torchwood.AppendTileEntry(b, e))
		}
		return b, nil
	}
	return nil, errNotFound
}

// archive archives the log and wants that to succeed.
func (l *testLog) archive(t testing.TB, db *pgx.Conn) *Result {
	t.Helper()
	r, err := Archive(context.Background(), db, l, l.policy, Options{Batch: 300})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// check wants Check to be content, and every entry of the log to be there once.
func (l *testLog) check(t testing.TB, db *pgx.Conn) []Checked {
	t.Helper()
	report, err := Check(context.Background(), db, l.policy)
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, tree := range l.trees {
		total += tree.Signed
	}
	if n := count(t, db, "SELECT count(*) FROM log_entries"); n != total {
		t.Fatalf("%d rows for %d entries", n, total)
	}
	for i, c := range report {
		tree := l.trees[i]
		want := Extent{tree.Origin, tree.Name, tree.First, tree.Signed, tree.root(tree.Signed)}
		if c.Extent != want {
			t.Fatalf("it has %+v, want %+v", c.Extent, want)
		}
	}
	return report
}

func count(t testing.TB, db *pgx.Conn, query string, args ...any) (n int64) {
	t.Helper()
	if err := db.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func change(t testing.TB, db *pgx.Conn, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// deadline is a context for what should take no time.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
