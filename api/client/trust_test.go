package client_test

import (
	"slices"
	"testing"

	"strongroom.internal/api/wire"
)

// Each method asks for what its name says, changes with a key.
func TestTrust(t *testing.T) {
	n := newNode(t,
		says(201, map[string]any{"browser": wire.Browser{ID: "b1"}, "token": "t0ken", "entry": 7}),
		says(200, wire.Browsers{Browsers: []wire.Browser{{ID: "b1", Name: "Safari"}}}),
		says(200, map[string]any{"outcome": "trusted", "browser": "b1", "token": "n3xt", "entry": 8}),
		says(204, nil), says(204, nil), says(204, nil),
		says(200, wire.DeviceVerification{Outcome: wire.Untrusted, Entry: 9}),
		says(204, nil), says(204, nil),
		says(201, wire.EnrolledDevice{Device: wire.Credential{ID: "d2"}}))
	c, ctx := connect(t, n, n.addr()), t.Context()
	cookie := wire.NewSecret("0123456789abcdef")
	made, err := c.TrustBrowser(ctx, "a/b", wire.TrustBrowserRequest{SignIn: "s1", Browser: cookie})
	if err != nil || made.Browser.ID != "b1" || made.Token.Reveal() != "t0ken" || made.Entry != 7 {
		t.Errorf("trusted %+v, %v", made, err)
	}
	list, err := c.Browsers(ctx, "a/b")
	if err != nil || len(list) != 1 || list[0].Name != "Safari" {
		t.Errorf("listed %+v, %v", list, err)
	}
	v, err := c.VerifyBrowser(ctx, "a/b", wire.VerifyBrowserRequest{Browser: cookie, Token: made.Token})
	if err != nil || v.Outcome != wire.Trusted || v.Token.Reveal() != "n3xt" || v.Entry != 8 {
		t.Errorf("verified %+v, %v", v, err)
	}
	for _, err := range []error{c.RevokeBrowser(ctx, "a/b", "b1"), c.RevokeBrowsers(ctx, "a/b"), c.SignOutBrowser(ctx, "a/b", cookie)} {
		if err != nil {
			t.Error(err)
		}
	}
	d, err := c.VerifyDevice(ctx, "a/b", "d1", wire.VerifyDeviceRequest{Challenge: []byte{1}, TimeMS: 2, Signature: []byte{3}})
	if err != nil || d.Outcome != wire.Untrusted || d.Entry != 9 {
		t.Errorf("verified %+v, %v", d, err)
	}
	for _, err := range []error{c.SignOutDevice(ctx, "a/b", "d1"), c.ChangePassword(ctx, "a/b", wire.PasswordChange{Security: true, Device: "d1"})} {
		if err != nil {
			t.Error(err)
		}
	}
	if e, err := c.EnrolAnotherDevice(ctx, "a/b", "s1", wire.DeviceRequest{PublicKey: []byte{1}}); err != nil || e.Device.ID != "d2" {
		t.Errorf("enrolled %+v, %v", e, err)
	}
	const base = " /v1/accounts/a%2Fb"
	want := []string{
		"POST" + base + "/browsers", "GET" + base + "/browsers", "POST" + base + "/browsers/verifications", "DELETE" + base + "/browsers/b1",
		"DELETE" + base + "/browsers", "POST" + base + "/browsers/sign-outs", "POST" + base + "/devices/d1/verifications",
		"POST" + base + "/devices/d1/sign-outs", "POST" + base + "/password-changes", "POST" + base + "/devices",
	}
	if !slices.Equal(n.paths, want) {
		t.Errorf("asked %q, want %q", n.paths, want)
	}
	for i, key := range n.keys {
		if (key != "") != (i != 1) {
			t.Errorf("request %d has the key %q", i, key)
		}
	}
	for i, body := range map[int]string{
		0: `{"sign_in":"s1","browser":"0123456789abcdef"}`, 2: `{"browser":"0123456789abcdef","token":"t0ken"}`,
		6: `{"challenge":"AQ==","time_ms":2,"signature":"Aw=="}`, 8: `{"security":true,"device":"d1"}`, 9: `{"public_key":"AQ==","sign_in":"s1"}`,
	} {
		if n.bodies[i] != body+"\n" {
			t.Errorf("body %d is %q, want %q", i, n.bodies[i], body)
		}
	}
}
