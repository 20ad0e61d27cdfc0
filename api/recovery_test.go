package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

// What is asked of recoveries and password resets reaches the use case as it was meant, and what is answered the client.
func TestRecoveriesArrive(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	const path = "/v1/accounts/alice/recoveries"
	expect := func(request, body string, status int, parts ...string) {
		t.Helper()
		got := s.send(t, c, request, body, "Idempotency-Key", "k1")
		for _, part := range parts {
			if got.status != status || !strings.Contains(got.body, part) {
				t.Errorf("%s %s: %d %s, want %d with %s", request, body, got.status, got.body, status, part)
			}
		}
	}
	expect("POST "+path, "", 201, `{"outcome":"started","recovery":{"id":"r1","state":"waiting","explanation":"The recovery waits`,
		`"ready":"2023-11-28T22:13:20Z","floor":"2023-11-17T22:13:20Z"`, `"evidence":["email"],"helps":[{"kind":"phone_code","hours":96}]`)
	if service.key != "k1" {
		t.Errorf("the use case saw the key %q", service.key)
	}
	service.recovery.start = appliance.StartedRecovery{Outcome: account.TooSoon, RetryAt: time.Unix(1700000000, 0), Entry: 4}
	expect("POST "+path, "", 200, `{"outcome":"too-soon","retry_at":"2023-11-14T22:13:20Z","entry":4}`)
	service.recovery.start = appliance.StartedRecovery{Outcome: account.Exists, Recovery: &fakeRecovery}
	expect("POST "+path, "", 200, `{"outcome":"running","recovery":{"id":"r1"`)
	expect("GET "+path, "", 200, `{"recoveries":[{"id":"r1"`)
	expect("DELETE "+path+"/r1", "", 204, "")
	expect("POST "+path+"/r1/codes", `{"phone":"p1","channel":"voice"}`, 200, `"outcome":"sent"`)

	expect("POST "+path+"/r1/evidence", `{"kind":"phone_code","code":"123456"}`, 200, `{"outcome":"accepted","recovery":{"id":"r1"`)
	if p := service.recovery.proof; p.Kind != account.PhoneCodeEvidence || p.Code.Reveal() != "123456" {
		t.Errorf("the use case saw %+v", p)
	}
	expect("POST "+path+"/r1/evidence", `{"kind":"device","device":"d1","time_ms":5,"signature":"AAAA"}`, 200, "accepted")
	if p := service.recovery.proof; p.Kind != account.DeviceEvidence || p.Device != "d1" || p.Time.UnixMilli() != 5 || len(p.Signature) != 3 {
		t.Errorf("the use case saw %+v", p)
	}
	expect("POST "+path+"/r1/cancellations", `{"device":"d1","time_ms":5,"signature":"AAAA"}`, 200, "accepted")
	if service.asked != "CancelRecovery" || service.recovery.proof.Kind != account.DeviceEvidence {
		t.Errorf("the use case saw %s %+v", service.asked, service.recovery.proof)
	}
	service.answer = appliance.Verification{Outcome: account.Locked, RetryAt: time.Unix(1700000000, 0)}
	expect("POST "+path+"/r1/cancellations", `{"code":"123456"}`, 200, `{"outcome":"locked","retry_at":"2023-11-14T22:13:20Z"`)
	service.asked = ""
	for _, body := range []string{
		`{"kind":"phone_code"}`, `{"kind":"phone_code","code":"12345x"}`, `{"kind":"phone_code","code":"123456","device":"d1"}`,
		`{"kind":"device","device":"d1"}`, `{"kind":"device","device":"d1","time_ms":5}`, `{"kind":"device","code":"123456"}`,
		`{"kind":"email","code":"123456"}`, `{"kind":"password","device":"d1","time_ms":5,"signature":"AAAA"}`,
		`{"kind":"question"}`, `{}`,
	} {
		expect("POST "+path+"/r1/evidence", body, 422, "urn:strongroom:problem:invalid")
	}
	for _, body := range []string{`{}`, `{"code":"123456","device":"d1","time_ms":5,"signature":"AAAA"}`, `{"device":"../x","time_ms":5,"signature":"AAAA"}`} {
		expect("POST "+path+"/r1/cancellations", body, 422, "urn:strongroom:problem:invalid")
	}
	if service.asked != "" {
		t.Errorf("what is not valid reached %s", service.asked)
	}

	expect("POST "+path+"/r1/claims", "", 200, `{"outcome":"granted","grant":"gr4nt","expires":"2023-11-14T22:28:20Z","entry":6}`)
	for outcome, name := range map[account.Outcome]string{
		account.NotYet: "not-yet", account.NoEvidence: "evidence-needed", account.Ended: "ended",
	} {
		service.recovery.claim = appliance.ClaimedRecovery{Outcome: outcome}
		expect("POST "+path+"/r1/claims", "", 200, `{"outcome":"`+name+`","entry":0}`)
	}
	expect("POST "+path+"/r1/completions", `{"grant":"g","new_device":{"public_key":"AAAA","name":"new"}}`, 201, `"device":{"id":"device1"`)
	if service.recovery.granted != "g" || service.recovery.newer.Name != "new" {
		t.Errorf("the use case saw %+v", service.recovery)
	}
	expect("POST "+path+"/r1/completions", `{"grant":"g"}`, 422, "invalid")

	const resets = "/v1/accounts/alice/password-resets"
	expect("POST "+resets, `{"sign_in":"s1","device":"d1","local_presence":"present","time_ms":5,"signature":"AAAA"}`, 201, `{"grant":"gr4nt","expires":"2023-11-14T22:28:20Z","entry":6}`)
	if r := service.recovery.reset; r.SignIn != "s1" || r.Device != "d1" || !r.Present || r.Time.UnixMilli() != 5 {
		t.Errorf("the use case saw %+v", r)
	}
	for _, body := range []string{
		`{}`, `{"sign_in":"../"}`, `{"sign_in":"s1","device":"d1"}`, `{"sign_in":"s1","local_presence":"present"}`, `{"sign_in":"s1","device":"d1","local_presence":"yes","time_ms":5,"signature":"AAAA"}`,
	} {
		expect("POST "+resets, body, 422, "invalid")
	}
	expect("POST "+resets+"/redemptions", `{"grant":"g"}`, 200, `{"device":"d1","entry":7}`)
	service.err = appliance.ErrGrant
	expect("POST "+resets+"/redemptions", `{"grant":"a-grant-that-is-wrong"}`, 403, "urn:strongroom:problem:grant")
	if got := s.send(t, c, "POST "+resets+"/redemptions", `{"grant":"a-grant-that-is-wrong"}`); strings.Contains(got.body, "a-grant") {
		t.Errorf("a problem quotes a grant: %s", got.body)
	}
}

// A4: the help desk reads a recovery and its explanation, and nothing that it can send does anything.
func TestA4_HelpDeskOnlyReads(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	for _, identity := range []string{asHelpdesk, asOperator, asAuditor, asNode} {
		c := s.client(t, identity)
		for pattern, allowed := range access {
			if !strings.Contains(pattern, "/recoveries") && !strings.Contains(pattern, "/password-resets") {
				continue
			}
			service.asked = ""
			got := s.send(t, c, fill.Replace(pattern), bodies[pattern])
			reads := identity == asHelpdesk && strings.HasPrefix(pattern, "GET ")
			if reads && (got.status != http.StatusOK || !strings.Contains(got.body, `"explanation":"The recovery waits until`)) ||
				!reads && (got.status != http.StatusForbidden || service.asked != "") {
				t.Errorf("%s as %s: %d %s", pattern, identity, got.status, got.body)
			}
			if allowed&(operator|auditor|node) != 0 || allowed.has(appliance.Helpdesk) && !strings.HasPrefix(pattern, "GET ") {
				t.Errorf("%s is open to %b", pattern, allowed)
			}
		}
	}
	for state, text := range explanations {
		if text == "" || wireRecovery(appliance.RecoveryInfo{State: state}).Explanation != text {
			t.Errorf("%v has no explanation", state)
		}
	}
}
