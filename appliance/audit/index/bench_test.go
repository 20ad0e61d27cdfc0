package index

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"strongroom.internal/appliance/audit"
)

const (
	benchEntries = 1_000_000
	benchBundles = benchEntries / BundleSize
	rareEvery    = 100_003 // entries between those of the rare account
)

// benchBundle makes the entries of a bundle as a cluster of three nodes has them that two front-ends of one tenant ask
// 5,000 times a second, for 200,000 accounts: 400 bytes each, on average.
func benchBundle(bundle int64) [][]byte {
	r := rand.New(rand.NewPCG(1, uint64(bundle)))
	entries := make([][]byte, BundleSize)
	for i := range entries {
		at := bundle*BundleSize + int64(i)
		outcome := "accepted"
		if n := r.IntN(20); n == 0 {
			outcome = "wrong"
		} else if n == 1 {
			outcome = "spent"
		}
		account := fmt.Sprintf("%032x", 0x9f86d081884c7d65+r.Uint64N(200_000)*0x9e3779b97f4a7c15)
		if at%rareEvery == 0 {
			account = rareAccount
		}
		e := audit.Entry{
			Index: at, Time: 1767225600000 + at/5, Tenant: "acme", Account: account,
			Actor:   "spiffe://strongroom.example/frontend/acme/web-" + strconv.Itoa(r.IntN(2)),
			Request: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), Operation: "verify", Key: "totp-" + strconv.Itoa(1+r.IntN(2)),
			KeyVersion: 1, MACs: 3, Outcome: outcome, Node: "n" + strconv.Itoa(1+r.IntN(3)), Module: "SC-0001",
		}
		entries[i] = e.AppendJSON(nil)
	}
	return entries
}

const rareAccount = "00000000000000000000000000000000"

func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAdd adds the bundles of a log that goes on and on, so compactions have their part; "cpu-µs" is what the whole
// process spent for a bundle, in the background included.
func BenchmarkAdd(b *testing.B) {
	x, err := Open(b.TempDir(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	var cpu time.Duration
	n := int64(0)
	for b.Loop() {
		b.StopTimer()
		entries := benchBundle(n)
		before := processTime(b)
		b.StartTimer()
		if err := x.Add("2026", 0, n, entries); err != nil {
			b.Fatal(err)
		}
		cpu += processTime(b) - before
		n++
	}
	b.StopTimer()
	before := processTime(b)
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	cpu += processTime(b) - before
	b.ReportMetric(float64(cpu.Microseconds())/float64(n), "cpu-µs/op")
}

func size(b *testing.B, dir string) (n int64) {
	err := filepath.Walk(dir, func(_ string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() {
			n += i.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkSearch searches a log of 1,000,000 entries, those that are read being in memory: reading comes on top.
func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	x, err := Open(dir, Config{})
	if err != nil {
		b.Fatal(err)
	}
	start, cpu := time.Now(), processTime(b)
	var making time.Duration
	for n := range int64(benchBundles) {
		t, c := time.Now(), processTime(b)
		entries := benchBundle(n)
		making += time.Since(t)
		cpu += processTime(b) - c
		if err := x.Add("2026", 0, n, entries); err != nil {
			b.Fatal(err)
		}
	}
	adding := time.Since(start) - making
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	b.Logf("adding %d entries: %v, %v of CPU; %.1f bytes an entry",
		benchEntries, adding, processTime(b)-cpu, float64(size(b, dir))/benchEntries)
	if x, err = Open(dir, Config{}); err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	log := map[int64][][]byte{}
	read := func(_ string, bundle int64) ([][]byte, error) {
		if log[bundle] == nil {
			log[bundle] = benchBundle(bundle)
		}
		return log[bundle], nil
	}
	for _, c := range []struct {
		name  string
		query Query
		limit int
	}{
		{"rare account", Query{Account: rareAccount}, 0},
		{"common outcome, 100", Query{Outcome: "accepted"}, 100},
		{"common outcome, 1000", Query{Outcome: "accepted"}, 1000},
		{"three values", Query{Outcome: "spent", Node: "n1", Key: "totp-1"}, 100},
		{"one minute", Query{Outcome: "wrong", From: time.UnixMilli(1767225700000), To: time.UnixMilli(1767225760000)}, 100},
		{"absent account", Query{Account: "f" + rareAccount[1:]}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			search := func() int {
				p, err := x.Search(b.Context(), "2026", c.query, Options{Limit: c.limit, Descending: true}, read)
				if err != nil {
					b.Fatal(err)
				}
				return len(p.Found)
			}
			found := search() // makes the bundles
			before := processTime(b)
			for b.Loop() {
				search()
			}
			b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(found), "found")
		})
	}
}
