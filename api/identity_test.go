package api

import (
	"net/url"
	"strings"
	"testing"

	"strongroom.internal/appliance"
)

func TestCallerFromIdentity(t *testing.T) {
	for uri, want := range map[string]appliance.Caller{
		"spiffe://td/tenant/acme/frontend/web-1": {Role: appliance.Frontend, Tenant: "acme"},
		"spiffe://td/tenant/a.b_c/helpdesk/9":    {Role: appliance.Helpdesk, Tenant: "a.b_c"},
		"spiffe://td/operator/olga":              {Role: appliance.Operator},
		"spiffe://td/auditor/ann":                {Role: appliance.Auditor},
		"spiffe://td/node/n1":                    {Role: appliance.Node},
	} {
		want.Identity = uri
		if got, err := CallerFromIdentity("td", uri); err != nil || got != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	for _, uri := range []string{
		"", "spiffe://td", "spiffe://td/", "spiffe://td/operator", "spiffe://td/operator/", "spiffe://td//operator/o",
		"spiffe://td/operator/o/", "spiffe://td/operator/o?x", "spiffe://td/operator/o#x", "spiffe://td/operator/O",
		"spiffe://td/operator/..", "spiffe://td/operator/%6f", "spiffe://TD/operator/o", "SPIFFE://td/operator/o",
		"spiffe://td.evil/operator/o", "spiffe://td:1/operator/o", "spiffe://u@td/operator/o", "spiffe://td/tenant/acme/operator/o",
		"spiffe://td/tenant//frontend/web", "spiffe://td/tenant/acme/frontend/web/x", "spiffe://td/frontend/acme/web",
		"spiffe://td/tenant/acme/device/d", "spiffe://td/operator/o\x00", "spiffe://td/operator/é", "https://td/operator/o",
		"spiffe://td/operator/" + strings.Repeat("a", 65), "spiffe://td/operator/" + strings.Repeat("a", 600),
	} {
		if got, err := CallerFromIdentity("td", uri); err == nil {
			t.Errorf("%q was taken: %+v", uri, got)
		}
	}
	if _, err := CallerFromIdentity("", "spiffe:///operator/o"); err == nil {
		t.Error("an empty trust domain was taken")
	}
}

// What is taken is spelled in exactly one way, names a role, and has a tenant just when the role has.
func FuzzCallerFromIdentity(f *testing.F) {
	f.Add("spiffe://td/tenant/acme/frontend/web")
	f.Add("spiffe://td/operator/o")
	f.Add("spiffe://td/node/../operator/o")
	f.Fuzz(func(t *testing.T, uri string) {
		c, err := CallerFromIdentity("td", uri)
		if err != nil {
			if c != (appliance.Caller{}) {
				t.Fatalf("an error came with %+v", c)
			}
			return
		}
		tail := uri[strings.LastIndexByte(uri, '/')+1:]
		again := "spiffe://td/" + c.Role.String() + "/" + tail
		if c.Tenant != "" {
			again = "spiffe://td/tenant/" + c.Tenant + "/" + c.Role.String() + "/" + tail
		}
		u, err := url.Parse(uri)
		if again != uri || c.Identity != uri || err != nil || u.String() != uri ||
			(c.Tenant != "") != (c.Role == appliance.Frontend || c.Role == appliance.Helpdesk) {
			t.Fatalf("%q was read as %+v", uri, c)
		}
	})
}
