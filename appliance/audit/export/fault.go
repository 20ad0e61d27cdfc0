package export

import "fmt"

// Fault is the first thing that is wrong with an export, or with what a log's server answered, and where.
type Fault struct {
	// Tree is the tree's name; empty when it is not about one.
	Tree string `json:"tree"`
	// Path is the file's, within the export.
	Path string `json:"path"`
	// Entry is the index in the whole log of the entry that is wrong; -1 when it is not one entry.
	Entry int64 `json:"entry"`
	// Position is that of the entry in its tree; -1 likewise.
	Position int64  `json:"position"`
	Why      string `json:"why"`
}

// Error says what is wrong and where, in one line.
func (f *Fault) Error() string {
	if f.Entry < 0 {
		return fmt.Sprintf("%s: %s", f.Path, f.Why)
	}
	return fmt.Sprintf("%s: entry %d (position %d of tree %s): %s", f.Path, f.Entry, f.Position, f.Tree, f.Why)
}

// faultIn is a fault of a whole file.
func faultIn(tree, path, format string, args ...any) *Fault {
	return &Fault{Tree: tree, Path: path, Entry: -1, Position: -1, Why: fmt.Sprintf(format, args...)}
}
