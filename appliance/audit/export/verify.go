package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"strongroom.internal/appliance/audit"
)

// Options say by what an export is verified. Policy is required.
type Options struct {
	// Policy has the keys that the auditor trusts, and how many of them have to have signed.
	Policy *audit.Policy
	// Since is the head of an earlier checkpoint, which the export has to be consistent with; nil: none. See ReadHead.
	Since *audit.SignedHead
	// Progress is told the number of entries that were verified, and of all in the export; nil: nobody is.
	Progress func(done, total int64)
	// MaxDistinct bounds the distinct keys, operations and days that are counted in memory; what is beyond is counted in
	// temporary files. 0: 65,536.
	MaxDistinct int
}

// Verify verifies an export, and answers what it shows; the caller closes the report. The first thing that is wrong is a
// *Fault. Any other error says that the export could not be read, or not be counted.
func Verify(ctx context.Context, e *Export, o Options) (*Report, error) {
	began := time.Now()
	m, heads, err := readHeads(e.reader, o.Policy)
	if err != nil {
		return nil, err
	}
	c := newChecker(m, heads)
	c.diagnose, c.since, c.progress = true, o.Since, o.Progress
	if err := c.sinceIsThere(); err != nil {
		return nil, err
	}
	r := newReport(m, o.MaxDistinct)
	c.count = r.count
	if err := e.check(ctx, c); err != nil {
		r.Close()
		return nil, err
	}
	if err := r.finish(c, time.Since(began)); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// check has everything checked that comes after the heads.
func (e *Export) check(ctx context.Context, c *checker) error {
	workers := runtime.GOMAXPROCS(0)
	err := inOrder(ctx, allFiles(c.plans), workers, 4*workers,
		func(_ context.Context, f file) func() (*content, error) {
			load := e.reader.begin(f.name, f.path(), f.maxSize())
			return func() (*content, error) {
				data, err := load()
				if err != nil {
					return nil, missing(f.name, f.path(), err)
				}
				return f.read(data), nil
			}
		}, c.use)
	if err != nil {
		return err
	}
	if err := c.finish(); err != nil {
		return err
	}
	return e.reader.end(c.knows)
}

// sinceIsThere says whether the tree of the earlier checkpoint is in the export at all.
func (c *checker) sinceIsThere() error {
	if c.since == nil {
		return nil
	}
	for _, t := range c.manifest.Trees {
		if t.Origin == c.since.Origin {
			return nil
		}
	}
	return faultIn(c.since.Tree(), manifestName, "it has nothing of %s, of which the earlier checkpoint is; export again with --since",
		c.since.Origin)
}

// readHeads reads and checks what comes before the tiles: the manifest, the proposed policy, the trees' checkpoints.
func readHeads(r reader, p *audit.Policy) (*Manifest, []head, error) {
	read := func(tree, path string, limit int) ([]byte, error) {
		b, err := r.begin(tree, path, limit)()
		return b, missing(tree, path, err)
	}
	b, err := read("", manifestName, maxManifest)
	if err != nil {
		return nil, nil, err
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, nil, faultIn("", manifestName, "%v", err)
	}
	proposed, err := read("", policyName, maxPolicy)
	if err != nil {
		return nil, nil, err
	}
	if digest(proposed) != m.Policy {
		return nil, nil, faultIn("", policyName, "it is not the one whose SHA-256 is in %s", manifestName)
	}
	heads := make([]head, len(m.Trees))
	for k, t := range m.Trees {
		if t.Checkpoint == "" {
			continue
		}
		b, err := read(t.Name, t.Name+"/"+checkpointName, maxCheckpoint)
		if err != nil {
			return nil, nil, err
		}
		if heads[k], err = t.open(b, p, k == len(m.Trees)-1); err != nil {
			return nil, nil, err
		}
	}
	return m, heads, nil
}

// open checks a tree's checkpoint. That of an older tree need not satisfy the policy, whose keys may be newer than it: the
// tree after it vouches for it.
func (t ManifestTree) open(checkpoint []byte, p *audit.Policy, newest bool) (head, error) {
	path := t.Name + "/" + checkpointName
	h, err := p.Open(checkpoint)
	var forged *note.InvalidSignatureError
	if err != nil && (newest || errors.As(err, &forged)) {
		return head{}, faultIn(t.Name, path, "%v", err)
	}
	got := head{known: true, signed: h.Signed}
	if err != nil {
		if h.Origin, h.Size, h.Root, err = unverified(checkpoint); err != nil {
			return head{}, faultIn(t.Name, path, "%v", err)
		}
	}
	got.root = h.Root
	switch {
	case h.Origin != t.Origin:
		return head{}, faultIn(t.Name, path, "it is one of %s, and %s says %s", h.Origin, manifestName, t.Origin)
	case h.Size != t.Size:
		return head{}, faultIn(t.Name, path, "it is one of size %d, and %s says %d", h.Size, manifestName, t.Size)
	case digest(checkpoint) != t.Checkpoint:
		return head{}, faultIn(t.Name, path, "it is not the one whose SHA-256 is in %s", manifestName)
	}
	return got, nil
}

// unverified reads a checkpoint without a look at its signatures.
func unverified(checkpoint []byte) (origin string, size int64, root hash, err error) {
	var n *note.UnverifiedNoteError
	if _, err := note.Open(checkpoint, nil); !errors.As(err, &n) {
		return "", 0, root, fmt.Errorf("%w: %w", audit.ErrCheckpoint, err)
	}
	return audit.ParseCheckpointText(n.Note.Text)
}

// knows says whether a path is that of a file of the export.
func (c *checker) knows(path string) bool {
	if path == manifestName || path == policyName {
		return true
	}
	name, resource, _ := strings.Cut(path, "/")
	for k, p := range c.plans {
		if p.name != name {
			continue
		}
		if resource == checkpointName {
			return c.manifest.Trees[k].Checkpoint != ""
		}
		t, err := parseTile(resource)
		return err == nil && p.has(t)
	}
	return false
}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// ReadHead reads the head of an earlier export or of a checkpoint file, and checks its signatures: audit.ErrCheckpoint, or
// a *Fault, when they are not what the policy wants. Nothing else of an export is looked at.
func ReadHead(path string, p *audit.Policy) (audit.SignedHead, error) {
	h, err := readHead(path, p)
	if err != nil {
		return h, fmt.Errorf("reading the earlier checkpoint %s: %w", path, err)
	}
	return h, nil
}

func readHead(path string, p *audit.Policy) (audit.SignedHead, error) {
	e, err := Open(path)
	if err != nil {
		return audit.SignedHead{}, err
	}
	defer e.Close()
	if a, ok := e.reader.(*archive); ok {
		start, err := a.from.Peek(maxCheckpoint + 1)
		if len(start) == 0 {
			return audit.SignedHead{}, err
		}
		if len(start) <= maxCheckpoint && !bytes.HasPrefix(start, []byte(manifestName+"\x00")) {
			return p.Open(start)
		}
	}
	m, heads, err := readHeads(e.reader, p)
	if err != nil {
		return audit.SignedHead{}, err
	}
	t, h := m.Trees[len(m.Trees)-1], heads[len(heads)-1]
	return audit.SignedHead{
		Origin: t.Origin, Size: t.Size, Root: h.root, Text: audit.CheckpointText(t.Origin, t.Size, h.root), Signed: h.signed,
	}, nil
}
