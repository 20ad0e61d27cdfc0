package export

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"strongroom.internal/appliance/audit"
)

const (
	manifestName   = "export.json"
	policyName     = "policy"
	checkpointName = "checkpoint"
	manifestFormat = 1
)

// Bounds on what is read of an export's head, in bytes but for maxTrees.
const (
	maxManifest   = 1 << 20
	maxPolicy     = 1 << 20
	maxCheckpoint = 64 << 10
	maxTrees      = 2048
)

// pruneUnit is the span of a tile of level 1. Whatever position a log is pruned to, the tiles of level 1 and above that
// may be gone are those below a multiple of it.
const pruneUnit = tileWidth * tileWidth

// maxIndex bounds indices and sizes: sums of two stay within an int64.
const maxIndex = 1 << 62

// Manifest is the content of export.json: what the export says that it is. Nothing in it is trusted. There is one way to
// write it, and all that it says is either borne out by what else is in the export or refused.
type Manifest struct {
	Format      int    `json:"format"` // 1
	TrustDomain string `json:"trust_domain"`
	Asked       Asked  `json:"asked"`
	From        int64  `json:"from"` // index of the first entry of the range
	To          int64  `json:"to"`   // index after that of the last; equal to From when there is none in the range
	Since       *Since `json:"since"`
	Policy      string `json:"policy_sha256"`
	// Trees are those that the export has files of, the oldest first, without a gap, up to the newest that is signed.
	Trees []ManifestTree `json:"trees"`
	// Digest is the SHA-256, in hex, of the manifest that has nothing here: it shows damage, where Asked could become
	// something else that is true as well.
	Digest string `json:"sha256"`
}

// Asked is the range that was asked for, as it was typed; both empty: everything.
type Asked struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Since is an earlier checkpoint with which the export can be proven consistent, whatever else it has.
type Since struct {
	Tree string `json:"tree"`
	Size int64  `json:"size"`
}

// ManifestTree is what the export has of a tree.
type ManifestTree struct {
	Name       string `json:"name"`
	Origin     string `json:"origin"`
	First      int64  `json:"first"`             // index of its first entry in the whole log
	Size       int64  `json:"size"`              // of its checkpoint
	Minimum    int64  `json:"minimum"`           // position below which nothing is there, for it was pruned: k * 65536
	From       int64  `json:"from"`              // position of its first entry in the range
	To         int64  `json:"to"`                // position after its last
	Checkpoint string `json:"checkpoint_sha256"` // empty: it is not there
}

// encode writes the manifest, with its digest.
func (m *Manifest) encode() ([]byte, error) {
	sealed := *m
	sealed.Digest = ""
	b, err := json.MarshalIndent(sealed, "", "  ")
	if err != nil {
		return nil, err
	}
	sealed.Digest = digest(b)
	b, err = json.MarshalIndent(sealed, "", "  ")
	return append(b, '\n'), err
}

// parseManifest reads what encode wrote, and nothing else.
func parseManifest(b []byte) (*Manifest, error) {
	if len(b) > maxManifest {
		return nil, fmt.Errorf("it has more than %d bytes", maxManifest)
	}
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("it is not what an export begins with: %w", err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("its format is %d, and this program knows %d", m.Format, manifestFormat)
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	// The JSON package is lenient about space, case and repeats; one comparison refuses all of that.
	if again, err := m.encode(); err != nil || !bytes.Equal(b, again) {
		return nil, errors.New("it isn't written the one way, or the digest in it is not its own")
	}
	return m, nil
}

var (
	// Names become folders on any system, so nothing in them may mean something there.
	treeNames    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	trustDomains = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,254}$`)
)

// validate says what can't be, whatever else the export holds. Its messages begin with the member they are about.
func (m *Manifest) validate() error {
	if !trustDomains.MatchString(m.TrustDomain) {
		return fmt.Errorf("trust_domain: %q is none", m.TrustDomain)
	}
	if !isDigest(m.Policy) {
		return errors.New("policy_sha256: it is no SHA-256 in hex")
	}
	if len(m.Trees) == 0 || len(m.Trees) > maxTrees {
		return fmt.Errorf("trees: it has %d", len(m.Trees))
	}
	for k, t := range m.Trees {
		if err := m.validateTree(k, t); err != nil {
			return fmt.Errorf("trees: %q: %w", t.Name, err)
		}
	}
	if err := m.validateRange(); err != nil {
		return err
	}
	return m.validateSince()
}

func (m *Manifest) validateTree(k int, t ManifestTree) error {
	last := k == len(m.Trees)-1
	switch {
	case !treeNames.MatchString(t.Name) || t.Name == manifestName || t.Name == policyName || t.Name == stateName:
		return errors.New("that is no tree's name")
	case slices.ContainsFunc(m.Trees[:k], func(o ManifestTree) bool { return o.Name == t.Name }):
		return errors.New("it is there twice")
	case t.Origin != audit.Origin(m.TrustDomain, t.Name):
		return fmt.Errorf("origin: %q is not that of the tree", t.Origin)
	case t.First < 0 || t.Size < 1 || t.First > maxIndex-t.Size:
		return errors.New("first, size: they are out of bounds")
	case k > 0 && t.First != m.Trees[k-1].First+m.Trees[k-1].Size:
		return errors.New("first: it doesn't follow the tree before")
	case t.Minimum < 0 || t.Minimum > t.Size || t.Minimum%pruneUnit != 0 || k > 0 && t.Minimum > 0:
		return errors.New("minimum: it is out of bounds")
	case !isDigest(t.Checkpoint) && (last || t.Checkpoint != ""):
		return errors.New("checkpoint_sha256: it is no SHA-256 in hex")
	case t.From != min(max(m.From-t.First, 0), t.Size) || t.To != min(max(m.To-t.First, 0), t.Size):
		return errors.New("from, to: they are not those of the range")
	}
	return nil
}

// end is the index after the log's last entry under the newest checkpoint.
func (m *Manifest) end() int64 {
	last := m.Trees[len(m.Trees)-1]
	return last.First + last.Size
}

// needed are the entries that the export has to have, from an index to before another: the range, and on either side of
// a range by time one entry that shows that nothing of the range is missing.
func (m *Manifest) needed() (lo, hi int64) {
	from, to, _ := parseRange(m.Asked.From, m.Asked.To)
	lo, hi = m.From, m.To
	if from.kind == boundTime && lo > 0 {
		lo--
	}
	if to.kind == boundTime && hi < m.end() {
		hi++
	}
	return lo, hi
}

func (m *Manifest) validateRange() error {
	from, to, err := parseRange(m.Asked.From, m.Asked.To)
	if err != nil {
		return fmt.Errorf("asked: %w", err)
	}
	oldest, end := m.Trees[0], m.end()
	lo, hi := m.needed()
	switch {
	case m.From < oldest.First || m.From > m.To || m.To > end:
		return errors.New("from, to: they are out of the log")
	case from.kind == boundOpen && m.From != 0 || from.kind == boundIndex && m.From != from.index:
		return errors.New("from: it is not where the range begins that was asked for")
	case to.kind == boundOpen && m.To != end || to.kind == boundIndex && m.To != min(to.index+1, end):
		return errors.New("to: it is not where the range ends that was asked for")
	case lo < oldest.First:
		return errors.New("trees: the one with the entry before the range is missing")
	case lo >= hi:
		return errors.New("from, to: nothing is needed for them")
	case lo-oldest.First < oldest.Minimum:
		return errors.New("minimum: entries that are needed are below it")
	case lo-oldest.First >= oldest.Size && (m.Since == nil || m.Since.Tree != oldest.Name):
		return fmt.Errorf("trees: nothing needs %q", oldest.Name)
	}
	return nil
}

func (m *Manifest) validateSince() error {
	if m.Since == nil {
		return nil
	}
	for _, t := range m.Trees {
		if t.Name == m.Since.Tree {
			if m.Since.Size < 1 || m.Since.Size > t.Size || m.Since.Size < t.Minimum {
				return errors.New("since: its size is out of bounds")
			}
			return nil
		}
	}
	return fmt.Errorf("since: the tree %q is not there", m.Since.Tree)
}

// plans says of each tree which files the export has to have of it.
func (m *Manifest) plans() []plan {
	lo, hi := m.needed()
	var all []plan
	for k, t := range m.Trees {
		p := plan{tree: k, name: t.Name, size: t.Size, minimum: t.Minimum, begin: k > 0}
		p.lo = min(max(lo-t.First, 0), t.Size)
		p.hi = min(max(hi-t.First, 0), t.Size)
		if m.Since != nil && m.Since.Tree == t.Name {
			p.since = m.Since.Size
		}
		all = append(all, p)
	}
	return all
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == audit.HashSize && hex.EncodeToString(b) == s
}
