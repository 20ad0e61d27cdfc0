package index

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// model is an index with small segments and budgets on a disk that can crash, and the trees that are in it.
type model struct {
	fs      *vfs.MemFS
	x       *Index
	budget  budget
	trees   []*testTree
	durable []int64 // bundles of each tree that are durable for certain
}

func (m *model) open(t *rapid.T) {
	var err error
	if m.x, err = open(m.fs, "/index", Config{OnFatal: func(err error) { t.Error(err) }}, layout{2}, m.budget); err != nil {
		t.Fatal(err)
	}
}

func (m *model) tree(t *rapid.T) int { return rapid.IntRange(0, len(m.trees)-1).Draw(t, "tree") }

// grow appends to a tree and, mostly, indexes what is full.
func (m *model) grow(t *rapid.T) {
	l := m.trees[m.tree(t)]
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	l.grow(r, rapid.SampledFrom([]int{1, 100, BundleSize, 5*BundleSize + 7}).Draw(t, "entries"))
	if rapid.IntRange(0, 4).Draw(t, "late") == 0 {
		return
	}
	if err := l.catchUp(m.x); err != nil {
		t.Fatal(err)
	}
	if got := m.x.Added(l.name); got != l.full() {
		t.Fatalf("%d bundles were added of %d", got, l.full())
	}
	if l.full() > l.pruned { // once more
		if err := m.x.Add(l.name, l.first, l.full()-1, l.bundle(l.full()-1)); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *model) search(t *rapid.T) {
	l := m.trees[m.tree(t)]
	value := func(values ...string) string {
		if rapid.IntRange(0, 2).Draw(t, "asked") > 0 {
			return ""
		}
		return rapid.SampledFrom(values).Draw(t, "value")
	}
	moment := func() time.Time {
		if rapid.Bool().Draw(t, "open") {
			return time.Time{}
		}
		return time.Unix(0, rapid.Int64Range(-1e6, (l.clock+2)*1e6).Draw(t, "time"))
	}
	q := Query{
		Tenant: value("t1", "t2"), Account: value("account1", "account2", "nobody"), Key: value("k1", "k2"), Subject: value("s1"),
		Actor: value("actor1"), Operation: value("op1", "op2"), Outcome: value("o1", "o2"), Request: value("r1", "r77"), Node: value("n1", "n2"),
		From: moment(), To: moment(),
	}
	if q.Validate() != nil { // from is not before to
		q.From = time.Time{}
	}
	o := Options{
		Begin:      rapid.Int64Range(0, l.size()).Draw(t, "begin"),
		End:        rapid.Int64Range(0, l.size()).Draw(t, "end"),
		Descending: rapid.Bool().Draw(t, "descending"), Limit: rapid.SampledFrom([]int{0, 1, 10, 2000}).Draw(t, "limit"),
	}
	if rapid.Bool().Draw(t, "from the start") {
		o.Begin = 0
	}
	end := o.End
	if end == 0 {
		end = m.x.Added(l.name) * BundleSize
	}
	want := l.naive(q, o.Begin, end, o.Descending)
	got, err := searchAll(m.x, l.name, q, o, l.read)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameFound(want, got); err != nil {
		t.Fatalf("%+v %+v %v", q, o, err)
	}
}

func (m *model) forget(t *rapid.T) {
	i := m.tree(t)
	l := m.trees[i]
	before := rapid.Int64Range(0, l.full()).Draw(t, "before")
	if err := m.x.Forget(l.name, before); err != nil {
		t.Fatal(err)
	}
	news := before > l.pruned
	l.pruned = max(l.pruned, before)
	if got := m.x.Added(l.name); got < l.pruned {
		t.Fatalf("%d bundles were added and %d forgotten", got, l.pruned)
	}
	if news {
		m.flushed()
	}
}

func (m *model) flush(t *rapid.T) {
	if err := m.x.db.Flush(); err != nil {
		t.Fatal(err)
	}
	m.flushed()
}

func (m *model) flushed() {
	for i, l := range m.trees {
		m.durable[i] = m.x.Added(l.name)
	}
}

func (m *model) reopen(t *rapid.T) {
	m.flushed()
	if err := m.x.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	m.recovered(t, m.durable)
}

// crash goes on with what was on the disk, or with more of it.
func (m *model) crash(t *rapid.T) {
	was := make([]int64, len(m.trees))
	for i, l := range m.trees {
		was[i] = m.x.Added(l.name)
	}
	disk := m.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "unsynced percent"),
		RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
	})
	if err := m.x.Close(); err != nil {
		t.Fatal(err)
	}
	m.fs = disk
	m.open(t)
	m.recovered(t, was)
}

func (m *model) recovered(t *rapid.T, was []int64) {
	for i, l := range m.trees {
		if got := m.x.Added(l.name); got < m.durable[i] || got > was[i] {
			t.Fatalf("%d bundles of %s are there, %d were, %d durable", got, l.name, was[i], m.durable[i])
		}
	}
	m.flushed() // what was found is what was written
}

// Whatever is added, forgotten and lost in between, a search finds what looking at every entry finds.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			fs: vfs.NewCrashableMem(),
			budget: budget{
				bundles: rapid.IntRange(1, 4).Draw(t, "bundles"), steps: rapid.IntRange(len(fields), 40).Draw(t, "steps"),
				bytes: rapid.SampledFrom([]int{1, 10_000, 1 << 20}).Draw(t, "bytes"),
			},
			trees:   []*testTree{{name: "2026"}, {name: "2026-2", first: 1 << 40}, {name: "\x00"}},
			durable: make([]int64, 3),
		}
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"grow": m.grow, "search": m.search, "search again": m.search, "forget": m.forget, "flush": m.flush,
			"reopen": m.reopen, "crash": m.crash,
		})
		if err := m.x.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
