package export

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"strongroom.internal/appliance/audit"
)

// Report is what an export shows, now that it is verified. It has to be closed.
type Report struct {
	TrustDomain string       `json:"trust_domain"`
	Asked       Asked        `json:"asked"`
	From        int64        `json:"from"` // index of the first entry of the range
	To          int64        `json:"to"`   // index after that of the last
	Entries     int64        `json:"entries"`
	MACs        int64        `json:"macs"`       // computed for them
	Coalesced   int64        `json:"coalesced"`  // attempts on locked accounts that have no entries of their own
	FirstTime   string       `json:"first_time"` // RFC 3339 with milliseconds; empty when there is no entry
	LastTime    string       `json:"last_time"`
	LogEnds     bool         `json:"log_ends_in_range"` // the checkpoint may be older than the end of the range
	Trees       []TreeReport `json:"trees"`
	Since       *SinceReport `json:"consistent_with"`
	Verified    int64        `json:"verified"` // entries in the export, those beside the range included
	Seconds     float64      `json:"seconds"`
	Keys        int64        `json:"distinct_keys"`

	most       []Total // of the keys, the most used first
	keys       *tally
	operations *tally // by operation, NUL, outcome
	days       *tally
	day        string // of today
	today      int64  // days since 1970
	first      int64  // Unix milliseconds
	last       int64
}

// TreeReport is what an export shows of a tree.
type TreeReport struct {
	Name   string   `json:"name"`
	Origin string   `json:"origin"`
	First  int64    `json:"first"`
	Size   int64    `json:"size"`
	Root   string   `json:"root"`       // in hex
	From   int64    `json:"from"`       // positions of the range
	To     int64    `json:"to"`         // in this tree
	Signed []string `json:"signed"`     // the policy's names of those whose cosignatures are on its checkpoint
	Chain  string   `json:"chained_by"` // the tree that begins with this one's last checkpoint; empty for the newest
}

// SinceReport is an earlier checkpoint that the log was proven to be consistent with.
type SinceReport struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"`
}

const defaultDistinct = 1 << 16

// mostKeys is how many of the most used keys are told of in text.
const mostKeys = 20

func newReport(m *Manifest, most int) *Report {
	if most <= 0 {
		most = defaultDistinct
	}
	return &Report{
		TrustDomain: m.TrustDomain, Asked: m.Asked, From: m.From, To: m.To, today: math.MinInt64,
		keys: newTally(most), operations: newTally(most), days: newTally(most),
	}
}

// count counts an entry of the range.
func (r *Report) count(e *audit.Entry) error {
	const dayMillis = 24 * 60 * 60 * 1000
	if r.Entries == 0 {
		r.first = e.Time
	}
	r.last = e.Time
	if today := e.Time / dayMillis; today != r.today {
		r.today, r.day = today, time.UnixMilli(e.Time).UTC().Format(time.DateOnly)
	}
	r.Entries++
	r.MACs += int64(e.MACs)
	r.Coalesced += int64(e.Coalesced)
	if err := r.days.add(r.day, int64(e.MACs)); err != nil {
		return err
	}
	if err := r.operations.add(e.Operation+"\x00"+e.Outcome, int64(e.MACs)); err != nil {
		return err
	}
	if e.Key == "" {
		return nil
	}
	return r.keys.add(e.Key, int64(e.MACs))
}

// finish fills in what is known at the end.
func (r *Report) finish(c *checker, took time.Duration) error {
	m := c.manifest
	r.Verified, r.Seconds = c.done, took.Seconds()
	r.LogEnds = r.To == m.end() && (c.to.kind == boundTime || c.to.kind == boundIndex && c.to.index >= r.To)
	if r.Entries > 0 {
		r.FirstTime, r.LastTime = momentText(r.first), momentText(r.last)
	}
	for k, t := range m.Trees {
		tr := TreeReport{
			Name: t.Name, Origin: t.Origin, First: t.First, Size: t.Size, Root: fmt.Sprintf("%x", c.heads[k].root), From: t.From, To: t.To,
			Signed: slices.Clone(c.heads[k].signed),
		}
		if k+1 < len(m.Trees) {
			tr.Chain = m.Trees[k+1].Name
		}
		r.Trees = append(r.Trees, tr)
	}
	if c.since != nil {
		r.Since = &SinceReport{c.since.Origin, c.since.Size, fmt.Sprintf("%x", c.since.Root)}
	}
	for total, err := range r.keys.all() {
		if err != nil {
			return err
		}
		r.Keys++
		at, _ := slices.BinarySearchFunc(r.most, total, func(a, b Total) int {
			if a.Entries != b.Entries {
				return int(max(min(b.Entries-a.Entries, 1), -1))
			}
			return strings.Compare(a.Name, b.Name)
		})
		if at < mostKeys {
			r.most = slices.Insert(r.most, at, total)
			r.most = r.most[:min(len(r.most), mostKeys)]
		}
	}
	return nil
}

// ByKey gives the totals of the range for each key, by its id. They may be in files: an error says that they could not be
// read. So for the others.
func (r *Report) ByKey() iter.Seq2[Total, error] { return r.keys.all() }

// ByDay gives the totals for each day (UTC), such as 2026-03-31.
func (r *Report) ByDay() iter.Seq2[Total, error] { return r.days.all() }

// ByOperation gives the totals for each operation and outcome, which are divided by a NUL in the name.
func (r *Report) ByOperation() iter.Seq2[Total, error] { return r.operations.all() }

// Close frees what the totals take.
func (r *Report) Close() {
	for _, t := range []*tally{r.keys, r.operations, r.days} {
		t.close()
	}
}

func momentText(milli int64) string {
	return time.UnixMilli(milli).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
