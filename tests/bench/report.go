package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// row is one measured line.
type row struct {
	name string
	*measurement
}

func section(title string) {
	fmt.Printf("\n%s\n  %-28s %7s %9s %8s %8s %8s %8s %9s\n", title,
		"", "callers", "per s", "p50", "p90", "p99", "max", "CPU each")
}

func report(name string, m *measurement) row {
	cpu := "-"
	if len(m.cpu) > 0 {
		cpu = round(m.totalCPU())
	}
	fmt.Printf("  %-28s %7d %9.0f %8s %8s %8s %8s %9s%s\n", name, m.callers, m.rate(),
		round(m.percentile(0.5)), round(m.percentile(0.9)), round(m.percentile(0.99)), round(m.percentile(1)), cpu, details(m))
	return row{name, m}
}

// details lists the outcomes, and each process's share of the CPU time.
func details(m *measurement) string {
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(m.outcomes)) {
		if outcome != "" {
			parts = append(parts, fmt.Sprintf("%s %d", outcome, m.outcomes[outcome]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.cpu)) {
		parts = append(parts, fmt.Sprintf("%s %s", name, round(m.cpu[name]/time.Duration(max(1, m.requests)))))
	}
	if len(parts) == 0 {
		return ""
	}
	return "  (" + strings.Join(parts, ", ") + ")"
}

func round(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 100*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// compare sets the two sizes of state side by side: both were measured in the same order.
func compare(small, large []row) {
	if len(small) == 0 || len(small) != len(large) {
		return
	}
	fmt.Printf("\nLarge state against small, same run, line by line as above\n")
	for i, s := range small {
		l := large[i]
		fmt.Printf("  %-28s %7d callers: CPU per verify × %.2f, rate × %.2f, p99 × %.2f\n", s.name, s.callers,
			float64(l.totalCPU())/float64(max(1, s.totalCPU())), l.rate()/s.rate(),
			float64(l.percentile(0.99))/float64(max(1, s.percentile(0.99))))
	}
}
