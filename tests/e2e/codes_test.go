package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// TestS8_CodesOnPhones: by text with the origin-bound last line, by voice with spaced digits, only the newest, and so many.
func TestS8_CodesOnPhones(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, _ := r.person(t)
	to := number()
	p := r.trustPhone(t, o, account, to)
	s := r.begin(t, 0, account)
	if len(s.Channels.Phones) != 1 || s.Channels.Phones[0].ID != p.ID || !strings.HasSuffix(s.Channels.Phones[0].Masked, to[len(to)-2:]) ||
		strings.Contains(s.Channels.Phones[0].Masked, to[:8]) {
		t.Fatalf("channels: %+v", s.Channels)
	}
	send := func(channel string) (sent wire.Sending) {
		t.Helper()
		for {
			r.do(t, 0, http.MethodPost, signInPath(account, s, "codes"), wire.SendCodeRequest{Phone: p.ID, Channel: channel}, &sent)
			if sent.Outcome != wire.TooSoon || time.Until(sent.RetryAt) > 5*time.Second {
				return sent
			}
			time.Sleep(time.Until(sent.RetryAt) + 20*time.Millisecond) // the person waits as long as they were told
		}
	}
	if sent := send("text"); sent.Outcome != wire.Sent {
		t.Fatalf("text: %+v", sent)
	}
	var at wire.Sending
	r.do(t, 1, http.MethodPost, signInPath(account, s, "codes"), wire.SendCodeRequest{Phone: p.ID, Channel: "text"}, &at)
	if at.Outcome != wire.TooSoon || at.RetryAt.IsZero() {
		t.Errorf("a second at once: %+v", at)
	}
	text := o.gateway.await(t, account, func(g received) bool { return g.job.SignIn == s.ID && g.job.Channel == "text" })
	first := codeOf(t, text.job)
	if lines := strings.Split(text.job.Text, "\n"); lines[len(lines)-1] != "@example.com #"+first || text.job.To != to {
		t.Errorf("the text is %q to %q", text.job.Text, text.job.To)
	}
	if sent := send("voice"); sent.Outcome != wire.Sent {
		t.Fatalf("voice: %+v", sent)
	}
	call := o.gateway.await(t, account, func(g received) bool { return g.job.SignIn == s.ID && g.job.Channel == "voice" })
	second := codeOf(t, call.job)
	if len(call.job.Digits) != 11 || call.job.Text != "" {
		t.Errorf("the call says %q", call.job.Digits)
	}
	// Nothing of it reaches the front-end's webhook.
	for _, g := range o.frontend.of(account) {
		if raw, _ := json.Marshal(g.notice); g.notice.Type == wire.NoticeSend || strings.Contains(string(raw), to[3:]) {
			t.Errorf("the front-end was told %s", raw)
		}
	}
	if e := r.enter(t, 2, account, s, first); first != second && e.Outcome != wire.Wrong {
		t.Errorf("S11: an older code of the channel: %+v", e)
	}
	if e := r.enter(t, 1, account, s, second); e.Outcome != wire.Accepted {
		t.Errorf("the newest code: %+v", e)
	}
	for node := range r.nodes() {
		if e := r.enter(t, node, account, s, second); e.Outcome != wire.Ended {
			t.Errorf("S11: a used code at node %d: %+v", node, e)
		}
	}
}

// TestS8_SoManyCodesAndNoMore within an hour.
func TestS8_SoManyCodesAndNoMore(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, _ := r.person(t)
	p := r.trustPhone(t, o, account, number()) // one of the five an hour
	s := r.begin(t, 0, account)
	sent := 1
	for node := 0; ; node++ {
		var got wire.Sending
		r.do(t, node%3, http.MethodPost, signInPath(account, s, "codes"), wire.SendCodeRequest{Phone: p.ID, Channel: "text"}, &got)
		if got.Outcome == wire.Sent {
			sent++
			continue
		}
		if wait := time.Until(got.RetryAt); got.Outcome != wire.TooSoon || wait > 2*time.Second {
			if got.Outcome != wire.TooSoon || wait < 50*time.Minute {
				t.Errorf("in the end: %+v", got)
			}
			break
		}
		time.Sleep(time.Until(got.RetryAt) + 20*time.Millisecond) // the cool-down, as a person waits it out
	}
	if sent != 5 {
		t.Errorf("%d codes were sent, want 5", sent)
	}
}

// TestS9_ThePhoneProvesThatItReceivedTheText, and nothing is typed.
func TestS9_ThePhoneProvesThatItReceivedTheText(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, _ := r.person(t)
	p := r.trustPhone(t, o, account, number())
	s := r.begin(t, 0, account)
	var sent wire.Sending
	for sent.Outcome != wire.Sent {
		r.do(t, 0, http.MethodPost, signInPath(account, s, "codes"), wire.SendCodeRequest{Phone: p.ID, Channel: "text"}, &sent)
	}
	text := o.gateway.await(t, account, func(g received) bool { return g.job.SignIn == s.ID })
	code := codeOf(t, text.job)
	key, err := kit.NewKey()
	check(t, err)
	prove := func(with *kit.Key, code string) map[string]any {
		signature, err := with.ProveText(kit.SignIn{Tenant: tenant, Account: account, ID: s.ID, Nonce: s.Nonce}, p.ID, code)
		check(t, err)
		return map[string]any{
			"text_proof": wire.TextProof{Phone: p.ID, Signature: signature}, "new_device": wire.DeviceRequest{PublicKey: key.Public(), Name: "new phone"},
		}
	}
	stranger, err := kit.NewKey()
	check(t, err)
	for what, body := range map[string]map[string]any{
		"another code":  prove(key, otherThan(code)),
		"another's key": prove(stranger, code),
	} {
		var e wire.Entered
		r.do(t, 1, http.MethodPost, signInPath(account, s, "verifications"), body, &e)
		if e.Outcome != wire.Wrong || e.NewDevice != nil {
			t.Errorf("%s: %+v", what, e)
		}
	}
	var e wire.Entered
	r.do(t, 2, http.MethodPost, signInPath(account, s, "verifications"), prove(key, code), &e)
	if e.Outcome != wire.Accepted || e.NewDevice == nil {
		t.Fatalf("the proof: %+v", e)
	}
	hold(t, key, *e.NewDevice)
}

// TestS10_CodeAfterThePassword: of the settings and of a sign-in, split where it has to be, and a saved one costs one guess.
func TestS10_CodeAfterThePassword(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	path := "/v1/accounts/" + account + "/combined-verifications"
	combined := func(node int, text string) (v wire.Combined) {
		t.Helper()
		r.do(t, node, http.MethodPost, path, map[string]string{"text": text}, &v)
		return v
	}
	shown, _ := p.seed.Code(time.Now())
	if v := combined(0, "correct horse 7"+shown); v.Outcome != wire.Accepted || v.Remainder != 15 || v.Device != p.signIn.Device {
		t.Fatalf("the settings' code: %+v", v)
	}
	s := r.begin(t, 1, account)
	code := p.read(t, s, r.decide(t, 2, account, s, p.decision(t, s, true)).Code)
	if v := combined(1, "pässword"+code); v.Outcome != wire.Accepted || v.Remainder != 9 {
		t.Errorf("a sign-in's code: %+v", v)
	}
	var after wire.SignIn
	r.do(t, 2, http.MethodGet, signInPath(account, s), nil, &after)
	if after.State != "verified" {
		t.Errorf("the sign-in is %s", after.State)
	}
	for _, text := range []string{"password", "password12345", "１２３４５６", "123 456", "password" + code + " "} {
		if status := r.status(t, 0, http.MethodPost, path, map[string]string{"text": text}); status != http.StatusUnprocessableEntity {
			t.Errorf("%q is answered %d", text, status)
		}
	}
	saved := "password" + otherThan(code, shown)
	for i := range 50 {
		if v := combined(i%3, saved); v.Outcome != wire.Wrong || v.Remainder != 0 {
			t.Fatalf("the saved password, time %d: %+v", i, v)
		}
	}
	var a wire.Account
	r.do(t, 0, http.MethodGet, "/v1/accounts/"+account, nil, &a)
	if a.Failures != 1 || a.Locked {
		t.Errorf("the same text 50 times counts as %d failures", a.Failures)
	}
}

// TestS11_OneCodeOpensOneSignInOnce: PEERS.md 1 and 2, over channels and nodes, and right after the leader's death.
func TestS11_OneCodeOpensOneSignInOnce(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	second := r.another(t, account)
	s := r.begin(t, 0, account)
	one := p.read(t, s, r.decide(t, 0, account, s, p.decision(t, s, true)).Code)
	two := second.read(t, s, r.decide(t, 1, account, s, second.decision(t, s, true)).Code)
	var mu sync.Mutex
	outcomes := map[string]int{}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			var e wire.Entered
			code := one
			if i%2 == 1 {
				code = two
			}
			if _, err := r.call(t.Context(), i%3, http.MethodPost, signInPath(account, s, "verifications"), "", map[string]string{"code": code}, &e); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[e.Outcome]++
		})
	}
	wg.Wait()
	if outcomes[wire.Accepted] != 1 || outcomes[wire.Ended] != 11 {
		t.Errorf("%v, want one accepted, eleven ended", outcomes)
	}
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	for _, node := range []int{(leader + 1) % 3, (leader + 2) % 3} {
		for _, code := range []string{one, two} {
			if e := r.enter(t, node, account, s, code); e.Outcome != wire.Ended {
				t.Errorf("after the leader was killed, node %d: %+v", node, e)
			}
		}
	}
	r.powerOn(t, leader)
	r.ready(t)
}

// TestS11_OneBudgetOverAllChannels: guesses at a sign-in, at the account and after a password are charged together.
func TestS11_OneBudgetOverAllChannels(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	s := r.begin(t, 0, account)
	code := p.read(t, s, r.decide(t, 0, account, s, p.decision(t, s, true)).Code)
	var right []string
	for i := -3; i <= 3; i++ {
		shown, _ := p.seed.Code(time.Now().Add(time.Duration(i) * 30 * time.Second))
		right = append(right, shown)
	}
	wrong := func(n int) string { return otherThan(append(right, code, otherThan(append(right, code)...))...)[:n] }
	heard := 0
	for i := range 60 {
		outcome := ""
		switch i % 3 {
		case 0:
			outcome = r.enter(t, i%3, account, s, wrong(6)).Outcome
		case 1:
			outcome = r.verify(t, i%3, account, wrong(6), "").Outcome
		case 2:
			var v wire.Combined
			r.do(t, i%3, http.MethodPost, "/v1/accounts/"+account+"/combined-verifications",
				map[string]string{"text": strings.Repeat("x", i) + wrong(6)}, &v)
			outcome = v.Outcome
		}
		if outcome == wire.Wrong {
			heard++
		} else if outcome != wire.Locked {
			t.Fatalf("guess %d: %s", i, outcome)
		}
	}
	// Of three guesses, two cost 400 and one 300, in units of 1e-8; the sum stays within 1e-4.
	if heard != 27 {
		t.Errorf("%d guesses were heard, want 27", heard)
	}
	for node := range r.nodes() {
		if e := r.enter(t, node, account, s, code); e.Outcome != wire.Locked {
			t.Errorf("node %d: the right code of a locked account: %+v", node, e)
		}
	}
}
