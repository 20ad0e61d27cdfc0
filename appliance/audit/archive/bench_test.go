package archive

import (
	"context"
	"testing"
)

// benchEntries is how many entries the benchmarks have. Making them is not measured.
const benchEntries = 100_000

func BenchmarkArchive(b *testing.B) {
	schema := schemas(b)
	l := newLog(60).add(benchEntries).sign()
	for b.Loop() {
		db := connect(b, schema())
		if _, err := Archive(context.Background(), db, l, l.policy, Options{}); err != nil {
			b.Fatal(err)
		}
		_ = db.Close(context.Background())
	}
	b.ReportMetric(benchEntries*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkCheck(b *testing.B) {
	db := emptyDatabase(b)
	l := newLog(60).add(benchEntries).sign()
	l.archive(b, db)
	for name, f := range map[string]func() error{
		"Check":    func() error { _, err := Check(context.Background(), db, l.policy); return err },
		"Archived": func() error { _, err := Archived(context.Background(), db); return err },
		"again":    func() error { _, err := Archive(context.Background(), db, l, l.policy, Options{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(benchEntries*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
