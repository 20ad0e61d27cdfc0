package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

const (
	twoStepPath  = "/v1/accounts/alice/two-step"
	exampleKey   = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSCT"
	bareExample  = "0123456789ABCDEFGHJKMNPQRSCT"
	mistypedHere = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSC7"
)

// What is asked of two-step verification reaches the use case as it was meant, and what is answered the client.
func TestTwoStepArrives(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	got := s.send(t, c, "POST "+twoStepPath, `{"number":"+14155550161","label":"mine","platform":"iOS","system_version":"8.4","sign_in":"s1"}`, "Idempotency-Key", "k1")
	if got.status != http.StatusCreated || service.key != "k1" || service.twoStep.request != (appliance.TwoStepRequest{
		Number: "+14155550161", Label: "mine", Platform: "iOS", SystemVersion: "8.4", SignIn: "s1",
	}) {
		t.Errorf("enrolling: %d %s, the use case saw %+v", got.status, got.body, service.twoStep.request)
	}
	service.twoStep.on = true
	got = s.send(t, c, "POST "+twoStepPath+"/import", `{"phones":[{"number":"+14155550161","label":"mine"},{"number":"+14155550162"}]}`)
	want := `{"on":true,"since":"2023-11-14T22:13:20Z","imported":true,"phones":[{"id":"t1","masked":"•••• •• 61","added":"2023-11-14T22:13:20Z"}],"entry":5}` + "\n"
	if got.status != http.StatusOK || got.body != want {
		t.Errorf("importing: %d %s, want %s", got.status, got.body, want)
	}
	if p := service.twoStep.phones; len(p) != 2 || p[0] != (appliance.TwoStepPhone{Number: "+14155550161", Label: "mine"}) || p[1].Number != "+14155550162" {
		t.Errorf("the use case saw %+v", p)
	}
	if got := s.send(t, c, "GET "+twoStepPath, ""); got.status != http.StatusOK || strings.Contains(got.body, "entry") || strings.Contains(got.body, "recovery") {
		t.Errorf("reading: %d %s", got.status, got.body)
	}
	if got := s.send(t, c, "DELETE "+twoStepPath, "", "Idempotency-Key", "k2"); got.status != http.StatusNoContent || service.asked != "EndTwoStep" || service.key != "k2" {
		t.Errorf("turning it off: %d %s", got.status, got.body)
	}

	got = s.send(t, c, "POST "+twoStepPath+"/codes", `{"phone":"t1","channel":"voice"}`)
	if got.status != http.StatusOK || got.body != `{"outcome":"sent","phone":"t1","phones":[{"id":"t1","masked":"•••• •• 61"}],"entry":0}`+"\n" ||
		service.twoStep.send != (appliance.SendRequest{Phone: "t1", Voice: true}) {
		t.Errorf("sending: %d %s, the use case saw %+v", got.status, got.body, service.twoStep.send)
	}
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	service.sending = appliance.Sending{Outcome: account.TooSoon, RetryAt: at}
	if got := s.send(t, c, "POST "+twoStepPath+"/codes", `{"channel":"text"}`); !strings.HasPrefix(got.body, `{"outcome":"too-soon","retry_at":"2030-01-02T03:04:05Z"`) {
		t.Errorf("too soon: %d %s", got.status, got.body)
	}

	service.answer = appliance.Verification{Outcome: account.Accepted, Assurance: account.TwoStepLevel, Entry: 9}
	got = s.send(t, c, "POST "+twoStepPath+"/verifications", `{"code":"0042"}`)
	if got.status != http.StatusOK || got.body != `{"outcome":"accepted","assurance":"two_step","entry":9}`+"\n" || service.twoStep.code != "0042" {
		t.Errorf("verifying: %d %s, the use case saw %q", got.status, got.body, service.twoStep.code)
	}
	service.answer = appliance.Verification{Outcome: account.Ended, Entry: 9}
	got = s.send(t, c, "POST "+twoStepPath+"/verifications", `{"recovery_key":"`+strings.ToLower(exampleKey)+`"}`)
	if got.body != `{"outcome":"ended","entry":9}`+"\n" || service.twoStep.key != bareExample || service.twoStep.code != "" {
		t.Errorf("by the key: %d %s, the use case saw a key: %v", got.status, got.body, service.twoStep.key != "")
	}

	key, err := appliance.ParseRecoveryKey(exampleKey)
	if err != nil {
		t.Fatal(err)
	}
	service.twoStep.made = appliance.NewRecoveryKey{Key: key, Made: at, Entry: 7}
	got = s.send(t, c, "POST "+twoStepPath+"/recovery-keys", "", "Idempotency-Key", "k3")
	if got.status != http.StatusCreated || got.body != `{"recovery_key":"`+exampleKey+`","made":"2030-01-02T03:04:05Z","entry":7}`+"\n" || service.key != "k3" {
		t.Errorf("a recovery key: %d %s", got.status, got.body)
	}
	service.twoStep.made.Key = appliance.RecoveryKey{}
	if got := s.send(t, c, "POST "+twoStepPath+"/recovery-keys", ""); got.status != http.StatusCreated || strings.Contains(got.body, "recovery_key") {
		t.Errorf("repeated: %d %s", got.status, got.body)
	}

	got = s.send(t, c, "POST "+twoStepPath+"/move", `{"device":"d1","checked":true}`)
	if got.status != http.StatusCreated || !service.protect.Move || service.protect.Own != "d1" || !strings.Contains(got.body, `"link_token":"t0ken"`) {
		t.Errorf("moving: %d %s, the use case saw %+v", got.status, got.body, service.protect)
	}
	if s.send(t, c, "POST /v1/accounts/alice/protection", `{"device":"d1"}`); service.protect.Move {
		t.Error("turning protection on moves")
	}
	for err, name := range map[error]string{appliance.ErrTwoStepOn: "two-step-on", appliance.ErrTwoFactorFirst: "two-factor-eligible"} {
		service.err = err
		if got := s.send(t, c, "POST "+twoStepPath, `{"number":"+14155550161"}`); got.status != http.StatusConflict || !strings.Contains(got.body, "problem:"+name) {
			t.Errorf("%v is answered %d %s", err, got.status, got.body)
		}
	}
}

// What can't be is refused before the use case, and what was typed is never repeated.
func TestTwoStepIsChecked(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	for _, bad := range []struct{ path, body, field string }{
		{"", `{}`, "number"},
		{"", `{"number":"+1415","label":"x"}`, "number"},
		{"", `{"number":"+14155550161","label":"a\u0000b"}`, "label"},
		{"", `{"number":"+14155550161","platform":"` + strings.Repeat("é", 100) + `"}`, "platform"},
		{"", `{"number":"+14155550161","imported":true}`, "imported"},
		{"/import", `{}`, "phones"},
		{"/import", `{"phones":[]}`, "phones"},
		{"/import", `{"phones":[{"label":"x"}]}`, "number"},
		{"/import", `{"phones":[` + strings.Repeat(`{"number":"+14155550161"},`, 5) + `{"number":"+14155550161"}]}`, "phones"},
		{"/import", `{"phones":[{"number":"+14155550161","verified":"2020-01-01T00:00:00Z"}]}`, "body"},
		{"/codes", `{}`, "channel"},
		{"/codes", `{"channel":"pigeon"}`, "channel"},
		{"/codes", `{"channel":"text","phone":"a/b"}`, "phone"},
		{"/verifications", `{}`, "code"},
		{"/verifications", `{"code":"1234","recovery_key":"` + exampleKey + `"}`, "code"},
		{"/verifications", `{"code":"123456"}`, "code"},
		{"/verifications", `{"code":"12 4"}`, "code"},
		{"/verifications", `{"code":"１２３４"}`, "code"},
		{"/verifications", `{"recovery_key":"hunter2"}`, "recovery_key"},
		{"/verifications", `{"recovery_key":"` + mistypedHere + `"}`, "recovery_key"},
		{"/verifications", `{"recovery_key":"` + strings.Repeat("hunter2", 30) + `"}`, "recovery_key"},
		{"/move", `{}`, "device"},
	} {
		got := s.send(t, c, "POST "+twoStepPath+bad.path, bad.body, "X-Request-Id", "r1")
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, bad.field) {
			t.Errorf("%s %s: %d %s, want a fault of %s", bad.path, bad.body, got.status, got.body, bad.field)
		}
		for _, typed := range []string{"hunter2", "4567", "1234", "123456", "+1415"} {
			if strings.Contains(got.body, typed) {
				t.Errorf("what was sent comes back: %s", got.body)
			}
		}
		if service.asked != "" {
			t.Errorf("%s reached %s", bad.body, service.asked)
		}
	}
}
