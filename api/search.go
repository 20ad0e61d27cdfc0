package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/audit/index"
)

// searchInput asks for members of entries. Lengths are the log's, in bytes; the schema counts characters.
type searchInput struct {
	Tenant    string `query:"tenant" maxLength:"64" example:"acme"`
	Account   string `query:"account" maxLength:"128" doc:"An account of the tenant by its name, which the node turns into its pseudonym. Not found when the cluster doesn't know it, or no more."`
	Pseudonym string `query:"pseudonym" maxLength:"32" doc:"An account as entries have it: 32 hex digits."`
	Key       string `query:"key" maxLength:"512" doc:"Id of a credential, or name of a cluster key."`
	Subject   string `query:"subject" maxLength:"512"`
	Actor     string `query:"actor" maxLength:"512" doc:"SPIFFE ID of a certificate." example:"spiffe://strongroom.example/tenant/acme/frontend/web-1"`
	Operation string `query:"operation" maxLength:"512" example:"verify"`
	Outcome   string `query:"outcome" maxLength:"512" example:"accepted"`
	Request   string `query:"request" maxLength:"32" doc:"Request id as entries have it: 32 hex digits."`
	RequestOf string `query:"request_of" maxLength:"32" doc:"With an account's name: audit.RequestID of who asked and its Idempotency-Key, in hex, which the node turns into the request id that the account's entries have."`
	Node      string `query:"node" maxLength:"512" example:"n1"`
	From      string `query:"from" maxLength:"64" doc:"The earliest time, RFC 3339." example:"2026-01-01T00:00:00Z"`
	To        string `query:"to" maxLength:"64" doc:"The time before which entries are, RFC 3339."`
	Order     string `query:"order" enum:"newest,oldest" default:"newest" doc:"Which come first."`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many entries at most."`
	Cursor    string `query:"cursor" maxLength:"128" doc:"Of the page before; the rest of the query must be the same."`
}

func (a *API) registerSearch(h huma.API) {
	huma.Register(h, operation(searchRoute, "search-log", "log", "Search the log",
		"Entries of which each member has the value that is given: all of them, over as many pages as it takes. A page can be empty and have a cursor: one request looks at so much and no more. A search proves nothing; ask for the proofs of what it finds.",
		http.StatusOK),
		func(ctx context.Context, in *searchInput) (*struct{ Body wire.LogPage }, error) {
			q, err := in.query()
			if err != nil {
				return nil, failed(ctx, err)
			}
			p, err := a.service.SearchLog(ctx, q)
			if err != nil {
				return nil, failed(ctx, err)
			}
			w := wire.LogPage{Entries: make([]wire.LogFound, len(p.Found)), Cursor: p.Cursor, Account: p.Account}
			for i, f := range p.Found {
				w.Entries[i] = wire.LogFound(f)
			}
			return &struct{ Body wire.LogPage }{w}, nil
		})
}

func (in *searchInput) query() (q appliance.LogQuery, err error) {
	q = appliance.LogQuery{
		Query: index.Query{
			Tenant: in.Tenant, Account: in.Pseudonym, Key: in.Key, Subject: in.Subject, Actor: in.Actor, Operation: in.Operation,
			Outcome: in.Outcome, Request: in.Request, Node: in.Node,
		},
		Name: in.Account, Oldest: in.Order == "oldest", Limit: in.Limit, Cursor: in.Cursor,
	}
	if id, err := hex.DecodeString(in.RequestOf); err != nil || in.RequestOf != "" && len(id) != len(q.RequestOf) {
		return q, invalid("request_of", "must be 32 hex digits")
	} else {
		copy(q.RequestOf[:], id)
	}
	if in.Account != "" && !validAccount(in.Account) {
		return q, invalid("account", accountRule)
	}
	for _, t := range []struct {
		name, value string
		to          *time.Time
	}{{"from", in.From, &q.From}, {"to", in.To, &q.To}} {
		if t.value == "" {
			continue
		}
		if *t.to, err = time.Parse(time.RFC3339, t.value); err != nil {
			return q, invalid(t.name, "must be a time of RFC 3339")
		}
	}
	return q, nil
}

// maxOfRequest is how many entries a request can have: one for each key that it used.
const maxOfRequest = 64

// entriesOf finds the entries that a request left, oldest first; appliance.ErrNotFound when there are none.
func (a *API) entriesOf(ctx context.Context, request string) ([]int64, error) {
	if len(request) != 32 || strings.Trim(request, "0123456789abcdef") != "" {
		return nil, invalid("request", "must be 32 lower-case hex digits")
	}
	q := appliance.LogQuery{Query: index.Query{Request: request}, Oldest: true, Limit: maxOfRequest}
	for {
		p, err := a.service.SearchLog(ctx, q)
		if err != nil {
			return nil, err
		}
		var found []int64
		for _, f := range p.Found {
			found = append(found, f.Index)
		}
		switch {
		case len(found) > 0:
			return found, nil
		case p.Cursor == "":
			return nil, appliance.ErrNotFound
		}
		q.Cursor = p.Cursor
	}
}

func joinIndexes(all []int64) string {
	words := make([]string, len(all))
	for i, n := range all {
		words[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(words, ", ")
}
