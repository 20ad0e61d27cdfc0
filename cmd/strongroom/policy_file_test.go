package main

import (
	"testing"

	"strongroom.internal/appliance/account"
)

// TestS12_TheShippedExample: the commented example is a policy, and says of systems what it is meant to.
func TestS12_TheShippedExample(t *testing.T) {
	w, err := parsePolicy([]byte(policyExample))
	if err != nil {
		t.Fatal(err)
	}
	if w.AllowImport || w.AllowReveal || w.TellSpent || w.AllowTwoStepImport || w.BornProtected || w.NoWayBack || w.OpenEnrolment || w.NoBrowserTrust || w.BrowserDays != 30 {
		t.Errorf("the example is careless: %+v", w)
	}
	if r := w.Recovery; r.Allow || r.WaitDays != 14 || r.FloorDays != 3 || r.Shorten.PhoneCode != 120 || w.PasswordReset.ByCode || !w.PasswordReset.LocalPresence {
		t.Errorf("the example is careless: %+v, %+v", r, w.PasswordReset)
	}
	p := account.Policy{EnrolmentPolicy: account.EnrolmentPolicy{ListedOnly: w.ListedOnly, Excluded: w.ExcludedClasses}}
	for _, x := range w.Platforms {
		p.Platforms = append(p.Platforms, account.Platform(x))
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		platform, version, reason string
	}{
		{"iOS", "9", ""},
		{"iOS", "9.0", ""},
		{"ios", "18.1.1", ""},
		{"iOS", "8.4.1", account.ReasonVersion},
		{"iOS", "", account.ReasonUnclear},
		{"OS X", "10.11", ""},
		{"OS X", "10.9.5", account.ReasonVersion},
		{"macOS", "15.1", ""},
		{"watchOS", "2.0", ""},
		{"watchOS", "1.0.1", account.ReasonVersion},
		{"tvOS", "9", ""},
		{"tvOS", "", ""},
		{"iCloud for Windows", "5.0", ""},
		{"iCloud for Windows", "4.1", account.ReasonVersion},
		{"Windows", "10", account.ReasonPlatform},
	} {
		reason, codes, _ := p.Judge(x.platform, x.version)
		if reason != x.reason || codes != (reason == "") {
			t.Errorf("%s %s: %q, codes %v; want %q", x.platform, x.version, reason, codes, x.reason)
		}
	}
	for _, bad := range []string{"allow_revel = true", "platforms = 3", "[[platforms]]\nname = \"iOS\"\nmax = \"9\"", "a = ="} {
		if _, err := parsePolicy([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a policy", bad)
		}
	}
}
