package api

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
)

// What was asked about sign-ins and phones reaches the use cases as it was meant.
func TestSignInRequestsArrive(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	send := func(request, body string, want int) reply {
		t.Helper()
		got := s.send(t, c, request, body, "Idempotency-Key", "k1")
		if got.status != want {
			t.Errorf("%s %s: %d %s", request, body, got.status, got.body)
		}
		return got
	}
	send("POST /v1/accounts/alice/sign-ins", `{"purpose":"browser","device":{"kind":"computer","model":"Mac"},"own":"d9","address":"::ffff:203.0.113.7"}`, 201)
	if b := service.begun; b.Purpose != account.ForBrowser || b.Device.Model != "Mac" || b.Own != "d9" || b.Address != netip.MustParseAddr("203.0.113.7") || service.key != "k1" {
		t.Errorf("begun: %+v", b)
	}
	var x wire.SignIn
	got := send("POST /v1/accounts/alice/sign-ins", `{}`, 201)
	if err := json.Unmarshal([]byte(got.body), &x); err != nil || service.begun.Purpose != account.ForDevice {
		t.Errorf("begun: %+v, %v", service.begun, err)
	}
	if x.ID != "s1" || x.State != "begun" || !x.CodeNeeded || x.Place == nil || x.Place.Latitude != 47.4 || x.Place.Longitude != 8.5 || !x.Place.Approximate ||
		len(x.Channels.Phones) != 1 || !x.Ended.IsZero() {
		t.Errorf("answered: %+v", x)
	}
	send("POST /v1/accounts/alice/sign-ins/s1/decisions", `{"device":"d1","decision":"deny","time_ms":1767225600123,"signature":"AQID"}`, 200)
	if d := service.decision; d.Allow || d.Device != "d1" || d.Time.UnixMilli() != 1767225600123 || string(d.Signature) != "\x01\x02\x03" {
		t.Errorf("decided: %+v", d)
	}
	send("POST /v1/accounts/alice/sign-ins/s1/decisions", `{"device":"d1","decision":"deny","reason":"not_me","time_ms":1,"signature":"AQID"}`, 200)
	if d := service.decision; d.Allow || d.Reason != account.NotMe {
		t.Errorf("P68: decided: %+v", d)
	}
	send("POST /v1/accounts/alice/sign-ins/s1/decisions", `{"device":"d1","decision":"allow","reason":"not_me","time_ms":1,"signature":"AQID"}`, 422)
	send("POST /v1/accounts/alice/sign-ins/s1/decisions", `{"device":"d1","decision":"deny","reason":"other","time_ms":1,"signature":"AQID"}`, 422)
	send("POST /v1/accounts/alice/sign-ins/s1/codes", `{"phone":"p1","channel":"voice"}`, 200)
	if service.send != (appliance.SendRequest{Phone: "p1", Voice: true}) {
		t.Errorf("sent: %+v", service.send)
	}
	send("POST /v1/accounts/alice/sign-ins/s1/verifications", `{"code":"012345","new_device":{"public_key":"AQID","name":"Mac"}}`, 200)
	code, _ := otp.ParseCode("012345")
	if e := service.enter; e.SignIn != "s1" || !e.Code.Equal(code) || e.Register == nil || e.Register.Name != "Mac" || e.Proof != nil {
		t.Errorf("entered: %+v", e)
	}
	send("POST /v1/accounts/alice/sign-ins/s1/verifications", `{"text_proof":{"phone":"p1","signature":"AQID"},"new_device":{"public_key":"AQID"}}`, 200)
	if e := service.enter; e.Proof == nil || e.Proof.Phone != "p1" {
		t.Errorf("proved: %+v", e)
	}
	if got := send("POST /v1/accounts/alice/combined-verifications", `{"text":"pässword123456"}`, 200); !strings.Contains(got.body, `"remainder":9`) {
		t.Errorf("combined: %s", got.body)
	}
	send("POST /v1/accounts/alice/phones", `{"number":"+14155550101","label":"Mum","sign_in":"s1"}`, 201)
	if service.phone != (appliance.PhoneRequest{Number: "+14155550101", Label: "Mum", SignIn: "s1"}) {
		t.Errorf("phone: %+v", service.phone)
	}
	send("DELETE /v1/accounts/alice/phones/p1?sign_in=s2", "", 204)
	if service.phone.SignIn != "s2" {
		t.Errorf("removed with %q", service.phone.SignIn)
	}
	send("GET /v1/accounts/alice/sign-ins/s1?wait=20&was=allowed", "", 200)
	if left := time.Until(service.deadline); left < 15*time.Second || left > 21*time.Second {
		t.Errorf("waited for %v", left)
	}
}

// What can't be is refused before anything is done, and never repeated.
func TestSignInRequestsAreChecked(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	for request, body := range map[string]string{
		"POST /v1/accounts/a1/sign-ins":                  `{"address":"4711.example"}`,
		"POST /v1/accounts/a2/sign-ins":                  `{"address":"fe80::1%eth0"}`,
		"POST /v1/accounts/a3/sign-ins":                  `{"purpose":"anything4711"}`,
		"POST /v1/accounts/a4/sign-ins":                  `{"device":{"model":"a\u0000b4711"}}`,
		"POST /v1/accounts/a5/sign-ins":                  `{"own":"4711 4711"}`,
		"POST /v1/accounts/a6/sign-ins/s1/decisions":     `{"device":"d1","decision":"perhaps4711","time_ms":1,"signature":"AQ=="}`,
		"POST /v1/accounts/a7/sign-ins/s1/decisions":     `{"device":"d1","decision":"allow","time_ms":0,"signature":"AQ=="}`,
		"POST /v1/accounts/a8/sign-ins/s1/codes":         `{"phone":"p1","channel":"pigeon4711"}`,
		"POST /v1/accounts/a9/sign-ins/s1/verifications": `{}`,
		"POST /v1/accounts/b1/sign-ins/s1/verifications": `{"code":"123456","text_proof":{"phone":"p1","signature":"AQ=="}}`,
		"POST /v1/accounts/b2/sign-ins/s1/verifications": `{"code":"12 34 56"}`,
		"POST /v1/accounts/b3/sign-ins/s1/verifications": `{"code":"１２３４５６"}`,
		"POST /v1/accounts/b4/sign-ins/s1/verifications": `{"code":"+12345"}`,
		"POST /v1/accounts/b5/sign-ins/s1/verifications": `{"code":"12345"}`,
		"POST /v1/accounts/b6/combined-verifications":    `{"text":"4711"}`,
		"POST /v1/accounts/b7/phones":                    `{"number":"4711"}`,
		"POST /v1/accounts/b8/phones/p1/codes":           `{"channel":"fax4711"}`,
		"POST /v1/accounts/b9/phones/p1/verifications":   `{"code":"47114711x"}`,
		"PUT /v1/accounts/c1/phones/p1":                  `{"position":4711}`,
		"GET /v1/accounts/c2/sign-ins/s1?wait=4711":      "",
		"GET /v1/accounts/c3/sign-ins/s1?was=verified":   "",
		"GET /v1/accounts/c4/sign-ins/s%0a1":             "",
	} {
		service.asked = ""
		got := s.send(t, c, request, body)
		if got.status != http.StatusUnprocessableEntity || service.asked != "" {
			t.Errorf("%s %s: %d %s, and %q was asked", request, body, got.status, got.body, service.asked)
		}
		if strings.Contains(got.body, "4711") {
			t.Errorf("%s: repeated in %s", request, got.body)
		}
	}
	operator := s.client(t, asOperator)
	for _, body := range []string{`{"url":"https://a","secret":"4711"}`, `{"url":"https://a","secret":"whsec_4711!"}`} {
		if got := s.send(t, operator, "PUT /v1/tenants/acme/webhooks/gateway", body); got.status != 422 || strings.Contains(got.body, "4711") {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := s.send(t, operator, "PUT /v1/tenants/acme/webhooks/elsewhere", `{"url":"https://a"}`); got.status != 422 {
		t.Errorf("an unknown destination: %d %s", got.status, got.body)
	}
}

// Outcomes of sending and entering have their names, and so have the errors.
func TestSignInAnswers(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	for outcome, want := range map[account.Outcome]string{
		account.Done: "sent", account.TooSoon: "too-soon", account.TooMany: "limit", account.Ended: "ended",
	} {
		service.sending = appliance.Sending{Outcome: outcome, RetryAt: time.Unix(1700000000, 0)}
		for _, request := range []string{"POST /v1/accounts/alice/sign-ins/s1/codes", "POST /v1/accounts/alice/phones/p1/codes"} {
			if got := s.send(t, c, request, `{"phone":"p1","channel":"text"}`); strings.HasSuffix(request, "s1/codes") && !strings.Contains(got.body, `"outcome":"`+want+`"`) {
				t.Errorf("%v: %s", outcome, got.body)
			}
		}
	}
	service.answer.Outcome = account.Ended
	if got := s.send(t, c, "POST /v1/accounts/alice/sign-ins/s1/verifications", `{"code":"123456"}`); got.status != 200 || !strings.Contains(got.body, `"outcome":"ended"`) {
		t.Errorf("ended: %d %s", got.status, got.body)
	}
	for err, want := range map[error]string{
		appliance.ErrEnded: "409 ended", appliance.ErrSignature: "403 signature", appliance.ErrNotEligible: "403 not-eligible",
		appliance.ErrLastPhone: "409 last-phone", appliance.ErrStepUp: "403 step-up", appliance.ErrNoticesFull: "503 notices-full",
	} {
		service.err = err
		got := s.send(t, c, "POST /v1/accounts/alice/sign-ins", `{}`)
		status, name, _ := strings.Cut(want, " ")
		if http.StatusText(got.status) == "" || !strings.Contains(got.body, `"type":"urn:strongroom:problem:`+name+`"`) || !strings.Contains(got.body, `"status":`+status) {
			t.Errorf("%v: %d %s", err, got.status, got.body)
		}
	}
}

// A webhook's secret leaves once, when it was made here.
func TestWebhookSecrets(t *testing.T) {
	s := serve(t, Config{Service: well()}, false)
	c := s.client(t, asOperator)
	made := s.send(t, c, "PUT /v1/tenants/acme/webhooks/gateway", `{"url":"https://sms.example"}`)
	if !strings.Contains(made.body, `"secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="`) {
		t.Errorf("made: %s", made.body)
	}
	given := s.send(t, c, "PUT /v1/tenants/acme/webhooks/gateway", `{"url":"https://sms.example","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`)
	if given.status != 200 || strings.Contains(given.body, "whsec") {
		t.Errorf("given: %s", given.body)
	}
	for _, v := range []any{
		wire.WebhookRequest{Secret: wire.NewSecret("t")},
		wire.Webhook{Secret: wire.NewSecret("t")},
		wire.EnterRequest{Code: wire.NewSecret("1")},
		wire.CombinedRequest{Text: wire.NewSecret("1")},
		wire.PhoneRequest{Number: wire.NewSecret("1")},
		wire.VerifyPhoneRequest{Code: wire.NewSecret("1")},
	} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("encoding/json writes %T in clear: %s", v, b)
		}
		if b, err := wire.Marshal(v); err != nil || strings.Contains(string(b), "redacted") {
			t.Errorf("%T goes over the wire as %s, %v", v, b, err)
		}
	}
}
