package appliance

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/audit/index"
)

// LogQuery says which entries of the log are wanted.
type LogQuery struct {
	index.Query
	// Name is an account's, of Query.Tenant, whose pseudonym stands in for it: instead of Query.Account.
	Name string
	// RequestOf is audit.RequestID of who asked and its Idempotency-Key; what entries have instead under that account's
	// salt stands in for it: instead of Query.Request. It needs Name.
	RequestOf account.RequestID
	Oldest    bool   // first; otherwise the newest are
	Limit     int    // entries; 0: 100, at most MaxFound
	Cursor    string // of the page before
}

// MaxFound is the most entries of a LogPage.
const MaxFound = index.MaxLimit

const defaultFound = 100

// LogPage is what a search found before its limit, or before it had looked at as much as one search may cost.
type LogPage struct {
	Found   []LogFound
	Cursor  string // where the search goes on; empty at its end
	Account string // pseudonym that LogQuery.Name was taken for
}

// LogFound is an entry that was found.
type LogFound struct {
	Index    int64
	Tree     string
	Position int64  // in the tree
	Entry    []byte // its exact bytes
}

// SearchLog finds the entries that a query matches, all of them and no others, over all trees. What was committed before
// the call is found. It proves nothing: LogReceipt does.
//
// An account's name is looked up on this node: ErrNotFound for one that the cluster doesn't know, or knows no more. Its
// entries can then be found by pseudonym only, and nothing tells which that was.
func (s *Service) SearchLog(ctx context.Context, q LogQuery) (LogPage, error) {
	if q.Limit < 0 || q.Limit > MaxFound {
		return LogPage{}, &InvalidError{Field: "limit", Reason: fmt.Sprintf("must be at most %d", MaxFound)}
	}
	if err := q.Validate(); err != nil {
		return LogPage{}, &InvalidError{Field: "query", Reason: err.Error()}
	}
	if q.RequestOf != (account.RequestID{}) && (q.Name == "" || q.Request != "") {
		return LogPage{}, &InvalidError{Field: "request_of", Reason: "needs the account's name, and goes without a request"}
	}
	if err := s.engine.Sync(ctx); err != nil {
		return LogPage{}, engineError(err)
	}
	var page LogPage
	if q.Name != "" {
		if q.Tenant == "" || q.Account != "" {
			return LogPage{}, &InvalidError{Field: "account", Reason: "needs the account's tenant, and goes without a pseudonym"}
		}
		// A name without an account was perhaps guessed at; it has a pseudonym for as long as that is remembered.
		state, err := s.state(q.Tenant, q.Name)
		if err != nil {
			return LogPage{}, err
		}
		if state == nil {
			return LogPage{}, ErrNotFound
		}
		page.Account = account.Pseudonym(state.Salt, q.Tenant, q.Name)
		q.Account = page.Account
		if q.RequestOf != (account.RequestID{}) {
			q.Request = account.LogRequest(state.Salt, q.RequestOf)
		}
	}
	heads, err := s.engine.Log().Heads()
	if err != nil {
		return LogPage{}, err
	}
	if !q.Oldest {
		slices.Reverse(heads)
	}
	heads, at, err := resume(heads, q)
	if err != nil {
		return LogPage{}, err
	}
	err = s.searchTrees(ctx, &page, q, heads, at)
	return page, err
}

// searchTrees goes through trees in the order of the search, the first of them from a place on.
func (s *Service) searchTrees(ctx context.Context, page *LogPage, q LogQuery, heads []audit.Head, at int64) error {
	limit := q.Limit
	if limit == 0 {
		limit = defaultFound
	}
	for i, h := range heads {
		if i > 0 {
			at = beginning(h, q)
		}
		if len(page.Found) == limit {
			page.Cursor = cursor(h.Tree, at)
			return nil
		}
		o := index.Options{Begin: at, End: h.Size, Limit: limit - len(page.Found)}
		if !q.Oldest {
			o = index.Options{End: at, Descending: true, Limit: o.Limit}
		}
		if o.Begin >= o.End {
			continue
		}
		p, err := s.engine.Log().Search(ctx, h.Tree, q.Query, o)
		if err != nil {
			return logError(err)
		}
		for _, f := range p.Found {
			page.Found = append(page.Found, LogFound{Index: h.First + f.Position, Tree: h.Tree, Position: f.Position, Entry: f.Entry})
		}
		if p.More {
			page.Cursor = cursor(h.Tree, p.Next)
			return nil
		}
	}
	return nil
}

// beginning is where a search of a tree begins.
func beginning(h audit.Head, q LogQuery) int64 {
	if q.Oldest {
		return 0
	}
	return h.Size
}

// A cursor is a tree and a position in it, in a form that nobody is tempted to make up.
func cursor(tree string, at int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d", tree, at))
}

// resume is the trees that a search has still to go through, and where in the first of them.
func resume(heads []audit.Head, q LogQuery) ([]audit.Head, int64, error) {
	if q.Cursor == "" {
		return heads, beginning(heads[0], q), nil
	}
	unknown := &InvalidError{Field: "cursor", Reason: "must be one that a search gave"}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil {
		return nil, 0, unknown
	}
	tree, number, _ := strings.Cut(string(raw), ":")
	at, err := strconv.ParseInt(number, 10, 64)
	if err != nil || cursor(tree, at) != q.Cursor {
		return nil, 0, unknown
	}
	for i, h := range heads {
		if h.Tree == tree && at >= 0 && at <= h.Size {
			return heads[i:], at, nil
		}
	}
	return nil, 0, unknown
}
