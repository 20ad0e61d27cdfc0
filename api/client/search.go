package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"strongroom.internal/api/wire"
)

// LogQuery says which entries of the log are wanted: those of which each member has the value that is given here. An
// empty one asks nothing of its member.
type LogQuery struct {
	Tenant    string
	Account   string // by name, of the tenant; the node turns it into its pseudonym
	Pseudonym string // an account as entries have it
	Key       string
	Subject   string
	Actor     string
	Operation string
	Outcome   string
	Request   string // id as entries have it
	RequestOf string // with Account: audit.RequestID in hex; the node turns it into what entries have
	Node      string
	From      time.Time // the earliest time; zero: from the start
	To        time.Time // the time before which entries are; zero: to the end

	Oldest bool   // first; otherwise the newest are
	Limit  int    // entries of a page, 1 to 1000; 0: 100
	Cursor string // of the page before
}

func (q LogQuery) encode() string {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	for _, p := range [][2]string{
		{"tenant", q.Tenant},
		{"account", q.Account},
		{"pseudonym", q.Pseudonym},
		{"key", q.Key},
		{"subject", q.Subject},
		{"actor", q.Actor},
		{"operation", q.Operation},
		{"outcome", q.Outcome},
		{"request", q.Request},
		{"request_of", q.RequestOf},
		{"node", q.Node},
		{"from", moment(q.From)},
		{"to", moment(q.To)},
		{"cursor", q.Cursor},
	} {
		set(p[0], p[1])
	}
	if q.Oldest {
		v.Set("order", "oldest")
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v.Encode()
}

// SearchLog finds entries of the log, a page at a time: go on with its cursor until it has none. A page can be empty and
// not the last one.
func (c *Client) SearchLog(ctx context.Context, q LogQuery) (wire.LogPage, error) {
	var p wire.LogPage
	return p, c.do(ctx, call{method: http.MethodGet, path: "/v1/log/search?" + q.encode(), repeat: always, answer: &p})
}
