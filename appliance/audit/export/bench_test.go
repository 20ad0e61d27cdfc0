package export_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// benchEntries is the size of the log that is measured; STRONGROOM_BENCH_ENTRIES=1000000 for a large one.
func benchEntries(b *testing.B) int64 {
	n := int64(20_000)
	if s := os.Getenv("STRONGROOM_BENCH_ENTRIES"); s != "" {
		var err error
		if n, err = strconv.ParseInt(s, 10, 64); err != nil {
			b.Fatal(err)
		}
	}
	return n
}

// peakHeap measures the most bytes that live or dead objects take while f runs, above what they took before.
func peakHeap(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	before, peak := read(), uint64(0)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for ticker := time.NewTicker(2 * time.Millisecond); ; {
			peak = max(peak, read())
			select {
			case <-ticker.C:
			case <-done:
				return
			}
		}
	}()
	f()
	close(done)
	<-ended
	return peak - min(peak, before)
}

func measure(b *testing.B, entries int64, f func() error) {
	var peak uint64
	for b.Loop() {
		peak = max(peak, peakHeap(func() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}))
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	b.ReportMetric(0, "ns/op")
}

// The log is on disk and made before: its memory is not measured.
func benchLog(b *testing.B, entries int64) (*audittest.Log, *audit.Policy) {
	l := makeLog(b, audittest.Config{Trees: []int64{entries}, Dir: b.TempDir(), Interval: time.Second})
	return l, policyOf(b, l)
}

func BenchmarkExport(b *testing.B) {
	entries := benchEntries(b)
	l, policy := benchLog(b, entries)
	for _, name := range []string{"directory", "archive.tar"} {
		b.Run(name, func(b *testing.B) {
			dir, n := b.TempDir(), 0
			measure(b, entries, func() error {
				n++
				_, err := export.Run(context.Background(), l, export.Config{Out: filepath.Join(dir, strconv.Itoa(n)+name), Policy: policy})
				return err
			})
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	entries := benchEntries(b)
	l, policy := benchLog(b, entries)
	for _, name := range []string{"directory", "archive.tar"} {
		b.Run(name, func(b *testing.B) {
			out := filepath.Join(b.TempDir(), name)
			if _, err := export.Run(context.Background(), l, export.Config{Out: out, Policy: policy}); err != nil {
				b.Fatal(err)
			}
			measure(b, entries, func() error {
				e, err := export.Open(out)
				if err != nil {
					return err
				}
				defer e.Close()
				r, err := export.Verify(context.Background(), e, export.Options{Policy: policy})
				if err == nil {
					r.Close()
				}
				return err
			})
		})
	}
}
