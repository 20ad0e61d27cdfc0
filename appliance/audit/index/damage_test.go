package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// openSmall opens an index with small segments in a directory of this machine.
func openSmall(t testing.TB, dir string) (*Index, error) {
	return openWith(t, vfs.Default, dir, defaultBudget)
}

func openWith(t testing.TB, disk vfs.FS, dir string, b budget) (*Index, error) {
	return open(disk, dir, Config{OnFatal: func(err error) { t.Errorf("fatal: %v", err) }}, layout{2}, b)
}

// An index of which any file was changed, cut off or removed opens, and is exact once it is caught up, if need be after
// it has said that it is damaged.
func TestDamagedFiles(t *testing.T) {
	l := newTestTree(t, "2026", 1, 10*BundleSize)
	good := vfs.NewMem()
	x, err := openWith(t, good, "/index", defaultBudget)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.catchUp(x), x.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := good.List("/index/" + formatName)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 0))
	kept, begunAnew, foundLater := 0, 0, 0
	for _, file := range files {
		trials := 9
		if strings.HasSuffix(file, ".sst") {
			trials = 30
		}
		for i := range trials {
			disk := vfs.NewMem()
			if ok, err := vfs.Clone(good, disk, "/index", "/index"); !ok || err != nil {
				t.Fatal(ok, err)
			}
			what, err := damageFile(r, disk, "/index/"+formatName+"/"+file, i)
			if err != nil {
				t.Fatal(err)
			}
			x, err := openWith(t, disk, "/index", defaultBudget)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if x.Added(l.name) == 0 {
				begunAnew++
			} else {
				kept++
			}
			if later := exactAfterDamage(t, x, l, what); later {
				foundLater++
			}
			if err := x.Close(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	t.Logf("%d kept, %d begun anew, %d of those kept were found damaged later", kept, begunAnew, foundLater)
	if kept == 0 || begunAnew == 0 || foundLater == 0 {
		t.Error("that is not all that can happen")
	}
}

// damageFile damages a file, and says how.
func damageFile(r *rand.Rand, disk vfs.FS, file string, how int) (what string, err error) {
	what = filepath.Base(file)
	if how == 0 {
		return what + " removed", disk.Remove(file)
	}
	f, err := disk.Open(file)
	if err != nil {
		return what, err
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return what, err
	}
	switch {
	case how == 1:
		what += " emptied"
		b = nil
	case how == 2:
		n := r.IntN(len(b) + 1)
		b = b[:n]
		what += fmt.Sprintf(" cut off at %d", n)
	case how == 3:
		b = append(b, bytes.Repeat([]byte{0xa5}, 100)...)
		what += " made longer"
	case len(b) > 0:
		n := r.IntN(len(b))
		b[n] ^= 1 << r.IntN(8)
		what += fmt.Sprintf(" changed at %d of %d", n, len(b))
	}
	if f, err = disk.Create(file, vfs.WriteCategoryUnspecified); err != nil {
		return what, err
	}
	_, err = f.Write(b)
	return what, errors.Join(err, f.Close())
}

// exactAfterDamage says whether the index said that it is damaged before it was exact again.
func exactAfterDamage(t *testing.T, x *Index, l *testTree, what string) (later bool) {
	t.Helper()
	for range 3 {
		err := l.catchUp(x)
		for _, descending := range []bool{false, true} {
			for _, q := range []Query{{}, {Account: "account1"}, {Outcome: "o1", Node: "n2"}, {Request: "r5"}, {From: time.UnixMilli(l.clock / 2)}} {
				if err != nil {
					break
				}
				var got []Found
				if got, err = searchAll(x, l.name, q, Options{Descending: descending}, l.read); err != nil {
					break
				}
				if err := sameFound(l.naive(q, 0, l.full()*BundleSize, descending), got); err != nil {
					t.Fatalf("%s: %+v %v", what, q, err)
				}
			}
		}
		if err == nil {
			return later
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v", what, err)
		}
		if n := x.Added(l.name); n != 0 {
			t.Fatalf("%s: the damaged index says that it has %d bundles", what, n)
		}
		later = true
	}
	t.Fatalf("%s: the index was damaged each time", what)
	return later
}

// Records that Pebble finds well and we did not write are damage too.
func TestDamagedRecords(t *testing.T) {
	l := newTestTree(t, "2026", 1, 10*BundleSize)
	posting := func(field int, value string, bundle byte) []byte {
		return append(appendPrefix(appendSegment(nil, 1, 0), field, value), 0, bundle)
	}
	for name, record := range map[string]struct{ key, value []byte }{
		"empty posting":   {posting(5, "op1", 1), nil},
		"long posting":    {posting(5, "op1", 1), make([]byte, 33)},
		"unsorted":        {posting(5, "op1", 1), []byte{2, 1}},
		"sparse bitmap":   {posting(5, "op1", 1), make([]byte, 32)},
		"long key":        {append(posting(5, "op1", 1), 0), []byte{1}},
		"short time":      {layout{2}.timeKey(1, 5), []byte{1}},
		"tree":            {treeKey("2026"), []byte{1}},
		"tree without id": {treeKey("2026"), treeRecord{added: 10}.bytes()},
		"negative tree":   {treeKey("2026"), treeRecord{id: 1, added: -1}.bytes()},
		"backward tree":   {treeKey("2026"), treeRecord{id: 1, begin: 2, added: 1}.bytes()},
	} {
		x, err := openSmall(t, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.catchUp(x); err != nil {
			t.Fatal(err)
		}
		if err := x.db.Set(record.key, record.value, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		q := Query{Operation: "op1", From: time.UnixMilli(l.entries[0].Time)}
		if _, err := searchAll(x, l.name, q, Options{}, l.read); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if !exactAfterDamage(t, x, l, name) && x.Added(l.name) != l.full() {
			t.Errorf("%s: it isn't whole again", name)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}
