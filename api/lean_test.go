package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// The hot path by hand and by huma: the same status, type of problem, and body for the same request.
func TestLeanIsHuma(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 678000000, time.UTC)
	answers := map[string]appliance.Verification{
		"accepted": {Outcome: account.Accepted, Credential: "d1", Entry: 1 << 40},
		"wrong":    {Outcome: account.Wrong, Entry: 3, Replayed: true},
		"spent":    {Outcome: account.Spent, Entry: 3},
		"expired":  {Outcome: account.Expired, Entry: 3},
		"locked":   {Outcome: account.Locked, RetryAt: at, Entry: 0},
		"for good": {Outcome: account.Locked},
		"nameless": {Outcome: account.Stale},
		"receipt":  {Outcome: account.Accepted, Entry: 3, Receipt: []byte("c2sp.org/tlog-proof@v1\n\n\u2014 \"w\\<\t& a+b/=\n")},
	}
	good := `{"code":"123456"}`
	requests := []string{
		good, ` { "code" : "123456" , "device" : "d1" } `, "{\"device\":\"d1\",\n\"code\":\"123456\"}", `{"code":"\u003123456"}`,
		``, `{}`, `[]`, `null`, `"x"`, `1`, `{`, `{"code":"123456"`, `{"code":"123456"}x`, `{"code":"123456"}{}`, `{"code":123456}`,
		`{"code":null}`, `{"code":""}`, `{"code":"123456","code":"123456"}`, `{"Code":"123456"}`, `{"code":"123456","x":1}`,
		`{"code":"123456","device":1}`, `{"code":"123456","device":""}`, `{"code":"123456","device":"a b"}`, `{"code":"12345"}`,
		`{"code":"abcdef"}`, `{"code":"` + strings.Repeat("1", 33) + `"}`, `{"code":"` + strings.Repeat("é", 20) + `"}`,
		`{"code":"123456","device":"` + strings.Repeat("d", 65) + `"}`, `{"code":{"code":"1"}}`, `{"device":"d1"}`, "\xef\xbb\xbf" + good,
		`{"code":"123456","receipt":true}`, `{"receipt":true,"code":"123456","device":"d1"}`, `{"code":"123456","receipt":false}`,
		`{"code":"123456","receipt":null}`, `{"code":"123456","receipt":"true"}`, `{"code":"123456","receipt":1}`,
		`{"code":"123456","receipt":truex}`, `{"code":"123456","receipt":true,"receipt":true}`, `{"receipt":true}`, `{"code":true}`,
		`{"code":"123456",}`, `{'code':'123456'}`, `{"code":"123456","device":null}`,
	}
	service := well()
	lean, huma := serve(t, Config{Service: service}, false), serve(t, Config{Service: service}, true)
	a, b := lean.client(t, asFrontend), huma.client(t, asFrontend)
	compare := func(name, body string) {
		t.Helper()
		l := lean.send(t, a, "POST /v1/accounts/alice/verifications", body, "Content-Type", "application/json", "X-Request-Id", "r1")
		lv := service.verify
		h := huma.send(t, b, "POST /v1/accounts/alice/verifications", body, "Content-Type", "application/json", "X-Request-Id", "r1")
		if l.status != h.status || l.header.Get("Content-Type") != h.header.Get("Content-Type") ||
			l.header.Get("Retry-After") != h.header.Get("Retry-After") {
			t.Errorf("%s %q: by hand %d %s, by huma %d %s", name, body, l.status, l.body, h.status, h.body)
			return
		}
		if l.status == 200 {
			if l.body != h.body || lv != service.verify {
				t.Errorf("%s %q: by hand %q, by huma %q", name, body, l.body, h.body)
			}
			return
		}
		var lp, hp wire.Problem
		if err := json.Unmarshal([]byte(l.body), &lp); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(h.body), &hp); err != nil {
			t.Fatal(err)
		}
		lp.Errors, hp.Errors = nil, nil // each words them in its own way
		if d := cmp.Diff(lp, hp); d != "" {
			t.Errorf("%s %q:\n%s", name, body, d)
		}
	}
	for name, answer := range answers {
		service.answer = answer
		compare(name, good)
	}
	service.answer = answers["accepted"]
	for _, body := range requests {
		compare("request", body)
	}
	query := lean.send(t, a, "POST /v1/accounts/alice/verifications?x=1", good).status
	if other := huma.send(t, b, "POST /v1/accounts/alice/verifications?x=1", good).status; query != 422 || other != 422 {
		t.Errorf("a query: by hand %d, by huma %d", query, other)
	}
	for _, err := range []error{appliance.ErrUnavailable, appliance.ErrUnknown, appliance.ErrConflict, hsm.ErrTag} {
		service.err = err
		compare(err.Error(), good)
	}
}

// What the scanner takes, the long way takes with the same result.
func FuzzParseVerify(f *testing.F) {
	f.Add([]byte(`{"code":"123456","device":"d"}`))
	f.Add([]byte(`{"device":"d","code":"1"} `))
	f.Add([]byte(`{"code":"1","code":"2"}`))
	f.Add([]byte(`{"receipt":true,"code":"1"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseVerify(body)
		if err != nil {
			return
		}
		var want struct {
			Code   *string `json:"code"`
			Device string  `json:"device"`

			Receipt bool `json:"receipt"`
		}
		if err := strictJSON(body, &want); err != nil {
			t.Fatalf("%q was taken: %v", body, err)
		}
		if want.Code == nil || *want.Code != r.Code.Reveal() || want.Device != r.Device || want.Receipt != r.Receipt {
			t.Fatalf("%q was read as %q, %q and %v", body, r.Code.Reveal(), r.Device, r.Receipt)
		}
	})
}

func FuzzStrictJSON(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":null}]}}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		if err := strictJSON(body, &v); err == nil && !json.Valid(body) {
			t.Fatalf("%q was taken", body)
		}
	})
}
