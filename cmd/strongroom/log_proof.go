package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"strongroom.internal/appliance/audit"
)

func newLogProof(t *terminal, o *connection) *cobra.Command {
	var entry int64
	var request, out string
	c := &cobra.Command{
		Use:   "proof --entry N | --request ID",
		Short: "Prove that an entry is on the log: one file that anybody can check offline (C2SP tlog-proof)",
		Long: `Writes the entry, its inclusion proof and a signed checkpoint as one text file. ` + "`strongroom log check`" + ` checks
it, with no network, against the policy of ` + "`strongroom log policy`" + `. An entry that was just made takes until the next checkpoint.

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
	c.Flags().StringVar(&request, "request", "", "request id; see `strongroom log request-id`")
	outFlag(c, &out)
	return c
}

// checked is what a proof proves.
type checked struct {
	Origin   string          `json:"origin"`
	Size     int64           `json:"size"`     // of the tree that the checkpoint is of
	Position int64           `json:"position"` // of the entry in it
	Signed   []string        `json:"signed"`   // cosigners of the policy that have signed
	Entry    json.RawMessage `json:"entry"`
}

func newLogCheck(t *terminal) *cobra.Command {
	var policyPath string
	c := &cobra.Command{
		Use:   "check FILE --policy FILE",
		Short: "Check a proof or a receipt offline, and print the entry that it proves",
		Long: `Recomputes everything that the file claims, with the keys of the policy and nothing else: no network, no node. It prints
the entry, and who has signed. What is refused ends with exit code 1 and says why.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			raw, err := readAtMost(policyPath, 1<<20)
			if err != nil {
				return fmt.Errorf("reading the policy: %w", err)
			}
			policy, err := audit.ParsePolicy(raw)
			if err != nil {
				return err
			}
			proof, err := readAtMost(args[0], 1<<20)
			if err != nil {
				return fmt.Errorf("reading the proof: %w", err)
			}
			r, err := audit.VerifyReceipt(policy, proof)
			if err != nil {
				return err
			}
			entry := r.Entry.AppendJSON(nil)
			data := checked{Origin: r.Head.Origin, Size: r.Head.Size, Position: r.Position, Signed: r.Head.Signed, Entry: entry}
			return t.print(data, func(w io.Writer) {
				fmt.Fprintf(w, "%s\n", entry)
				t.say("it is at position %d of %s, as %s signed it at size %d", r.Position, shown(r.Head.Origin),
					strings.Join(r.Head.Signed, ", "), r.Head.Size)
			})
		},
	}
	c.Flags().StringVar(&policyPath, "policy", "", "file with the keys and how many have to sign (C2SP tlog-policy)")
	_ = c.MarkFlagRequired("policy")
	_ = c.MarkFlagFilename("policy")
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
and ` + "`strongroom log check`" + ` checks it offline. Tenants that are not told spent from wrong get none of
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
