package api

import (
	"net/http"
	"strings"
	"testing"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

func TestProtectionRoutes(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	got := s.send(t, c, "POST /v1/accounts/alice/protection", `{"new_device":{"public_key":"AAAA","platform":"iOS","system_version":"9"},"sign_in":"s1","checked":true,"earlier_settings":"b2xk"}`)
	if got.status != http.StatusCreated || !strings.Contains(got.body, `"link_token":"t0ken"`) || !strings.Contains(got.body, `"mode":"two_factor","assurance":"two_factor"`) {
		t.Errorf("turning it on: %d %s", got.status, got.body)
	}
	if r := service.protect; r.Register == nil || r.Register.Platform != "iOS" || r.SignIn != "s1" || !r.Checked || service.settings != "old" || r.Own != "" {
		t.Errorf("the use case saw %+v", r)
	}
	for _, body := range []string{
		`{}`, `{"device":"d1","earlier_settings":"no base64"}`, `{"device":"d1","new_device":{"public_key":"AAAA"}}`, `{"device":"../x"}`, `{"new_device":{"public_key":"AAAA","platform":"a\u0000b"}}`,
	} {
		if got := s.send(t, c, "POST /v1/accounts/alice/protection", body); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s is answered %d %s", body, got.status, got.body)
		}
	}
	if got := s.send(t, c, "POST /v1/accounts/alice/protection/undo", `{"token":"abc"}`); got.status != http.StatusOK ||
		service.token != "abc" || !strings.Contains(got.body, `"earlier_settings":"b2xk","lost":["permanence"]`) {
		t.Errorf("the link: %d %s", got.status, got.body)
	}
	if got := s.send(t, c, "GET /v1/eligibility?platform=iOS&version=8.4&account=alice", ""); got.status != http.StatusOK ||
		service.eligible != (appliance.EligibilityRequest{Platform: "iOS", Version: "8.4", Account: "alice"}) ||
		!strings.Contains(got.body, `"reasons":["version-below-minimum"]`) {
		t.Errorf("eligibility: %d %s", got.status, got.body)
	}
	for _, query := range []string{"", "?version=9", "?account=%00", "?platform=a%0ab", "?platform=iOS&other=1"} {
		if got := s.send(t, c, "GET /v1/eligibility"+query, ""); got.status != http.StatusUnprocessableEntity {
			t.Errorf("eligibility%s is answered %d %s", query, got.status, got.body)
		}
	}
	if got := s.send(t, c, "PUT /v1/accounts/alice", `{"class":"child"}`); got.status != http.StatusCreated || service.class != "child" {
		t.Errorf("a class: %d %s", got.status, got.body)
	}
	for _, class := range []string{"Child", "a b", strings.Repeat("a", 25)} {
		if got := s.send(t, c, "PUT /v1/accounts/alice", `{"class":"`+class+`"}`); got.status != http.StatusUnprocessableEntity {
			t.Errorf("the class %q is answered %d %s", class, got.status, got.body)
		}
	}
	if got := s.send(t, c, "POST /v1/accounts/alice/devices/d1/reports", `{"state":"stolen"}`); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a state that is none: %d", got.status)
	}
	if got := s.send(t, c, "GET /v1/accounts/alice/devices/none", ""); got.status != http.StatusNotFound {
		t.Errorf("a device that isn't there: %d", got.status)
	}
	for err, name := range map[error]string{
		appliance.ErrPhoneNeeded: "phone-needed", appliance.ErrPermanent: "permanent", appliance.ErrIneligible: "account-not-eligible",
		appliance.ErrLink: "link",
	} {
		service.err = err
		if got := s.send(t, c, "POST /v1/accounts/alice/protection", `{"device":"d1"}`); !strings.Contains(got.body, "problem:"+name+`"`) {
			t.Errorf("%v is answered %s", err, got.body)
		}
	}
}

// P23: a number's code and protection in one request, told apart from the two.
func TestVerifyingAPhoneTurnsProtectionOn(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	const route = "POST /v1/accounts/alice/phones/p1/verifications"
	body := `{"code":"123456","protection":{"new_device":{"public_key":"AAAA","platform":"iOS"},"sign_in":"s1","checked":true,"earlier_settings":"b2xk"}}`
	got := s.send(t, c, route, body, "Idempotency-Key", "k1")
	if got.status != http.StatusOK || !strings.Contains(got.body, `"outcome":"accepted"`) ||
		!strings.Contains(got.body, `"protection":{"protection":{"mode":"two_factor"`) || !strings.Contains(got.body, `"link_token":"t0ken"`) {
		t.Errorf("both: %d %s", got.status, got.body)
	}
	if r := service.protect; service.asked != "VerifyPhoneAndProtect" || service.key != "k1" || r.Register == nil || r.Register.Platform != "iOS" ||
		r.SignIn != "s1" || !r.Checked || service.settings != "old" || service.verify.Code.Reveal() != "123456" {
		t.Errorf("the use case %s saw %+v", service.asked, r)
	}
	if got := s.send(t, c, route, `{"code":"123456"}`); service.asked != "VerifyPhone" || strings.Contains(got.body, "protection") {
		t.Errorf("the number alone: %s %s", service.asked, got.body)
	}
	service.answer.Outcome = account.Wrong
	if got := s.send(t, c, route, body); got.status != http.StatusOK || !strings.Contains(got.body, `"outcome":"wrong"`) || strings.Contains(got.body, "protection") {
		t.Errorf("a wrong code: %d %s", got.status, got.body)
	}
	service.asked = ""
	for _, protection := range []string{
		`{}`, `{"device":"d1","new_device":{"public_key":"AAAA"}}`, `{"device":"../x"}`, `{"device":"d1","earlier_settings":"no base64"}`, `[]`, `{"device":"d1","more":1}`,
	} {
		got := s.send(t, c, route, `{"code":"123456","protection":`+protection+`}`)
		if got.status != http.StatusUnprocessableEntity || service.asked != "" {
			t.Errorf("%s is answered %d %s", protection, got.status, got.body)
		}
	}
	service.err = appliance.ErrProtected
	if got := s.send(t, c, route, body); got.status != http.StatusConflict || !strings.Contains(got.body, `problem:protection-on"`) {
		t.Errorf("where it is on: %d %s", got.status, got.body)
	}
}

// P38: absent says that nothing is known, which is not the same as signed out.
func TestPresenceOfDevices(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	for signedIn, want := range map[string]string{
		"true":  `"signed_in":true,"signed_in_since":"2023-11-14T22:13:20Z","last_seen":"2023-11-14T22:13:20Z"}`,
		"false": `"signed_in":false,"signed_in_since":"2023-11-14T22:13:20Z"}`,
	} {
		got := s.send(t, c, "PUT /v1/accounts/alice/devices/d1/presence", `{"signed_in":`+signedIn+`}`)
		if got.status != http.StatusOK || !strings.Contains(got.body, want) || service.asked != "ReportPresence" {
			t.Errorf("%s: %d %s", signedIn, got.status, got.body)
		}
	}
	if got := s.send(t, c, "GET /v1/accounts/alice/devices/device1", ""); strings.Contains(got.body, "signed_in") {
		t.Errorf("of nothing that is known it is said: %s", got.body)
	}
	for _, body := range []string{`{}`, `{"signed_in":"yes"}`, `{"signed_in":null}`, `{"signed_in":true,"at":1}`} {
		if got := s.send(t, c, "PUT /v1/accounts/alice/devices/d1/presence", body); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s is answered %d %s", body, got.status, got.body)
		}
	}
}

// P39: the help desk sees enough of a serial number to compare it on the telephone.
func TestSerialIsMaskedByScope(t *testing.T) {
	s := serve(t, Config{Service: well()}, false)
	for _, pattern := range []string{"GET /v1/accounts/alice", "GET /v1/accounts/alice/devices", "GET /v1/accounts/alice/devices/device1"} {
		if got := s.send(t, s.client(t, asFrontend), pattern, ""); !strings.Contains(got.body, `"serial":"C02XG2JH"`) {
			t.Errorf("%s as a front-end: %s", pattern, got.body)
		}
		if got := s.send(t, s.client(t, asHelpdesk), pattern, ""); strings.Contains(got.body, "C02X") || !strings.Contains(got.body, "…G2JH") {
			t.Errorf("%s as the help desk: %s", pattern, got.body)
		}
	}
}

func TestAssuranceInAnswers(t *testing.T) {
	service := well()
	service.answer.Assurance = account.TwoFactorLevel
	s := serve(t, Config{Service: service}, false)
	for path, body := range map[string]string{
		"POST /v1/accounts/alice/verifications":             `{"code":"123456"}`,
		"POST /v1/accounts/alice/sign-ins/s1/verifications": `{"code":"123456"}`,
		"POST /v1/accounts/alice/combined-verifications":    `{"text":"password123456"}`,
	} {
		if got := s.send(t, s.client(t, asFrontend), path, body); !strings.Contains(got.body, `"assurance":"two_factor"`) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}
