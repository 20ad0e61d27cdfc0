package appliance_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

// On a real module: made, heard in its scope, shown once, and dead when revoked.
func TestAppPasswords(t *testing.T) {
	n, c := newNode(t), tenant(t)
	if _, _, err := n.PutAccount(t.Context(), c, "", "ann", ""); err != nil {
		t.Fatal(err)
	}
	request := appliance.AppPasswordRequest{
		Label: "Mail", Service: "imap", Network: netip.MustParsePrefix("192.0.2.9/24"), Expires: time.Now().Add(time.Hour),
	}
	if _, err := n.CreateAppPassword(t.Context(), c, "", "ann", request); !errors.Is(err, appliance.ErrPolicy) {
		t.Fatalf("without a policy: %v, want ErrPolicy", err)
	}
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, appliance.Policy{AllowAppPasswords: true, TellSpent: true}); err != nil {
		t.Fatal(err)
	}
	made, err := n.CreateAppPassword(t.Context(), c, "once", "ann", request)
	if err != nil || len(made.Password.Reveal()) != 16 {
		t.Fatalf("making one: %+v, %v", made, err)
	}
	again, err := n.CreateAppPassword(t.Context(), c, "once", "ann", request)
	if err != nil || again.ID != made.ID || again.Entry != made.Entry || again.Password.Secret != nil {
		t.Errorf("the same request again: %+v, %v; want the same without the password", again, err)
	}
	if _, err := n.CreateAppPassword(t.Context(), c, "", "bob", request); !errors.Is(err, appliance.ErrNotFound) {
		t.Errorf("of nobody: %v, want ErrNotFound", err)
	}
	var invalid *appliance.InvalidError
	for name, spoil := range map[string]func(*appliance.AppPasswordRequest){
		"network": func(r *appliance.AppPasswordRequest) { r.Network = netip.MustParsePrefix("::ffff:192.0.2.0/120") },
		"expires": func(r *appliance.AppPasswordRequest) { r.Expires = time.Now().Add(-time.Second) },
	} {
		bad := request
		spoil(&bad)
		if _, err := n.CreateAppPassword(t.Context(), c, "", "ann", bad); !errors.As(err, &invalid) || invalid.Field != name {
			t.Errorf("a bad %s: %v", name, err)
		}
	}

	verify := func(account string, a appliance.AppPasswordAttempt) appliance.Verification {
		t.Helper()
		v, err := n.VerifyAppPassword(t.Context(), c, "", account, a)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	right := appliance.AppPasswordAttempt{
		Password: made.Password, Service: "imap", Source: netip.MustParseAddr("::ffff:192.0.2.7"),
	}
	if v := verify("ann", right); v.Outcome != account.Accepted || v.Credential != made.ID {
		t.Errorf("the right password: %+v", v)
	}
	elsewhere := right
	elsewhere.Service = "smtp"
	v := verify("ann", elsewhere)
	if v.Outcome != account.Wrong || v.Credential != "" {
		t.Errorf("at another service: %+v, want wrong", v)
	}
	entries, err := n.LogEntries(t.Context(), v.Entry, 1)
	if err != nil || !strings.Contains(string(entries[0]),
		`"operation":"verify-app-password","key":"pepper","subject":"`+made.ID+`","key_version":1,"macs":1,"outcome":"out-of-scope"`) {
		t.Errorf("the entry is %s, %v", entries, err)
	}
	if v := verify("nobody", right); v.Outcome != account.Wrong {
		t.Errorf("nobody's: %+v, want wrong", v)
	}
	list, err := n.AppPasswords(t.Context(), c, "ann")
	if err != nil || len(list) != 1 || list[0].LastFrom != netip.MustParseAddr("192.0.2.7") || list[0].LastUsed.IsZero() ||
		list[0].Network != netip.MustParsePrefix("192.0.2.0/24") || list[0].Label != "Mail" {
		t.Errorf("the list is %+v, %v", list, err)
	}
	if err := n.RevokeAppPassword(t.Context(), c, "", "ann", "another"); !errors.Is(err, appliance.ErrNotFound) {
		t.Errorf("revoking another: %v, want ErrNotFound", err)
	}
	if err := n.RevokeAppPassword(t.Context(), c, "", "ann", ""); err != nil {
		t.Fatal(err)
	}
	if v := verify("ann", right); v.Outcome != account.Wrong {
		t.Errorf("a revoked one: %+v, want wrong", v)
	}
	if list, err := n.AppPasswords(t.Context(), c, "ann"); err != nil || len(list) != 0 {
		t.Errorf("the list is %+v, %v", list, err)
	}
}
