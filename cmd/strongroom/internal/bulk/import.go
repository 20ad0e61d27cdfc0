package bulk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/otp"
)

// Bounds on what is done at once. A node takes 256 requests on one connection.
const (
	DefaultConcurrency = 8
	MaxConcurrency     = 64
)

const (
	// resendWithin is how long after it was sent a request is repeated with its key. The cluster remembers keys for ten
	// minutes (account.RequestLife); the difference is for requests that were long under way.
	resendWithin = 8 * time.Minute
	// clockSlack is by how much this machine's clock may differ from the cluster's.
	clockSlack = 5 * time.Minute
)

// Import is one run of an import.
type Import struct {
	Cluster *client.Client
	// Timeout bounds each request, with its repetitions on other nodes.
	Timeout time.Duration
	// File and Target name the import; see FileID and Target.
	File, Target string
	// Journal is what earlier runs did; for Check alone, one of ReadJournal will do.
	Journal *Journal
	// Beside adds a token to an account that has an authenticator of the same parameters, which this import didn't add.
	// Without it such a token is Refused by Check: it may be the same one, of an import whose file was edited since, or
	// that ran elsewhere.
	Beside bool
	// Create makes accounts that aren't there.
	Create bool
	// Concurrency is how many accounts are served at once; 0: DefaultConcurrency.
	Concurrency int
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	handled atomic.Int64
}

// Handled is how many rows are settled so far. It may be called while Check or Run is under way.
func (im *Import) Handled() int { return int(im.handled.Load()) }

func (im *Import) now() time.Time {
	if im.Now == nil {
		return time.Now()
	}
	return im.Now()
}

// request is the context of one request. It outlives an interruption, so that the outcome of what was sent is learnt.
func (im *Import) request(ctx context.Context, key string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), im.Timeout)
	if key != "" {
		ctx = client.WithIdempotencyKey(ctx, key)
	}
	return ctx, cancel
}

// Check asks for each account whether it is there and has room for its tokens, with limit as the most that an account may
// have (0: not known), and whether it may have them already. What doesn't pass is Refused. Nothing is changed. An error is
// one of reaching the cluster.
func (im *Import) Check(ctx context.Context, rows []*Row, limit int) error {
	im.handled.Store(0)
	return im.each(ctx, rows, func(ctx context.Context, name string, rows []*Row) error {
		request, cancel := im.request(ctx, "")
		a, err := im.Cluster.Account(request, name)
		cancel()
		switch {
		case named(err, "not-found") && im.Create:
		case named(err, "not-found"):
			for _, r := range rows {
				r.settle(Refused, "its account does not exist")
			}
			return nil
		case err != nil:
			return err
		}
		// What an earlier run sent without learning the outcome may be what is found; Run will see to that.
		pending := make(map[otp.Params]int)
		for _, r := range rows {
			if _, sent := im.Journal.pending(r.Row); sent {
				pending[r.record.URI.Params]++
			}
		}
		room := max(limit-len(a.Credentials), 0)
		for i, r := range rows {
			_, sent := im.Journal.pending(r.Row)
			found := im.alike(&a, r, time.Time{})
			switch {
			case limit > 0 && i >= room && !sent:
				r.settle(Refused, fmt.Sprintf("its account would have more than %d devices and authenticators", limit))
			case len(found) > pending[r.record.URI.Params] && !sent && !im.Beside:
				r.settle(Refused, fmt.Sprintf("its account has authenticator %s with the same parameters already: it may be the same token",
					found[0]))
			}
		}
		return nil
	})
}

// Run imports what isn't settled. It ends early, with the reason as its error, when going on makes no sense: the context
// has ended, the journal can't be written, the cluster can't be reached, or policy forbids it. What was sent by then is
// waited for; the rest isn't settled.
func (im *Import) Run(ctx context.Context, rows []*Row) error {
	im.handled.Store(0)
	return im.each(ctx, rows, func(ctx context.Context, name string, rows []*Row) error {
		if im.Create {
			request, cancel := im.request(ctx, "")
			_, err := im.Cluster.PutAccount(request, name)
			cancel()
			if err != nil {
				return fmt.Errorf("making account %s: %w", name, err)
			}
		}
		for _, r := range rows {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := im.add(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls act for each account that has rows which aren't settled, several at once, until the first error or the end of
// the context.
func (im *Import) each(ctx context.Context, rows []*Row, act func(ctx context.Context, account string, rows []*Row) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	workers := im.Concurrency
	if workers == 0 {
		workers = DefaultConcurrency
	}
	groups := make(chan []*Row)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for group := range groups {
				if err := act(ctx, group[0].Account, group); err != nil {
					stop(err)
				}
				im.handled.Add(int64(len(group)))
			}
		})
	}
	for _, group := range byAccount(rows) {
		select {
		case groups <- group:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(groups)
	wg.Wait()
	return context.Cause(ctx)
}

// byAccount groups what isn't settled, in the file's order.
func byAccount(rows []*Row) (groups [][]*Row) {
	at := make(map[string]int)
	for _, r := range rows {
		if r.settled() {
			continue
		}
		i, ok := at[r.Account]
		if !ok {
			i = len(groups)
			at[r.Account], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// add imports one token. An error ends the import; what concerns this token alone settles it.
func (im *Import) add(ctx context.Context, r *Row) error {
	again, err := im.resend(ctx, r)
	if err != nil || r.settled() {
		return err
	}
	if !again {
		now := im.now()
		if err := im.Journal.append(journalLine{Sent: r.Row, Account: r.Account, At: &now}); err != nil {
			return err
		}
	}
	// From here on, a crash leaves a row that was sent.
	sent, _ := im.Journal.pending(r.Row)
	request, cancel := im.request(ctx, key(im.File, im.Target, r.Row, r.Account, sent.try))
	defer cancel()
	a, err := im.Cluster.AddAuthenticator(request, r.Account, wire.AuthenticatorRequest{URI: wire.NewSecret(r.record.URI.Format())})
	switch {
	case err == nil:
		r.Credential, r.Entry = a.Authenticator.ID, a.Entry
		r.settle(Imported, "")
		return im.Journal.append(journalLine{Done: r.Row, Account: r.Account, Credential: r.Credential})
	case errors.Is(err, client.ErrUnknownOutcome):
		r.settle(Unknown, "it may have been imported; run the import again within minutes to learn it")
		return err
	}
	// Nothing was done.
	if err := im.Journal.append(journalLine{Free: r.Row}); err != nil {
		return err
	}
	var problem *client.Problem
	if !errors.As(err, &problem) || errors.Is(err, client.ErrUnavailable) {
		return err
	}
	for _, all := range []string{"policy", "forbidden", "certificate-required"} {
		if problem.Named(all) {
			return err // every other token would fare alike
		}
	}
	r.settle(Refused, refusal(problem))
	return nil
}

// resend decides what becomes of a token that an earlier run sent without learning the outcome: again means to send it
// with the key that it had.
func (im *Import) resend(ctx context.Context, r *Row) (again bool, err error) {
	sent, pending := im.Journal.pending(r.Row)
	if !pending {
		return false, nil
	}
	since := im.now().Sub(sent.at)
	if sent.identity == im.Journal.identity && since >= 0 && since < resendWithin {
		return true, nil
	}
	request, cancel := im.request(ctx, "")
	defer cancel()
	a, err := im.Cluster.Account(request, r.Account)
	if err != nil && !named(err, "not-found") {
		return false, err
	}
	if found := im.alike(&a, r, sent.at.Add(-clockSlack)); len(found) > 0 {
		r.settle(Unknown, fmt.Sprintf("an earlier run may have imported it as authenticator %s; remove that one and run the import again",
			found[0]))
	}
	return false, nil
}

// alike finds the authenticators of the token's parameters, added at a time or after it, which aren't known to be other
// tokens of this import.
func (im *Import) alike(a *wire.Account, r *Row, after time.Time) (ids []string) {
	for _, c := range a.Credentials {
		if c.Kind == wire.KindAuthenticator && c.Params == params(r.record.URI.Params) && !c.Added.Before(after) &&
			!im.Journal.accounts(r.Account, c.ID) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

func params(p otp.Params) wire.Params {
	return wire.Params{Type: p.Mode.String(), Algorithm: p.Hash.String(), Digits: int(p.Digits), Period: int(p.Period)}
}

// named says whether a node decided so.
func named(err error, problem string) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Named(problem)
}

// refusal is a decision in words, without the request's id.
func refusal(p *client.Problem) string {
	switch {
	case p.Named("not-found"):
		return "its account does not exist"
	case p.Named("limit"):
		return "its account has as many devices and authenticators as it may have"
	case len(p.Errors) > 0:
		return p.Errors[0].Field + ": " + p.Errors[0].Reason
	}
	return p.Title
}
