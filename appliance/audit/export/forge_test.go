package export_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/audittest"
	"strongroom.internal/appliance/audit/export"
)

// manifest reads export.json, and seal writes it anew with digests that are right: who forges knows the format.
func (f files) manifest(t *testing.T) *export.Manifest {
	m := &export.Manifest{}
	if err := json.Unmarshal(f["export.json"], m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (f files) seal(t *testing.T, m *export.Manifest) {
	sum := func(b []byte) string {
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:])
	}
	for k, tree := range m.Trees {
		if tree.Checkpoint != "" {
			m.Trees[k].Checkpoint = sum(f[tree.Name+"/checkpoint"])
		}
	}
	m.Digest = ""
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	m.Digest = sum(b)
	if b, err = json.MarshalIndent(m, "", "  "); err != nil {
		t.Fatal(err)
	}
	f["export.json"] = append(b, '\n')
}

// newest is the log's newest tree, and the path of its checkpoint.
func (sp *specimen) newest() (*audittest.Tree, string) {
	t := sp.log.All[len(sp.log.All)-1]
	return t, t.Tree + "/checkpoint"
}

// sign puts a checkpoint in place of the newest, signed by the nodes.
func (sp *specimen) sign(t *testing.T, f files, text string, nodes ...audittest.Node) place {
	_, path := sp.newest()
	b, err := sp.log.Checkpoint(text, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	f[path] = b
	f.seal(t, f.manifest(t))
	return in(path)
}

func stranger(t *testing.T, id string) audittest.Node {
	n, err := audittest.MakeNode(99, id, false)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// forgeries are of checkpoints, with and without tiles that fit.
var forgeries = []tampering{
	{"one node's key only", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, _ := sp.newest()
		return sp.sign(t, f, audit.CheckpointText(n.Origin, n.Size, n.Root), sp.log.Nodes[r.IntN(3)]), true
	}},
	{"unknown keys", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, _ := sp.newest()
		// Under the nodes' own names: only the keys are others.
		return sp.sign(t, f, audit.CheckpointText(n.Origin, n.Size, n.Root), stranger(t, "n1"), stranger(t, "n2"), stranger(t, "n"+strconv.Itoa(3+r.IntN(9)))), true
	}},
	{"one node and unknown keys", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, _ := sp.newest()
		return sp.sign(t, f, audit.CheckpointText(n.Origin, n.Size, n.Root), sp.log.Nodes[r.IntN(3)], stranger(t, "n2"), stranger(t, "n3")), true
	}},
	{"signature lines removed", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		_, path := sp.newest()
		text, lines, _ := strings.Cut(string(f[path]), "\n\n")
		all := strings.SplitAfter(lines, "\n")
		all = all[:len(all)-1] // three of the log, three of cosigners
		switch r.IntN(3) {
		case 0:
			all = all[3:] // no key of the log
		case 1:
			all = all[:4] // one cosigner
		case 2:
			all = nil
		}
		f[path] = []byte(text + "\n\n" + strings.Join(all, ""))
		f.seal(t, f.manifest(t))
		return in(path), true
	}},
	{"another size", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, _ := sp.newest()
		return sp.sign(t, f, audit.CheckpointText(n.Origin, n.Size+1-2*int64(r.IntN(2)), n.Root)), true
	}},
	{"a size and a root changed in the text", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, path := sp.newest()
		root := n.Root
		root[r.IntN(len(root))]++
		f[path] = []byte(strings.Replace(string(f[path]), audit.CheckpointText(n.Origin, n.Size, n.Root), audit.CheckpointText(n.Origin, n.Size, root), 1))
		f.seal(t, f.manifest(t))
		return in(path), true
	}},
	{"another root, by one node", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, _ := sp.newest()
		root := n.Root
		root[r.IntN(len(root))]++
		return sp.sign(t, f, audit.CheckpointText(n.Origin, n.Size, root), sp.log.Nodes[0]), true
	}},
	{"another origin", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, _ := sp.newest()
		origins := []string{"elsewhere.test/log/" + n.Tree, audit.Origin("strongroom.test", "1999"), n.Origin + "x", "x" + n.Origin}
		return sp.sign(t, f, audit.CheckpointText(origins[r.IntN(len(origins))], n.Size, n.Root)), true
	}},
	{"an old checkpoint with new tiles", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, path := sp.newest()
		f[path] = checkpointAt(t, sp.log, len(sp.log.All)-1, 1+r.Int64N(n.Size-1))
		if r.IntN(2) == 0 {
			return in(path), true
		}
		f.seal(t, f.manifest(t))
		return in(path), true
	}},
	{"an old checkpoint with new tiles, and a manifest that fits", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		n, path := sp.newest()
		m := f.manifest(t)
		last := &m.Trees[len(m.Trees)-1]
		least := last.To // of what would be told to be in the export
		if m.Since != nil && m.Since.Tree == n.Tree {
			least = max(least, m.Since.Size)
		}
		if sp.from == "" && sp.to == "" {
			least = 1
		} else if least++; least >= n.Size {
			return place{}, false
		}
		if m.Since != nil && m.Since.Tree == n.Tree && least <= m.Since.Size {
			least = m.Since.Size
		}
		last.Size = least + r.Int64N(n.Size-least)
		f[path] = checkpointAt(t, sp.log, len(sp.log.All)-1, last.Size)
		if sp.to == "" {
			last.To, m.To = last.Size, last.First+last.Size
		}
		f.seal(t, m)
		// The edge that this size would have is not there.
		var missing []string
		for level, count := 0, last.Size; count > 0; level, count = level+1, count>>8 {
			if w := int(count % 256); w > 0 {
				p := n.Tree + "/" + torchwood.TilePath(tlog.Tile{H: 8, L: level, N: count >> 8, W: w})
				if f[p] == nil {
					missing = append(missing, p)
				}
			}
		}
		if len(missing) == 0 {
			return place{}, false
		}
		return in(missing...), true
	}},
	{"an entry edited and the tiles fitted to it", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		p, edges := sp.refit(t, r, f)
		tree, _, _ := strings.Cut(p, "/")
		return place{paths: append(edges, tree+"/checkpoint"), position: -1}, true
	}},
	{"an entry edited, the tiles fitted, signed by one node", func(t *testing.T, r *rand.Rand, sp *specimen, f files) (place, bool) {
		p, _ := sp.refit(t, r, f)
		tree, _, _ := strings.Cut(p, "/")
		m := f.manifest(t)
		for k, mt := range m.Trees {
			if mt.Name != tree {
				continue
			}
			b, err := sp.log.Checkpoint(audit.CheckpointText(mt.Origin, mt.Size, f.root(mt)), sp.log.Nodes[r.IntN(3)])
			if err != nil {
				t.Fatal(err)
			}
			f[tree+"/checkpoint"] = b
			f.seal(t, m)
			if k == len(m.Trees)-1 || r.IntN(2) == 0 {
				break
			}
			// An older tree's checkpoint may be left out: the tree after it vouches for it all the same.
			delete(f, tree+"/checkpoint")
			m.Trees[k].Checkpoint = ""
			f.seal(t, m)
		}
		return in(tree + "/checkpoint"), true
	}},
}

// refit edits an entry and makes all tiles above it fit, as far as they are there. It answers the bundle and the tiles of
// the right edge.
func (sp *specimen) refit(t *testing.T, r *rand.Rand, f files) (bundle string, edges []string) {
	bundle = f.pick(r, isBundle)
	tree, _, _ := strings.Cut(bundle, "/")
	all := split(t, f[bundle])
	k := r.IntN(len(all))
	if k == 0 || k == len(all)-1 { // the marks of a tree's ends have checks of their own
		k = min(1, len(all)-1)
	}
	edited := append(slices.Clone(all[k][:len(all[k])-2]), []byte(`x"}`)...)
	if e, err := audit.ParseEntry(edited); err != nil {
		t.Fatal(err)
	} else if e.Operation == "begin-tree" || e.Operation == "end-tree" {
		e.Node += "x"
		e.Detail = strings.TrimSuffix(e.Detail, "x")
		edited = e.AppendJSON(nil)
	}
	all[k] = edited
	f[bundle] = join(all)
	size := sp.sizeOf(t, f, tree)
	h := tlog.RecordHash(edited)
	n := start(bundle) + int64(k)
	for level := 0; size>>(8*level) > 0; level++ {
		count := size >> (8 * level)
		w := 256
		if n>>8 == count>>8 {
			w = int(count % 256)
		}
		p := tree + "/" + torchwood.TilePath(tlog.Tile{H: 8, L: level, N: n >> 8, W: w})
		tile := slices.Clone(f[p])
		copy(tile[n%256*32:], h[:])
		f[p] = tile
		if w < 256 {
			break
		}
		h, n = perfect(tile), n>>8
	}
	for p := range f {
		if isEdge(p) && strings.HasPrefix(p, tree+"/") {
			edges = append(edges, p)
		}
	}
	return bundle, edges
}

func (sp *specimen) sizeOf(t *testing.T, f files, tree string) int64 {
	for _, mt := range f.manifest(t).Trees {
		if mt.Name == tree {
			return mt.Size
		}
	}
	t.Fatalf("no tree %s", tree)
	return 0
}

func perfect(hashes []byte) tlog.Hash {
	if len(hashes) == 32 {
		return tlog.Hash(hashes)
	}
	return tlog.NodeHash(perfect(hashes[:len(hashes)/2]), perfect(hashes[len(hashes)/2:]))
}

// root is that of the right edge that is in the export.
func (f files) root(t export.ManifestTree) [32]byte {
	return rootAt(t.Size, func(tile tlog.Tile) []byte { return f[t.Name+"/"+torchwood.TilePath(tile)] })
}

// rootAt is the root of a tree of a size from its tiles.
func rootAt(size int64, read func(tlog.Tile) []byte) [32]byte {
	h, err := tlog.TreeHash(size, tlog.HashReaderFunc(func(at []int64) (hashes []tlog.Hash, err error) {
		for _, i := range at {
			level, n := tlog.SplitStoredHashIndex(i)
			first, width := n<<(level%8), int64(1)<<(level%8)
			tile := tlog.Tile{H: 8, L: level / 8, N: first >> 8, W: 256}
			if count := size >> (8 * tile.L); tile.N == count>>8 {
				tile.W = int(count % 256)
			}
			hashes = append(hashes, perfect(read(tile)[first%256*32:(first%256+width)*32]))
		}
		return hashes, nil
	}))
	if err != nil {
		panic(err)
	}
	return h
}
