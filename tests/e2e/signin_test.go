package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

// person is an account with a trusted phone in its owner's hand.
func (r *rig) person(t *testing.T) (account string, p phone) {
	t.Helper()
	account = r.account(t)
	return account, r.phone(t, account)
}

// TestS1_S2_S5_FromOnePhoneToANewComputer is the worked example: the phone is told by itself, shows the code after Allow,
// and the code makes the computer trusted.
func TestS1_S2_S5_FromOnePhoneToANewComputer(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	s := r.begin(t, 0, account)
	if s.State != "begun" || !s.CodeNeeded || !s.Channels.Devices || len(s.Channels.Phones) != 0 {
		t.Fatalf("begun: %+v", s)
	}
	told := o.frontend.awaitType(t, account, wire.NoticeBegun)
	if !slices.Equal(told.data.Devices, []string{p.signIn.Device}) || told.data.SignIn != s.ID || string(told.data.Nonce) != string(s.Nonce) {
		t.Fatalf("the phone is told %+v", told.data)
	}
	allowed := r.decide(t, 1, account, s, p.decision(t, s, true))
	if allowed.SignIn.State != "allowed" {
		t.Fatalf("allowed: %+v", allowed)
	}
	code := p.read(t, s, allowed.Code)

	// What the relay carried, it can't read: not with the other tenant's, device's or sign-in's context, nor another key.
	stranger, err := kit.NewKey()
	check(t, err)
	if _, err := stranger.OpenCode(p.about(s), allowed.Code.N, allowed.Code.Sealed); err == nil {
		t.Error("another key opened the code")
	}
	other := p.about(s)
	other.ID = "another"
	if _, err := p.key.OpenCode(other, allowed.Code.N, allowed.Code.Sealed); err == nil {
		t.Error("the code opened as another sign-in's")
	}

	key, err := kit.NewKey()
	check(t, err)
	var e wire.Entered
	r.do(t, 2, http.MethodPost, signInPath(account, s, "verifications"), map[string]any{
		"code": code, "new_device": wire.DeviceRequest{PublicKey: key.Public(), Name: "Mac", Model: "MacBook"},
	}, &e)
	if e.Outcome != wire.Accepted || e.NewDevice == nil || len(e.NewDevice.Device.Certificate) == 0 {
		t.Fatalf("entered: %+v", e)
	}
	mac := hold(t, key, *e.NewDevice)
	o.frontend.awaitType(t, account, wire.NoticeVerified)
	o.frontend.awaitType(t, account, wire.NoticeDeviceAdded)

	// It is trusted now: its settings' codes open the door, and it decides the next sign-in.
	shown, _ := mac.seed.Code(time.Now())
	if v := r.verify(t, 0, account, shown, ""); v.Outcome != wire.Accepted || v.Device != mac.signIn.Device {
		t.Errorf("the computer's own code: %+v", v)
	}
	next := r.begin(t, 1, account)
	if d := r.decide(t, 2, account, next, mac.decision(t, next, true)); mac.read(t, next, d.Code) == "" {
		t.Error("the computer shows no code")
	}
}

// TestS3_DontAllowIsFinal: on every node and after the leader's death, with the right code of every channel.
func TestS3_DontAllowIsFinal(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	second := r.phone(t, account)
	s := r.begin(t, 0, account)
	told := o.frontend.awaitType(t, account, wire.NoticeBegun)
	if place := told.data.Place; place == nil || place.Label != "Zürich, Switzerland" || !place.Approximate || place.AccuracyKM != 20 ||
		place.Latitude != 47.4 || place.Longitude != 8.5 {
		t.Errorf("the place is %+v", place)
	}
	code := p.read(t, s, r.decide(t, 0, account, s, p.decision(t, s, true)).Code)
	if d := r.decide(t, 1, account, s, second.decision(t, s, false)); d.SignIn.State != "denied" || d.Code != nil {
		t.Fatalf("denied: %+v", d)
	}
	o.frontend.awaitType(t, account, wire.NoticeDenied)
	dead := func(when string, nodes ...int) {
		t.Helper()
		for _, node := range nodes {
			shown, _ := second.seed.Code(time.Now())
			for name, c := range map[string]string{"pushed": code, "settings": shown} {
				if e := r.enter(t, node, account, s, c); e.Outcome != wire.Ended {
					t.Errorf("%s, node %d, %s code: %+v, want ended", when, node, name, e)
				}
			}
			if status := r.status(t, node, http.MethodPost, signInPath(account, s, "decisions"), p.decision(t, s, true)); status != http.StatusConflict {
				t.Errorf("%s, node %d: Allow after Don't Allow is answered %d", when, node, status)
			}
		}
	}
	dead("at once", r.nodes()...)
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	dead("after the leader was killed", (leader+1)%3, (leader+2)%3)
	r.powerOn(t, leader)
	r.ready(t)
	dead("after the leader came back", r.nodes()...)
}

// TestS3_DecisionsAreTheDevices: a front-end can't decide for a device, and no decision counts twice or elsewhere.
func TestS3_DecisionsAreTheDevices(t *testing.T) {
	r := power(t)
	withOutside(t, r)
	account, p := r.person(t)
	removed := r.phone(t, account)
	s, other := r.begin(t, 0, account), r.begin(t, 0, account)
	refused := func(what string, want int, at wire.SignIn, q wire.DecisionRequest) {
		t.Helper()
		for node := range r.nodes() {
			if status := r.status(t, node, http.MethodPost, signInPath(account, at, "decisions"), q); status != want {
				t.Errorf("%s, node %d: %d, want %d", what, node, status, want)
			}
		}
	}
	forger, err := kit.NewKey()
	check(t, err)
	forged := phone{key: forger, signIn: p.signIn}
	refused("a front-end's own signature", http.StatusForbidden, s, forged.decision(t, s, true))
	turned := p.decision(t, s, false)
	turned.Decision = "allow"
	refused("Don't Allow turned into Allow", http.StatusForbidden, s, turned)
	refused("another sign-in's decision", http.StatusForbidden, other, p.decision(t, s, true))
	signed := removed.decision(t, s, true)
	r.do(t, 1, http.MethodDelete, "/v1/accounts/"+account+"/devices/"+removed.signIn.Device, nil, nil)
	refused("a removed device's decision", http.StatusNotFound, s, signed)

	// Its own sign-in is not a device's to decide.
	var own wire.SignIn
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+account+"/sign-ins", wire.SignInRequest{Own: p.signIn.Device}, &own)
	refused("its own sign-in", http.StatusForbidden, own, p.decision(t, own, true))
	shown, _ := p.seed.Code(time.Now())
	if e := r.enter(t, 0, account, own, shown); e.Outcome != wire.Wrong {
		t.Errorf("a device's code for its own sign-in: %+v", e)
	}

	// A replay changes nothing: the same code, once.
	allow := p.decision(t, s, true)
	code := p.read(t, s, r.decide(t, 0, account, s, allow).Code)
	for node := range r.nodes() {
		if again := p.read(t, s, r.decide(t, node, account, s, allow).Code); again != code {
			t.Error("a replayed decision made another code")
		}
	}
	if e := r.enter(t, 1, account, s, code); e.Outcome != wire.Accepted {
		t.Errorf("the code: %+v", e)
	}
	refused("a replay after the end", http.StatusConflict, s, allow)
}

// TestS2_TheCodeCanBeHadAgain by the device that allowed, and by nobody else.
func TestS2_TheCodeCanBeHadAgain(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	second := r.phone(t, account)
	s := r.begin(t, 0, account)
	code := p.read(t, s, r.decide(t, 0, account, s, p.decision(t, s, true)).Code)
	fetch := func(who phone) wire.FetchCodeRequest {
		at, signature, err := who.key.Fetch(who.about(s), time.Now())
		check(t, err)
		return wire.FetchCodeRequest{TimeMS: at, Signature: signature}
	}
	for node := range r.nodes() {
		var again wire.SealedCode
		r.do(t, node, http.MethodPost, signInPath(account, s, "codes", p.signIn.Device), fetch(p), &again)
		if p.read(t, s, &again) != code {
			t.Error("it is another code")
		}
		for what, status := range map[string]int{
			"a device that has not allowed": r.status(t, node, http.MethodPost, signInPath(account, s, "codes", second.signIn.Device), fetch(second)),
			"another device's signature":    r.status(t, node, http.MethodPost, signInPath(account, s, "codes", p.signIn.Device), fetch(second)),
		} {
			if status < 400 {
				t.Errorf("%s, node %d: %d", what, node, status)
			}
		}
	}
	r.do(t, 0, http.MethodDelete, "/v1/accounts/"+account+"/devices/"+p.signIn.Device, nil, nil)
	for node := range r.nodes() {
		if e := r.enter(t, node, account, s, code); e.Outcome != wire.Wrong {
			t.Errorf("node %d: the code of a removed device: %+v", node, e)
		}
	}
}

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
	second := r.phone(t, account)
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

// TestS1_ANameThatIsNoAccountAnswersLikeOne, from the beginning of a sign-in to its end.
func TestS1_ANameThatIsNoAccountAnswersLikeOne(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, _ := r.person(t)
	r.trustPhone(t, o, account, number())
	nobody := "nobody-" + account
	shape := func(name string) (shapes []string) {
		note := func(v any) {
			var m map[string]any
			raw, _ := json.Marshal(v)
			check(t, json.Unmarshal(raw, &m))
			for _, varies := range []string{"id", "nonce", "begun", "expires", "entry", "ended", "retry_at"} {
				if _, there := m[varies]; there {
					m[varies] = "varies"
				}
			}
			if c, ok := m["channels"].(map[string]any); ok {
				for _, p := range c["phones"].([]any) {
					p := p.(map[string]any)
					if len(p["id"].(string)) != 16 || len(p["masked"].(string)) != len("•••• •• 67") {
						t.Errorf("a phone is %v", p)
					}
					p["id"], p["masked"] = "varies", "varies"
				}
			}
			raw, _ = json.Marshal(m)
			shapes = append(shapes, string(raw))
		}
		s, again := r.begin(t, 0, name), r.begin(t, 1, name)
		if s.Channels.Phones[0] != again.Channels.Phones[0] {
			t.Errorf("the phone changed from %+v to %+v", s.Channels.Phones[0], again.Channels.Phones[0])
		}
		note(s)
		for {
			var sent wire.Sending
			r.do(t, 2, http.MethodPost, signInPath(name, s, "codes"), wire.SendCodeRequest{Phone: s.Channels.Phones[0].ID, Channel: "text"}, &sent)
			if sent.Outcome == wire.Sent {
				note(sent)
				break
			}
			time.Sleep(100 * time.Millisecond) // the account's phone was verified a moment ago: its cool-down
		}
		note(r.enter(t, 0, name, s, "000001"))
		var read wire.SignIn
		r.do(t, 1, http.MethodGet, signInPath(name, s), nil, &read)
		note(read)
		r.do(t, 2, http.MethodDelete, signInPath(name, s), nil, nil)
		note(r.enter(t, 0, name, s, "000001"))
		if status := r.status(t, 0, http.MethodGet, signInPath(name, wire.SignIn{ID: "unknown"}), nil); status != http.StatusNotFound {
			t.Errorf("an unknown sign-in is answered %d", status)
		}
		return shapes
	}
	if a, b := shape(account), shape(nobody); !slices.Equal(a, b) {
		t.Errorf("an account answers\n%s\na name that is none\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// TestS1_SignInsDontStepOnEachOther: eight at once, and no more.
func TestS1_SignInsDontStepOnEachOther(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	var open []wire.SignIn
	for i := range 8 {
		open = append(open, r.begin(t, i%3, account))
	}
	if status := r.status(t, 0, http.MethodPost, "/v1/accounts/"+account+"/sign-ins", wire.SignInRequest{}); status != http.StatusConflict {
		t.Errorf("a ninth is answered %d", status)
	}
	var codes []string
	for i, s := range open[:3] {
		codes = append(codes, p.read(t, s, r.decide(t, i, account, s, p.decision(t, s, true)).Code))
	}
	if codes[0] != codes[1] {
		if e := r.enter(t, 0, account, open[0], codes[1]); e.Outcome != wire.Wrong {
			t.Errorf("another sign-in's code: %+v", e)
		}
	}
	r.decide(t, 0, account, open[1], p.decision(t, open[1], false))
	for _, i := range []int{2, 0} {
		if e := r.enter(t, i, account, open[i], codes[i]); e.Outcome != wire.Accepted {
			t.Errorf("sign-in %d: %+v", i, e)
		}
	}
	// One that ended makes room.
	r.begin(t, 0, account)
}

// TestS1_AnotherTenantIsAnotherWorld: a front-end finds no sign-in, phone or notice of another's, with all that it may know.
func TestS1_AnotherTenantIsAnotherWorld(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	phone := r.trustPhone(t, o, account, number())
	s := r.begin(t, 0, account)
	credentials, err := r.rack.IssueClient(deadline(t, 30*time.Second), firmwaresim.Frontend, "other", "fe")
	check(t, err)
	client, err := httpClient(credentials)
	check(t, err)
	stranger := &rig{rack: r.rack, clients: []*http.Client{client, client, client}}
	stream := stranger.stream(t, 0, "0")
	for request, body := range map[string]any{
		"GET " + signInPath(account, s):                                   nil,
		"DELETE " + signInPath(account, s):                                nil,
		"POST " + signInPath(account, s, "decisions"):                     p.decision(t, s, true),
		"POST " + signInPath(account, s, "codes"):                         wire.SendCodeRequest{Phone: phone.ID, Channel: "text"},
		"GET /v1/accounts/" + account + "/phones":                         nil,
		"DELETE /v1/accounts/" + account + "/phones/" + phone.ID:          nil,
		"POST /v1/accounts/" + account + "/phones/" + phone.ID + "/codes": wire.SendPhoneCodeRequest{Channel: "text"},
	} {
		method, path, _ := strings.Cut(request, " ")
		for node := range r.nodes() {
			if status := stranger.status(t, node, method, path, body); status != http.StatusNotFound {
				t.Errorf("%s at node %d: %d, want 404", request, node, status)
			}
		}
	}
	for _, path := range []string{"/webhooks", "/notices", "/policy"} {
		if status := stranger.status(t, 1, http.MethodGet, "/v1/tenants/"+tenant+path, nil); status != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", path, status)
		}
	}
	// Of its own there is one notice, and of the other's none before it.
	own := stranger.account(t)
	stranger.begin(t, 2, own)
	stream.await(t, own, wire.NoticeBegun)
	stream.end()
	if len(stream.seen) != 1 {
		t.Errorf("the stream of another tenant has %v", stream.seen)
	}
	if d := r.decide(t, 1, account, s, p.decision(t, s, true)); p.read(t, s, d.Code) == "" {
		t.Error("the sign-in was disturbed")
	}
}
