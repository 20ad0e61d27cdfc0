package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"strongroom.internal/appliance/audit"
)

// Source is where a log is read from. It is not trusted. It has to be safe for concurrent use.
type Source interface {
	// Trees lists the log's trees, the oldest first.
	Trees(ctx context.Context) ([]Tree, error)
	// Policy is the C2SP tlog-policy that the cluster proposes.
	Policy(ctx context.Context) ([]byte, error)
	// Read reads a resource of a tree, named as C2SP tlog-tiles does. An error that matches fs.ErrNotExist says that there
	// is none; any other, that it could not be read.
	Read(ctx context.Context, tree, path string) ([]byte, error)
}

// Tree is what a source says of a tree.
type Tree struct {
	Name    string
	Origin  string
	First   int64 // index of its first entry in the whole log
	Size    int64 // number of its entries
	Closed  bool  // another has followed
	Minimum int64 // position below which it is pruned
	Signed  int64 // size of its newest checkpoint; 0: it has none
}

// fetch reads a tile or bundle. A partial one that is gone is cut from the full one.
func fetch(ctx context.Context, s Source, f file) ([]byte, error) {
	b, err := s.Read(ctx, f.name, f.resource())
	if errors.Is(err, fs.ErrNotExist) && f.partial() {
		full := f
		full.W = tileWidth
		var all []byte
		if all, err = s.Read(ctx, f.name, full.resource()); err == nil {
			b, err = f.cut(all)
		}
	}
	if err != nil {
		return nil, missing(f.name, f.path(), err)
	}
	if len(b) > f.maxSize() {
		return nil, tooLong(f.name, f.path(), f.maxSize())
	}
	return b, nil
}

// survey is what an export of a source starts from: its head, which stays as it is until the export is done.
type survey struct {
	Manifest    *Manifest `json:"manifest"`
	Policy      []byte    `json:"policy"`
	Checkpoints [][]byte  `json:"checkpoints"` // of the manifest's trees; nil where there is none
}

// look surveys a source for an export.
func look(ctx context.Context, s Source, c Config) (*survey, error) {
	proposed, err := s.Policy(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the proposed policy: %w", err)
	}
	if len(proposed) > maxPolicy {
		return nil, tooLong("", policyName, maxPolicy)
	}
	trees, err := signedTrees(ctx, s)
	if err != nil {
		return nil, err
	}
	v := &survey{Policy: proposed, Manifest: &Manifest{
		Format: manifestFormat, Asked: c.Asked, Policy: digest(proposed),
		TrustDomain: trustDomainOf(trees[0]),
	}}
	for k, t := range trees {
		mt := ManifestTree{Name: t.Name, Origin: t.Origin, First: t.First, Size: t.Size, Minimum: t.Minimum / pruneUnit * pruneUnit}
		checkpoint, err := s.Read(ctx, t.Name, checkpointName)
		switch newest := k == len(trees)-1; {
		case errors.Is(err, fs.ErrNotExist) && !newest:
			checkpoint = nil
		case err != nil:
			return nil, fmt.Errorf("reading the checkpoint of tree %s: %w", t.Name, err)
		case len(checkpoint) > maxCheckpoint:
			return nil, tooLong(t.Name, t.Name+"/"+checkpointName, maxCheckpoint)
		default:
			mt.Checkpoint = digest(checkpoint)
			if newest { // it may have grown since it was listed
				if _, mt.Size, _, err = unverified(checkpoint); err != nil {
					return nil, faultIn(t.Name, t.Name+"/"+checkpointName, "%v", err)
				}
			}
		}
		v.Checkpoints = append(v.Checkpoints, checkpoint)
		v.Manifest.Trees = append(v.Manifest.Trees, mt)
	}
	if c.Since != nil {
		v.Manifest.Since = &Since{Tree: c.Since.Tree(), Size: c.Since.Size}
	}
	if err := v.locate(ctx, s, trees); err != nil {
		return nil, err
	}
	if err := v.Manifest.validate(); err != nil {
		return nil, fmt.Errorf("the log is not one that can be exported so: %w", err)
	}
	return v, nil
}

// signedTrees are the trees up to the newest that has a checkpoint.
func signedTrees(ctx context.Context, s Source) ([]Tree, error) {
	trees, err := s.Trees(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the log's trees: %w", err)
	}
	for len(trees) > 0 && trees[len(trees)-1].Signed == 0 {
		trees = trees[:len(trees)-1]
	}
	if len(trees) == 0 {
		return nil, errors.New("the log has no signed checkpoint yet")
	}
	if len(trees) > maxTrees {
		return nil, fmt.Errorf("the log has %d trees; %d are too many", len(trees), maxTrees)
	}
	for _, t := range trees {
		if !treeNames.MatchString(t.Name) || t.Minimum < 0 || t.Size < 1 || t.First < 0 || t.First > maxIndex-t.Size || t.Minimum > t.Size {
			return nil, fmt.Errorf("listing the log's trees: %q is no tree of a log", t.Name)
		}
	}
	return trees, nil
}

func trustDomainOf(t Tree) string {
	n := len(t.Origin) - len(audit.Origin("", t.Name))
	if n < 0 {
		return ""
	}
	return t.Origin[:n] // validate compares
}
