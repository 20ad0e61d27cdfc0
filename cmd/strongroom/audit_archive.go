package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/archive"
)

// archiveFlags are of both commands.
type archiveFlags struct{ database, policy string }

// open reads the policy and connects to the database.
func (f *archiveFlags) open(c *cobra.Command) (*audit.Policy, *pgx.Conn, func(), error) {
	b, err := os.ReadFile(f.policy)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the policy: %w", err)
	}
	policy, err := audit.ParsePolicy(b)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", f.policy, err)
	}
	db, err := archive.Connect(c.Context(), f.database)
	if errors.Is(err, archive.ErrPassword) || errors.Is(err, archive.ErrPlain) {
		return nil, nil, nil, usage(c, fmt.Errorf("--db: %w", err))
	}
	if err != nil {
		return nil, nil, nil, err
	}
	// The context may have ended when the database is to be told good-bye.
	return policy, db, func() { _ = db.Close(context.WithoutCancel(c.Context())) }, nil
}

func newAuditArchive(t *terminal) *cobra.Command {
	var f archiveFlags
	var o *connection
	var record string
	c := &cobra.Command{
		Use:   "archive",
		Short: "Store the log's entries as rows in PostgreSQL or CockroachDB",
		Long: `Stores what the database has not yet, each entry once, after it was verified: the newest checkpoint has to satisfy the
policy, and every entry has to be in the tree that was signed. It may be interrupted at any time; run again, it goes on
where it was. The tables are made if they aren't there.

--db is a URL or a list of KEY=VALUE; what it leaves open comes from PGHOST, PGSERVICE, PGSSLMODE and so on. It can't have
a password: that belongs into ~/.pgpass or PGPASSFILE. docs/audit-queries.sql has what auditors ask of the rows.`,
		Example: "  strongroom audit archive --db 'postgres://archiver@db.example/audit?sslmode=verify-full' --policy log.policy",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, err := o.client()
			if err != nil {
				return err
			}
			defer cluster.Close()
			policy, db, done, err := f.open(c)
			if err != nil {
				return err
			}
			defer done()
			result, err := archive.Archive(c.Context(), db, servedLog{cluster}, policy, archive.Options{Progress: t.archiveProgress()})
			if err != nil {
				return refusedEvidence(err)
			}
			for _, origin := range result.Unlisted {
				t.say("%q is archived and no part of the log any more: the cluster was restored from a backup that didn't have it", origin)
			}
			t.say("%d entries were stored, everything else was there", result.Inserted)
			if record != "" {
				if err := recordArchive(c.Context(), cluster, db, result, record); err != nil {
					return err
				}
			}
			answer := archived{Inserted: &result.Inserted, Unlisted: result.Unlisted}
			for _, x := range result.Trees {
				answer.add(x, nil)
			}
			return t.print(answer, answer.text)
		},
	}
	o = connectionFlags(c)
	flags := c.PersistentFlags()
	flags.StringVar(&f.database, "db", "", "the database: a URL such as postgres://USER@HOST/DATABASE?sslmode=verify-full")
	flags.StringVar(&f.policy, "policy", "", "file with the keys that have to have signed the log (C2SP tlog-policy)")
	c.Flags().StringVar(&record, "record", "", "tell the cluster that the entries are archived, and in what WHERE; takes an operator's certificate")
	_ = c.MarkPersistentFlagRequired("db")
	_ = c.MarkPersistentFlagRequired("policy")
	_ = c.MarkPersistentFlagFilename("policy")
	c.AddCommand(newAuditArchiveCheck(t, &f))
	return c
}

// recordArchive tells the cluster what the rows have, computed anew from them, so that it may be pruned.
func recordArchive(ctx context.Context, cluster *client.Client, db *pgx.Conn, result *archive.Result, where string) error {
	extents, err := archive.Archived(ctx, db)
	if err != nil {
		return refusedEvidence(err)
	}
	for _, x := range extents {
		if x.Size == 0 || slices.Contains(result.Unlisted, x.Origin) {
			continue
		}
		if err := cluster.RecordLogArchive(ctx, wire.LogArchive{Tree: x.Tree, Size: x.Size, Root: x.Root[:], Where: where}); err != nil {
			return fmt.Errorf("recording that tree %s is archived up to %d: %w", x.Tree, x.Size, err)
		}
	}
	return nil
}

func newAuditArchiveCheck(t *terminal, f *archiveFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check that an archive's rows are what the log's signers signed",
		Long: `Computes each tree's root anew from the archived bytes, checks it against the archived checkpoints and these against the
policy, and compares every other column with the bytes. The first row that is wrong is named. It needs no cluster, and
no more than the right to read.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			policy, db, done, err := f.open(c)
			if err != nil {
				return err
			}
			defer done()
			report, err := archive.Check(c.Context(), db, policy)
			if err != nil {
				return refusedEvidence(err)
			}
			var answer archived
			for _, r := range report {
				if r.Unsigned > 0 {
					t.say("tree %s: %d of %d older checkpoints are signed by others than the policy wants; a later one vouches for the same rows",
						r.Tree, r.Unsigned, r.Checkpoints)
				}
				answer.add(r.Extent, &r.Signed)
			}
			return t.print(answer, answer.text)
		},
	}
}

// refusedEvidence gives an error its exit code: that evidence is wrong is another thing than that there is none.
func refusedEvidence(err error) error {
	var fault *archive.Fault
	var fork *archive.Fork
	if errors.As(err, &fault) || errors.As(err, &fork) || errors.Is(err, archive.ErrSource) || errors.Is(err, audit.ErrCheckpoint) {
		return &exitError{exitRefused, err}
	}
	return err
}

// archived is what both commands print.
type archived struct {
	Trees    []archivedTree `json:"trees"`
	Inserted *int64         `json:"inserted,omitempty"`
	Unlisted []string       `json:"unlisted,omitempty"`
}

type archivedTree struct {
	Name   string `json:"name"`
	Origin string `json:"origin"`
	First  int64  `json:"first"`
	Size   int64  `json:"size"`
	Root   []byte `json:"root"`
	Signed *int64 `json:"signed,omitempty"`
}

func (a *archived) add(x archive.Extent, signed *int64) {
	a.Trees = append(a.Trees, archivedTree{x.Tree, x.Origin, x.First, x.Size, x.Root[:], signed})
}

func (a *archived) text(w io.Writer) {
	fmt.Fprintln(w, "TREE\tFIRST\tSIZE\tROOT")
	for _, t := range a.Trees {
		fmt.Fprintf(w, "%s\t%d\t%d\t%x\n", t.Name, t.First, t.Size, t.Root)
	}
}

// archiveProgress says now and then how far it is.
func (t *terminal) archiveProgress() func(archive.Progress) {
	const pause = 5 * time.Second
	last := time.Now()
	return func(p archive.Progress) {
		if now := time.Now(); now.Sub(last) >= pause {
			last = now
			t.say("tree %s: %d of %d entries", p.Tree, p.Position, p.Size)
		}
	}
}

// servedLog is a cluster's log as a source.
type servedLog struct{ cluster *client.Client }

func (l servedLog) Trees(ctx context.Context) ([]archive.Tree, error) {
	trees, err := l.cluster.LogTrees(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]archive.Tree, len(trees))
	for i, t := range trees {
		list[i] = archive.Tree{
			Name: t.Name, Origin: t.Origin, First: t.First, Size: t.Size, Closed: t.Closed, Minimum: t.Minimum, Signed: t.Signed,
		}
	}
	return list, nil
}

func (l servedLog) Read(ctx context.Context, tree, path string) ([]byte, error) {
	return l.cluster.LogResource(ctx, tree, path)
}
