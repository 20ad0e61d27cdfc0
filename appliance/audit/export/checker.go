package export

import (
	"bytes"
	"strings"

	"strongroom.internal/appliance/audit"
)

// head is what is known of a tree before its tiles are read.
type head struct {
	root   hash
	known  bool     // the root is: a checkpoint says it
	signed []string // by whom the checkpoint was signed that satisfied the policy; nil when none did
}

// checker checks the files of an export in their order. It holds one tile of each level, so its memory does not grow with
// the log. Exporter and verifier share it: what is exported has been verified, by the same rules.
type checker struct {
	manifest *Manifest
	plans    []plan
	heads    []head
	from, to bound
	// diagnose goes on when a right edge does not give the root, until what lies below shows which file is wrong.
	diagnose bool
	since    *audit.SignedHead          // to be consistent with; nil: nothing
	count    func(e *audit.Entry) error // each entry of the range; nil: nobody
	progress func(entries, total int64) // after each bundle

	tree  *tree // that is being read
	last  int64 // time of the last entry read, of whatever tree
	done  int64 // entries read
	total int64 // entries to read
}

// tree is what the checker holds of one tree.
type tree struct {
	plan
	head     *head
	edge     [8][]byte // the right edge's partial tiles, by level
	full     [8]tile   // the newest full tile of each level
	appended audit.Tree
	bad      bool      // the edge does not give the root
	agreed   [8]int    // of a bad edge: how many hashes of each tile what lies below has borne out
	earlier  [8][]byte // the right edge of the tree when it had the size of since
	ended    bool      // its end-tree entry was read
}

type tile struct {
	n    int64
	data []byte
}

func newChecker(m *Manifest, heads []head) *checker {
	c := &checker{manifest: m, plans: m.plans(), heads: heads}
	c.from, c.to, _ = parseRange(m.Asked.From, m.Asked.To) // validated
	for _, p := range c.plans {
		c.total += p.entries()
	}
	return c
}

// use checks the next file.
func (c *checker) use(f file, got *content) error {
	if err := c.vouch(f, got); err != nil {
		return err
	}
	return c.take(f, got)
}

// vouch says whether a file is what the root demands at its place. It may be asked again with other content.
func (c *checker) vouch(f file, got *content) error {
	if c.tree == nil || c.tree.plan.tree != f.tree {
		if err := c.finish(); err != nil {
			return err
		}
		c.tree = &tree{plan: c.plans[f.tree], head: &c.heads[f.tree]}
	}
	t := c.tree
	switch {
	case f.L == bundles:
		return c.vouchBundle(f, got)
	case got.wrong != "":
		return faultIn(f.name, f.path(), "%s", got.wrong)
	case f.partial():
		return c.vouchEdge(f, got)
	}
	above := t.above(f)
	if k := int(f.N % tileWidth); !bytes.Equal(above.at(k), got.hash[:]) {
		if t.bad && above.file.partial() {
			return faultIn(f.name, above.file.path(), "its hash %d is not that of %s, and the tree's root is not that of its right edge",
				k, f.path())
		}
		return faultIn(f.name, f.path(), "its hash is not the one in %s", above.file.path())
	}
	return nil
}

// parent is a tile with a hash of something below it.
type parent struct {
	file file
	data []byte
}

func (p parent) at(k int) []byte { return p.data[k*audit.HashSize : (k+1)*audit.HashSize] }

// above is the tile that has the hash of a full tile, or the hashes of a bundle's entries. Their order has put it before.
func (t *tree) above(f file) parent {
	level, n := f.L+1, f.N
	if f.L != bundles {
		n /= tileWidth
	}
	w := width(t.size, level, n)
	p := parent{file: newFile(f.tree, f.name, level, n, w), data: t.edge[level]}
	if w == tileWidth {
		p.data = t.full[level].data
	}
	return p
}

// vouchEdge checks the right edge as soon as all of it is there.
func (c *checker) vouchEdge(f file, got *content) error {
	t := c.tree
	t.edge[f.L] = got.data
	for lower := range f.L {
		if t.size>>(tileHeight*lower)%tileWidth != 0 {
			return nil
		}
	}
	root := rootOf(t.size, func(level int) []byte { return t.edge[level] })
	t.bad = t.head.known && root != t.head.root
	if t.bad && !c.diagnose {
		return faultIn(f.name, f.path(), "the right edge (%s) does not give the root of the checkpoint", t.edges(nil))
	}
	if !t.head.known {
		t.head.root, t.head.known = root, true
	}
	return nil
}

// edges lists the paths of the right edge's tiles that which chooses.
func (t *tree) edges(which func(level, width int) bool) string {
	var paths []string
	for level := range levels(t.size) {
		if f := t.edgeFile(level); f.W > 0 && (which == nil || which(level, f.W)) {
			paths = append(paths, f.path())
		}
	}
	return strings.Join(paths, ", ")
}

func (t *tree) edgeFile(level int) file {
	n := t.size >> (tileHeight * level) / tileWidth
	return newFile(t.plan.tree, t.name, level, n, width(t.size, level, n))
}

// take keeps what a file that was vouched for has.
func (c *checker) take(f file, got *content) error {
	t := c.tree
	switch {
	case f.L == bundles:
		if err := c.takeBundle(f, got); err != nil {
			return err
		}
	case !f.partial():
		t.full[f.L] = tile{f.N, got.data}
	}
	t.agree(f, got)
	// The right edge of an earlier tree consists of the beginnings of tiles of this one.
	if s := c.sinceOf(t); s != nil && f.L != bundles {
		if w := int(s.Size >> (tileHeight * f.L) % tileWidth); w > 0 && f.N == s.Size>>(tileHeight*f.L)/tileWidth && f.W >= w {
			t.earlier[f.L] = got.data[:w*audit.HashSize]
		}
	}
	return nil
}

// agree counts what bears out the tiles of a bad edge: whose hash they have is right.
func (t *tree) agree(f file, got *content) {
	above := t.above(f)
	switch {
	case !t.bad || above.file.W == tileWidth || f.L >= 0 && f.partial():
	case f.L == bundles:
		t.agreed[0] = len(got.leaves)
	default:
		t.agreed[above.file.L]++
	}
}

func (c *checker) sinceOf(t *tree) *audit.SignedHead {
	if c.since == nil || c.manifest.Trees[t.plan.tree].Origin != c.since.Origin {
		return nil
	}
	return c.since
}

// finish ends a tree, if one was begun, with what can be said only then.
func (c *checker) finish() error {
	t := c.tree
	if t == nil {
		return nil
	}
	checkpoint := t.name + "/" + checkpointName
	if t.bad {
		suspects := t.edges(func(level, width int) bool { return t.agreed[level] < width })
		if suspects == "" {
			return faultIn(t.name, checkpoint, "all entries and tiles agree with each other, and their root is not the checkpoint's")
		}
		first, _, _ := strings.Cut(suspects, ", ")
		return faultIn(t.name, first, "the right edge does not give the root of the checkpoint, and nothing in the export bears out all of %s", suspects)
	}
	if t.whole() && hash(t.appended.Root()) != t.head.root {
		return faultIn(t.name, checkpoint, "its root is not that of the entries")
	}
	if t.plan.tree < len(c.plans)-1 && t.bundle((t.size-1)/tileWidth) && !t.ended {
		return c.entryFault(t.size-1, "the tree is over, and this is no end-tree entry for tree %s",
			c.plans[t.plan.tree+1].name)
	}
	if s := c.sinceOf(t); s != nil {
		return c.checkSince(t, s)
	}
	return nil
}

// checkSince proves that the tree begins with the earlier one.
func (c *checker) checkSince(t *tree, s *audit.SignedHead) error {
	checkpoint := t.name + "/" + checkpointName
	if s.Size > t.size {
		return faultIn(t.name, checkpoint, "it is earlier than what it should be consistent with: size %d, and that has %d",
			t.size, s.Size)
	}
	for level := range levels(s.Size) {
		count := s.Size >> (tileHeight * level)
		if count%tileWidth != 0 && t.earlier[level] == nil {
			n := count / tileWidth
			f := newFile(t.plan.tree, t.name, level, n, width(t.size, level, n))
			return faultIn(t.name, f.path(), "it isn't in the export, and is needed to prove consistency with size %d; export again with --since",
				s.Size)
		}
	}
	if rootOf(s.Size, func(level int) []byte { return t.earlier[level] }) != s.Root {
		return faultIn(t.name, checkpoint, "it is not consistent with the earlier checkpoint of size %d: the log was rewritten", s.Size)
	}
	return nil
}

// entryFault is a fault of the entry at a position of the tree that is being read.
func (c *checker) entryFault(position int64, format string, args ...any) *Fault {
	t := c.tree
	n := position / tileWidth
	f := newFile(t.plan.tree, t.name, bundles, n, width(t.size, bundles, n))
	fault := faultIn(t.name, f.path(), format, args...)
	fault.Position = position
	fault.Entry = c.manifest.Trees[t.plan.tree].First + position
	return fault
}
