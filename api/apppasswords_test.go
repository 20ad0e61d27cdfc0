package api

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

const appPasswordsPath = "/v1/accounts/alice/app-passwords"

// What is asked of app passwords reaches the use case as it was meant, and what is answered the client.
func TestAppPasswordsArrive(t *testing.T) {
	service := well()
	password, err := appliance.ParseAppPassword("abcd-efgh-ijkm-npqr")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	service.newPassword = appliance.NewAppPassword{Entry: 5, Password: password, AppPasswordInfo: appliance.AppPasswordInfo{
		ID: "p1", Label: "Mail", Network: netip.MustParsePrefix("192.0.2.0/24"), Expires: at, Added: at, LastUsed: at,
		LastFrom: netip.MustParseAddr("192.0.2.7"),
	}}
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	got := s.send(t, c, "POST "+appPasswordsPath,
		`{"label":"Mail","service":"imap","network":"192.0.2.0/24","expires":"2030-01-02T03:04:05Z"}`, "Idempotency-Key", "k1")
	want := `{"app_password":{"id":"p1","label":"Mail","network":"192.0.2.0/24","expires":"2030-01-02T03:04:05Z",` +
		`"added":"2030-01-02T03:04:05Z","last_used":"2030-01-02T03:04:05Z","last_from":"192.0.2.7"},"entry":5,"password":"abcd-efgh-ijkm-npqr"}` + "\n"
	if got.status != 201 || got.body != want {
		t.Errorf("making one: %d %s, want %s", got.status, got.body, want)
	}
	r := service.appPassword
	if service.key != "k1" || r.Label != "Mail" || r.Service != "imap" || r.Network.String() != "192.0.2.0/24" || !r.Expires.Equal(at) {
		t.Errorf("the use case saw %+v", r)
	}
	service.newPassword.Password = appliance.AppPassword{}
	if got := s.send(t, c, "POST "+appPasswordsPath, `{"label":"Mail"}`); got.status != 201 || strings.Contains(got.body, `"password"`) {
		t.Errorf("repeated: %d %s", got.status, got.body)
	}
	if r := service.appPassword; r.Network.IsValid() || !r.Expires.IsZero() {
		t.Errorf("without bounds the use case saw %+v", r)
	}
	if got := s.send(t, c, "GET "+appPasswordsPath, ""); got.body !=
		`{"app_passwords":[{"id":"p1","label":"Mail","added":"2023-11-14T22:13:20Z"}]}`+"\n" {
		t.Errorf("the list: %d %s", got.status, got.body)
	}
	for path, id := range map[string]string{appPasswordsPath: "", appPasswordsPath + "/p1": "p1"} {
		service.revoked = "unset"
		if got := s.send(t, c, "DELETE "+path, "", "Idempotency-Key", "k2"); got.status != 204 || service.revoked != id || service.key != "k2" {
			t.Errorf("DELETE %s: %d %s, the use case saw %q", path, got.status, got.body, service.revoked)
		}
	}

	service.answer = appliance.Verification{Outcome: account.Accepted, Credential: "p1", Entry: 9}
	got = s.send(t, c, "POST "+appPasswordsPath+"/verifications", `{"password":"ABCD EFGH ijkm npqr","service":"imap","source_ip":"2001:db8::7"}`)
	if got.status != 200 || got.body != `{"outcome":"accepted","app_password":"p1","entry":9}`+"\n" {
		t.Errorf("verifying: %d %s", got.status, got.body)
	}
	if service.appAttempt != "abcdefghijkmnpqr" || service.attempt.Service != "imap" || service.attempt.Source.String() != "2001:db8::7" {
		t.Errorf("the use case saw %+v", service.attempt)
	}
	service.answer = appliance.Verification{Outcome: account.Locked, RetryAt: at}
	if got := s.send(t, c, "POST "+appPasswordsPath+"/verifications", `{"password":"abcdefghijkmnpqr"}`); got.body !=
		`{"outcome":"locked","retry_at":"2030-01-02T03:04:05Z","entry":0}`+"\n" {
		t.Errorf("locked: %d %s", got.status, got.body)
	}
	service.answer = appliance.Verification{Outcome: account.Spent}
	if got := s.send(t, c, "POST "+appPasswordsPath+"/verifications", `{"password":"abcdefghijkmnpqr"}`); got.status != 500 {
		t.Errorf("an outcome without a name: %d %s", got.status, got.body)
	}
}

// What can't be is refused before the use case, and what was typed is never repeated.
func TestAppPasswordsAreChecked(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	for _, bad := range []struct{ path, body, field string }{
		{"", `{}`, "label"},
		{"", `{"label":""}`, "label"},
		{"", `{"label":"a\u0000b"}`, "label"},
		{"", `{"label":"` + strings.Repeat("é", 100) + `"}`, "label"},
		{"", `{"label":"Mail","service":"a b"}`, "service"},
		{"", `{"label":"Mail","network":"192.0.2.1"}`, "network"},
		{"", `{"label":"Mail","network":"fe80::%eth0/10"}`, "network"},
		{"", `{"label":"Mail","expires":"tomorrow"}`, "expires"},
		{"", `{"label":"Mail","password":"abcdefghijkmnpqr"}`, "password"},
		{"/verifications", `{}`, "password"},
		{"/verifications", `{"password":""}`, "password"},
		{"/verifications", `{"password":"hunter2hunter2"}`, "password"},
		{"/verifications", `{"password":"abcdefghijklmnop"}`, "password"},
		{"/verifications", `{"password":"` + strings.Repeat("hunter2", 30) + `"}`, "password"},
		{"/verifications", `{"password":"abcdefghijkmnpqr","service":"a/b"}`, "service"},
		{"/verifications", `{"password":"abcdefghijkmnpqr","source_ip":"localhost"}`, "source_ip"},
	} {
		got := s.send(t, c, "POST "+appPasswordsPath+bad.path, bad.body)
		var p wire.Problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil {
			t.Fatal(err)
		}
		if got.status != 422 || len(p.Errors) == 0 || !strings.Contains(got.body, bad.field) {
			t.Errorf("%s %s: %d %s, want a fault of %s", bad.path, bad.body, got.status, got.body, bad.field)
		}
		if strings.Contains(got.body, "hunter2") || strings.Contains(got.body, "abcdefgh") {
			t.Errorf("what was sent comes back: %s", got.body)
		}
		if service.asked != "" {
			t.Errorf("%s reached %s", bad.body, service.asked)
		}
	}
}
