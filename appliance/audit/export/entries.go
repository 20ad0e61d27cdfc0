package export

import (
	"bytes"

	"strongroom.internal/appliance/audit"
)

// vouchBundle compares a bundle's entries with the hashes of the tile above it.
func (c *checker) vouchBundle(f file, got *content) error {
	above := c.tree.above(f)
	start := f.N * tileWidth
	for k := range f.W {
		if k == len(got.leaves) {
			return c.entryFault(start+int64(k), "%s", got.wrong)
		}
		if bytes.Equal(above.at(k), got.leaves[k].hash[:]) {
			continue
		}
		if c.tree.bad && above.file.partial() {
			return faultIn(f.name, above.file.path(), "its hash %d is not that of entry %d in %s, and the tree's root is not that of its edge",
				k, c.manifest.Trees[f.tree].First+start+int64(k), f.path())
		}
		return c.entryFault(start+int64(k), "its hash is not the one in %s", above.file.path())
	}
	if got.wrong != "" {
		return faultIn(f.name, f.path(), "%s", got.wrong)
	}
	return nil
}

// takeBundle reads the entries of a bundle that are known to be those of the tree.
func (c *checker) takeBundle(f file, got *content) error {
	for k := range got.leaves {
		if err := c.takeEntry(f.N*tileWidth+int64(k), &got.leaves[k]); err != nil {
			return err
		}
	}
	c.done += int64(len(got.leaves))
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
	return nil
}

func (c *checker) takeEntry(position int64, l *leaf) error {
	t := c.tree
	if l.err != nil {
		return c.entryFault(position, "%v", l.err)
	}
	e := l.entry
	index := c.manifest.Trees[t.plan.tree].First + position
	if e.Index != index {
		return c.entryFault(position, "it says that its index is %d", e.Index)
	}
	if e.Time < c.last {
		return c.entryFault(position, "its time is before that of the entry before: %d, after %d", e.Time, c.last)
	}
	c.last = e.Time
	if err := c.takeMark(position, e); err != nil {
		return err
	}
	if t.whole() {
		t.appended.Append(l.raw)
	}
	return c.place(index, e)
}

// takeMark checks the entries that trees begin and end with, and that they are nowhere else.
func (c *checker) takeMark(position int64, e *audit.Entry) error {
	t := c.tree
	begins := position == 0 && c.manifest.Trees[t.plan.tree].First > 0
	if begins != (e.Operation == beginTree) {
		return c.entryFault(position, "a tree begins with a begin-tree entry, but for the first, and has no other: this is %q", e.Operation)
	}
	if begins {
		if e.Subject != t.name {
			return c.entryFault(position, "it begins the tree %q", e.Subject)
		}
		if err := c.chain(e); err != nil {
			return err
		}
	}
	if e.Operation != endTree {
		return nil
	}
	if position != t.size-1 {
		return c.entryFault(position, "it ends the tree, and more follows it")
	}
	if next := t.plan.tree + 1; next < len(c.plans) && e.Subject != c.plans[next].name {
		return c.entryFault(position, "it says that tree %q follows, and tree %s does", e.Subject, c.plans[next].name)
	}
	t.ended = true
	return nil
}

const (
	beginTree = "begin-tree"
	endTree   = "end-tree"
)

// chain checks what a begin-tree entry says of the tree before: that vouches for it, for this entry is in a tree that is
// vouched for itself.
func (c *checker) chain(e *audit.Entry) error {
	t := c.tree
	origin, size, root, err := audit.ParseCheckpointText(e.Detail)
	if err != nil {
		return c.entryFault(0, "its detail is not the text of the old tree's last checkpoint: %v", err)
	}
	if t.plan.tree == 0 {
		return nil // the old tree is not in the export
	}
	old := c.manifest.Trees[t.plan.tree-1]
	if origin != old.Origin || size != old.Size {
		return faultIn(t.name, manifestName, "it says that %s of size %d comes before tree %s; the tree itself says that it is %s of size %d",
			old.Origin, old.Size, t.name, origin, size)
	}
	if root != c.heads[t.plan.tree-1].root {
		return faultIn(old.Name, old.Name+"/"+checkpointName, "tree %s begins after another root of %s than the one that is here", t.name, old.Name)
	}
	return nil
}

// place checks that an entry is in the range if and only if the manifest has it there. Times never run backwards, so one
// entry on either side shows that nothing of the range is missing.
func (c *checker) place(index int64, e *audit.Entry) error {
	m := c.manifest
	wrong := func(why string) error {
		fault := c.entryFault(index-m.Trees[c.tree.plan.tree].First, "%s", why)
		fault.Path = manifestName
		return fault
	}
	switch {
	case c.from.before(index, e.Time) != (index < m.From):
		return wrong("the range that was asked for begins elsewhere: this entry is on the wrong side of where it is said to begin")
	case c.to.after(index, e.Time) != (index >= m.To):
		return wrong("the range that was asked for ends elsewhere: this entry is on the wrong side of where it is said to end")
	}
	if index >= m.From && index < m.To && c.count != nil {
		return c.count(e)
	}
	return nil
}
