package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sync/errgroup"

	"strongroom.internal/appliance/audit"
)

func mustOpen(t *testing.T, b budget) *Index {
	t.Helper()
	x, err := openWith(t, vfs.NewMem(), "/index", b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func TestOpenIsExclusive(t *testing.T) {
	dir := t.TempDir()
	x, err := openSmall(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	l := newTestTree(t, "2026", 1, BundleSize)
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	if y, err := openSmall(t, dir); err == nil {
		t.Error("an open index was opened again")
		y.Close()
	}
	for range 2 {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if x, err = openSmall(t, dir); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if n := x.Added("2026"); n != 1 {
		t.Errorf("%d bundles were kept", n)
	}
}

func TestOpenRemovesOtherFormats(t *testing.T) {
	dir := t.TempDir()
	old, other := filepath.Join(dir, "v0", "000001.sst"), filepath.Join(dir, "volume", "notes")
	for _, file := range []string{old, other} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x, err := openSmall(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := os.Stat(filepath.Dir(old)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old format: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func TestOpenFailsWhereThereIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSmall(t, filepath.Join(file, "index")); err == nil {
		t.Error("an index in a file")
	}
}

func TestAddRefuses(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := newTestTree(t, "2026", 1, 3*BundleSize)
	swapped := append([][]byte{}, l.bundle(0)...)
	swapped[6], swapped[7] = swapped[7], swapped[6]
	torn := append([][]byte{}, l.bundle(0)...)
	torn[255] = torn[255][:50]
	for name, c := range map[string]struct {
		tree          string
		first, bundle int64
		entries       [][]byte
		want          error
	}{
		"gap":            {"2026", 0, 1, l.bundle(1), ErrNotNext},
		"short":          {"2026", 0, 0, l.bundle(0)[:255], audit.ErrEntry},
		"other bundle":   {"2026", 0, 0, l.bundle(1), audit.ErrEntry},
		"first":          {"2026", 1, 0, l.bundle(0), audit.ErrEntry},
		"negative first": {"2026", -256, 0, l.bundle(0), audit.ErrEntry},
		"swapped":        {"2026", 0, 0, swapped, audit.ErrEntry},
		"torn":           {"2026", 0, 0, torn, audit.ErrEntry},
		"no tree":        {"", 0, 0, l.bundle(0), ErrTree},
		"long tree":      {strings.Repeat("x", 256), 0, 0, l.bundle(0), ErrTree},
	} {
		if err := x.Add(c.tree, c.first, c.bundle, c.entries); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n := x.Added(c.tree); n != 0 {
			t.Errorf("%s: %d bundles are there", name, n)
		}
	}
	if err := l.catchUp(x); err != nil {
		t.Fatal(err)
	}
	if err := x.Forget("2026", -1); err == nil {
		t.Error("a negative bundle was forgotten")
	}
	if err := x.Forget("2026", 1<<62); err == nil {
		t.Error("more bundles than there can be were forgotten")
	}
}

// Forgetting frees space.
func TestForgetDeletes(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := newTestTree(t, "2026", 1, 11*BundleSize) // two segments of 4 and a part
	other := newTestTree(t, "2027", 1, BundleSize)
	if err := errors.Join(l.catchUp(x), other.catchUp(x)); err != nil {
		t.Fatal(err)
	}
	keys := func(tree uint16, segment int64) (n int) {
		bounds := &pebble.IterOptions{LowerBound: appendSegment(nil, tree, segment), UpperBound: appendSegment(nil, tree, segment+1)}
		it, err := x.db.NewIter(bounds)
		if err != nil {
			t.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	last, others := keys(1, 2), keys(2, 0)
	if err := x.Forget("2026", 9); err != nil {
		t.Fatal(err)
	}
	if a, b, c := keys(1, 0), keys(1, 1), keys(1, 2); a != 0 || b != 0 || c != last {
		t.Errorf("%d, %d and %d keys of %d are left of the segments", a, b, c, last)
	}
	if err := x.Forget("2026", 11); err != nil {
		t.Fatal(err)
	}
	if a, b := keys(1, 2), keys(2, 0); a != 0 || b != others {
		t.Errorf("%d keys are left, %d of the other tree's %d", a, b, others)
	}
}

// A search sees a log that grows as it was at some moment, up to the size that it was given.
func TestAddWhileSearching(t *testing.T) {
	x := mustOpen(t, defaultBudget)
	l := newTestTree(t, "2026", 1, 60*BundleSize)
	var size atomic.Int64 // that is readable, of which all but a bundle or two are in the index
	var g errgroup.Group
	g.Go(func() error {
		for b := range l.full() {
			size.Store((b + 1) * BundleSize)
			if err := x.Add(l.name, 0, b, l.bundle(b)); err != nil {
				return err
			}
			if b == 30 {
				if err := x.Forget(l.name, 2); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for i := range 3 {
		read := func(_ string, bundle int64) ([][]byte, error) { return l.bundle(bundle), nil }
		g.Go(func() error {
			for n := 0; size.Load() < l.size() || n == 0; n++ {
				q := []Query{{Account: "account1"}, {Outcome: "o1", Key: "k1"}, {Request: "r9"}}[(i+n)%3]
				o := Options{Begin: 2 * BundleSize, End: size.Load(), Descending: n%2 == 0, Limit: 50}
				if o.End <= o.Begin {
					continue
				}
				got, err := searchAll(x, l.name, q, o, read)
				if err != nil {
					return err
				}
				if err := sameFound(l.naive(q, o.Begin, o.End, o.Descending), got); err != nil {
					return fmt.Errorf("%+v: %w", q, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// A write that fails in the background ends the process.
func TestFailingDiskIsFatal(t *testing.T) {
	var failing atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".sst") && failing.Load() {
			return errors.New("the disk is full")
		}
		return nil
	}))
	var fatal atomic.Pointer[error]
	onFatal := func(err error) {
		fatal.Store(&err)
		failing.Store(false) // the process does not end: let the test go on
	}
	x, err := open(disk, "/index", Config{OnFatal: onFatal}, layout{2}, defaultBudget)
	if err != nil {
		t.Fatal(err)
	}
	if err := newTestTree(t, "2026", 1, BundleSize).catchUp(x); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fatal.Load(); err == nil || !strings.Contains((*err).Error(), "the disk is full") {
		t.Errorf("fatal: %v", err)
	}
}
