package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

func newLogProof(t *terminal, o *connection) *cobra.Command {
	var entry int64
	var request, out string
	c := &cobra.Command{
		Use:   "proof --entry N | --request ID",
		Short: "Prove that an entry is on the log: one file that anybody can check offline (C2SP tlog-proof)",
		Long: `Writes the entry, its inclusion proof and a signed checkpoint as one text file. ` + "`strongroom audit receipt`" + ` checks
it, with no network, against the policy of ` + "`strongroom audit policy`" + `. An entry that was just made takes until the next checkpoint.

Of a request that used several keys, and so has several entries, it is the first entry's proof.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("entry") == (request != "") {
				return usage(c, errors.New("give --entry or --request"))
			}
			if entry < 0 {
				return usage(c, errors.New("--entry can't be negative"))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			var proof []byte
			if request != "" {
				proof, err = cluster.LogProofOf(ctx, request)
			} else {
				proof, err = cluster.LogProof(ctx, entry)
			}
			if err != nil {
				return err
			}
			return t.keep(out, "the proof", proof)
		},
	}
	c.Flags().Int64Var(&entry, "entry", 0, "index of the entry")
	c.Flags().StringVar(&request, "request", "", "request id as entries have it")
	outFlag(c, &out)
	return c
}

func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return b, err
}

func newAccountReceipt(t *terminal, o *accountOptions) *cobra.Command {
	var entry int64
	var out string
	c := &cobra.Command{
		Use:   "receipt ACCOUNT --entry N",
		Short: "Get proof that an answer about an account is on the log (C2SP tlog-proof)",
		Long: `Answers name the log's entry that records them. The receipt has that entry, its inclusion proof and a signed checkpoint,
and ` + "`strongroom audit receipt`" + ` checks it offline. Tenants that are not told spent from wrong get none of
attempts whose code was not accepted: the entry tells.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if entry < 0 {
				return usage(c, errors.New("--entry can't be negative"))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			receipt, err := cluster.Receipt(ctx, args[0], entry)
			if err != nil {
				return err
			}
			return t.keep(out, "the receipt", receipt)
		},
	}
	c.Flags().Int64Var(&entry, "entry", 0, "index of the entry")
	_ = c.MarkFlagRequired("entry")
	outFlag(c, &out)
	return c
}

func outFlag(c *cobra.Command, out *string) {
	c.Flags().StringVar(out, "out", "", "file to write, which must not exist (default: stdout)")
	_ = c.MarkFlagFilename("out")
}

// keep writes a text to a file that must not exist, or to stdout.
func (t *terminal) keep(path, what string, text []byte) error {
	if path == "" {
		_, err := t.out.Write(text)
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keeping %s: %s is there already; give another name", what, path)
	}
	if err != nil {
		return fmt.Errorf("keeping %s: %w", what, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keeping %s: %w", what, err)
	}
	return t.print(map[string]string{"file": path}, func(w io.Writer) { fmt.Fprintln(w, path) })
}
