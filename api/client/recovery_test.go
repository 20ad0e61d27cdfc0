package client_test

import (
	"slices"
	"testing"

	"strongroom.internal/api/wire"
)

// Each method asks for what its name says, changes with a key, and secrets come and go in clear.
func TestRecoveries(t *testing.T) {
	r := wire.Recovery{ID: "r1", State: wire.RecoveryWaiting}
	n := newNode(t,
		says(201, wire.RecoveryStart{Outcome: wire.Started, Recovery: &r}), says(200, wire.Recoveries{Recoveries: []wire.Recovery{r}}),
		says(200, wire.Sending{Outcome: wire.Sent}), says(200, wire.RecoveryProof{Outcome: wire.Accepted}), says(200, wire.RecoveryProof{Outcome: wire.Wrong}),
		says(200, map[string]any{"outcome": wire.Granting, "grant": "gr4nt", "entry": 7}), says(201, wire.EnrolledDevice{Entry: 8}), says(204, nil),
		says(201, map[string]any{"grant": "gr4nt", "entry": 9}), says(200, wire.Redemption{Device: "d1"}))
	c, ctx := connect(t, n, n.addr()), t.Context()
	check := func(ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("answered otherwise, %v", err)
		}
	}
	started, err := c.StartRecovery(ctx, "a/b")
	check(started.Recovery != nil && started.Recovery.ID == "r1", err)
	read, err := c.Recovery(ctx, "a/b")
	check(read.State == wire.RecoveryWaiting, err)
	sent, err := c.SendRecoveryCode(ctx, "a/b", "r1", wire.SendCodeRequest{Phone: "p1", Channel: "text"})
	check(sent.Outcome == wire.Sent, err)
	proof, err := c.GiveEvidence(ctx, "a/b", "r1", wire.EvidenceRequest{Kind: wire.EvidencePhoneCode, Code: wire.NewSecret("123456")})
	check(proof.Outcome == wire.Accepted, err)
	proof, err = c.CancelRecovery(ctx, "a/b", "r1", wire.CancellationRequest{Code: wire.NewSecret("123456")})
	check(proof.Outcome == wire.Wrong, err)
	claim, err := c.ClaimRecovery(ctx, "a/b", "r1")
	check(claim.Grant.Reveal() == "gr4nt", err)
	bound, err := c.CompleteRecovery(ctx, "a/b", "r1", wire.CompletionRequest{Grant: claim.Grant, NewDevice: wire.DeviceRequest{PublicKey: []byte{1}}})
	check(bound.Entry == 8, err)
	check(true, c.WithdrawRecovery(ctx, "a/b", "r1"))
	grant, err := c.GrantReset(ctx, "a/b", wire.ResetRequest{SignIn: "s1"})
	check(grant.Grant.Reveal() == "gr4nt", err)
	used, err := c.RedeemReset(ctx, "a/b", grant.Grant)
	check(used.Device == "d1", err)
	const base, resets = " /v1/accounts/a%2Fb/recoveries", " /v1/accounts/a%2Fb/password-resets"
	want := []string{
		"POST" + base, "GET" + base, "POST" + base + "/r1/codes", "POST" + base + "/r1/evidence", "POST" + base + "/r1/cancellations",
		"POST" + base + "/r1/claims", "POST" + base + "/r1/completions", "DELETE" + base + "/r1", "POST" + resets, "POST" + resets + "/redemptions",
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
		3: `{"kind":"phone_code","code":"123456"}`, 4: `{"code":"123456"}`, 6: `{"grant":"gr4nt","new_device":{"public_key":"AQ=="}}`, 9: `{"grant":"gr4nt"}`,
	} {
		if n.bodies[i] != body+"\n" {
			t.Errorf("the body is %q, want %q", n.bodies[i], body)
		}
	}
}
