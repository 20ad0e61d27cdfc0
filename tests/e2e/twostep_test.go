package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

func twoStepPath(account string, rest ...string) string {
	return "/v1/accounts/" + strings.Join(append([]string{account, "two-step"}, rest...), "/")
}

// steps makes an account that has had two-step verification elsewhere. The door is open for that long.
func (r *rig) steps(t *testing.T, node int, numbers ...string) (account string) {
	t.Helper()
	account = r.account(t)
	operator, err := httpClient(r.rack.Operator())
	check(t, err)
	path := "/v1/tenants/" + tenant + "/policy"
	var policy map[string]any
	check(t, r.as(operator, 0, http.MethodGet, path, nil, &policy))
	var phones []map[string]string
	for _, n := range numbers {
		phones = append(phones, map[string]string{"number": n, "label": "of before"})
	}
	request := map[string]any{"phones": phones}
	if status := r.status(t, node, http.MethodPost, twoStepPath(account, "import"), request); status != http.StatusForbidden {
		t.Fatalf("with the door shut an import is answered %d", status)
	}
	policy["allow_two_step_import"] = true
	check(t, r.as(operator, 0, http.MethodPut, path, policy, nil))
	var s wire.TwoStep
	r.do(t, node, http.MethodPost, twoStepPath(account, "import"), request, &s)
	delete(policy, "allow_two_step_import")
	check(t, r.as(operator, 0, http.MethodPut, path, policy, nil))
	if !s.On || !s.Imported || len(s.Phones) != len(numbers) || !s.RecoveryKeyMade.IsZero() {
		t.Fatalf("taken over: %+v", s)
	}
	return account
}

// sendStep has a code of four digits sent, once the cool-down is over.
func (r *rig) sendStep(t *testing.T, node int, account, phone string) (s wire.TwoStepSending) {
	t.Helper()
	for ctx := deadline(t, 30*time.Second); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		r.do(t, node, http.MethodPost, twoStepPath(account, "codes"), wire.TwoStepCodeRequest{Phone: phone, Channel: "text"}, &s)
		if s.Outcome != wire.TooSoon {
			return s
		}
	}
	t.Fatal("no code may be sent")
	return s
}

var fourDigits = regexp.MustCompile(`^[0-9]{4}\b`)

// stepCode has a code sent and reads it where the gateway was to send it.
func (r *rig) stepCode(t *testing.T, o outside, node int, account, phone string) (string, wire.CodeJob) {
	t.Helper()
	before := len(o.gateway.of(account))
	if s := r.sendStep(t, node, account, phone); s.Outcome != wire.Sent {
		t.Fatalf("sending: %+v", s)
	}
	o.gateway.await(t, account, func(received) bool { return len(o.gateway.of(account)) > before })
	list := o.gateway.of(account)
	got := list[len(list)-1]
	code := fourDigits.FindString(got.job.Text)
	if code == "" || !got.job.TwoStep || got.job.SignIn != "" {
		t.Fatalf("the job is %+v", got.job)
	}
	return code, got.job
}

// step types a code or, if it is longer, a recovery key.
func (r *rig) step(t *testing.T, node int, account, typed, key string) (v wire.TwoStepVerification) {
	t.Helper()
	body := map[string]string{"code": typed}
	if len(typed) > 4 {
		body = map[string]string{"recovery_key": typed}
	}
	if _, err := r.call(t.Context(), node, http.MethodPost, twoStepPath(account, "verifications"), key, body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (r *rig) recoveryKey(t *testing.T, node int, account, key string) (k wire.NewRecoveryKey) {
	t.Helper()
	if _, err := r.call(t.Context(), node, http.MethodPost, twoStepPath(account, "recovery-keys"), key, nil, &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// fourOther is a code of four digits that is none of those.
func fourOther(codes ...string) string {
	for _, try := range []string{"0000", "1111", "2222"} {
		if try != codes[0] && try != codes[len(codes)-1] {
			return try
		}
	}
	return "3333"
}

// TestA5_TwoStepKeepsWorking: who had it elsewhere goes on, beside people with two factors and with the door for imports shut
// again: codes of four digits by the gateway, on whichever node and after the leader's death, and a recovery key that is
// shown once. It is worth what it is worth, and nothing of it is written down.
func TestA5_TwoStepKeepsWorking(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.steps(t, 0, "+14155550161", "+14155550162")
	if p := r.protection(t, 1, account); p.Mode != wire.ProtectionTwoStep || p.Assurance != wire.AssuranceTwoStep || p.Since.IsZero() {
		t.Fatalf("P77: %+v", p)
	}
	o.frontend.awaitType(t, account, wire.NoticeTwoStepOn)
	var phones wire.Phones
	if r.do(t, 2, http.MethodGet, "/v1/accounts/"+account+"/phones", nil, &phones); len(phones.Phones) != 0 {
		t.Errorf("P77: its phones are phones of two factors: %+v", phones)
	}

	// The leader dies between sending and typing.
	code, job := r.stepCode(t, o, 1, account, "")
	if job.To != "+14155550161" {
		t.Errorf("it goes to %+v", job)
	}
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	first := r.step(t, (leader+1)%3, account, code, "typed-"+account)
	if first.Outcome != wire.Accepted || first.Assurance != wire.AssuranceTwoStep {
		t.Fatalf("P79: %+v", first)
	}
	r.powerOn(t, leader)
	made := r.recoveryKey(t, (leader+1)%3, account, "key-of-"+account)
	key := made.RecoveryKey.Reveal()
	if len(key) != 34 {
		t.Fatalf("a recovery key of %d characters", len(key))
	}
	r.ready(t)
	for node := range r.nodes() {
		if again := r.step(t, node, account, code, "typed-"+account); again.Outcome != first.Outcome || again.Entry != first.Entry || !again.Replayed {
			t.Errorf("node %d answers the repeated request with %+v", node, again)
		}
		if again := r.step(t, node, account, code, ""); again.Outcome != wire.Ended {
			t.Errorf("node %d: the code's second use: %+v", node, again)
		}
		if again := r.recoveryKey(t, node, account, "key-of-"+account); again.Entry != made.Entry || !again.RecoveryKey.IsZero() {
			t.Errorf("node %d shows the key again", node)
		}
		if v := r.step(t, node, account, strings.ToLower(strings.ReplaceAll(key, "-", " ")), ""); v.Outcome != wire.Accepted || v.Assurance != wire.AssuranceTwoStep {
			t.Errorf("node %d: the recovery key: %+v", node, v)
		}
	}
	o.frontend.awaitType(t, account, wire.NoticeRecoveryKeyUsed)
	if status := r.status(t, 0, http.MethodPost, twoStepPath(account, "verifications"), map[string]string{"recovery_key": key[:33] + "U"}); status != http.StatusUnprocessableEntity {
		t.Errorf("a mistyped key is answered %d", status)
	}

	// A new key is the only one, and what was proved lets it be turned off; then all of it is dead.
	newer := r.recoveryKey(t, 1, account, "").RecoveryKey.Reveal()
	if v := r.step(t, 2, account, key, ""); v.Outcome != wire.Wrong {
		t.Errorf("the key of before: %+v", v)
	}
	r.do(t, 0, http.MethodDelete, twoStepPath(account), nil, nil)
	for node := range r.nodes() {
		if v := r.step(t, node, account, newer, ""); v.Outcome != wire.Wrong {
			t.Errorf("node %d: turned off, its key: %+v", node, v)
		}
		if p := r.protection(t, node, account); p.Mode != wire.ProtectionOff {
			t.Errorf("node %d: turned off: %+v", node, p)
		}
	}
	o.frontend.awaitType(t, account, wire.NoticeTwoStepOff)

	entries, err := r.rack.RunAs(deadline(t, time.Minute), r.rack.Operator(), "", "log", "search", "--tenant", tenant, "--account", account, "--output", "json")
	check(t, err)
	for _, operation := range []string{
		"import-two-step", "send-two-step-code", "make-code", "verify-two-step", "make-recovery-key", "verify-recovery-key", "turn-off-two-step",
	} {
		if !strings.Contains(entries, operation) {
			t.Errorf("no entry has %s", operation)
		}
	}
	if !strings.Contains(entries, "assurance two_step") {
		t.Error("P27: it is not marked in the log")
	}
	needles := map[string][]byte{}
	for what, text := range map[string]string{"the first key": key, "the second key": newer} {
		needles[what] = []byte(text)
		needles[what+" in one piece"] = []byte(strings.ReplaceAll(text, "-", ""))
	}
	for _, chassis := range r.rack.Chassis {
		searchTree(t, chassis.Dir(), needles)
	}
	needles["the number"], needles["the other number"] = []byte("4155550161"), []byte("4155550162")
	for what := range search([]byte(entries), needles) {
		t.Errorf("%s is in the log", what)
	}
}

// TestA5_MoveToTwoFactor: P26: two-step verification is turned off first, or in the same step in which two factors are turned
// on, if all is there that those need and if somebody has just proved it.
func TestA5_MoveToTwoFactor(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.steps(t, 1, "+14155550163")
	k, err := kit.NewKey()
	check(t, err)
	request := wire.ProtectionRequest{NewDevice: &wire.DeviceRequest{PublicKey: k.Public(), Name: "iPhone"}}
	for node, c := range []struct {
		path string
		want int
		why  string
	}{
		{protectionPath(account), http.StatusConflict, "P26: protection while it is on"},
		{twoStepPath(account, "move"), http.StatusConflict, "moving without a phone"},
	} {
		if status := r.status(t, node, http.MethodPost, c.path, request); status != c.want {
			t.Errorf("%s is answered %d", c.why, status)
		}
	}
	r.trustPhone(t, o, account, "+14155550164")
	for node, c := range []struct{ method, path string }{
		{http.MethodPost, twoStepPath(account, "move")}, {http.MethodDelete, twoStepPath(account)}, {http.MethodPost, twoStepPath(account, "recovery-keys")},
	} {
		var body any
		if strings.HasSuffix(c.path, "move") {
			body = request
		}
		if status := r.status(t, node, c.method, c.path, body); status != http.StatusForbidden {
			t.Errorf("without a proof %s %s is answered %d", c.method, c.path, status)
		}
	}
	var e wire.Eligibility
	if r.do(t, 2, http.MethodGet, "/v1/eligibility?account="+account+"&platform=iOS&version=9", nil, &e); e.Eligible || len(e.Reasons) != 1 || e.Reasons[0] != "two-step-on" {
		t.Errorf("eligibility: %+v", e)
	}
	code, _ := r.stepCode(t, o, 0, account, "")
	if v := r.step(t, 1, account, code, ""); v.Outcome != wire.Accepted {
		t.Fatalf("the code: %+v", v)
	}
	var moved wire.ProtectionAnswer
	_, err = r.call(t.Context(), 2, http.MethodPost, twoStepPath(account, "move"), "move-"+account, request, &moved)
	check(t, err)
	if moved.Protection.Mode != wire.ProtectionOn || moved.Protection.Assurance != wire.AssuranceTwoFactor || moved.NewDevice == nil || moved.LinkToken.IsZero() {
		t.Fatalf("moved: %+v", moved.Protection)
	}
	p := hold(t, k, *moved.NewDevice)
	for node := range r.nodes() {
		var again wire.ProtectionAnswer
		_, err = r.call(t.Context(), node, http.MethodPost, twoStepPath(account, "move"), "move-"+account, request, &again)
		check(t, err)
		if again.Entry != moved.Entry || again.NewDevice == nil || again.NewDevice.Device.ID != p.signIn.Device {
			t.Errorf("node %d answers the repeated request with %+v", node, again)
		}
		var s wire.TwoStep
		if r.do(t, node, http.MethodGet, twoStepPath(account), nil, &s); s.On || len(s.Phones) != 0 {
			t.Errorf("node %d: %+v", node, s)
		}
	}
	shown, _ := p.seed.Code(time.Now())
	if v := r.verify(t, 0, account, shown, ""); v.Outcome != wire.Accepted || v.Assurance != wire.AssuranceTwoFactor {
		t.Errorf("the new device's code: %+v", v)
	}
	entries, err := r.at(t, 2).LogEntries(deadline(t, 30*time.Second), moved.Entry, 5)
	check(t, err)
	for i, operation := range []string{"turn-on-protection", "enrol-device", "sign-device-certificate", "turn-off-two-step", "make-link"} {
		if i >= len(entries) || !strings.Contains(string(entries[i]), `"operation":"`+operation+`"`) || !strings.Contains(string(entries[i]), `"outcome":"done"`) {
			t.Errorf("entry %d of the move isn't %s: %s", i, operation, entries)
		}
	}
}

// TestA5_NewOnlyWhereTwoFactorIsNot: and then it is on once the phone's code is typed.
func TestA5_NewOnlyWhereTwoFactorIsNot(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	withPolicy(t, r, map[string]any{"platforms": example, "excluded_classes": []string{"kiosk"}})
	account, kiosk := r.account(t), r.account(t)+"-kiosk"
	r.do(t, 1, http.MethodPut, "/v1/accounts/"+kiosk, wire.AccountRequest{Class: "kiosk"}, nil)
	ask := func(account, platform, version string) int {
		t.Helper()
		return r.status(t, 2, http.MethodPost, twoStepPath(account), map[string]string{"number": "+14155550165", "platform": platform, "system_version": version})
	}
	for _, c := range []struct {
		account, platform, version string
		want                       int
	}{
		{account, "", "", http.StatusConflict},
		{account, "iOS", "9", http.StatusConflict},
		{account, "iOS", "8.4.1", http.StatusCreated},
		{kiosk, "iOS", "18", http.StatusCreated},
	} {
		if status := ask(c.account, c.platform, c.version); status != c.want {
			t.Errorf("%s with %s %s is answered %d", c.account, c.platform, c.version, status)
		}
	}
	if p := r.protection(t, 0, kiosk); p.Mode != wire.ProtectionOff {
		t.Errorf("before the phone is verified: %+v", p)
	}
	code, _ := r.stepCode(t, o, 0, kiosk, "")
	if v := r.step(t, 1, kiosk, code, ""); v.Outcome != wire.Accepted || v.Assurance != "" {
		t.Fatalf("the phone's code: %+v", v)
	}
	if p := r.protection(t, 2, kiosk); p.Mode != wire.ProtectionTwoStep {
		t.Errorf("P27: %+v", p)
	}
	if status := ask(kiosk, "", ""); status != http.StatusOK {
		t.Errorf("turning on what is on is answered %d", status)
	}
}

// TestA5_GuessesTellNothing: one wrong code locks the whole account for a minute, for everybody alike, and a name that is no
// account is answered like one that has two-step verification. Another tenant reaches nothing. The delays after that are
// TestTwoStepGuesses's and the sums TestTwoStepModel's, at account.Apply: a real rack's clocks can't be set.
func TestA5_GuessesTellNothing(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.steps(t, 2, "+14155550166")
	seed := r.importSeed(t, account)
	code, _ := r.stepCode(t, o, 0, account, "")
	names := []string{account, "nobody-" + account, r.account(t)}
	for i, name := range names {
		typed := fourOther(code)
		if i > 0 {
			if s := r.sendStep(t, i, name, ""); s.Outcome != wire.Sent || len(s.Phones) != 1 || s.Phone == "" {
				t.Errorf("%s: sending is answered %+v", name, s)
			}
		}
		if v := r.step(t, i, name, typed, ""); v.Outcome != wire.Wrong {
			t.Errorf("%s: a wrong code: %+v", name, v)
		}
		for node := range r.nodes() {
			for _, again := range []string{code, typed, "0123-4567-89AB-CDEF-GHJK-MNPQ-RSCT"} {
				if v := r.step(t, node, name, again, ""); v.Outcome != wire.Locked || v.RetryAt.IsZero() || time.Until(v.RetryAt) > time.Minute {
					t.Errorf("%s, node %d: after a wrong code: %+v", name, node, v)
				}
			}
		}
	}
	// The lock is shared with the account's other credentials.
	if v := r.verify(t, 1, account, oathtool(t, seed, time.Now()), ""); v.Outcome != wire.Locked {
		t.Errorf("an authenticator's right code meanwhile: %+v", v)
	}

	ctx := deadline(t, time.Minute)
	credentials, err := r.rack.IssueClient(ctx, firmwaresim.Frontend, "other", "fe-of-other")
	check(t, err)
	stranger, err := httpClient(credentials)
	check(t, err)
	base := "https://" + r.rack.Chassis[0].APIAddr() + twoStepPath(account)
	for _, ask := range []strangersRequest{
		{http.MethodGet, base, "", http.StatusNotFound},
		{http.MethodDelete, base, "", http.StatusNotFound},
		{http.MethodPost, base, `{"number":"+14155550167"}`, http.StatusNotFound},
		{http.MethodPost, base + "/import", `{"phones":[{"number":"+14155550167"}]}`, http.StatusNotFound},
		{http.MethodPost, base + "/recovery-keys", "", http.StatusNotFound},
		{http.MethodPost, base + "/move", `{"device":"d1"}`, http.StatusNotFound},
		{http.MethodPost, base + "/codes", `{"channel":"text"}`, http.StatusForbidden}, // that tenant has no gateway
	} {
		if status, body := ask.send(ctx, t, stranger); status != ask.status {
			t.Errorf("another tenant's %s %s: %d %s, want %d", ask.method, ask.path, status, body, ask.status)
		}
	}
	// A front-end can't have a code that is on its way to a phone again, and the help desk reads only.
	for _, g := range o.frontend.of(account) {
		if strings.Contains(string(g.notice.Data), code) || strings.Contains(string(g.notice.Data), "415555") {
			t.Errorf("the front-end was told %s", g.notice.Data)
		}
	}
}
