package api

import (
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
)

// What is asked about trust reaches the use case as it was meant, and what is answered the client.
func TestTrustArrives(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	const browsers, browser = "/v1/accounts/alice/browsers", "0123456789abcdef"
	for _, x := range []struct {
		name, request, body string
		trusted             bool
		status              int
		want                string
		seen                func() bool
	}{
		{
			"trusting", "POST " + browsers, `{"sign_in":"s1","browser":"` + browser + `","name":"Safari"}`, false, 201,
			`{"browser":{"id":"b1","name":"Safari","added":"2023-11-14T22:13:20Z","expires":"2023-12-14T22:13:20Z"},"entry":5,"token":"t0ken"}`,
			func() bool {
				return service.browser == (appliance.BrowserRequest{SignIn: "s1", Browser: browser, Name: "Safari"})
			},
		},
		{
			"the list", "GET " + browsers, "", false, 200,
			`{"browsers":[{"id":"b1","name":"Safari","added":"2023-11-14T22:13:20Z","expires":"2023-12-14T22:13:20Z"}]}`, nil,
		},
		{
			"trusted", "POST " + browsers + "/verifications", `{"browser":"` + browser + `","token":"t0ken"}`, true, 200,
			`{"outcome":"trusted","browser":"b1","expires":"2023-12-14T22:13:20Z","assurance":"two_factor","entry":6,"token":"n3xt"}`,
			func() bool { return service.browser.Browser == browser && service.shown == "t0ken" },
		},
		{
			"untrusted", "POST " + browsers + "/verifications", `{"browser":"` + browser + `","token":"x y\u0000"}`, false, 200,
			`{"outcome":"untrusted","entry":6}`, func() bool { return service.shown == "x y\x00" },
		},
		{"revoking", "DELETE " + browsers + "/b1", "", false, 204, "", func() bool { return service.revoked == "b1" }},
		{"revoking all", "DELETE " + browsers, "", false, 204, "", func() bool { return service.revoked == "" }},
		{
			"signing out", "POST " + browsers + "/sign-outs", `{"browser":"` + browser + `"}`, false, 204, "",
			func() bool { return service.signedOut == browser },
		},
		{
			"a device", "POST /v1/accounts/alice/devices/d1/verifications",
			`{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg==","time_ms":1700000000123,"signature":"AAAA"}`, true, 200,
			`{"outcome":"trusted","assurance":"password","entry":7}`,
			func() bool {
				p := service.proof
				return p.Device == "d1" && string(p.Challenge) == browser && p.Time.Equal(time.UnixMilli(1700000000123)) && len(p.Signature) == 3
			},
		},
		{"a device's", "POST /v1/accounts/alice/devices/d1/sign-outs", "", false, 204, "", func() bool { return service.signedOut == "d1" }},
		{
			"a password", "POST /v1/accounts/alice/password-changes", `{"security":true,"device":"d1","sign_in":"s1"}`, false, 204, "",
			func() bool {
				return service.password == appliance.PasswordChange{Security: true, Device: "d1", SignIn: "s1"}
			},
		},
		{
			"another device", "POST /v1/accounts/alice/devices", `{"public_key":"AAAA","sign_in":"s1"}`, false, 201, "",
			func() bool { return service.signIn == "s1" },
		},
		{
			"another app", "POST /v1/accounts/alice/authenticators", `{"sign_in":"s1"}`, false, 201, "",
			func() bool { return service.params.SignIn == "s1" },
		},
	} {
		service.trust = x.trusted
		service.made = well().made
		got := s.send(t, c, x.request, x.body, "Idempotency-Key", "k1")
		if got.status != x.status || x.want != "" && got.body != x.want+"\n" {
			t.Errorf("%s: %d %s, want %s", x.name, got.status, got.body, x.want)
		}
		if x.seen != nil && (!x.seen() || service.key != "k1") {
			t.Errorf("%s: the use case saw something else", x.name)
		}
	}
}

func TestTrustIsBounded(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asFrontend)
	long := strings.Repeat("x", 300)
	for request, bodies := range map[string][]string{
		"POST /v1/accounts/alice/browsers": {
			`{}`, `{"sign_in":"s1"}`, `{"sign_in":"s1","browser":"short"}`, `{"sign_in":"s1","browser":"` + long + `"}`,
			`{"sign_in":"","browser":"0123456789abcdef"}`, `{"sign_in":"s 1","browser":"0123456789abcdef"}`,
			`{"sign_in":"s1","browser":"0123456789abcdef","name":"` + long + `"}`,
		},
		"POST /v1/accounts/alice/browsers/verifications": {
			`{}`, `{"browser":"0123456789abcdef"}`, `{"browser":"short","token":"t"}`, `{"browser":"0123456789abcdef","token":"` + long + `"}`,
		},
		"POST /v1/accounts/alice/browsers/sign-outs": {`{}`, `{"browser":""}`, `{"browser":"` + long + `"}`},
		"POST /v1/accounts/alice/devices/d1/verifications": {
			`{}`, `{"challenge":"AAAA","time_ms":1,"signature":"AAAA"}`, `{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg==","signature":"AAAA"}`,
			`{"challenge":"` + strings.Repeat("A", 120) + `","time_ms":1,"signature":"AAAA"}`,
		},
		"POST /v1/accounts/alice/password-changes": {`{"device":"d 1"}`, `{"sign_in":"s 1"}`, `{"security":"yes"}`},
		"POST /v1/accounts/alice/devices":          {`{"public_key":"AAAA","sign_in":"s 1"}`},
	} {
		for _, body := range bodies {
			service.asked = ""
			if got := s.send(t, c, request, body); got.status != 422 || service.asked != "" {
				t.Errorf("%s %s: %d %s, and %q was asked", request, body, got.status, got.body, service.asked)
			} else if strings.Contains(got.body, "short") || strings.Contains(got.body, long) {
				t.Errorf("%s %s: the answer repeats what was sent: %s", request, body, got.body)
			}
		}
	}
}
