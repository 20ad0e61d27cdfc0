package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/export"
)

// exported is what an export was made of.
type exported struct {
	Out        string `json:"out"`
	From       int64  `json:"from"`
	To         int64  `json:"to"` // index after the last entry
	Entries    int64  `json:"entries"`
	Tree       string `json:"tree"` // the newest
	Size       int64  `json:"size"` // of its checkpoint
	Files      int64  `json:"files"`
	Downloaded int64  `json:"downloaded"` // files; the others were there from a run before
}

func newAuditExport(t *terminal) *cobra.Command {
	var config export.Config
	var since, policy string
	c := &cobra.Command{
		Use:   "export --out DIR|FILE.tar",
		Short: "Export the log, or a range of it, to be verified offline",
		Long: `Exports the log to a directory or, if --out ends in .tar, to one file. Without --from and --to it is everything. Each is
an index, a date (UTC), or a time such as 2026-03-31T12:00:00Z; both belong to the range, a date with its whole day. With
--since, it can be proven consistent with an earlier export, which need not be at hand then; a whole export needs none.

What comes is verified as it comes. A run that was interrupted is gone on with by running the same again: the checkpoint
stays that of the first run. --timeout is for each request.`,
		Example: `  strongroom audit export --out whole
  strongroom audit export --from 2026-01-01 --to 2026-03-31 --since 2025-q4.tar --out 2026-q1.tar`,
		Args: cobra.NoArgs,
	}
	o := connectionFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if config.Workers < 1 {
			return usage(c, fmt.Errorf("--workers %d is less than one", config.Workers))
		}
		cluster, _, end, err := o.open(c)
		if err != nil {
			return err
		}
		defer end()
		ctx := c.Context() // an export may take long; the client bounds each request
		source := clusterLog{cluster}
		if policy != "" {
			if config.Policy, err = export.ReadPolicy(policy); err != nil {
				return err
			}
		}
		if since != "" {
			if config.Since, err = earlier(ctx, source, since, config.Policy); err != nil {
				return refused(err)
			}
		}
		config.Progress = export.Progress(t.say)
		done, err := export.Run(ctx, source, config)
		switch {
		case errors.Is(err, client.ErrUnavailable), errors.Is(err, context.Canceled):
			return &exitError{exitFailure, fmt.Errorf("%w\n  What was exported is kept. Run the same again to go on", err)}
		case err != nil:
			return refused(err)
		}
		return t.printExport(config.Out, done)
	}
	f := c.Flags()
	f.StringVar(&config.Out, "out", "", "directory or .tar file to make")
	f.StringVar(&config.Asked.From, "from", "", "first index, date or time (default: the log's beginning)")
	f.StringVar(&config.Asked.To, "to", "", "last index, date or time (default: the newest checkpoint)")
	f.StringVar(&since, "since", "", "earlier export or checkpoint file to be consistent with")
	f.StringVar(&policy, "policy", "", "policy file that has to be satisfied (default: the one that the cluster proposes)")
	f.IntVar(&config.Workers, "workers", 8, "files to fetch at a time")
	_ = c.MarkFlagRequired("out")
	return c
}

// earlier reads the checkpoint of an earlier export.
func earlier(ctx context.Context, source export.Source, path string, p *audit.Policy) (*audit.SignedHead, error) {
	if p == nil {
		b, err := source.Policy(ctx)
		if err != nil {
			return nil, err
		}
		if p, err = audit.ParsePolicy(b); err != nil {
			return nil, fmt.Errorf("the policy that the cluster proposes: %w", err)
		}
	}
	h, err := export.ReadHead(path, p)
	return &h, err
}

func (t *terminal) printExport(out string, done *export.Done) error {
	m := done.Manifest
	newest := m.Trees[len(m.Trees)-1]
	r := exported{
		Out: out, From: m.From, To: m.To, Entries: m.To - m.From, Tree: newest.Name, Size: newest.Size, Files: done.Files, Downloaded: done.Fetched,
	}
	return t.print(r, func(w io.Writer) {
		fmt.Fprintf(w, "exported to\t%s\n", r.Out)
		if r.Entries > 0 {
			fmt.Fprintf(w, "entries\t%d, from index %d to %d\n", r.Entries, r.From, r.To-1)
		} else {
			fmt.Fprintf(w, "entries\tnone is in the range\n")
		}
		fmt.Fprintf(w, "checkpoint\ttree %s, size %d\nfiles\t%d, %d of them fetched now\n", r.Tree, r.Size, r.Files, r.Downloaded)
	})
}

// clusterLog is the log of a cluster as a source of exports.
type clusterLog struct{ cluster *client.Client }

func (l clusterLog) Trees(ctx context.Context) ([]export.Tree, error) {
	all, err := l.cluster.LogTrees(ctx)
	if err != nil {
		return nil, err
	}
	var trees []export.Tree
	for _, w := range all {
		trees = append(trees, export.Tree{
			Name: w.Name, Origin: w.Origin, First: w.First, Size: w.Size, Closed: w.Closed, Minimum: w.Minimum, Signed: w.Signed,
		})
	}
	return trees, nil
}

func (l clusterLog) Policy(ctx context.Context) ([]byte, error) { return l.cluster.LogPolicy(ctx) }

func (l clusterLog) Read(ctx context.Context, tree, path string) ([]byte, error) {
	b, err := l.cluster.LogResource(ctx, tree, path)
	var p *client.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return b, err
}
