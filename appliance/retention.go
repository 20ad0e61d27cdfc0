package appliance

import (
	"context"
	"errors"
	"fmt"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
)

// Retention is the written policy without which nothing of the log is ever pruned (C2SP tlog-tiles, "Retention Policies").
// The zero value is the safe one: nothing may be.
type Retention struct {
	// KeepDays is for how many days an entry must be kept on the nodes; 0: for ever.
	KeepDays int `cbor:"1,keyasint,omitempty" json:"keep_days"`
}

// maxKeepDays bounds Retention.KeepDays: a hundred years.
const maxKeepDays = 36_525

// Validate reports what is wrong with the policy.
func (r Retention) Validate() error {
	if r.KeepDays < 0 || r.KeepDays > maxKeepDays {
		return fmt.Errorf("keep_days: must be 0, for ever, or up to %d", maxKeepDays)
	}
	return nil
}

type setRetention struct {
	Retention Retention `cbor:"1,keyasint"`
}

// setArchived records that entries of a tree are in an archive: all below a size, which hash to a root.
type setArchived struct {
	Tree  string   `cbor:"1,keyasint"`
	Size  int64    `cbor:"2,keyasint"`
	Root  [32]byte `cbor:"3,keyasint"`
	Where string   `cbor:"4,keyasint"`
}

// prune ends the keeping of a tree's entries below a position. Last is the time of the last of them, which the node has
// read from its own log.
type prune struct {
	Tree     string       `cbor:"1,keyasint"`
	Position int64        `cbor:"2,keyasint"`
	Last     account.Time `cbor:"3,keyasint"`
}

func (r *setRetention) decide(tx cluster.Tx) (estateDecision, error) {
	return estateDecision{operation: "set-log-retention", detail: inJSON(r.Retention), outcome: account.Done, write: func() {
		tx.Set([]byte(retentionRecord), mustEncode(r.Retention))
	}}, nil
}

// decide takes the operator's word that the archive is there, and nobody's that it is of this log: a checkpoint of that
// size and root must have counted.
func (a *setArchived) decide(tx cluster.Tx, _ account.Time) (estateDecision, error) {
	d := estateDecision{
		operation: "record-archive", subject: a.Tree, outcome: account.NotFound,
		detail: fmt.Sprintf("size %d, root %x, in %s", a.Size, a.Root, a.Where),
	}
	c, known, err := readRecord[checkpoint](tx, checkpointPrefix+a.Tree)
	if err != nil || !known || a.Size > c.Size {
		return d, err
	}
	old, _, err := readRecord[setArchived](tx, archivePrefix+a.Tree)
	if err != nil {
		return d, err
	}
	d.outcome = account.Done
	if a.Size > old.Size {
		d.write = func() { tx.Set([]byte(archivePrefix+a.Tree), mustEncode(*a)) }
	}
	return d, nil
}

func (p *prune) decide(tx cluster.Tx, at account.Time) (estateDecision, error) {
	d := estateDecision{operation: "prune-log", subject: p.Tree, detail: fmt.Sprintf("below position %d", p.Position), outcome: account.RefusedByPolicy}
	policy, _, err := readRecord[Retention](tx, retentionRecord)
	if err != nil {
		return d, err
	}
	archived, _, err := readRecord[setArchived](tx, archivePrefix+p.Tree)
	if err != nil {
		return d, err
	}
	before, _, err := readRecord[int64](tx, prunedPrefix+p.Tree)
	if err != nil {
		return d, err
	}
	const day = 24 * 60 * 60 * 1000
	if policy.KeepDays == 0 || p.Position > archived.Size || at-p.Last < account.Time(policy.KeepDays)*day {
		return d, nil
	}
	d.outcome = account.Done
	if p.Position > before {
		d.write = func() { tx.Set([]byte(prunedPrefix+p.Tree), mustEncode(p.Position)) }
	}
	return d, nil
}

// LogRetention is the policy in force.
func (s *Service) LogRetention(ctx context.Context) (r Retention, err error) {
	if err := s.engine.Sync(ctx); err != nil {
		return r, engineError(err)
	}
	err = s.engine.View(func(v cluster.Reader) error {
		r, _, err = readRecord[Retention](v, retentionRecord)
		return err
	})
	return r, err
}

// SetLogRetention replaces the policy.
func (s *Service) SetLogRetention(ctx context.Context, c Caller, r Retention) error {
	if err := r.Validate(); err != nil {
		return &InvalidError{Field: "retention", Reason: err.Error()}
	}
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, Retention: &setRetention{r}})
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// Archive is an operator's word that entries of a tree are archived.
type Archive struct {
	Tree  string
	Size  int64    // all below it
	Root  [32]byte // of the tree at that size
	Where string   // for people
}

// RecordArchive records that entries are archived, so that they may be pruned once the policy lets them. It refuses a root
// that is not this log's at that size.
func (s *Service) RecordArchive(ctx context.Context, c Caller, a Archive) error {
	if a.Size < 1 || len(a.Where) > 256 {
		return &InvalidError{Field: "archive", Reason: "needs a size of at least 1, and a place of at most 256 bytes"}
	}
	t, err := s.engine.Log().Tree(a.Tree)
	if err != nil {
		return logError(err)
	}
	root, err := rootAt(t, a.Size)
	if err != nil {
		return logError(err)
	}
	if root != a.Root {
		return &InvalidError{Field: "root", Reason: "is not the root of this log's tree at that size: the archive is of another log, or damaged"}
	}
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, Archived: &setArchived{a.Tree, a.Size, a.Root, a.Where}})
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// PruneLog removes the entries of a tree below a position from all nodes, if the policy lets them go and they are archived.
func (s *Service) PruneLog(ctx context.Context, c Caller, tree string, position int64) error {
	t, err := s.engine.Log().Tree(tree)
	if err != nil {
		return logError(err)
	}
	if position < 1 {
		return &InvalidError{Field: "position", Reason: "must be at least 1"}
	}
	last, err := t.Entries(position-1, 1)
	if err != nil {
		return logError(err)
	}
	if len(last) == 0 {
		return &InvalidError{Field: "position", Reason: "is past the tree's end"}
	}
	e, err := audit.ParseEntry(last[0])
	if err != nil {
		return err
	}
	result, _, err := s.proposeEstate(ctx, estate{
		Actor: c.Identity, Prune: &prune{Tree: tree, Position: position, Last: account.Time(e.Time)},
	})
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// pruneFiles does on this node's disk what the state says. It is repeated, and does nothing the second time.
func (s *Service) pruneFiles(context.Context) error {
	marks := map[string]int64{}
	err := s.engine.View(func(r cluster.Reader) error {
		return scanRecords(r, prunedPrefix, func(key string, position int64) { marks[key[len(prunedPrefix):]] = position })
	})
	if err != nil {
		return err
	}
	var errs []error
	for tree, position := range marks {
		if s.pruned[tree] >= position {
			continue
		}
		if err := s.engine.Log().Prune(tree, position); err != nil {
			errs = append(errs, err)
			continue
		}
		s.pruned[tree] = position
	}
	return errors.Join(errs...)
}
