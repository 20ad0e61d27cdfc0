package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/appliance/otp/pskc"
	"strongroom.internal/appliance/otp/tokenfile"
	"strongroom.internal/cmd/strongroom/internal/bulk"
)

// importOptions are the flags of account import.
type importOptions struct {
	*accountOptions
	file              string
	format            string
	accounts, all     string
	from              string
	create, beside    bool
	skipBad, dryRun   bool
	incomplete        bool
	keyFile, password string // files
	policy            string // directory of an operator's or auditor's credentials
	report, journal   string
	concurrency       int
}

const importHelp = `Reads a file of tokens that another system wrote and adds each to its account. docs/import.md has the formats, with an
example of each. The tenant's policy must allow it (strongroom policy set TENANT --allow-import): a seed that was
elsewhere may be elsewhere still. The certificate is a front-end's.

The whole file is read and the cluster is asked about every account before anything is changed. If a token can't be
used, or the cluster would not take one, nothing is imported, and the report says which; --skip-bad goes on with the
others. --dry-run ends there.

Whose tokens they are: --account gives all of them to one account. --accounts FILE is a CSV whose first line is
serial,account or label,account or column,account. --account-from takes the serial number, the label, or the column in
which the file itself names its user, as the name of the account; that is the default where the file has one.

Once a token is on its way it is written into a journal, and again when it was added. Run the same command again after
an interruption: what was done is skipped, and what was sent without an answer is asked for with the Idempotency-Key
that it had. The journal belongs to the file's content, the tenant and the cluster, and lies in ~/.local/state/strongroom
unless --journal says otherwise: don't import one file on two machines. An account that has an authenticator with the
same parameters, which this journal doesn't know, is refused unless --beside-existing is given.

The report has a line of JSON for each token: its row and line, account, serial number, outcome (imported,
imported-before, ready, bad, refused, unknown, left), the authenticator's id, and a reason. Without --report the rows are
written to stdout. Neither has a secret in it; nor has the journal. The file has: destroy it when all is well.`

func newAccountImport(t *terminal, o *accountOptions) *cobra.Command {
	i := &importOptions{accountOptions: o}
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import tokens from a file of another system; - is stdin",
		Long:  importHelp,
		Example: `  strongroom account import tokens.xml --accounts owners.csv --key-file key --dry-run
  strongroom account import tokens.xml --accounts owners.csv --key-file key --report report.jsonl
  strongroom account import - --account alice <uri`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			i.file = args[0]
			if err := i.check(c); err != nil {
				return err
			}
			return t.importTokens(c.Context(), i)
		},
	}
	f := c.Flags()
	names := []string{"auto"}
	for _, format := range tokenfile.Formats() {
		names = append(names, string(format))
	}
	f.StringVar(&i.format, "format", "auto", strings.Join(names, ", "))
	f.StringVar(&i.accounts, "accounts", "", "CSV that says which account a token goes to")
	f.StringVar(&i.all, "account", "", "the account that all tokens go to")
	f.StringVar(&i.from, "account-from", "", "what of a token is its account's name: label, serial or column")
	f.BoolVar(&i.create, "create-accounts", false, "make accounts that don't exist")
	f.BoolVar(&i.beside, "beside-existing", false, "add tokens to accounts that have one with the same parameters")
	f.BoolVar(&i.skipBad, "skip-bad", false, "import the good ones although there are bad ones")
	f.BoolVar(&i.dryRun, "dry-run", false, "change nothing; say what would be done")
	f.BoolVar(&i.incomplete, "incomplete", false, "take a migration of which some QR codes are missing")
	f.StringVar(&i.keyFile, "key-file", "", "file with the pre-shared key of a PSKC file, in hexadecimal")
	f.StringVar(&i.password, "password-file", "", "file with the password of a PSKC file, in its first line")
	f.StringVar(&i.policy, "policy-credentials", "", "an operator's or auditor's credentials, to check policy and limit with")
	f.StringVar(&i.report, "report", "", "write a line of JSON for each token to this file")
	f.StringVar(&i.journal, "journal", "", "file that remembers what was done")
	f.IntVar(&i.concurrency, "concurrency", bulk.DefaultConcurrency, "how many accounts are served at once")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("account-from", cobra.FixedCompletions([]string{"label", "serial", "column"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.MarkFlagDirname("policy-credentials")
	return c
}

// check finds mistakes on the command line.
func (i *importOptions) check(c *cobra.Command) error {
	wrong := func(format string, args ...any) error { return usage(c, fmt.Errorf(format, args...)) }
	given := 0
	for _, s := range []string{i.accounts, i.all, i.from} {
		if s != "" {
			given++
		}
	}
	switch {
	case i.format != "auto" && !slices.Contains(tokenfile.Formats(), tokenfile.Format(i.format)):
		return wrong("--format %s is none", i.format)
	case given > 1:
		return wrong("give one of --accounts, --account and --account-from")
	case i.from != "" && !slices.Contains([]string{"label", "serial", "column"}, i.from):
		return wrong("--account-from must be label, serial or column")
	case i.concurrency < 1 || i.concurrency > bulk.MaxConcurrency:
		return wrong("--concurrency must be 1 to %d", bulk.MaxConcurrency)
	case i.policy != "" && !i.dryRun:
		return wrong("--policy-credentials goes with --dry-run")
	case i.key != "":
		return wrong("an import makes its own idempotency keys")
	}
	return nil
}

// importTokens reads, plans, checks, imports and reports.
func (t *terminal) importTokens(ctx context.Context, i *importOptions) error {
	// Seeds are about to be in this process in clear.
	if err := harden(); err != nil {
		return err
	}
	if i.report != "" { // at the end it would be too late
		if _, err := os.Stat(filepath.Dir(i.report)); err != nil {
			return fmt.Errorf("the report has no place: %w", err)
		}
	}
	content, err := t.tokenFile(i.file)
	if err != nil {
		return err
	}
	defer clear(content)
	cluster, config, err := i.connect()
	if err != nil {
		return err
	}
	defer cluster.Close()
	who, err := importingAs(config)
	if err != nil {
		return err
	}
	records, format, err := t.readTokens(i, content)
	if err != nil {
		return fmt.Errorf("%w; nothing was imported", err)
	}
	defer func() {
		for n := range records {
			records[n].Destroy()
		}
	}()
	mapping, err := i.mapping(format)
	if err != nil {
		return err
	}
	im := &bulk.Import{
		Cluster: cluster, Timeout: i.timeout, File: bulk.FileID(content), Target: who.target, Create: i.create, Beside: i.beside,
		Concurrency: i.concurrency,
	}
	end, err := i.openJournal(im, who.identity)
	if err != nil {
		return err
	}
	defer end()
	rows, err := bulk.Plan(records, mapping, im.Journal, time.Now())
	if err != nil {
		return err
	}
	if n := mapping.Unused(); n > 0 {
		t.say("%d lines of %s are of tokens that are not in the file", n, i.accounts)
	}
	outcome := t.carryOut(ctx, i, im, rows, who.tenant)
	if err := t.reportImport(i, rows); err != nil {
		return errors.Join(outcome, err)
	}
	return outcome
}

// carryOut checks and imports. Its error says what became of the whole.
func (t *terminal) carryOut(ctx context.Context, i *importOptions, im *bulk.Import, rows []*bulk.Row, tenant string) error {
	goOn := func() bool {
		return i.skipBad || bulk.Counts(rows)[bulk.Bad] == 0 && bulk.Counts(rows)[bulk.Refused] == 0
	}
	nothing := func() error {
		bulk.Leave(rows, "another token can't be imported, so none was")
		return fmt.Errorf("nothing was imported: %s; --skip-bad goes on with the others", t.complaints(rows))
	}
	if !goOn() && !i.dryRun {
		return nothing()
	}
	limit := 0
	if i.policy != "" {
		var err error
		if limit, err = i.readPolicy(ctx, tenant); err != nil {
			bulk.Leave(rows, "nothing was checked")
			return err
		}
	}
	if err := t.watch(im, "checked", rows, func() error { return im.Check(ctx, rows, limit) }); err != nil {
		bulk.Leave(rows, "it was not checked")
		return fmt.Errorf("nothing was imported: asking about the accounts: %w", err)
	}
	if i.dryRun {
		return t.endDryRun(i, rows)
	}
	if !goOn() {
		return nothing()
	}
	err := t.watch(im, "done", rows, func() error { return im.Run(ctx, rows) })
	bulk.Leave(rows, "the import ended before it")
	n := bulk.Counts(rows)
	t.say("%d imported, %d imported before, of %d", n[bulk.Imported], n[bulk.Before], len(rows))
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("it was interrupted; what had been sent was waited for. Run the same command again to go on")
	case err != nil:
		return endedEarly(err)
	case n[bulk.Imported]+n[bulk.Before] < len(rows):
		return fmt.Errorf("not all was imported: %s", t.complaints(rows))
	}
	if i.file != "-" {
		t.say("%s still has the seeds: destroy it", i.file)
	}
	return nil
}

// endedEarly keeps what a node decided apart from the rest, whose advice is for single requests.
func endedEarly(err error) error {
	var p *client.Problem
	if errors.As(err, &p) && !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrUnknownOutcome) {
		return fmt.Errorf("the import ended early: %w", err)
	}
	return fmt.Errorf("the import ended early: %v; run the same command again to go on", err)
}

// endDryRun says what a run would do.
func (t *terminal) endDryRun(i *importOptions, rows []*bulk.Row) error {
	ready := 0
	for _, r := range rows {
		if r.Outcome == "" {
			r.Outcome = bulk.Ready
			ready++
		}
	}
	n := bulk.Counts(rows)
	t.say("%d ready, %d imported before, of %d; nothing was changed", ready, n[bulk.Before], len(rows))
	if i.policy == "" {
		t.say("policy was not asked about: it takes --policy-credentials of an operator or auditor")
	}
	if ready+n[bulk.Before] < len(rows) {
		return fmt.Errorf("not all would be imported: %s", t.complaints(rows))
	}
	return nil
}

// complaints names the first rows that are in the way, and counts the others.
func (t *terminal) complaints(rows []*bulk.Row) string {
	const most = 5
	var b strings.Builder
	n := 0
	for _, r := range rows {
		if r.Outcome == bulk.Imported || r.Outcome == bulk.Before || r.Outcome == bulk.Ready || r.Outcome == bulk.Left {
			continue
		}
		if n++; n <= most {
			if n > 1 {
				b.WriteString("; ")
			}
			fmt.Fprintf(&b, "row %d (line %d): %s", r.Row, r.Line, r.Reason)
		}
	}
	if n > most {
		fmt.Fprintf(&b, "; and %d more", n-most)
	}
	return b.String()
}

// readPolicy asks whether the door is open, and how many credentials an account may have.
func (i *importOptions) readPolicy(ctx context.Context, tenant string) (limit int, err error) {
	o := *i.connection
	o.credentials = i.policy
	cluster, _, err := o.connect()
	if err != nil {
		return 0, err
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	p, err := cluster.Policy(ctx, tenant)
	switch {
	case err != nil:
		return 0, fmt.Errorf("reading the policy of %s: %w", tenant, err)
	case !p.AllowImport:
		return 0, fmt.Errorf("the policy of %s forbids imports; strongroom policy set %[1]s --allow-import opens it", tenant)
	case p.MaxCredentials > 0:
		return p.MaxCredentials, nil
	}
	return account.DefaultCredentials, nil
}

// mapping finds out whose the tokens are.
func (i *importOptions) mapping(format tokenfile.Format) (*bulk.Mapping, error) {
	switch {
	case i.all != "":
		return &bulk.Mapping{All: i.all}, nil
	case i.from != "":
		return &bulk.Mapping{By: bulk.Field(i.from)}, nil
	case i.accounts != "":
		f, err := os.Open(i.accounts)
		if err != nil {
			return nil, fmt.Errorf("reading the accounts: %w", err)
		}
		defer f.Close()
		m, err := bulk.ReadMapping(f)
		if err != nil {
			return nil, fmt.Errorf("reading the accounts of %s: %w", i.accounts, err)
		}
		return m, nil
	}
	switch format {
	case tokenfile.CSV, tokenfile.PrivacyIDEA:
		return &bulk.Mapping{By: bulk.ByColumn}, nil
	case tokenfile.OTPAuth, tokenfile.Migration:
		return &bulk.Mapping{By: bulk.ByLabel}, nil
	}
	// A serial number is no account's name unless someone says so.
	return nil, &exitError{exitUsage, fmt.Errorf("whose are the tokens? A %s file doesn't say; give --accounts, --account or --account-from", format)}
}

// readTokens reads all of the file, before anything is done with any of it.
func (t *terminal) readTokens(i *importOptions, content []byte) (records []otp.Record, format tokenfile.Format, err error) {
	format = tokenfile.Format(i.format)
	if i.format == "auto" {
		if format, err = tokenfile.Detect(content[:min(len(content), 64<<10)]); err != nil {
			return nil, "", &exitError{exitUsage, fmt.Errorf("%w, with --format", err)}
		}
	}
	var signed bool
	o := tokenfile.Options{
		Incomplete: i.incomplete,
		PSKC: pskc.Options{
			Key:      func(name string) (*otp.Secret, error) { return t.tokenKey(i, name) },
			Password: func(name string) (*otp.Secret, error) { return t.tokenPassword(i, name) },
			Info:     func(info pskc.Info) { signed = info.Signed },
		},
	}
	for r, err := range tokenfile.Read(format, bytes.NewReader(content), o) {
		if err != nil {
			for n := range records {
				records[n].Destroy()
			}
			return nil, "", err
		}
		records = append(records, r)
	}
	if signed {
		t.say("the file is signed, and the signature is not checked")
	}
	return records, format, nil
}
