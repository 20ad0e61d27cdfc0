package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

func newLogRetention(t *terminal, o *connection) *cobra.Command {
	c := &cobra.Command{
		Use:   "retention",
		Short: "Show or set for how long nodes keep the log",
		Long: `The written policy without which nothing of the log is pruned. By itself it removes nothing: what is older than it says
and in an archive may be removed by ` + "`strongroom log prune`.",
		RunE: needsCommand,
	}
	c.AddCommand(&cobra.Command{
		Use:   "get",
		Short: "Show it",
		Args:  cobra.NoArgs,
		RunE:  calls(o, (*client.Client).LogRetention, t.printRetention),
	}, newLogRetentionSet(t, o))
	return c
}

func newLogRetentionSet(t *terminal, o *connection) *cobra.Command {
	var r wire.LogRetention
	c := &cobra.Command{
		Use:     "set --keep-days N",
		Short:   "Set it; 0 keeps everything for ever",
		Example: "  strongroom log retention set --keep-days 730",
		Args:    cobra.NoArgs,
		RunE: calls(o, func(cluster *client.Client, ctx context.Context) (wire.LogRetention, error) {
			return r, cluster.SetLogRetention(ctx, r)
		}, t.printRetention),
	}
	c.Flags().IntVar(&r.KeepDays, "keep-days", 0, "for how many days an entry is kept at least; 0: for ever")
	_ = c.MarkFlagRequired("keep-days")
	return c
}

func (t *terminal) printRetention(r wire.LogRetention) error {
	return t.print(r, func(w io.Writer) {
		text := "for ever"
		if r.KeepDays > 0 {
			text = fmt.Sprintf("%d days", r.KeepDays)
		}
		fmt.Fprintf(w, "keep\t%s\n", text)
	})
}

func newLogWitnesses(t *terminal, o *connection) *cobra.Command {
	c := &cobra.Command{
		Use:   "witnesses",
		Short: "Show or set the witnesses that others run, which cosign the log (C2SP tlog-witness)",
		RunE:  needsCommand,
	}
	c.AddCommand(&cobra.Command{
		Use:   "get",
		Short: "List them, as `set` reads them",
		Args:  cobra.NoArgs,
		RunE:  calls(o, (*client.Client).LogWitnesses, t.printWitnesses),
	}, newLogWitnessesSet(t, o))
	return c
}

func newLogWitnessesSet(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "set FILE",
		Short: "Replace the list by that of a file, or of stdin for -",
		Long: `Each line of the file is a witness, as in a C2SP tlog-policy:

  witness NAME VKEY URL

Empty lines and lines that begin with # are passed over; a file without a witness ends their use. A witness that is away
holds nothing up.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, err := t.readWitnesses(args[0])
			if err != nil {
				return err
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			if err := cluster.SetLogWitnesses(ctx, list); err != nil {
				return err
			}
			return t.printWitnesses(list)
		},
	}
}

// maxWitnesses bounds the file, in bytes.
const maxWitnesses = 64 << 10

func (t *terminal) readWitnesses(path string) (list []wire.LogWitness, err error) {
	var raw []byte
	if path == "-" {
		raw, err = io.ReadAll(io.LimitReader(t.in, maxWitnesses))
	} else {
		raw, err = readAtMost(path, maxWitnesses)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the witnesses: %w", err)
	}
	return parseWitnesses(raw)
}

func parseWitnesses(raw []byte) ([]wire.LogWitness, error) {
	list := []wire.LogWitness{}
	for i, line := range bytes.Split(raw, []byte("\n")) {
		f := strings.Fields(string(line))
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case len(f) == 4 && f[0] == "witness":
			list = append(list, wire.LogWitness{VKey: f[2], URL: f[3]})
		default:
			return nil, fmt.Errorf("reading the witnesses: line %d is not `witness NAME VKEY URL`", i+1)
		}
	}
	return list, nil
}

func (t *terminal) printWitnesses(list []wire.LogWitness) error {
	return t.print(list, func(w io.Writer) {
		for i, x := range list {
			fmt.Fprintf(w, "witness external-%d %s %s\n", i+1, x.VKey, x.URL)
		}
	})
}

func newLogPrune(t *terminal, o *connection) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "prune TREE POSITION",
		Short: "Remove a tree's entries below a position from all nodes, for good",
		Long: `Only what is older than the retention says (` + "`strongroom log retention`" + `) and recorded as archived can be removed; what is
refused is in the log too. Entries go by whole bundles of 256. Proofs and checkpoints of what stays still work; of what
went, the archive alone has the entries.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			position, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || position < 1 {
				return usage(c, errors.New("POSITION must be a number of at least 1"))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			consequence := fmt.Sprintf("This removes the entries below position %d of tree %s from every node, for good.", position, args[0])
			if err := t.confirm(yes, args[0], consequence); err != nil {
				return err
			}
			p := wire.LogPruning{Tree: args[0], Position: position}
			if err := cluster.PruneLog(ctx, p); err != nil {
				return err
			}
			return t.print(p, func(w io.Writer) { fmt.Fprintf(w, "pruned tree %s below position %d\n", p.Tree, p.Position) })
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without being asked")
	return c
}
