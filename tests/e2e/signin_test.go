package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
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
		for ctx := deadline(t, 10*time.Second); ; time.Sleep(100 * time.Millisecond) { // the account's phone was verified a moment ago: its cool-down
			var sent wire.Sending
			r.do(t, 2, http.MethodPost, signInPath(name, s, "codes"), wire.SendCodeRequest{Phone: s.Channels.Phones[0].ID, Channel: "text"}, &sent)
			if sent.Outcome == wire.Sent {
				note(sent)
				break
			}
			if sent.Outcome != wire.TooSoon || ctx.Err() != nil {
				t.Fatalf("sending a code: %+v", sent)
			}
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

// TestS1_S5_ANewLeaderForEveryStep: the worked example, with the leader killed between each two steps. Same end; no notice
// is lost, and none comes out of order.
func TestS1_S5_ANewLeaderForEveryStep(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	next := 0
	depose := func() {
		t.Helper()
		leader := r.leader(t)
		r.kill(t, leader)
		r.newLeader(t, leader)
		r.powerOn(t, leader)
		r.ready(t)
		next = (next + 1) % 3
	}
	phone := r.trustPhone(t, o, account, number())
	depose()
	s := r.begin(t, next, account)
	depose()
	decided := r.decide(t, next, account, s, p.decision(t, s, true))
	code := p.read(t, s, decided.Code)
	depose()
	var sent wire.Sending
	r.do(t, next, http.MethodPost, signInPath(account, s, "codes"), wire.SendCodeRequest{Phone: phone.ID, Channel: "text"}, &sent)
	if sent.Outcome != wire.Sent {
		t.Fatalf("sending: %+v", sent)
	}
	depose()
	text := codeOf(t, o.gateway.await(t, account, func(g received) bool { return g.job.SignIn == s.ID }).job)
	if e := r.enter(t, next, account, s, otherThan(code, text)); e.Outcome != wire.Wrong {
		t.Errorf("a wrong code: %+v", e)
	}
	depose()
	key, err := kit.NewKey()
	check(t, err)
	var e wire.Entered
	r.do(t, next, http.MethodPost, signInPath(account, s, "verifications"), map[string]any{
		"code": code, "new_device": wire.DeviceRequest{PublicKey: key.Public(), Name: "Mac"},
	}, &e)
	if e.Outcome != wire.Accepted || e.NewDevice == nil {
		t.Fatalf("entered: %+v", e)
	}
	mac := hold(t, key, *e.NewDevice)
	depose()
	for node := range r.nodes() {
		for _, c := range []string{code, text} {
			if again := r.enter(t, node, account, s, c); again.Outcome != wire.Ended {
				t.Errorf("node %d: a code again: %+v", node, again)
			}
		}
	}
	shown, _ := mac.seed.Code(time.Now())
	if v := r.verify(t, next, account, shown, ""); v.Outcome != wire.Accepted {
		t.Errorf("the computer's own code: %+v", v)
	}
	o.frontend.await(t, account, func(g received) bool { return g.notice.Type == wire.NoticeDeviceAdded && g.data.Name == "Mac" })
	var kinds []string
	for _, g := range o.frontend.of(account) {
		kinds = append(kinds, g.notice.Type)
	}
	want := []string{
		wire.NoticeDeviceAdded, wire.NoticePhoneAdded, wire.NoticeBegun, wire.NoticeAllowed, wire.NoticeVerified, wire.NoticeDeviceAdded,
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("told: %v, want %v", kinds, want)
	}
}
