// Package export exports the key-usage log, or a part of it, and verifies what was exported, with nothing but a policy
// file: without a network, and without the appliance.
//
// # Format
//
// An export is a directory, or a tar archive of the same files:
//
//	export.json                     what it is: see Manifest
//	policy                          the C2SP tlog-policy that the cluster proposed
//	<tree>/checkpoint               C2SP tlog-checkpoint, signed
//	<tree>/tile/<level>/<n>[.p/<w>] C2SP tlog-tiles: hashes
//	<tree>/tile/entries/<n>[.p/<w>] C2SP tlog-tiles: entries
//
// so that each tree of a whole export is a log of its own to any tool that knows C2SP tlog-tiles. An export of a range has
// the bundles with the range's entries, and for a range by time those with the entry before and the entry after it; the
// tiles of level 0 for these bundles; all tiles above; and of each tree but the oldest the first bundle. With an earlier
// checkpoint at hand, also the tile of level 0 at its edge. Nothing else may be there.
//
// # What verifies what
//
// The policy verifies the newest tree's checkpoint. Its root verifies the tiles, each tile those below it, and those of
// level 0 the entries. The first entry of a tree is the last checkpoint of the tree before, which so is verified too. The
// places and times of the entries show that the range is whole. export.json says nothing that isn't compared with that,
// and the proposed policy is only there to be read.
package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"strongroom.internal/appliance/audit"
)

// Config says what to export, and where to.
type Config struct {
	// Out is the directory that is made, or, if it ends in .tar, the file. The files of an archive are gathered in a
	// directory beside it, Out with .partial after it, before they are packed.
	Out string
	// Asked is the range. From and to each are an index, a date (UTC), or an RFC 3339 time, and belong to the range; a
	// date to its end, a time without a fraction to the end of its second. Empty: from the log's beginning, to its end.
	Asked Asked
	// Since is an earlier checkpoint with which it shall be possible to prove this export consistent; nil: none. An export
	// of everything needs none. Whether it is consistent is for Verify to say: an export of a log that was rewritten is
	// what shows that.
	Since *audit.SignedHead
	// Policy is what the checkpoints have to satisfy; nil: the one that the cluster proposes. That is enough to find a
	// broken server, and shows nothing to an auditor.
	Policy *audit.Policy
	// Workers is how many files are fetched at a time; 0: eight. At most five times as many are in memory at once, each
	// of them usually 100 kB, and never more than 17 MB.
	Workers int
	// Progress is told the number of entries that were exported, and of all; nil: nobody is.
	Progress func(done, total int64)
}

const defaultWorkers = 8

// Done is what Run has exported.
type Done struct {
	Manifest *Manifest
	Entries  int64 // in the export, those beside the range included
	Fetched  int64 // files that were not there from a run before
	Files    int64
}

var (
	// ErrExists: there is a finished export, or something that is none, where the export should go.
	ErrExists = errors.New("there is something already")
	// ErrOther: there is an unfinished export of something else.
	ErrOther = errors.New("there is an unfinished export of something else")
)

// Run exports. What a run that was interrupted has left is gone on with: the checkpoint is that of the first run, and
// files that are there and are right are not fetched again. It answers ErrExists, ErrOther, a *Fault when what the source
// says is wrong, and the source's errors. Only a finished export has an export.json, or is an archive.
func Run(ctx context.Context, s Source, c Config) (*Done, error) {
	if _, _, err := parseRange(c.Asked.From, c.Asked.To); err != nil {
		return nil, err
	}
	d, err := openDestination(c.Out)
	if err != nil {
		return nil, err
	}
	v, err := d.resume(c)
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		v, err = look(ctx, s, c)
	}
	if err != nil {
		return nil, err
	}
	heads, err := v.open(c.Policy)
	if err == nil && fresh {
		err = d.begin(v)
	}
	if err != nil {
		return nil, err
	}
	done, err := d.fill(ctx, s, c, v, heads)
	if err != nil {
		return nil, err
	}
	return done, d.finish(v)
}

// open checks the checkpoints of a survey.
func (v *survey) open(p *audit.Policy) ([]head, error) {
	if p == nil {
		var err error
		if p, err = audit.ParsePolicy(v.Policy); err != nil {
			return nil, fmt.Errorf("the policy that the cluster proposes: %w", err)
		}
	}
	heads := make([]head, len(v.Checkpoints))
	for k, t := range v.Manifest.Trees {
		if t.Checkpoint == "" {
			continue
		}
		var err error
		if heads[k], err = t.open(v.Checkpoints[k], p, k == len(heads)-1); err != nil {
			return nil, err
		}
	}
	return heads, nil
}

// fill fetches what isn't there yet. Everything goes through the checker, what was there too.
func (d *destination) fill(ctx context.Context, s Source, c Config, v *survey, heads []head) (*Done, error) {
	workers := c.Workers
	if workers <= 0 {
		workers = defaultWorkers
	}
	checker := newChecker(v.Manifest, heads)
	checker.progress = c.Progress
	done := &Done{Manifest: v.Manifest}
	download := func(ctx context.Context, f file) (*content, error) {
		data, err := fetch(ctx, s, f)
		if err != nil {
			return nil, err
		}
		return f.read(data), nil
	}
	err := inOrder(ctx, allFiles(checker.plans), workers, 4*workers,
		func(ctx context.Context, f file) func() (*content, error) {
			return func() (*content, error) {
				// The right edge is checked as a whole, so it can't be told which file of it was spoilt: it is fetched anew.
				if f.L == bundles || !f.partial() {
					if data, err := d.read(f); err == nil {
						got := f.read(data)
						got.local = true
						return got, nil
					}
				}
				return download(ctx, f)
			}
		},
		func(f file, got *content) error {
			err := checker.vouch(f, got)
			if err != nil && got.local {
				if got, err = download(ctx, f); err == nil {
					err = checker.vouch(f, got)
				}
			}
			if err == nil && !got.local {
				done.Fetched++
				err = d.write(f.path(), got.data)
			}
			if err != nil {
				return err
			}
			done.Files++
			return checker.take(f, got)
		})
	if err == nil {
		err = checker.finish()
	}
	done.Entries = checker.done
	return done, err
}
