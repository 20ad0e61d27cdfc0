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

// BenchmarkAdd adds the bundles of a log that goes on and on, so compactions have their part; "cpu" is what the whole
// process spent for a bundle.
func BenchmarkAdd(b *testing.B) {
	bundles := make([][][]byte, 0, b.N)
	_ = bundles
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

func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	x, err := Open(dir, Config{})
	if err != nil {
		b.Fatal(err)
	}
	start, cpu := time.Now(), processTime(b)
	var making time.Duration
	log := make([][][]byte, benchBundles)
	for n := range log {
		t, c := time.Now(), processTime(b)
		log[n] = benchBundle(int64(n))
		making += time.Since(t)
		cpu += processTime(b) - c
		if err := x.Add("2026", 0, int64(n), log[n]); err != nil {
			b.Fatal(err)
		}
	}
	adding := time.Since(start) - making
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	b.Logf("adding %d entries: %v, %v of CPU; %.1f bytes an entry", benchEntries, adding, processTime(b)-cpu, float64(size(b, dir))/benchEntries)
	if x, err = Open(dir, Config{}); err != nil {
		b.Fatal(err)
	}
	b.Logf("%s", x.db.Metrics())
	defer x.Close()
	read := func(_ string, bundle int64) ([][]byte, error) { return log[bundle], nil }
	for _, c := range []struct {
		name  string
		query Query
		limit int
	}{
		{"account", Query{Account: rareAccount}, 0},
		{"outcome", Query{Outcome: "accepted"}, 100},
		{"outcome1000", Query{Outcome: "accepted"}, 1000},
		{"seldom", Query{Outcome: "spent", Node: "n1", Key: "totp-1"}, 100},
		{"minute", Query{Outcome: "wrong", From: time.UnixMilli(1767225600000 + 100_000), To: time.UnixMilli(1767225600000 + 160_000)}, 100},
		{"absent", Query{Account: "f" + rareAccount[1:]}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			var found, pages int
			for b.Loop() {
				p, err := x.Search(b.Context(), "2026", c.query, Options{Limit: c.limit, Descending: true}, read)
				if err != nil {
					b.Fatal(err)
				}
				found += len(p.Found)
				pages++
			}
			b.ReportMetric(float64(found)/float64(pages), "found/op")
		})
	}
}
