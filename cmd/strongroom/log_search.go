package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
)

func newLogSearch(t *terminal, o *connection) *cobra.Command {
	var q client.LogQuery
	var from, to string
	var count int
	c := &cobra.Command{
		Use:   "search",
		Short: "Find entries by who, what, when and how it ended",
		Long: `Finds the entries of which each member has the value that is given: all of them, the newest first. With --output json
they are printed as they are in the log, one JSON object a line.

--account is a name, which a node turns into the pseudonym that entries have; it needs --tenant. Of an account that was
deleted nothing tells the pseudonym any more. A search proves nothing: ` + "`strongroom log proof`" + ` does.`,
		Example: `  strongroom log search --tenant acme --account alice --from 2026-07-01 --to 2026-10-01
  strongroom log search --operation issue-certificate --actor spiffe://strongroom.example/operator/admin --output json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if q.Account != "" && q.Tenant == "" {
				return usage(c, errors.New("--account needs --tenant"))
			}
			if count < 0 {
				return usage(c, errors.New("--count can't be negative"))
			}
			if q.From, err = parseMoment(from); err == nil {
				q.To, err = parseMoment(to)
			}
			if err != nil {
				return usage(c, err)
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			return t.search(ctx, cluster, q, count)
		},
	}
	f := c.Flags()
	for _, x := range []struct {
		to         *string
		name, help string
	}{
		{&q.Tenant, "tenant", "entries about this tenant's accounts"},
		{&q.Account, "account", "name of an account; needs --tenant"},
		{&q.Pseudonym, "pseudonym", "account as entries have it, 32 hex digits"},
		{&q.Key, "key", "id of a credential, or name of a cluster key"},
		{&q.Subject, "subject", "what an act of the cluster was about: a node, a tenant, an identity"},
		{&q.Actor, "actor", "SPIFFE ID of who asked"},
		{&q.Operation, "operation", "such as verify, enrol-device, issue-certificate"},
		{&q.Outcome, "outcome", "such as accepted, wrong, spent, locked, done"},
		{&q.Request, "request", "request id as entries have it, 32 hex digits"},
		{&q.RequestOf, "request-of", "request id of `strongroom log request-id`; needs --account"},
		{&q.Node, "node", "node that used the key"},
		{&from, "from", "the earliest time: 2026-07-01, or 2026-07-01T08:00:00Z"},
		{&to, "to", "the time before which entries are"},
	} {
		f.StringVar(x.to, x.name, "", x.help)
	}
	f.BoolVar(&q.Oldest, "oldest", false, "the oldest first")
	f.IntVar(&count, "count", 0, "how many at most; 0 means all")
	return c
}

// search prints page after page.
func (t *terminal) search(ctx context.Context, cluster *client.Client, q client.LogQuery, count int) error {
	q.Limit = 1000
	found := 0
	for {
		if count > 0 {
			q.Limit = min(q.Limit, count-found)
		}
		page, err := cluster.SearchLog(ctx, q)
		if err != nil {
			return err
		}
		if found == 0 && page.Account != "" && q.Cursor == "" {
			t.say("account %s of %s is %s in the log", q.Account, q.Tenant, page.Account)
		}
		if err := t.printFound(page.Entries, found == 0); err != nil {
			return err
		}
		found += len(page.Entries)
		if page.Cursor == "" || count > 0 && found >= count {
			break
		}
		q.Cursor = page.Cursor
	}
	t.say("%d found", found)
	return nil
}

// printFound prints a page: entries as they are, or a line of each for people.
func (t *terminal) printFound(page []wire.LogFound, first bool) error {
	if t.format == "json" {
		for _, f := range page {
			if err := t.printEntry(f.Index, f.Entry); err != nil {
				return err
			}
		}
		return nil
	}
	parsed := make([]*audit.Entry, len(page))
	for i, f := range page {
		var err error
		if parsed[i], err = audit.ParseEntry(f.Entry); err != nil {
			return fmt.Errorf("entry %d: %w: the node that answered must not be trusted", f.Index, err)
		}
	}
	return t.print(nil, func(w io.Writer) {
		if first && len(page) > 0 {
			fmt.Fprintln(w, "ENTRY\tTIME\tOPERATION\tOUTCOME\tTENANT\tACCOUNT\tKEY\tSUBJECT\tACTOR\tNODE")
		}
		for i, e := range parsed {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", page[i].Index, time.UnixMilli(e.Time).UTC().Format("2006-01-02T15:04:05.000Z"),
				shown(e.Operation), shown(e.Outcome), shown(e.Tenant), shown(e.Account), shown(e.Key), shown(e.Subject), shown(e.Actor), shown(e.Node))
		}
	})
}

// shown is a member of an entry for a terminal, which what others wrote must not steer.
func shown(s string) string {
	if s == "" {
		return "-"
	}
	for _, r := range s {
		if r <= ' ' || r >= 0x7f {
			return fmt.Sprintf("%+q", s)
		}
	}
	return s
}

// parseMoment reads a time of RFC 3339, or a day, which stands for its beginning in UTC. Nothing is the zero time.
func parseMoment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: give 2026-07-01 or 2026-07-01T08:00:00Z", s)
}

func newLogFollow(t *terminal, o *connection) *cobra.Command {
	var from, count int64
	var checkpoints bool
	c := &cobra.Command{
		Use:   "follow",
		Short: "Print entries as they are logged, until Ctrl-C",
		Long: `Prints each new entry, one JSON object a line, the exact bytes; with --from also the earlier ones from there on. When its
node goes away it goes on with another, and no entry is missed or printed twice. --checkpoints says on stderr what the
nodes have signed. --timeout doesn't end it.`,
		Example: "  strongroom log follow | jq 'select(.outcome != \"accepted\")'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if from < -1 || count < 0 {
				return usage(c, errors.New("--from and --count can't be negative"))
			}
			cluster, _, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			left := count
			err = cluster.FollowLog(c.Context(), from, func(e client.LogEvent) error {
				if e.Entry == nil {
					if checkpoints {
						return t.sayCheckpoint(e.Checkpoint)
					}
					return nil
				}
				if err := t.printEntry(e.Index, e.Entry); err != nil {
					return err
				}
				if left--; left == 0 {
					return errFollowed
				}
				return nil
			})
			if errors.Is(err, errFollowed) || c.Context().Err() != nil {
				return nil
			}
			return err
		},
	}
	c.Flags().Int64Var(&from, "from", -1, "index of the first entry; -1: the next that is logged")
	c.Flags().Int64Var(&count, "count", 0, "end after so many; 0 means never")
	c.Flags().BoolVar(&checkpoints, "checkpoints", false, "say on stderr how far the log is signed")
	return c
}

var errFollowed = errors.New("followed as far as was asked")

// sayCheckpoint tells what a checkpoint says. It is not verified here.
func (t *terminal) sayCheckpoint(note []byte) error {
	var origin string
	var size int64
	if _, err := fmt.Sscanf(string(note), "%s\n%d\n", &origin, &size); err != nil {
		return fmt.Errorf("reading a checkpoint: %w", err)
	}
	t.say("signed: %s, size %d", shown(origin), size)
	return nil
}

func newLogRequestID(t *terminal) *cobra.Command {
	var actor, key string
	c := &cobra.Command{
		Use:   "request-id --actor SPIFFE-ID --key KEY",
		Short: "Compute a request's id, from who asked and its Idempotency-Key",
		Long: `A request is named by a hash of the certificate's identity and the Idempotency-Key. Entries about an account have it
hashed once more with the account's salt: a node finds them for who has identity, key and account; who has the log alone
learns none of them, and nobody does once the account is deleted. Other entries have it as it is: --request finds them.`,
		Example: "  strongroom log search --tenant acme --account alice --request-of $(strongroom log request-id --actor spiffe://strongroom.example/tenant/acme/frontend/web-1 --key 8e03978e)",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if actor == "" || key == "" {
				return usage(c, errors.New("--actor and --key can't be empty: a request without a key has no id"))
			}
			id := audit.RequestID(actor, key)
			text := hex.EncodeToString(id[:])
			return t.print(map[string]string{"request": text}, func(w io.Writer) { fmt.Fprintln(w, text) })
		},
	}
	c.Flags().StringVar(&actor, "actor", "", "SPIFFE ID of the certificate that asked")
	c.Flags().StringVar(&key, "key", "", "the request's Idempotency-Key")
	_ = c.MarkFlagRequired("actor")
	_ = c.MarkFlagRequired("key")
	return c
}
