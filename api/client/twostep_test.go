package client_test

import (
	"slices"
	"testing"

	"strongroom.internal/api/wire"
)

// Each method asks for what its name says, changes with a key.
func TestTwoStep(t *testing.T) {
	info := wire.TwoStep{On: true, Phones: []wire.Phone{{ID: "t1", Masked: "•••• •• 61"}}}
	n := newNode(t,
		says(201, info), says(201, info), says(200, info),
		says(200, wire.TwoStepSending{Outcome: wire.Sent, Phone: "t1", Phones: []wire.PhoneOption{{ID: "t1"}}}),
		says(200, wire.TwoStepVerification{Outcome: wire.Accepted, Assurance: wire.AssuranceTwoStep, Entry: 8}),
		says(201, map[string]any{"recovery_key": "0123-4567", "entry": 9}),
		says(201, map[string]any{"protection": wire.Protection{Mode: wire.ProtectionOn, Missing: []string{}}, "link_token": "t0ken"}),
		says(204, nil))
	c, ctx := connect(t, n, n.addr()), t.Context()
	if got, err := c.EnrolTwoStep(ctx, "a/b", wire.TwoStepRequest{Number: wire.NewSecret("+14155550161"), Platform: "iOS", SystemVersion: "8"}); err != nil || !got.On {
		t.Errorf("enrolled %+v, %v", got, err)
	}
	if got, err := c.ImportTwoStep(ctx, "a/b", wire.TwoStepPhone{Number: wire.NewSecret("+14155550161"), Label: "mine"}); err != nil || len(got.Phones) != 1 {
		t.Errorf("imported %+v, %v", got, err)
	}
	if got, err := c.TwoStep(ctx, "a/b"); err != nil || got.Phones[0].ID != "t1" {
		t.Errorf("read %+v, %v", got, err)
	}
	if got, err := c.SendTwoStepCode(ctx, "a/b", wire.TwoStepCodeRequest{Channel: "text"}); err != nil || got.Outcome != wire.Sent || got.Phones[0].ID != "t1" {
		t.Errorf("sent %+v, %v", got, err)
	}
	if got, err := c.VerifyTwoStep(ctx, "a/b", wire.TwoStepAttempt{Code: wire.NewSecret("1234")}); err != nil || got.Assurance != wire.AssuranceTwoStep {
		t.Errorf("verified %+v, %v", got, err)
	}
	if got, err := c.MakeRecoveryKey(ctx, "a/b"); err != nil || got.RecoveryKey.Reveal() != "0123-4567" || got.Entry != 9 {
		t.Errorf("made %+v, %v", got, err)
	}
	if got, err := c.MoveToTwoFactor(ctx, "a/b", wire.ProtectionRequest{Device: "d1"}); err != nil || got.Protection.Mode != wire.ProtectionOn || got.LinkToken.Reveal() != "t0ken" {
		t.Errorf("moved %+v, %v", got, err)
	}
	if err := c.EndTwoStep(ctx, "a/b"); err != nil {
		t.Error(err)
	}
	const base = " /v1/accounts/a%2Fb/two-step"
	if want := []string{
		"POST" + base, "POST" + base + "/import", "GET" + base, "POST" + base + "/codes", "POST" + base + "/verifications",
		"POST" + base + "/recovery-keys", "POST" + base + "/move", "DELETE" + base,
	}; !slices.Equal(n.paths, want) {
		t.Errorf("asked %q, want %q", n.paths, want)
	}
	for i, key := range n.keys {
		if (key != "") != (i != 2) {
			t.Errorf("request %d has the key %q", i, key)
		}
	}
	for i, want := range map[int]string{
		0: `{"number":"+14155550161","platform":"iOS","system_version":"8"}` + "\n",
		1: `{"phones":[{"number":"+14155550161","label":"mine"}]}` + "\n",
		4: `{"code":"1234"}` + "\n",
	} {
		if n.bodies[i] != want {
			t.Errorf("the body of request %d is %q, want %q", i, n.bodies[i], want)
		}
	}
}
