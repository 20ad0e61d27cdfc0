package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// What every answer carries.
func TestHeaders(t *testing.T) {
	s := serve(t, Config{Service: well()}, false)
	c := s.client(t, asFrontend)
	for request, body := range map[string]string{
		"GET /v1/accounts/alice": "", "POST /v1/accounts/alice/verifications": `{"code":"123456"}`, "GET /v1/cluster": "", "GET /nothing": "",
	} {
		got := s.send(t, c, request, body)
		if got.header.Get("Cache-Control") != "no-store" || len(got.header.Get("X-Request-Id")) != 32 {
			t.Errorf("%s: %v", request, got.header)
		}
		if id := s.send(t, c, request, body, "X-Request-Id", "my.id-1").header.Get("X-Request-Id"); id != "my.id-1" {
			t.Errorf("%s: a well-formed id became %q", request, id)
		}
		if id := s.send(t, c, request, body, "X-Request-Id", "my id").header.Get("X-Request-Id"); len(id) != 32 {
			t.Errorf("%s: an ill-formed id became %q", request, id)
		}
	}
	if got := s.send(t, c, "PATCH /v1/accounts/alice", ""); got.status != 405 || strings.Join(got.header.Values("Allow"), " ") != "GET PUT DELETE" {
		t.Errorf("PATCH: %d %v", got.status, got.header)
	}
}

// What was asked reaches the use case as it was meant.
func TestRequestsArrive(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	s.send(t, c, "POST /v1/accounts/alice/verifications", `{"code":"012345","device":"d1"}`, "Idempotency-Key", "k1")
	code, _ := otp.ParseCode("012345")
	if service.key != "k1" || service.account != "alice" || !service.verify.Code.Equal(code) || service.verify.Device != "d1" {
		t.Errorf("verify: %+v", service)
	}
	s.send(t, c, "POST /v1/accounts/alice/authenticators", `{"issuer":"I","label":"L","params":{"type":"hotp","algorithm":"SHA512","digits":8}}`)
	want := otp.Params{Mode: otp.HOTP, Hash: otp.SHA512, Digits: 8}
	if p := service.params; p.Issuer != "I" || p.Label != "L" || p.Params != want || p.URI != nil {
		t.Errorf("authenticator: %+v", p)
	}
	s.send(t, s.client(t, asOperator), "PUT /v1/tenants/acme/policy", `{"allow_reveal":true}`)
	if service.tenant != "acme" || !reflect.DeepEqual(service.policy, appliance.Policy{AllowReveal: true}) {
		t.Errorf("policy: %+v of %q", service.policy, service.tenant)
	}
	if got := s.send(t, s.client(t), "POST /v1/join", bodies["POST /v1/join"]); got.status != 201 || service.join.NodeID != "n2" {
		t.Errorf("join: %d %s", got.status, got.body)
	} else {
		var w wire.JoinResponse
		if err := json.Unmarshal([]byte(got.body), &w); err != nil {
			t.Fatal(err)
		}
		if r, err := JoinResponse(w); err != nil || r.Keys.KeyVersion != 3 || r.TrustDomain != "test" {
			t.Errorf("join: %+v, %v", r, err)
		}
	}
}

// Secrets leave once, where they are meant to.
func TestSecretsThatAreMeantToLeave(t *testing.T) {
	service := well()
	service.made = appliance.NewAuthenticator{
		CredentialInfo: appliance.CredentialInfo{ID: "a1", Kind: account.Authenticator, Params: totp},
		URI:            hsm.NewSecret([]byte("otpauth://totp/x?secret=AAAA")), QR: hsm.NewSecret([]byte("\x89PNG")), Entry: 5,
	}
	s := serve(t, Config{Service: service}, false)
	got := s.send(t, s.client(t, asFrontend), "POST /v1/accounts/alice/authenticators", `{}`)
	var made wire.NewAuthenticator
	if err := json.Unmarshal([]byte(got.body), &made); err != nil {
		t.Fatal(err)
	}
	if got.status != 201 || made.URI.Reveal() != "otpauth://totp/x?secret=AAAA" || made.QR.Reveal() != "iVBORw==" || made.Authenticator.ID != "a1" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, s.client(t, asOperator), "POST /v1/join-tokens", `{"lifetime_seconds":60}`); !strings.Contains(got.body, `"token":"srjoin1_secret"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, v := range []any{made, wire.VerifyRequest{Code: wire.NewSecret("1")}, wire.JoinToken{Token: wire.NewSecret("t")}} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("encoding/json writes %T in clear: %s", v, b)
		}
	}
}

func TestReadiness(t *testing.T) {
	service := well()
	service.checks = []appliance.Check{{Name: "module", Err: errors.New("gone since noon")}, {Name: "quorum"}}
	s := serve(t, Config{Service: service}, false)
	got := s.send(t, s.client(t), "GET /readyz", "")
	if got.status != 503 || got.body != "{\"ready\":false}\n" {
		t.Errorf("without a certificate: %d %s", got.status, got.body)
	}
	got = s.send(t, s.client(t, asOperator), "GET /readyz", "")
	if got.status != 503 || !strings.Contains(got.body, `{"name":"module","ok":false,"error":"gone since noon"},{"name":"quorum","ok":true}`) {
		t.Errorf("with one: %d %s", got.status, got.body)
	}
}

// Entries are the exact bytes that were hashed, whatever characters are in them.
func TestLogEntriesAreExact(t *testing.T) {
	s := serve(t, Config{Service: well()}, false)
	got := s.send(t, s.client(t, asAuditor), "GET /v1/log/entries?from=4&n=2", "")
	var l wire.LogEntries
	if err := json.Unmarshal([]byte(got.body), &l); err != nil {
		t.Fatal(err)
	}
	if l.From != 4 || len(l.Entries) != 1 || !bytes.Equal(l.Entries[0], []byte(`{"v":1,"text":"<&>"}`)) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, s.client(t, asAuditor), "GET /v1/log/entries?from=5", ""); got.body != "{\"from\":5,\"entries\":[]}\n" {
		t.Errorf("at the end: %d %s", got.status, got.body)
	}
	for _, query := range []string{"from=-1", "n=0", "n=513", "n=x", "form=1"} {
		if got := s.send(t, s.client(t, asAuditor), "GET /v1/log/entries?"+query, ""); got.status != 422 {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

// Metrics name routes, outcomes and problems, and nobody.
func TestMetrics(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	s.send(t, c, "POST /v1/accounts/somebody/verifications", `{"code":"123456"}`)
	service.answer.Outcome = account.Wrong
	s.send(t, c, "POST /v1/accounts/somebody/verifications", `{"code":"123456"}`)
	s.send(t, c, "POST /v1/accounts/somebody/verifications", `{"code":"x"}`)
	s.send(t, c, "GET /v1/accounts/somebody", ``)
	s.send(t, c, "GET /somewhere", ``)
	got := s.send(t, s.client(t, asAuditor), "GET /metrics", "")
	for _, line := range []string{
		`strongroom_api_requests_total{outcome="accepted",route="POST /v1/accounts/{account}/verifications"} 1`,
		`strongroom_api_requests_total{outcome="wrong",route="POST /v1/accounts/{account}/verifications"} 1`,
		`strongroom_api_requests_total{outcome="invalid",route="POST /v1/accounts/{account}/verifications"} 1`,
		`strongroom_api_requests_total{outcome="ok",route="GET /v1/accounts/{account}"} 1`,
		`strongroom_api_requests_total{outcome="no-route",route="none"} 1`,
		`strongroom_module_ready 1`, `strongroom_raft_is_leader 1`,
	} {
		if !strings.Contains(got.body, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(got.body, "somebody") || strings.Contains(got.body, "somewhere") || strings.Contains(got.body, "acme") {
		t.Error("a metric names somebody")
	}
}

// The documentation is one page that loads nothing.
func TestDocs(t *testing.T) {
	s := serve(t, Config{Service: well()}, false)
	c := s.client(t, asHelpdesk)
	got := s.send(t, c, "GET /docs", "")
	for _, part := range []string{"PUT /v1/accounts/{account}", "Verify a code", "Roles: frontend."} {
		if !strings.Contains(got.body, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	for _, outside := range []string{"<script", "http://", "https://", "src="} {
		if strings.Contains(got.body, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	if got := s.send(t, c, "GET /openapi.json", ""); !json.Valid([]byte(got.body)) || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("openapi.json: %d", got.status)
	}
}
