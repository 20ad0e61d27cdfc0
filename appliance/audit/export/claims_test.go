package export_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"strongroom.internal/appliance/audit/export"
)

// claims are of an export.json that says something else than the rest, written as it must be.
var claims = []tampering{
	claim("a range that begins elsewhere", func(r *rand.Rand, m *export.Manifest) bool {
		d := 1 + r.Int64N(3)
		m.From += d - 2*d*r.Int64N(2)
		return m.From >= 0 && fit(m)
	}),
	claim("a range that ends elsewhere", func(r *rand.Rand, m *export.Manifest) bool {
		d := 1 + r.Int64N(3)
		m.To += d - 2*d*r.Int64N(2)
		return m.To >= m.From && fit(m)
	}),
	claim("to have everything", func(_ *rand.Rand, m *export.Manifest) bool {
		whole := m.Asked == export.Asked{}
		m.Asked = export.Asked{}
		m.From, m.To = 0, m.Trees[len(m.Trees)-1].First+m.Trees[len(m.Trees)-1].Size
		return !whole && fit(m)
	}),
	claim("to have another day", func(r *rand.Rand, m *export.Manifest) bool {
		m.Asked.From = "2026-01-01T0" + strconv.Itoa(r.IntN(10)) + ":30:00Z"
		m.Asked.To = "2026-01-01T1" + strconv.Itoa(r.IntN(10)) + ":30:00Z"
		return true
	}),
	claim("to have less", func(r *rand.Rand, m *export.Manifest) bool {
		index := m.Trees[0].First + r.Int64N(min(256, m.Trees[0].Size))
		m.Asked.From, m.Asked.To = strconv.FormatInt(index, 10), strconv.FormatInt(index, 10)
		m.From, m.To = index, index+1
		return fit(m)
	}),
	claim("another size", func(r *rand.Rand, m *export.Manifest) bool {
		m.Trees[r.IntN(len(m.Trees))].Size += 1 - 2*r.Int64N(2)
		return true
	}),
	claim("another first index", func(r *rand.Rand, m *export.Manifest) bool {
		d := 1 - 2*r.Int64N(2)
		for k := range m.Trees {
			m.Trees[k].First += d
		}
		return true
	}),
	claim("another first index of the oldest tree", func(_ *rand.Rand, m *export.Manifest) bool {
		m.Trees[0].First++
		return len(m.Trees) > 1 && fit(m)
	}),
	claim("another part of a tree", func(r *rand.Rand, m *export.Manifest) bool {
		t := &m.Trees[r.IntN(len(m.Trees))]
		if r.IntN(2) == 0 {
			t.From++
		} else {
			t.To--
		}
		return true
	}),
	claim("another origin", func(r *rand.Rand, m *export.Manifest) bool {
		m.TrustDomain = "elsewhere.test"
		for k := range m.Trees {
			m.Trees[k].Origin = "elsewhere.test/log/" + m.Trees[k].Name
		}
		return true
	}),
	claim("another name", func(r *rand.Rand, m *export.Manifest) bool {
		t := &m.Trees[r.IntN(len(m.Trees))]
		t.Name += "b"
		t.Origin += "b"
		return true
	}),
	claim("a name that leads elsewhere", func(r *rand.Rand, m *export.Manifest) bool {
		names := []string{"..", "../2026", "/etc", "a/b", "", "con:", "2026\\x", "export.json", "policy", "2026 "}
		t := &m.Trees[r.IntN(len(m.Trees))]
		t.Name = names[r.IntN(len(names))]
		t.Origin = m.TrustDomain + "/log/" + t.Name
		return true
	}),
	claim("no oldest tree", func(_ *rand.Rand, m *export.Manifest) bool {
		m.Trees = m.Trees[1:]
		return true
	}),
	claim("no newest tree", func(_ *rand.Rand, m *export.Manifest) bool {
		m.Trees = m.Trees[:len(m.Trees)-1]
		if n := len(m.Trees); n > 0 {
			m.To = min(m.To, m.Trees[n-1].First+m.Trees[n-1].Size)
		}
		return fit(m)
	}),
	claim("to be pruned", func(r *rand.Rand, m *export.Manifest) bool {
		m.Trees[0].Minimum = []int64{1, 256, 65536, -65536, 1 << 61}[r.IntN(5)]
		return true
	}),
	claim("an earlier edge", func(r *rand.Rand, m *export.Manifest) bool {
		if m.Since == nil {
			return false
		}
		m.Since.Size = []int64{-1, 0, 1 << 60, m.Trees[len(m.Trees)-1].Size * 90}[r.IntN(4)]
		return true
	}),
	claim("another format", func(r *rand.Rand, m *export.Manifest) bool {
		m.Format += 1 - 2*r.IntN(2)
		return true
	}),
	claim("no checkpoint", func(r *rand.Rand, m *export.Manifest) bool {
		m.Trees[len(m.Trees)-1].Checkpoint = ""
		return true
	}),
}

// A range by time that begins with a tree needs the last entry of the tree before: without it nothing would show that no
// entry of the range was there.
func TestEntryBeforeTheRangeIsNeeded(t *testing.T) {
	sp := newSpecimen(t, shape{trees: []int64{600, 600}, from: "2026-01-01T03:20:00Z"})
	m := sp.files.manifest(t)
	if m.From != 600 || len(m.Trees) != 2 {
		t.Fatalf("the export is from %d, of %d trees", m.From, len(m.Trees))
	}
	m.Trees = m.Trees[1:]
	for path := range sp.files {
		if strings.HasPrefix(path, "2026/") {
			delete(sp.files, path)
		}
	}
	sp.files.seal(t, m)
	if err := in("export.json").check(sp.verify(sp.files)); err != nil {
		t.Error(err)
	}
}

// fit makes the trees' part of the range that of the range.
func fit(m *export.Manifest) bool {
	for k, t := range m.Trees {
		m.Trees[k].From = min(max(m.From-t.First, 0), t.Size)
		m.Trees[k].To = min(max(m.To-t.First, 0), t.Size)
	}
	return true
}

func claim(name string, change func(*rand.Rand, *export.Manifest) bool) tampering {
	return tampering{"export.json claims " + name, func(t *testing.T, r *rand.Rand, _ *specimen, f files) (place, bool) {
		m := f.manifest(t)
		if len(m.Trees) == 0 || !change(r, m) {
			return place{}, false
		}
		before := string(f["export.json"])
		f.seal(t, m)
		if string(f["export.json"]) == before {
			return place{}, false
		}
		return place{paths: []string{"export.json"}, position: -1, named: true, set: true}, true
	}}
}
