package export

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func drawPlan(t *rapid.T) plan {
	size := rapid.OneOf(rapid.Int64Range(1, 2000), rapid.Int64Range(65_000, 66_100), rapid.Int64Range(16_777_000, 16_778_000)).Draw(t, "size")
	p := plan{name: "t", size: size, begin: rapid.Bool().Draw(t, "begin")}
	p.lo = rapid.Int64Range(0, size).Draw(t, "lo")
	p.hi = rapid.Int64Range(p.lo, min(size, p.lo+3000)).Draw(t, "hi")
	p.since = rapid.Int64Range(0, size).Draw(t, "since")
	if !p.begin && p.lo < p.hi {
		p.minimum = rapid.Int64Range(0, p.lo).Draw(t, "minimum") / pruneUnit * pruneUnit
		p.since = max(p.since, p.minimum)
	}
	return p
}

// The files come each once, are those that the plan has, and come after what they are checked with.
func TestPlanFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		seen := map[tlog.Tile]bool{}
		entries, edges := int64(0), 0
		for f := range p.files() {
			if seen[f.Tile] || !p.has(f.Tile) || f.W != width(p.size, f.L, f.N) {
				t.Fatalf("%s comes twice, or is not in the plan", f.path())
			}
			seen[f.Tile] = true
			if parsed, err := parseTile(f.resource()); err != nil || parsed != f.Tile {
				t.Fatalf("%s is read as %v, %v", f.resource(), parsed, err)
			}
			if f.L == bundles {
				entries += int64(f.W)
			}
			if f.L >= 0 && f.partial() {
				if edges++; edges != len(seen) {
					t.Fatalf("%s is of the edge and comes late", f.path())
				}
				continue
			}
			above := tlog.Tile{H: tileHeight, L: f.L + 1, N: f.N}
			if f.L != bundles {
				above.N /= tileWidth
			}
			if above.W = width(p.size, above.L, above.N); !seen[above] {
				t.Fatalf("%s comes before the tile with its hash", f.path())
			}
		}
		if entries != p.entries() {
			t.Errorf("%d entries are in the bundles, and %d are told of", entries, p.entries())
		}
		// Nothing that the plan has is left out: looked for around all that matters.
		for level := bundles; level < levels(p.size); level++ {
			for _, position := range []int64{0, p.lo, p.hi - 1, p.hi, p.since, p.minimum, p.size - 1, p.size} {
				for d := int64(-1); d <= 1; d++ {
					n := max(position, 0)>>(tileHeight*(max(level, 0)+1)) + d
					tile := tlog.Tile{H: tileHeight, L: level, N: n, W: width(p.size, level, n)}
					if p.has(tile) != seen[tile] {
						t.Errorf("level %d, tile %d: in the plan %v, given %v", level, n, p.has(tile), seen[tile])
					}
				}
			}
		}
	})
}

// Whatever sizes a manifest claims, the next file comes soon: the first that is missing ends it.
func TestPlanOfAHugeTree(t *testing.T) {
	for _, p := range []plan{
		{name: "t", size: 1<<61 + 12345, minimum: 1 << 61, lo: 1<<61 + 1, hi: 1<<61 + 2},
		{name: "t", size: 1<<61 + 12345, lo: 1<<61 + 1, hi: 1<<61 + 2},
		{name: "t", size: 1<<61 + 12345, begin: true, since: 1 << 60},
	} {
		n := 0
		for f := range p.files() {
			if !p.has(f.Tile) {
				t.Errorf("%s is not in the plan", f.path())
			}
			if n++; n == 1000 {
				break
			}
		}
		if n < 5 {
			t.Errorf("only %d files", n)
		}
	}
}

func FuzzParseTile(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/entries/x001/x234/067.p/255", "tile/63/000.p/1", "tile/0/x000/001", "tile/0/000.p/256", "tile/-1/000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tile, err := parseTile(s)
		if err == nil && (tile.W < 1 || tile.W > tileWidth || tile.N < 0 || tile.L < bundles) {
			t.Errorf("%q is %+v", s, tile)
		}
		plan{size: 1 << 50, hi: 1 << 50}.has(tile)
	})
}
