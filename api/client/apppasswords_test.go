package client_test

import (
	"slices"
	"testing"

	"strongroom.internal/api/wire"
)

// Each method asks for what its name says, changes with a key.
func TestAppPasswords(t *testing.T) {
	n := newNode(t,
		says(201, map[string]any{"app_password": wire.AppPassword{ID: "p1"}, "password": "abcd-efgh-ijkm-npqr", "entry": 7}),
		says(200, wire.AppPasswords{AppPasswords: []wire.AppPassword{{ID: "p1", Label: "Mail"}}}),
		says(200, wire.AppPasswordVerification{Outcome: wire.Wrong, Entry: 8}),
		says(204, nil), says(204, nil))
	c, ctx := connect(t, n, n.addr()), t.Context()
	made, err := c.CreateAppPassword(ctx, "a/b", wire.AppPasswordRequest{Label: "Mail", Service: "imap"})
	if err != nil || made.AppPassword.ID != "p1" || made.Password.Reveal() != "abcd-efgh-ijkm-npqr" || made.Entry != 7 {
		t.Errorf("made %+v, %v", made, err)
	}
	list, err := c.AppPasswords(ctx, "a/b")
	if err != nil || len(list) != 1 || list[0].Label != "Mail" {
		t.Errorf("listed %+v, %v", list, err)
	}
	v, err := c.VerifyAppPassword(ctx, "a/b", wire.VerifyAppPasswordRequest{Password: made.Password, Service: "imap", SourceIP: "192.0.2.7"})
	if err != nil || v.Outcome != wire.Wrong || v.Entry != 8 {
		t.Errorf("verified %+v, %v", v, err)
	}
	if err := c.RevokeAppPassword(ctx, "a/b", "p1"); err != nil {
		t.Error(err)
	}
	if err := c.RevokeAppPasswords(ctx, "a/b"); err != nil {
		t.Error(err)
	}
	const base = " /v1/accounts/a%2Fb/app-passwords"
	if want := []string{"POST" + base, "GET" + base, "POST" + base + "/verifications", "DELETE" + base + "/p1", "DELETE" + base}; !slices.Equal(n.paths, want) {
		t.Errorf("asked %q, want %q", n.paths, want)
	}
	for i, key := range n.keys {
		if (key != "") != (i != 1) {
			t.Errorf("request %d has the key %q", i, key)
		}
	}
	if want := `{"service":"imap","source_ip":"192.0.2.7","password":"abcd-efgh-ijkm-npqr"}` + "\n"; n.bodies[2] != want {
		t.Errorf("the body is %q, want %q", n.bodies[2], want)
	}
}
