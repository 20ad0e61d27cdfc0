package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// logPage is how many entries are asked for at once; a node gives no more.
const logPage = 512

func newLog(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "Read, search and prove the key-usage log, and say how long it is kept",
		Long: `Each use of a key has an entry in the key-usage log. Auditors and operators read it; operators say for how long it is kept
and who else signs it.`,
		RunE: needsCommand,
	}
	o := connectionFlags(c)
	c.AddCommand(newLogHead(t, o), newLogTrees(t, o), newLogEntries(t, o), newLogSearch(t, o), newLogFollow(t, o),
		newLogProof(t, o), newLogRequestID(t), newLogRetention(t, o), newLogWitnesses(t, o), newLogPrune(t, o))
	return c
}

func newLogHead(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "head",
		Short: "Show the log's size, its tree and that tree's Merkle root (RFC 6962), and how far it is signed",
		Args:  cobra.NoArgs,
		RunE: calls(o, (*client.Client).LogHead, func(head wire.LogHead) error {
			return t.print(head, func(w io.Writer) {
				fmt.Fprintf(w, "size\t%d\ntree\t%s\nroot\t%x\nsigned\t%d\n", head.Size, head.Tree, head.Root, head.Signed)
			})
		}),
	}
}

func newLogTrees(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "trees",
		Short: "List the log's trees: one a year, chained by their last checkpoints",
		Args:  cobra.NoArgs,
		RunE: calls(o, (*client.Client).LogTrees, func(trees []wire.LogTree) error {
			return t.print(trees, func(w io.Writer) {
				fmt.Fprintln(w, "TREE\tFIRST\tSIZE\tSIGNED\tPRUNED BELOW\tSTATE\tORIGIN")
				for _, x := range trees {
					state := "grows"
					if x.Closed {
						state = "over"
					}
					fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", x.Name, x.First, x.Size, x.Signed, x.Minimum, state, x.Origin)
				}
			})
		}),
	}
}

func newLogEntries(t *terminal, o *connection) *cobra.Command {
	var from int64
	var count int64
	c := &cobra.Command{
		Use:   "entries",
		Short: "Print entries, one JSON object a line: the exact bytes that the tree was made of",
		Long: `Prints entries as they are in the log, one JSON object a line, whatever --output says: a change of a byte would change
the tree. Without --count, all from --from on.`,
		Example: "  strongroom log entries --from 100 --count 20 | jq .outcome",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if from < 0 || count < 0 {
				return usage(c, fmt.Errorf("--from and --count can't be negative"))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			for left := count; ; {
				n := int64(logPage)
				if count > 0 {
					n = min(n, left)
				}
				entries, err := cluster.LogEntries(ctx, from, int(n))
				if err != nil {
					return err
				}
				for _, e := range entries {
					if err := t.printEntry(from, e); err != nil {
						return err
					}
					from++
				}
				left -= int64(len(entries))
				if len(entries) == 0 || count > 0 && left == 0 { // a tree's end makes a page short
					return nil
				}
			}
		},
	}
	c.Flags().Int64Var(&from, "from", 0, "index of the first entry")
	c.Flags().Int64Var(&count, "count", 0, "how many; 0 means all")
	return c
}

// printEntry prints an entry as it is. What is not one line of JSON could be anything on a terminal.
func (t *terminal) printEntry(index int64, e []byte) error {
	if !json.Valid(e) {
		return fmt.Errorf("entry %d is not JSON: the node that answered must not be trusted", index)
	}
	_, err := fmt.Fprintf(t.out, "%s\n", e)
	return err
}
