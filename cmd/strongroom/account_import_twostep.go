package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/account"
	"strongroom.internal/cmd/strongroom/internal/bulk"
)

// stepsRow is an account of the file, and what becomes of it. No number is in it that could be printed.
type stepsRow struct {
	Line    int          `json:"line"` // of its first phone
	Account string       `json:"account"`
	Outcome bulk.Outcome `json:"outcome"`
	Entry   int64        `json:"entry,omitempty"`
	Reason  string       `json:"reason,omitempty"`

	phones []wire.TwoStepPhone
}

// maxStepsFile bounds the file, and maxStepsRows its accounts: what an import of tokens takes.
const (
	maxStepsFile = 64 << 20
	maxStepsRows = 100_000
)

type stepsOptions struct {
	*accountOptions
	create, skipBad, dryRun bool
}

func newAccountImportTwoStep(t *terminal, o *accountOptions) *cobra.Command {
	i := &stepsOptions{accountOptions: o}
	c := &cobra.Command{
		Use:   "import-two-step FILE",
		Short: "Take over two-step verification from another system; - is stdin",
		Long: `Reads a CSV whose first line names the columns, account and number and, if there is one, label, and takes two-step
verification over for each account: docs/import.md has an example. An account may have up to five lines, one for each
phone, first the one that codes are sent to. The tenant's policy must allow it (strongroom policy set TENANT
--allow-two-step-import). The certificate is a front-end's.

The whole file is read and the cluster is asked about every account before anything is changed. If one can't be taken
over, none is; --skip-bad goes on with the others. Interrupted, run the same command again: what was done is left as it
is. Recovery keys don't come in: have one made for each person once they have proved a code.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if i.key != "" {
				return usage(c, errors.New("an import makes its own idempotency keys"))
			}
			return t.importSteps(c.Context(), i, args[0])
		},
	}
	f := c.Flags()
	f.BoolVar(&i.create, "create-accounts", false, "make accounts that don't exist")
	f.BoolVar(&i.skipBad, "skip-bad", false, "take over the good ones although there are bad ones")
	f.BoolVar(&i.dryRun, "dry-run", false, "change nothing; say what would be done")
	return c
}

func (t *terminal) importSteps(ctx context.Context, i *stepsOptions, path string) error {
	in := t.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("reading the file: %w", err)
		}
		defer f.Close()
		in = f
	}
	rows, err := readSteps(in)
	if err != nil {
		return fmt.Errorf("%w; nothing was taken over", err)
	}
	cluster, err := i.client()
	if err != nil {
		return err
	}
	defer cluster.Close()
	outcome := i.carryOut(ctx, cluster, rows)
	counts := map[bulk.Outcome]int{}
	for _, r := range rows {
		if r.Outcome == "" {
			r.Outcome = bulk.Left
			if i.dryRun && outcome == nil {
				r.Outcome = bulk.Ready
			}
		}
		counts[r.Outcome]++
	}
	t.say("%d taken over, %d before, %d ready, of %d", counts[bulk.Imported], counts[bulk.Before], counts[bulk.Ready], len(rows))
	if bad := counts[bulk.Refused]; outcome == nil && bad > 0 {
		outcome = fmt.Errorf("%d can't be taken over; the report says why", bad)
	}
	return errors.Join(outcome, t.print(rows, func(w io.Writer) {
		fmt.Fprintln(w, "LINE\tACCOUNT\tOUTCOME\tREASON")
		for _, r := range rows {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", r.Line, r.Account, r.Outcome, r.Reason)
		}
	}))
}

// carryOut checks all, and then takes over those that are left. An error means that it ended early.
func (i *stepsOptions) carryOut(ctx context.Context, cluster *client.Client, rows []*stepsRow) error {
	if err := i.each(ctx, rows, func(ctx context.Context, r *stepsRow) error { return i.check(ctx, cluster, r) }); err != nil {
		return fmt.Errorf("nothing was taken over: asking about the accounts: %w", err)
	}
	bad := slices.ContainsFunc(rows, func(r *stepsRow) bool { return r.Outcome == bulk.Refused })
	if i.dryRun || bad && !i.skipBad {
		return nil
	}
	err := i.each(ctx, rows, func(ctx context.Context, r *stepsRow) error { return i.take(ctx, cluster, r) })
	if err != nil {
		return fmt.Errorf("it ended early: %w; run the same command again to go on", err)
	}
	return nil
}

// each does something for every row that has no outcome yet, for some at once.
func (i *stepsOptions) each(ctx context.Context, rows []*stepsRow, do func(context.Context, *stepsRow) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(bulk.DefaultConcurrency)
	var ended atomic.Bool
	for _, r := range rows {
		if r.Outcome != "" || ended.Load() {
			continue
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, i.timeout)
			defer cancel()
			err := do(ctx, r)
			ended.CompareAndSwap(false, err != nil)
			return err
		})
	}
	return g.Wait()
}

func (i *stepsOptions) check(ctx context.Context, cluster *client.Client, r *stepsRow) error {
	info, err := cluster.TwoStep(ctx, r.Account)
	var p *client.Problem
	switch {
	case err == nil && info.On:
		r.Outcome = bulk.Before
	case err == nil:
	case errors.As(err, &p) && p.Named("not-found"):
		if !i.create {
			r.Outcome, r.Reason = bulk.Refused, "its account does not exist"
		}
	default:
		return err
	}
	return nil
}

// take takes one over. What a node decides about this account alone is its outcome; anything else ends the import.
func (i *stepsOptions) take(ctx context.Context, cluster *client.Client, r *stepsRow) error {
	if i.create {
		if _, err := cluster.PutAccount(ctx, r.Account); err != nil {
			return err
		}
	}
	info, err := cluster.ImportTwoStep(ctx, r.Account, r.phones...)
	var p *client.Problem
	switch {
	case err == nil:
		r.Outcome, r.Entry = bulk.Imported, info.Entry
	case errors.As(err, &p) && (p.Named("invalid") || p.Named("not-found") || p.Named("two-factor-eligible")):
		r.Outcome, r.Reason = bulk.Refused, p.Title
		for _, f := range p.Errors {
			r.Reason += "; " + f.Field + " " + f.Reason
		}
	default:
		return err
	}
	return nil
}

// readSteps reads all of the file. Its errors name lines and never a number.
func readSteps(in io.Reader) ([]*stepsRow, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxStepsFile+1))
	if err == nil && len(raw) > maxStepsFile {
		err = fmt.Errorf("it is larger than %d MiB", maxStepsFile>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the file: %w", err)
	}
	r := csv.NewReader(bytes.NewReader(raw))
	header, err := r.Read()
	if err != nil {
		return nil, errors.New("reading the file: the first line must name the columns: account,number,label")
	}
	columns := map[string]int{"label": -1}
	for at, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if had, known := columns[name]; name != "account" && name != "number" && name != "label" || known && had >= 0 {
			return nil, errors.New("reading the file: the columns are account, number and label, each once")
		}
		columns[name] = at
	}
	if len(columns) != 3 {
		return nil, errors.New("reading the file: the columns account and number must be there")
	}
	var rows []*stepsRow
	byAccount := map[string]*stepsRow{}
	for {
		fields, err := r.Read()
		if err == io.EOF {
			break
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("reading line %d: %w", parse.Line, parse.Err)
		} else if err != nil {
			return nil, fmt.Errorf("reading the file: %w", err)
		}
		line, _ := r.FieldPos(0)
		name, number, label := fields[columns["account"]], strings.TrimSpace(fields[columns["number"]]), ""
		if at := columns["label"]; at >= 0 {
			label = fields[at]
		}
		row := byAccount[name]
		switch {
		case name == "" || len(name) > account.MaxAccount || !utf8.ValidString(name):
			return nil, fmt.Errorf("reading line %d: the account must have 1 to %d bytes of UTF-8", line, account.MaxAccount)
		case len(label) > account.MaxText || !utf8.ValidString(label):
			return nil, fmt.Errorf("reading line %d: the label must have at most %d bytes of UTF-8", line, account.MaxText)
		case !e164(number):
			return nil, fmt.Errorf("reading line %d: the number must be E.164: a plus sign and 7 to 15 digits", line)
		case row == nil && len(rows) == maxStepsRows:
			return nil, fmt.Errorf("reading line %d: more than %d accounts", line, maxStepsRows)
		case row == nil:
			row = &stepsRow{Line: line, Account: name}
			byAccount[name], rows = row, append(rows, row)
		case len(row.phones) == account.MaxStepPhones:
			return nil, fmt.Errorf("reading line %d: an account has at most %d phones", line, account.MaxStepPhones)
		case slices.ContainsFunc(row.phones, func(p wire.TwoStepPhone) bool { return p.Number.Reveal() == number }):
			return nil, fmt.Errorf("reading line %d: the account has this number already, see line %d", line, row.Line)
		}
		row.phones = append(row.phones, wire.TwoStepPhone{Number: wire.NewSecret(number), Label: label})
	}
	if len(rows) == 0 {
		return nil, errors.New("reading the file: there is no account in it")
	}
	return rows, nil
}

// e164 looks only at the shape; the node knows which numbers there can be.
func e164(s string) bool {
	digits, plus := strings.CutPrefix(s, "+")
	return plus && len(digits) >= 7 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}
