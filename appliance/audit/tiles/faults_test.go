package tiles

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// faultyDisk is a disk of which one operation fails, and that can lose its power. Files are real ones. What is not yet
// durable by the rules of POSIX it remembers, so as to take it away.
type faultyDisk struct {
	osDisk
	fail   int // the operation that fails, counted from 0
	mode   faultMode
	n      int      // operations so far
	failed []string // which did

	unsynced map[string]bool  // files whose content is not durable
	before   map[string]prior // what is durable at a path, where that isn't what is there
}

type faultMode struct {
	name  string
	took  bool // the operation takes effect all the same; of a write: half of it does
	after bool // all later ones fail too, without effect: the process ends there, or the disk does
	power bool // and then the power goes
}

// prior is what was at a path: nothing, or a file with that content.
type prior struct {
	there   bool
	content []byte
}

var errFault = fmt.Errorf("injected: %w", syscall.EIO)

func newFaultyDisk(fail int, mode faultMode) *faultyDisk {
	return &faultyDisk{fail: fail, mode: mode, unsynced: map[string]bool{}, before: map[string]prior{}}
}

func (d *faultyDisk) do(what string, op func() error) error {
	n := d.n
	d.n++
	if n < d.fail || n > d.fail && !d.mode.after {
		return op()
	}
	d.failed = append(d.failed, what)
	if n == d.fail && d.mode.took {
		_ = op()
	}
	return errFault
}

// changes remembers what is durable at a path before that is changed.
func (d *faultyDisk) changes(path string) {
	if _, ok := d.before[path]; ok {
		return
	}
	b, err := os.ReadFile(path)
	d.before[path] = prior{err == nil, b}
}

func (d *faultyDisk) create(path string) (f file, err error) {
	err = d.do("create "+path, func() (err error) {
		d.changes(path)
		d.unsynced[path] = true
		f, err = d.osDisk.create(path)
		return err
	})
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, err
	}
	return &faultyFile{f, path, d}, nil
}

func (d *faultyDisk) rename(from, to string) error {
	return d.do("rename "+to, func() error {
		d.changes(from)
		d.changes(to)
		d.unsynced[to] = d.unsynced[from]
		return d.osDisk.rename(from, to)
	})
}

func (d *faultyDisk) remove(path string) error {
	return d.do("remove "+path, func() error {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			d.changes(path)
		}
		return d.osDisk.remove(path)
	})
}

func (d *faultyDisk) mkdir(path string) error {
	return d.do("mkdir "+path, func() error {
		err := d.osDisk.mkdir(path)
		if err == nil {
			d.before[path] = prior{}
		}
		return err
	})
}

func (d *faultyDisk) syncDir(path string) error {
	return d.do("sync "+path, func() error {
		maps.DeleteFunc(d.before, func(p string, _ prior) bool { return filepath.Dir(p) == path })
		return nil
	})
}

type faultyFile struct {
	file
	path string
	d    *faultyDisk
}

func (f *faultyFile) Write(b []byte) (n int, err error) {
	err = f.d.do("write "+f.path, func() error {
		if f.d.n-1 == f.d.fail {
			b = b[:len(b)/2]
		}
		n, err = f.file.Write(b)
		return err
	})
	return n, err
}

func (f *faultyFile) Sync() error {
	return f.d.do("fsync "+f.path, func() error { f.d.unsynced[f.path] = false; return nil })
}

func (f *faultyFile) Close() error {
	return errors.Join(f.file.Close(), f.d.do("close "+f.path, func() error { return nil }))
}

// losePower leaves of each change that isn't durable what chance wants: all, nothing, or half a file.
func (d *faultyDisk) losePower(t *testing.T, r *rand.Rand) {
	t.Helper()
	for _, p := range slices.Sorted(maps.Keys(d.unsynced)) {
		if info, err := os.Stat(p); err == nil && d.unsynced[p] && r.IntN(2) == 0 {
			if err := os.Truncate(p, info.Size()/2); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What is deeper comes first: a directory goes with all in it, synced or not.
	paths := slices.Sorted(maps.Keys(d.before))
	slices.Reverse(paths)
	for _, p := range paths {
		if r.IntN(2) == 0 {
			continue
		}
		err := os.RemoveAll(p)
		if d.before[p].there {
			err = errors.Join(err, os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, d.before[p].content, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// scenario is one step on a tree of so many bundles, of which so many are pruned.
type scenario struct {
	name            string
	bundles, pruned int64
	act             func(s *Store) error
	done            func(s *Store) bool
	after           int64 // bundles
	// want makes of the files of a tree of so many bundles those that are wanted in the end.
	want func(all map[string]string)
}

func scenarios() []scenario {
	m := aModel()
	appending := func(bundles int64, before func(*Store)) scenario {
		return scenario{
			bundles: bundles, after: bundles + 1,
			act: func(s *Store) error {
				before(s)
				return s.Append(m.bundle(s.Complete() / BundleSize))
			},
			done: func(s *Store) bool { return s.Complete() == (bundles+1)*BundleSize },
			want: func(map[string]string) {},
		}
	}
	first := appending(0, func(*Store) {})
	first.name = "first bundle"
	marked := appending(2, func(s *Store) { s.marked = s.Complete() + BundleSize - markEvery })
	marked.name = "bundle with a mark"
	level1 := appending(255, func(*Store) {})
	level1.name = "bundle that fills a level-1 tile"
	level1.pruned = 254
	level1.want = func(all map[string]string) {
		all["tile/1/000.p/254"] = rootsOf(all, 254)
		dropPruned(all, 254)
	}
	rest := m.entries[3*BundleSize : 3*BundleSize+5]
	return []scenario{first, marked, level1, {
		name: "finish", bundles: 3, after: 3,
		act:  func(s *Store) error { return s.Finish(rest) },
		done: func(s *Store) bool { _, ok := s.Finished(); return ok },
		want: func(all map[string]string) {
			bundle, _ := appendBundle(nil, rest)
			all["tile/entries/003.p/5"] = string(bundle)
			all["tile/0/003.p/5"] = string(leafTile(rest))
			all["tile/1/000.p/3"] = rootsOf(all, 3)
		},
	}, {
		name: "prune", bundles: 5, pruned: 1, after: 5,
		act:  func(s *Store) error { return s.Prune(3 * BundleSize) },
		done: func(s *Store) bool { return s.Pruned() == 3*BundleSize && s.state.Load().removed == 3*BundleSize },
		want: func(all map[string]string) {
			all["tile/1/000.p/3"] = rootsOf(all, 3)
			dropPruned(all, 3)
		},
	}, {
		name: "skip", after: 3,
		act:  func(s *Store) error { return s.Skip(m.levelOne(0, 3)) },
		done: func(s *Store) bool { return s.Complete() == 3*BundleSize && s.Pruned() == 3*BundleSize },
		want: func(all map[string]string) {
			all["tile/1/000.p/3"] = rootsOf(all, 3)
			dropPruned(all, 3)
		},
	}, {
		name: "skip over a level-1 tile", bundles: 2, pruned: 1, after: 257,
		act:  func(s *Store) error { return s.Skip(m.levelOne(2, 257)) },
		done: func(s *Store) bool { return s.Complete() == 257*BundleSize && s.Pruned() == 257*BundleSize },
		want: func(all map[string]string) {
			all["tile/1/000.p/1"] = rootsOf(all, 1) // Prune's to remove, as what follows
			left := map[string]string{}
			for _, p := range []string{"tile/0/001", "tile/entries/001"} {
				left[p] = all[p]
			}
			all["tile/1/001.p/1"] = rootsOf(all, 257)[256*hashSize:]
			dropPruned(all, 257)
			maps.Copy(all, left)
		},
	}}
}

// A crash after an operation is one before the next.
var faultModes = []faultMode{
	{name: "fails"},
	{name: "fails and took effect", took: true},
	{name: "process ends", after: true},
	{name: "power is lost", after: true, power: true},
}

// Each operation of each step fails in each way. Whatever happens, what had been complete stays so, nothing counts that
// isn't whole, the failure shows in Health, and the same step then succeeds and leaves the same files: in the same
// process after a mere failure, in the next one after a crash.
func TestFaults(t *testing.T) {
	for _, sc := range scenarios() {
		want := masterFiles(t, sc.after)
		sc.want(want)
		for _, mode := range faultModes {
			t.Run(sc.name+"/"+mode.name, func(t *testing.T) {
				k := 0
				for ; faultAt(t, sc, mode, k, want); k++ {
				}
				if k < 8 {
					t.Errorf("only %d operations have failed", k)
				}
			})
		}
	}
}

// faultAt has operation k fail, and answers false if there is no such operation any more.
func faultAt(t *testing.T, sc scenario, mode faultMode, k int, want map[string]string) bool {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if sc.bundles > 0 {
		dir = builtPruned(t, sc.bundles, sc.pruned)
	}
	d := newFaultyDisk(k, mode)
	s, err := open(dir, d)
	opened := err == nil
	if opened {
		err = sc.act(s)
	}
	if len(d.failed) == 0 {
		if err != nil || !sc.done(s) {
			t.Fatalf("without a fault: %v", err)
		}
		return false
	}
	where := strings.ReplaceAll(d.failed[0], dir, "")
	if err == nil {
		t.Fatalf("%s: no error", where)
	}
	if opened {
		if s.Complete() != sc.bundles*BundleSize {
			t.Fatalf("%s: %d complete", where, s.Complete())
		}
		if !errors.Is(err, errFault) || !errors.Is(s.Health(), errFault) {
			t.Fatalf("%s: %v, health %v", where, err, s.Health())
		}
		verify(t, s)
		if !mode.after {
			checkTmpEmpty(t, dir)
		}
	}
	if mode.power {
		d.losePower(t, rand.New(rand.NewPCG(uint64(k), 1)))
	}
	if !opened || mode.after {
		if s, err = open(dir, quickDisk{}); err != nil {
			t.Fatalf("%s: opening after it: %v", where, err)
		}
		if s.Complete() < sc.bundles*BundleSize {
			t.Fatalf("%s: %d complete after it", where, s.Complete())
		}
		verify(t, s)
	}
	if !sc.done(s) { // which it can be by a crash
		if err := sc.act(s); err != nil {
			t.Fatalf("%s: again: %v", where, err)
		}
	}
	if !sc.done(s) || s.Health() != nil {
		t.Fatalf("%s: in the end: health %v", where, s.Health())
	}
	verify(t, s)
	if got := files(t, dir); !maps.Equal(want, got) {
		t.Fatalf("%s: %s", where, cmp.Diff(want, got))
	}
	verify(t, mustOpen(t, dir))
	return true
}

// checkTmpEmpty: what was half-written is no longer in the way of what needs the room.
func checkTmpEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(dir, tmpDir))
	if len(left) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("temporary files are left: %v, %v", left, err)
	}
}

// What Append has acknowledged, or Open has found, outlives a power cut at any later moment, however little was synced
// that need not be, and however often the process ended before.
func TestAcknowledgedIsDurable(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 2))
		start := []int64{0, 60, 254}[r.IntN(3)]
		dir := filepath.Join(t.TempDir(), "a", "tree")
		if start > 0 {
			dir = builtPruned(t, start, start-1)
		}
		d := newFaultyDisk(0, faultMode{after: true})
		acknowledged := start
		for range 1 + r.IntN(3) {
			d.n, d.fail, d.mode.took = 0, r.IntN(50), r.IntN(2) == 0
			s, err := open(dir, d)
			if err == nil {
				if s.Complete() < acknowledged*BundleSize {
					t.Fatalf("seed %d: %d complete, %d acknowledged", seed, s.Complete(), acknowledged)
				}
				acknowledged = s.Complete() / BundleSize
			}
			for err == nil {
				if err = s.Append(aModel().bundle(acknowledged)); err == nil {
					acknowledged++
				}
			}
		}
		d.losePower(t, r)
		s, err := open(dir, quickDisk{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got := s.Complete() / BundleSize; got != acknowledged && got != acknowledged+1 {
			t.Fatalf("seed %d: %d bundles of %d", seed, got, acknowledged)
		}
		verify(t, s)
	}
}

// A directory that somebody removes is made again after the write that found out.
func TestDirectoryVanishes(t *testing.T) {
	s := mustOpen(t, built(t, 2))
	if err := s.Append(aModel().bundle(2)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, tmpDir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(aModel().bundle(3)); err == nil {
		t.Error("written nowhere")
	}
	if err := s.Append(aModel().bundle(3)); err != nil {
		t.Error(err)
	}
	verify(t, s)
}

// fullDisk has no room for content: the kernel's own ENOSPC.
type fullDisk struct{ quickDisk }

func (fullDisk) create(string) (file, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }

func TestFullDisk(t *testing.T) {
	m := aModel()
	s := mustOpen(t, built(t, 2))
	for range 3 {
		s.disk = fullDisk{}
		for what, write := range map[string]func() error{
			"append": func() error { return s.Append(m.bundle(s.Complete() / BundleSize)) },
			"prune":  func() error { return s.Prune(s.Complete()) },
			"finish": func() error { return s.Finish(nil) },
		} {
			before := s.Complete()
			err := write()
			if !errors.Is(err, syscall.ENOSPC) || !errors.Is(s.Health(), syscall.ENOSPC) || s.Complete() != before {
				t.Errorf("%s: %v, health %v", what, err, s.Health())
			}
			verify(t, s)
		}
		checkTmpEmpty(t, s.dir)
		s.disk = quickDisk{}
		if err := s.Append(m.bundle(s.Complete() / BundleSize)); err != nil || s.Health() != nil {
			t.Errorf("with room again: %v, health %v", err, s.Health())
		}
		verify(t, s)
	}
}
