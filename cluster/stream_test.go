package cluster

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"strongroom.internal/appliance/audit"
)

// noter is a machine that keeps each command under its own bytes and writes an entry for it.
type noter struct{}

func (noter) Apply(tx Tx, command []byte) (Applied, error) {
	if string(command) == "halt" {
		return Applied{}, errors.New("not known")
	}
	return Applied{
		Entries: []*audit.Entry{{Operation: "note", Key: string(command)}},
		Finish:  func(entry int64) []byte { tx.Set(command, fmt.Append(nil, entry)); return command },
	}, nil
}

func testMAC(b []byte) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("key"))
	h.Write(b)
	return h.Sum(nil), nil
}

func newFSM(t testing.TB) *fsm {
	t.Helper()
	cfg := Config{TrustDomain: "d.test", Machine: noter{}, CacheBytes: 1 << 20, SnapshotMAC: testMAC}.withDefaults()
	f, err := openFSM(&cfg, t.TempDir(), func(err error) { t.Logf("fatal: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.close(false) })
	return f
}

func command(index, term uint64, commands ...string) *raft.Log {
	var all [][]byte
	for _, c := range commands {
		all = append(all, []byte(c))
	}
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: appendBatch(nil, all)}
}

func configured(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{
		Servers: []raft.Server{{ID: "n0", Address: "n0@127.0.0.1:1"}},
	})}
}

// filledFSM has entries 1 to 4 applied.
func filledFSM(t testing.TB) *fsm {
	f := newFSM(t)
	for i, a := range f.ApplyBatch([]*raft.Log{configured(1), command(2, 1, "a", "b"), command(3, 2, "c"), command(4, 2, "d")}) {
		if err, ok := a.(error); ok {
			t.Fatalf("entry %d: %v", i+1, err)
		}
	}
	return f
}

func stream(t *testing.T, f *fsm) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	m, r, err := snapshots{f}.Open(currentID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if m.Size != int64(len(b)) {
		t.Fatalf("%d bytes were announced, %d came", m.Size, len(b))
	}
	return m, b
}

// send gives a stream to another node's snapshot store, as Raft does, and installs it.
func send(f *fsm, m *raft.SnapshotMeta, b []byte) error {
	s := snapshots{f}
	k, err := s.Create(1, m.Index, m.Term, m.Configuration, m.ConfigurationIndex, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(k, bytes.NewReader(b)); err != nil {
		return errors.Join(err, k.Cancel())
	}
	if err := k.Close(); err != nil {
		return err
	}
	_, r, err := s.Open(k.ID())
	if err != nil {
		return err
	}
	return f.Restore(r)
}

func notes(t *testing.T, f *fsm) (all string) {
	t.Helper()
	r := &Raft{fsm: f}
	if err := r.View(func(v Reader) error {
		return v.Scan(nil, nil, func(k, val []byte) bool { all += fmt.Sprintf("%s=%s ", k, val); return true })
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSnapshotMovesTheState(t *testing.T) {
	from, to := filledFSM(t), newFSM(t)
	to.ApplyBatch([]*raft.Log{configured(1), command(2, 1, "old")})
	m, b := stream(t, from)
	if m.Index != 4 || m.Term != 2 || m.ConfigurationIndex != 1 || len(m.Configuration.Servers) != 1 {
		t.Errorf("meta %+v", m)
	}
	if err := send(to, m, b); err != nil {
		t.Fatal(err)
	}
	if got, want := notes(t, to), notes(t, from); got != want || got != "a=0 b=1 c=2 d=3 " {
		t.Errorf("%q arrived of %q", got, want)
	}
	if a, b := from.ledger.head(), to.ledger.head(); a != b || a.Size != 4 || a.Effects == [32]byte{} {
		t.Errorf("heads %+v and %+v", a, b)
	}
	// It goes on from there, and a restart finds it, flushed or not.
	to.ApplyBatch([]*raft.Log{command(5, 2, "e")})
	if err := to.close(false); err != nil {
		t.Fatal(err)
	}
	again, err := openFSM(to.cfg, to.root, to.fatal)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close(false)
	if again.applied != (position{4, 2}) || notes(t, again) != "a=0 b=1 c=2 d=3 " {
		t.Errorf("after a power cut: position %v, %s", again.applied, notes(t, again))
	}
	if all, _ := os.ReadDir(to.root); len(all) != 2 {
		t.Errorf("the replaced state is still there: %v", all)
	}
	// An older state never replaces a newer one.
	again.ApplyBatch([]*raft.Log{command(5, 2, "e")})
	if err := send(again, m, b); err == nil {
		t.Error("an older snapshot was installed")
	}
}

// A stream with any one byte changed, cut anywhere, or with something behind it, is refused, and the state stays.
func TestSnapshotRefusesDamage(t *testing.T) {
	from, to := filledFSM(t), newFSM(t)
	to.ApplyBatch([]*raft.Log{configured(1), command(2, 1, "old")})
	m, b := stream(t, from)
	check := func(what string, b []byte, m raft.SnapshotMeta) {
		t.Helper()
		if err := send(to, &m, b); err == nil {
			t.Fatalf("%s: installed", what)
		}
		if got := notes(t, to); got != "old=0 " {
			t.Fatalf("%s: the state is now %q", what, got)
		}
		if to.haltedBy() != nil {
			t.Fatalf("%s: the node was halted", what)
		}
	}
	step := 1
	if testing.Short() || raceEnabled {
		step = 17
	}
	for i := 0; i < len(b); i += step {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		check(fmt.Sprintf("byte %d changed", i), bad, *m)
	}
	for i := 0; i < len(b); i += 7 * step {
		check(fmt.Sprintf("cut at %d", i), b[:i], *m)
	}
	check("more behind it", append(bytes.Clone(b), 0), *m)
	for what, change := range map[string]func(*raft.SnapshotMeta){
		"index":         func(m *raft.SnapshotMeta) { m.Index++ },
		"term":          func(m *raft.SnapshotMeta) { m.Term++ },
		"configuration": func(m *raft.SnapshotMeta) { m.ConfigurationIndex++ },
	} {
		other := *m
		change(&other)
		check("another "+what, b, other)
	}
	to.cfg.SnapshotMAC = func(b []byte) ([]byte, error) { return make([]byte, 32), nil }
	check("another MAC key", b, *m)
	to.cfg.SnapshotMAC = nil
	check("a MAC where none is expected", b, *m)
	to.cfg.SnapshotMAC, to.cfg.TrustDomain = testMAC, "other.test"
	check("another cluster", b, *m)
	if all, _ := os.ReadDir(to.root); len(all) != 2 {
		t.Errorf("refused snapshots left something: %v", all)
	}
}

// The bytes that go under the MAC: the domain string, a zero byte, the SHA-256 of the stream before it.
func TestSnapshotMACInputGolden(t *testing.T) {
	var got []byte
	sum := sha256.New()
	sum.Write([]byte("stream"))
	streamTail(sum, func(b []byte) ([]byte, error) { got = b; return make([]byte, 32), nil })
	digest := sha256.Sum256([]byte("stream"))
	want := "7374726f6e67726f6f6d20736e617073686f74206d6163207631" + "00" + hex.EncodeToString(digest[:])
	if hex.EncodeToString(got) != want {
		t.Errorf("\n got %x\nwant %s", got, want)
	}
}

// Raft may take its snapshot, and truncate its log, at an entry that has no effects, such as a barrier. After a power cut
// the node must still know that entry as its last one.
func TestFloorCoversEntriesWithoutEffects(t *testing.T) {
	f := filledFSM(t)
	k, _ := snapshots{f}.Create(1, 6, 3, raft.Configuration{}, 1, nil)
	s, _ := f.Snapshot()
	if err := errors.Join(s.Persist(k), k.Close(), f.close(false)); err != nil {
		t.Fatal(err)
	}
	again, err := openFSM(f.cfg, f.root, f.fatal)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close(false)
	metas, err := snapshots{again}.List()
	if err != nil || len(metas) != 1 || metas[0].Index != 6 || metas[0].Term != 3 {
		t.Fatalf("%+v, %v", metas, err)
	}
}

// A node that went down after it had installed a snapshot and before Raft had emptied its log.
func TestReconcileAfterInstall(t *testing.T) {
	for name, tc := range map[string]struct {
		log        []*raft.Log
		first, end uint64 // of the log afterwards
		fails      bool
	}{
		"empty":                    {nil, 0, 0, false},
		"ends before the state":    {[]*raft.Log{logEntry(1, 1), logEntry(2, 1)}, 0, 0, false},
		"another term":             {[]*raft.Log{logEntry(3, 1), logEntry(4, 1), logEntry(5, 1)}, 0, 0, false},
		"agrees":                   {[]*raft.Log{logEntry(3, 2), logEntry(4, 2), logEntry(5, 3)}, 3, 5, false},
		"goes on":                  {[]*raft.Log{logEntry(5, 2), logEntry(6, 3)}, 5, 6, false},
		"a gap: entries were lost": {[]*raft.Log{logEntry(6, 2)}, 6, 6, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := inmemLog{raft.NewInmemStore()}
			if err := l.StoreLogs(tc.log); err != nil {
				t.Fatal(err)
			}
			r := &Raft{fsm: filledFSM(t), store: &guardedStore{logStore: l, deadline: 1 << 40, fatal: func(error) {}}}
			if err := r.reconcile(); (err != nil) != tc.fails {
				t.Fatal(err)
			}
			first, _ := l.FirstIndex()
			last, _ := l.LastIndex()
			if last < first {
				first, last = 0, 0
			}
			if first != tc.first || last != tc.end {
				t.Errorf("the log is %d to %d", first, last)
			}
		})
	}
}

// An entry that can't be decided halts the node, keeps nothing of its batch, and nothing is applied after it.
func TestHalt(t *testing.T) {
	for name, bad := range map[string]*raft.Log{
		"a command":       command(6, 2, "f", "halt"),
		"a batch":         {Index: 6, Term: 2, Type: raft.LogCommand, Data: []byte{9, 1, 1, 'f'}},
		"an entry's type": {Index: 6, Term: 2, Type: raft.LogType(99)},
	} {
		t.Run(name, func(t *testing.T) {
			f := filledFSM(t)
			for i, a := range f.ApplyBatch([]*raft.Log{command(5, 2, "e"), bad, command(7, 2, "g")}) {
				if _, ok := a.(error); !ok {
					t.Errorf("entry %d was answered %v", i+5, a)
				}
			}
			if _, ok := f.ApplyBatch([]*raft.Log{command(5, 2, "e")})[0].(error); !ok {
				t.Error("a halted node applied an entry")
			}
			if got := notes(t, f); got != "a=0 b=1 c=2 d=3 " {
				t.Errorf("the state is now %q", got)
			}
		})
	}
}

func FuzzReadStream(f *testing.F) {
	src := filledFSM(f)
	m, r, err := snapshots{src}.Open(currentID)
	if err != nil {
		f.Fatal(err)
	}
	b, _ := io.ReadAll(r)
	r.Close()
	f.Add(b)
	f.Add(b[:40])
	f.Add([]byte(streamMagic))
	dir := filepath.Join(f.TempDir(), "state")
	cfg := src.cfg
	n := 0
	f.Fuzz(func(t *testing.T, b []byte) {
		n++
		st, err := openState(cfg, fmt.Sprint(dir, os.Getpid(), "-", n), true, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		st.doom()
		defer st.release()
		h, err := readStream(bytes.NewReader(b), st.db, cfg.TrustDomain, cfg.SnapshotMAC)
		if err == nil && h.at.index != m.Index {
			t.Fatalf("a stream that nobody made was taken: %+v", h)
		}
	})
}

func FuzzParseBatch(f *testing.F) {
	f.Add(appendBatch(nil, [][]byte{[]byte("a"), nil, []byte(strings.Repeat("b", 300))}))
	f.Add([]byte{1, 1, 0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		commands, err := parseBatch(b)
		if err == nil && !bytes.Equal(appendBatch(nil, commands), b) {
			t.Fatalf("%x is written as %x", b, appendBatch(nil, commands))
		}
	})
}

func FuzzParseOutcomes(f *testing.F) {
	all := []outcome{{result: Result{[]byte("x"), 7}}, {err: errNoLeader}, {err: ErrUnknown}}
	f.Add(appendOutcomes(nil, all), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 0 || n > maxBatch {
			return
		}
		got, err := parseOutcomes(b, n)
		if err == nil && len(got) != n {
			t.Fatal("a wrong number of outcomes")
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, 7, kindPing, []byte("payload")))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, kind, payload, err := readFrame(bytes.NewReader(b))
		if err == nil && !bytes.HasPrefix(b, appendFrame(nil, id, kind, payload)) {
			t.Fatal("a frame reads as another")
		}
	})
}

// Errors keep their class across the wire.
func TestOutcomesKeepTheirClass(t *testing.T) {
	sent := []outcome{
		{result: Result{[]byte("data"), 7}},
		{err: errNoLeader},
		{err: errBusy},
		{err: fmt.Errorf("%w: lost", ErrUnknown)},
		{err: errors.New("of no class")},
	}
	got, err := parseOutcomes(appendOutcomes(nil, sent), len(sent))
	if err != nil {
		t.Fatal(err)
	}
	if got[0].err != nil || string(got[0].result.Data) != "data" || got[0].result.Position != 7 {
		t.Errorf("the result is %+v", got[0])
	}
	for i, want := range []error{nil, errNoLeader, ErrNoEffect, ErrUnknown, ErrUnknown} {
		if want != nil && !errors.Is(got[i].err, want) {
			t.Errorf("%v arrived as %v", sent[i].err, got[i].err)
		}
	}
}
