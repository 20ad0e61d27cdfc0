package browser

import (
	"context"
	"strings"
	"testing"
	"time"
)

// kill takes the power of the leader away, and gives back what powers it on again and waits until it is one of three.
func (r *rig) kill(t *testing.T) (restore func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	leader, err := r.rack.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := leader.PowerOn(ctx); err != nil {
			t.Fatal(err)
		}
		if err := leader.AwaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLeaderDiesBetweenAnyTwoSteps: the same end, no notice lost and none acted on twice.
func TestLeaderDiesBetweenAnyTwoSteps(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac := stage.another("phone"), stage.another("mac")
	var code string
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"the password", func() {
			mac.fill("#password", password)
			mac.send("#continue")
			mac.see("h1", "Two-factor")
		}},
		{"the notice", func() { phone.see("#requests", "near Zürich") }},
		{"Allow", func() { code = allow(phone) }},
		{"the code", func() {
			enter(mac, code)
			mac.see("h1", "Hello")
			mac.see("#trust", "This Mac is trusted")
		}},
		{"signing out", func() { mac.click("#sign-out"); mac.see(".said", "signed out") }},
		{"again, without a code", func() {
			mac.fill("#password", password)
			mac.send("#continue")
			mac.see("h1", "Hello")
			mac.see(".said", "No code was needed")
		}},
	} {
		restore := r.kill(t)
		step.do()
		t.Log("with the leader killed before it:", step.name)
		restore()
	}
	mac.click("#to-account")
	for words, want := range map[string]int{
		"Somebody began to sign in": 1, "A sign-in was allowed": 1, "A code was entered": 1,
		"A device became trusted": 2, // the phone, and the Mac
	} {
		mac.see("#notices", words)
		if got := strings.Count(mac.text("#notices"), words); got != want {
			t.Errorf("%q is there %d times, want %d", words, got, want)
		}
	}
	mac.shoot("account", light)
}
