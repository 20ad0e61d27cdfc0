package api

import (
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// bodies are valid bodies of the routes that have one.
var bodies = map[string]string{
	"POST /v1/accounts/{account}/devices":                                           `{"public_key":"AAAA"}`,
	"POST /v1/accounts/{account}/authenticators":                                    `{}`,
	"POST /v1/accounts/{account}/authenticators/{authenticator}/resynchronisations": `{"first":"123456","second":"654321"}`,
	verifyRoute: `{"code":"123456"}`,
	"POST /v1/accounts/{account}/app-passwords": `{"label":"Mail"}`,
	verifyAppPasswordRoute:                      `{"password":"abcd-efgh-ijkm-npqr"}`,

	"POST /v1/accounts/{account}/sign-ins":                            `{"device":{"model":"Mac"},"address":"203.0.113.7"}`,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/decisions":        `{"device":"d1","decision":"allow","time_ms":1,"signature":"AAAA"}`,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/codes":            `{"phone":"p1","channel":"text"}`,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/codes/{device}":   `{"time_ms":1,"signature":"AAAA"}`,
	"POST /v1/accounts/{account}/sign-ins/{sign_in}/verifications":    `{"code":"123456"}`,
	"POST /v1/accounts/{account}/combined-verifications":              `{"text":"password123456"}`,
	"POST /v1/accounts/{account}/phones":                              `{"number":"+14155550132"}`,
	"PUT /v1/accounts/{account}/phones/{phone}":                       `{"label":"Mum"}`,
	"POST /v1/accounts/{account}/phones/{phone}/codes":                `{"channel":"voice"}`,
	"POST /v1/accounts/{account}/phones/{phone}/verifications":        `{"code":"123456"}`,
	"POST /v1/accounts/{account}/protection":                          `{"device":"d1"}`,
	"POST /v1/accounts/{account}/protection/undo":                     `{"token":"t"}`,
	"PUT /v1/accounts/{account}/class":                                `{"class":"child"}`,
	"POST /v1/accounts/{account}/two-step":                            `{"number":"+14155550132"}`,
	"POST /v1/accounts/{account}/two-step/import":                     `{"phones":[{"number":"+14155550132"}]}`,
	"POST /v1/accounts/{account}/two-step/codes":                      `{"channel":"text"}`,
	"POST /v1/accounts/{account}/two-step/verifications":              `{"code":"1234"}`,
	"POST /v1/accounts/{account}/two-step/move":                       `{"device":"d1"}`,
	"PUT /v1/accounts/{account}/devices/{device}":                     `{"system_version":"9.1"}`,
	"POST /v1/accounts/{account}/devices/{device}/reports":            `{"state":"lost"}`,
	"PUT /v1/accounts/{account}/devices/{device}/presence":            `{"signed_in":true}`,
	"POST /v1/accounts/{account}/browsers":                            `{"sign_in":"s1","browser":"0123456789abcdef"}`,
	"POST /v1/accounts/{account}/browsers/verifications":              `{"browser":"0123456789abcdef","token":"t"}`,
	"POST /v1/accounts/{account}/browsers/sign-outs":                  `{"browser":"0123456789abcdef"}`,
	"POST /v1/accounts/{account}/devices/{device}/verifications":      `{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg==","time_ms":1,"signature":"AAAA"}`,
	"POST /v1/accounts/{account}/password-changes":                    `{"security":true,"device":"d1"}`,
	"PUT /v1/tenants/{tenant}/webhooks/{destination}":                 `{"url":"https://push.example"}`,
	"PUT /v1/tenants/{tenant}/policy":                                 `{"allow_import":true}`,
	"POST /v1/clients":                                                `{"public_key":"AAAA","role":"auditor","name":"a"}`,
	"POST /v1/join-tokens":                                            `{}`,
	"POST /v1/accounts/{account}/recoveries/{recovery}/codes":         `{"phone":"p1","channel":"text"}`,
	"POST /v1/accounts/{account}/recoveries/{recovery}/evidence":      `{"kind":"email"}`,
	"POST /v1/accounts/{account}/recoveries/{recovery}/cancellations": `{"code":"123456"}`,
	"POST /v1/accounts/{account}/recoveries/{recovery}/completions":   `{"grant":"g","new_device":{"public_key":"AAAA"}}`,
	"POST /v1/accounts/{account}/password-resets":                     `{"sign_in":"s1"}`,
	"POST /v1/accounts/{account}/password-resets/redemptions":         `{"grant":"g"}`,
	"POST /v1/join": `{"token":"t","node_id":"n2","cluster_addr":"h:1","api_addr":"h:2","identity_key":"AAAA",` +
		`"log_key":"AAAA","transport_key":"AAAA","module_serial":"1","module_details":"d"}`,
	"PUT /v1/log/retention": `{"keep_days":30}`,
	"PUT /v1/log/witnesses": `{"witnesses":[{"vkey":"v","url":"https://w.example/"}]}`,
	"POST /v1/log/archives": `{"tree":"2026","size":256,"root":"` + strings.Repeat("A", 43) + `=","where":"vault"}`,
	"POST /v1/log/prunings": `{"tree":"2026","position":256}`,
}

// queries are what routes can't go without.
var queries = map[string]string{"GET /v1/log/proofs": "?entry=3", "GET /v1/eligibility": "?platform=iOS"}

var fill = strings.NewReplacer("{account}", "alice", "{device}", "device1", "{authenticator}", "a1", "{tenant}", "acme", "{id}", "n3",
	"{tree}", "2026", "{path...}", "0/000", "{entry}", "3",
	"{sign_in}", "s1", "{browser}", "b1", "{recovery}", "r1", "{phone}", "p1", "{destination}", "gateway")

func well() *scripted {
	return &scripted{
		answer:  appliance.Verification{Outcome: account.Accepted},
		sending: appliance.Sending{Outcome: account.Done},
		made:    appliance.NewAuthenticator{URI: hsm.NewSecret([]byte("otpauth://x"))},
	}
}

// Who may do what, for each route and each role: the table of routes.go, read once more by hand.
func TestRoles(t *testing.T) {
	everyone := []string{asFrontend, asHelpdesk, asOperator, asAuditor, asNode, ""}
	want := map[string][]string{
		"PUT /v1/accounts/{account}":                                                    {asFrontend},
		"GET /v1/accounts/{account}":                                                    {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}":                                                 {asFrontend},
		"POST /v1/accounts/{account}/devices":                                           {asFrontend},
		"GET /v1/accounts/{account}/devices":                                            {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}/devices/{device}":                                {asFrontend},
		"POST /v1/accounts/{account}/authenticators":                                    {asFrontend},
		"GET /v1/accounts/{account}/authenticators":                                     {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}/authenticators/{authenticator}":                  {asFrontend},
		"POST /v1/accounts/{account}/authenticators/{authenticator}/resynchronisations": {asFrontend},
		"POST /v1/accounts/{account}/verifications":                                     {asFrontend},
		"POST /v1/accounts/{account}/app-passwords":                                     {asFrontend},
		"GET /v1/accounts/{account}/app-passwords":                                      {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}/app-passwords":                                   {asFrontend},
		"DELETE /v1/accounts/{account}/app-passwords/{id}":                              {asFrontend},
		"POST /v1/accounts/{account}/app-passwords/verifications":                       {asFrontend},
		"POST /v1/accounts/{account}/sign-ins":                                          {asFrontend},
		"GET /v1/accounts/{account}/sign-ins":                                           {asFrontend, asHelpdesk},
		"GET /v1/accounts/{account}/sign-ins/{sign_in}":                                 {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}/sign-ins/{sign_in}":                              {asFrontend},
		"POST /v1/accounts/{account}/sign-ins/{sign_in}/decisions":                      {asFrontend},
		"POST /v1/accounts/{account}/sign-ins/{sign_in}/codes":                          {asFrontend},
		"POST /v1/accounts/{account}/sign-ins/{sign_in}/codes/{device}":                 {asFrontend},
		"POST /v1/accounts/{account}/sign-ins/{sign_in}/verifications":                  {asFrontend},
		"POST /v1/accounts/{account}/combined-verifications":                            {asFrontend},
		"POST /v1/accounts/{account}/phones":                                            {asFrontend},
		"GET /v1/accounts/{account}/phones":                                             {asFrontend, asHelpdesk},
		"PUT /v1/accounts/{account}/phones/{phone}":                                     {asFrontend},
		"DELETE /v1/accounts/{account}/phones/{phone}":                                  {asFrontend},
		"POST /v1/accounts/{account}/phones/{phone}/codes":                              {asFrontend},
		"POST /v1/accounts/{account}/phones/{phone}/verifications":                      {asFrontend},
		"POST /v1/accounts/{account}/protection":                                        {asFrontend},
		"GET /v1/accounts/{account}/protection":                                         {asFrontend, asHelpdesk},
		"POST /v1/accounts/{account}/protection/undo":                                   {asFrontend},
		"PUT /v1/accounts/{account}/class":                                              {asFrontend},
		"POST /v1/accounts/{account}/two-step":                                          {asFrontend},
		"POST /v1/accounts/{account}/two-step/import":                                   {asFrontend},
		"GET /v1/accounts/{account}/two-step":                                           {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}/two-step":                                        {asFrontend},
		"POST /v1/accounts/{account}/two-step/codes":                                    {asFrontend},
		"POST /v1/accounts/{account}/two-step/verifications":                            {asFrontend},
		"POST /v1/accounts/{account}/two-step/recovery-keys":                            {asFrontend},
		"POST /v1/accounts/{account}/two-step/move":                                     {asFrontend},
		"GET /v1/eligibility":                                                           {asFrontend, asHelpdesk},
		"GET /v1/accounts/{account}/devices/{device}":                                   {asFrontend, asHelpdesk},
		"PUT /v1/accounts/{account}/devices/{device}":                                   {asFrontend},
		"POST /v1/accounts/{account}/devices/{device}/reports":                          {asFrontend},
		"PUT /v1/accounts/{account}/devices/{device}/presence":                          {asFrontend},
		"POST /v1/accounts/{account}/browsers":                                          {asFrontend},
		"GET /v1/accounts/{account}/browsers":                                           {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}/browsers":                                        {asFrontend},
		"DELETE /v1/accounts/{account}/browsers/{browser}":                              {asFrontend},
		"POST /v1/accounts/{account}/browsers/verifications":                            {asFrontend},
		"POST /v1/accounts/{account}/browsers/sign-outs":                                {asFrontend},
		"POST /v1/accounts/{account}/devices/{device}/verifications":                    {asFrontend},
		"POST /v1/accounts/{account}/devices/{device}/sign-outs":                        {asFrontend},
		"POST /v1/accounts/{account}/password-changes":                                  {asFrontend},
		"POST /v1/accounts/{account}/recoveries":                                        {asFrontend},
		"GET /v1/accounts/{account}/recoveries":                                         {asFrontend, asHelpdesk},
		"DELETE /v1/accounts/{account}/recoveries/{recovery}":                           {asFrontend},
		"POST /v1/accounts/{account}/recoveries/{recovery}/codes":                       {asFrontend},
		"POST /v1/accounts/{account}/recoveries/{recovery}/evidence":                    {asFrontend},
		"POST /v1/accounts/{account}/recoveries/{recovery}/cancellations":               {asFrontend},
		"POST /v1/accounts/{account}/recoveries/{recovery}/claims":                      {asFrontend},
		"POST /v1/accounts/{account}/recoveries/{recovery}/completions":                 {asFrontend},
		"POST /v1/accounts/{account}/password-resets":                                   {asFrontend},
		"POST /v1/accounts/{account}/password-resets/redemptions":                       {asFrontend},
		"GET /v1/notices/stream":                                                        {asFrontend},
		"GET /v1/tenants/{tenant}/notices":                                              {asOperator, asAuditor},
		"GET /v1/tenants/{tenant}/webhooks":                                             {asOperator, asAuditor},
		"PUT /v1/tenants/{tenant}/webhooks/{destination}":                               {asOperator},
		"DELETE /v1/tenants/{tenant}/webhooks/{destination}":                            {asOperator},
		"GET /v1/tenants/{tenant}/policy":                                               {asOperator, asAuditor},
		"PUT /v1/tenants/{tenant}/policy":                                               {asOperator},
		"GET /v1/accounts/{account}/receipts/{entry}":                                   {asFrontend},
		"GET /v1/log/{tree}/checkpoint":                                                 {asOperator, asAuditor},
		"GET /v1/log/{tree}/tile/{path...}":                                             {asOperator, asAuditor},
		"GET /v1/log/trees":                                                             {asOperator, asAuditor},
		"GET /v1/log/policy":                                                            {asOperator, asAuditor},
		"GET /v1/log/proofs":                                                            {asOperator, asAuditor},
		"GET /v1/log/search":                                                            {asOperator, asAuditor},
		"GET /v1/log/stream":                                                            {asOperator, asAuditor},
		"GET /v1/log/retention":                                                         {asOperator, asAuditor},
		"PUT /v1/log/retention":                                                         {asOperator},
		"GET /v1/log/witnesses":                                                         {asOperator, asAuditor},
		"PUT /v1/log/witnesses":                                                         {asOperator},
		"POST /v1/log/archives":                                                         {asOperator},
		"POST /v1/log/prunings":                                                         {asOperator},
		"GET /v1/log/head":                                                              {asOperator, asAuditor},
		"GET /v1/log/entries":                                                           {asOperator, asAuditor},
		"GET /v1/cluster":                                                               {asOperator, asAuditor, asNode},
		"GET /metrics":                                                                  {asOperator, asAuditor},
		"POST /v1/clients":                                                              {asOperator},
		"POST /v1/join-tokens":                                                          {asOperator},
		"POST /v1/join":                                                                 everyone,
		"DELETE /v1/nodes/{id}":                                                         {asOperator},
		"GET /livez":                                                                    everyone,
		"GET /readyz":                                                                   everyone,
		"GET /openapi.json":                                                             everyone[:5],
		"GET /docs":                                                                     everyone[:5],
	}
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(access))) {
		t.Fatal("this test and the access table have different routes")
	}
	service := well()
	s := serve(t, Config{Service: service}, false)
	for _, identity := range everyone {
		c := s.client(t)
		if identity != "" {
			c = s.client(t, identity)
		}
		for pattern, allowed := range want {
			if pattern == streamRoute { // an answer without end: see TestStreamRoles
				continue
			}
			service.asked, service.made, service.refused = "", well().made, ""
			got := s.send(t, c, fill.Replace(pattern)+queries[pattern], bodies[pattern])
			if slices.Contains(allowed, identity) {
				if got.status >= 300 {
					t.Errorf("%s as %q: %d %s", pattern, identity, got.status, got.body)
				}
				continue
			}
			name := "forbidden"
			if identity == "" {
				name = "certificate-required"
			}
			if got.status != http.StatusForbidden || !strings.Contains(got.body, "urn:strongroom:problem:"+name) {
				t.Errorf("%s as %q: %d %s, want %s", pattern, identity, got.status, got.body, name)
			}
			if service.asked != "" {
				t.Errorf("%s as %q reached %s", pattern, identity, service.asked)
			}
			if noted := identity != ""; noted != (service.refused == identity+" "+pattern) {
				t.Errorf("%s as %q was noted for the log as %q", pattern, identity, service.refused)
			}
		}
	}
}

// The tenant is the certificate's, whatever the request says.
func TestTenantIsTheCertificates(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	for _, tenant := range []string{"acme", "other"} {
		identity := "spiffe://test/tenant/" + tenant + "/frontend/web"
		c := s.client(t, identity)
		for _, pattern := range []string{"GET /v1/accounts/{account}", verifyRoute, "DELETE /v1/accounts/{account}/devices/{device}"} {
			if got := s.send(t, c, fill.Replace(pattern), bodies[pattern], "X-Tenant", "acme"); got.status >= 300 {
				t.Errorf("%s: %d %s", pattern, got.status, got.body)
			}
			if service.caller.Tenant != tenant || service.caller.Identity != identity || service.account != "alice" {
				t.Errorf("%s as %s: the use case saw %+v", pattern, tenant, service.caller)
			}
		}
		if got := s.send(t, c, "GET /v1/tenants/acme/policy", ""); got.status != http.StatusForbidden {
			t.Errorf("a front-end read a policy: %d", got.status)
		}
	}
}

// A certificate of the authority that names nobody, or two, is a stranger's.
func TestStrangers(t *testing.T) {
	s := serve(t, Config{Service: well()}, false)
	for _, identities := range [][]string{
		{"spiffe://other/operator/olga"},
		{asOperator, asFrontend},
		{"spiffe://test/tenant/acme/device/d1"},
		{"https://test/operator/olga"},
	} {
		if got := s.send(t, s.client(t, identities...), "GET /v1/cluster", ""); got.status != http.StatusForbidden {
			t.Errorf("%v: %d %s", identities, got.status, got.body)
		}
	}
	c := s.client(t, asOperator)
	c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{newPKI(t).issue(t, asOperator)}
	if _, err := c.Get("https://" + s.addr + "/livez"); err == nil {
		t.Error("a certificate of another authority was taken")
	}
}
