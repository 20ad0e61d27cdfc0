package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/audit/index"
)

// Proofs come as text, by entry, by request, and to front-ends for their own accounts.
func TestProofs(t *testing.T) {
	service := well()
	request := strings.Repeat("0a", 16)
	service.pages = map[string]appliance.LogPage{
		"":  {Cursor: "c"}, // a page may be empty and not the last one
		"c": {Found: []appliance.LogFound{{Index: 41}, {Index: 42}}},
	}
	s := serve(t, Config{Service: service}, false)
	auditor, frontend := s.client(t, asAuditor), s.client(t, asFrontend)
	for _, tc := range []struct{ as, path, want, entries string }{
		{asAuditor, "/v1/log/proofs?entry=0", "0", ""},
		{asAuditor, "/v1/log/proofs?entry=4611686018427387903", "4611686018427387903", ""},
		{asAuditor, "/v1/log/proofs?request=" + request, "41", "41, 42"},
		{asFrontend, "/v1/accounts/al%2Fice/receipts/12", "12", ""},
	} {
		c := auditor
		if tc.as == asFrontend {
			c = frontend
		}
		service.want = ""
		got := s.send(t, c, "GET "+tc.path, "")
		if got.status != 200 || got.body != "receipt\n" || got.header.Get("Content-Type") != textType || got.header.Get("Cache-Control") != "no-store" ||
			service.want != tc.want || got.header.Get("Strongroom-Entries") != tc.entries {
			t.Errorf("%s: %d %v %q, entry %s was asked for", tc.path, got.status, got.header, got.body, service.want)
		}
	}
	if service.account != "al/ice" || service.caller.Tenant != "acme" {
		t.Errorf("the receipt was asked for %q of %+v", service.account, service.caller)
	}
	want := appliance.LogQuery{Query: index.Query{Request: request}, Oldest: true, Limit: maxOfRequest, Cursor: "c"}
	if d := cmp.Diff(want, service.query); d != "" {
		t.Errorf("the search for a request:\n%s", d)
	}
	for _, query := range []string{
		"", "?entry=", "?entry=x", "?entry=-1", "?entry=01", "?entry=1&request=" + request, "?request=" + request[1:], "?request=" + strings.ToUpper(request),
		"?request=" + request + "0", "?entry=9999999999999999999", "?entries=1",
	} {
		if got := s.send(t, auditor, "GET /v1/log/proofs"+query, ""); got.status != 422 {
			t.Errorf("%q: %d %s", query, got.status, got.body)
		}
	}
	for _, path := range []string{"/v1/accounts/alice/receipts/-1", "/v1/accounts/alice/receipts/x", "/v1/accounts/alice/receipts/1?x=1"} {
		if got := s.send(t, frontend, "GET "+path, ""); got.status != 422 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	service.pages = nil
	if got := s.send(t, auditor, "GET /v1/log/proofs?request="+request, ""); got.status != 404 {
		t.Errorf("a request without entries: %d %s", got.status, got.body)
	}
	for err, status := range map[error]int{appliance.ErrNotFound: 404, appliance.ErrPruned: 410, appliance.ErrUnavailable: 503, appliance.ErrPolicy: 403} {
		service.err = err
		if got := s.send(t, auditor, "GET /v1/log/proofs?entry=1", ""); got.status != status {
			t.Errorf("%v: %d %s", err, got.status, got.body)
		}
		if got := s.send(t, frontend, "GET /v1/accounts/alice/receipts/1", ""); got.status != status {
			t.Errorf("%v: %d %s", err, got.status, got.body)
		}
	}
}

// Every member of the query reaches the use case, and what was found comes back as it is.
func TestSearch(t *testing.T) {
	service := well()
	entry := []byte("{\"detail\":\"<&> \u2028\"}")
	service.pages = map[string]appliance.LogPage{
		"c1": {Found: []appliance.LogFound{{Index: 7, Tree: "2026", Position: 3, Entry: entry}}, Cursor: "c2", Account: "9f"},
		"":   {},
	}
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	long := strings.Repeat("ä", 256) // 512 bytes, six times as many percent-encoded
	q := url.Values{
		"tenant": {"acme"}, "account": {"a/ü"}, "pseudonym": {"0f"}, "key": {"k"}, "subject": {long}, "actor": {"spiffe://a/b?c&d"},
		"operation": {"verify"}, "outcome": {"wrong"}, "request": {"1e"}, "node": {"n1"}, "from": {"2026-01-02T03:04:05Z"},
		"to": {"2026-01-02T04:04:05.5+01:00"}, "order": {"oldest"}, "limit": {"1000"}, "cursor": {"c1"},
	}
	got := s.send(t, c, "GET /v1/log/search?"+q.Encode(), "")
	var p wire.LogPage
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatal(err, got.body)
	}
	want := wire.LogPage{Entries: []wire.LogFound{{Index: 7, Tree: "2026", Position: 3, Entry: entry}}, Cursor: "c2", Account: "9f"}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	asked := appliance.LogQuery{
		Query: index.Query{
			Tenant: "acme", Account: "0f", Key: "k", Subject: long, Actor: "spiffe://a/b?c&d", Operation: "verify", Outcome: "wrong",
			Request: "1e", Node: "n1", From: at, To: at.Add(500 * time.Millisecond),
		},
		Name: "a/ü", Oldest: true, Limit: 1000, Cursor: "c1",
	}
	if d := cmp.Diff(asked, service.query, cmp.Comparer(time.Time.Equal)); d != "" {
		t.Error(d)
	}
	if got := s.send(t, c, "GET /v1/log/search", ""); got.body != "{\"entries\":[]}\n" || service.query.Limit != 100 || service.query.Oldest {
		t.Errorf("a search for everything: %d %s, %+v", got.status, got.body, service.query)
	}
	service.asked = ""
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=x", "order=random", "from=yesterday", "to=2026-01-01", "account=a%00", "account=" + strings.Repeat("x", 129),
		"tennant=acme", "request=" + strings.Repeat("0", 33), "cursor=" + strings.Repeat("0", 129),
	} {
		if got := s.send(t, c, "GET /v1/log/search?"+query, ""); got.status != 422 || service.asked != "" {
			t.Errorf("%s: %d %s, it reached %q", query, got.status, got.body, service.asked)
		}
	}
	if got := s.send(t, c, "GET /v1/log/search?actor="+strings.Repeat("x", maxSearchQuery), ""); got.status != 413 {
		t.Errorf("a very long query: %d", got.status)
	}
}

// What operators say of the log reaches the use cases.
func TestRetention(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asOperator)
	root := strings.Repeat("A", 42) + "E="
	for _, tc := range []struct {
		request, body, asked, want, answer string
		status                             int
	}{
		{"GET /v1/log/retention", "", "LogRetention", "", `{"keep_days":30}`, 200},
		{"PUT /v1/log/retention", `{"keep_days":0}`, "SetLogRetention", "0", `{"keep_days":0}`, 200},
		{"PUT /v1/log/retention", `{"keep_days":-1}`, "", "", "", 422},
		{"PUT /v1/log/retention", `{"keep_days":36526}`, "", "", "", 422},
		{"PUT /v1/log/retention", `{}`, "", "", "", 422},
		{"GET /v1/log/witnesses", "", "LogWitnesses", "", `{"witnesses":[{"vkey":"v","url":"https://w"}]}`, 200},
		{"PUT /v1/log/witnesses", `{"witnesses":[]}`, "SetLogWitnesses", "[]", `{"witnesses":[]}`, 200},
		{"PUT /v1/log/witnesses", `{"witnesses":[{"vkey":"a","url":"b"}]}`, "SetLogWitnesses", "[{a b}]", `{"witnesses":[{"vkey":"a","url":"b"}]}`, 200},
		{"PUT /v1/log/witnesses", `{"witnesses":null}`, "", "", "", 422},
		{"PUT /v1/log/witnesses", `{"witnesses":[` + strings.Repeat(`{"vkey":"a","url":"b"},`, 16) + `{"vkey":"a","url":"b"}]}`, "", "", "", 422},
		{"PUT /v1/log/witnesses", `{"witnesses":[{"vkey":"a"}]}`, "", "", "", 422},
		{"POST /v1/log/archives", `{"tree":"2026","size":5,"root":"` + root + `","where":"x"}`, "RecordArchive", "2026 5 0 x", `{"tree":"2026","size":5,"root":"` + root + `","where":"x"}`, 201},
		{"POST /v1/log/archives", `{"tree":"2026","size":0,"root":"` + root + `"}`, "", "", "", 422},
		{"POST /v1/log/archives", `{"tree":"2026","size":5,"root":"AAAA"}`, "", "", "", 422},
		{"POST /v1/log/prunings", `{"tree":"2026","position":256}`, "PruneLog", "2026 256", `{"tree":"2026","position":256}`, 201},
		{"POST /v1/log/prunings", `{"tree":"2026","position":0}`, "", "", "", 422},
	} {
		service.asked, service.want = "", ""
		got := s.send(t, c, tc.request, tc.body)
		if got.status != tc.status || service.asked != tc.asked || service.want != tc.want || tc.answer != "" && got.body != tc.answer+"\n" {
			t.Errorf("%s %s: %d %s; it reached %q with %q", tc.request, tc.body, got.status, got.body, service.asked, service.want)
		}
		if strings.HasPrefix(tc.request, "P") && tc.asked != "" && service.caller.Identity != asOperator {
			t.Errorf("%s was done by %+v", tc.request, service.caller)
		}
	}
}

// A head is of the whole log; the policy is text.
func TestLogHeadAndPolicy(t *testing.T) {
	service := well()
	service.log = newFakeLog()
	service.log.grow(3)
	service.log.sign()
	service.log.grow(1)
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	var head wire.LogHead
	if err := json.Unmarshal([]byte(s.send(t, c, "GET /v1/log/head", "").body), &head); err != nil || head.Size != 8 || head.Signed != 7 || head.Tree != "b" {
		t.Errorf("head: %+v, %v", head, err)
	}
	var trees wire.LogTrees
	err := json.Unmarshal([]byte(s.send(t, c, "GET /v1/log/trees", "").body), &trees)
	want := wire.LogTrees{Trees: []wire.LogTree{
		{Name: "a", Size: 3, Root: make([]byte, 32), Closed: true, Signed: 3}, {Name: "b", First: 3, Size: 5, Root: make([]byte, 32), Signed: 4},
	}}
	if d := cmp.Diff(want, trees); err != nil || d != "" {
		t.Errorf("trees: %v\n%s", err, d)
	}
	if got := s.send(t, c, "GET /v1/log/policy", ""); got.body != "policy\n" || got.header.Get("Content-Type") != textType {
		t.Errorf("policy: %d %v %q", got.status, got.header, got.body)
	}
	service.checks = []appliance.Check{{Name: "log", Err: errors.New("the disk is full")}}
	if got := s.send(t, c, "GET /readyz", ""); got.status != 503 || !strings.Contains(got.body, `{"name":"log","ok":false,"error":"the disk is full"}`) {
		t.Errorf("readiness: %d %s", got.status, got.body)
	}
	metrics := s.send(t, c, "GET /metrics", "").body
	for _, name := range []string{"log_signed_entries", "log_missing_entries", "log_streams"} {
		if !strings.Contains(metrics, fmt.Sprintf("strongroom_%s 0\n", name)) {
			t.Errorf("there is no metric %s", name)
		}
	}
}
