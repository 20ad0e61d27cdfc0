package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// recoveryPolicy is that of the example in docs: two weeks, three days at least.
var recoveryPolicy = map[string]any{
	"recovery": map[string]any{
		"allow": true, "wait_days": 14, "floor_days": 3, "pause_days": 7,
		"shorten": map[string]any{"phone_code_hours": 120, "device_hours": 120, "email_hours": 48},
	},
	"password_reset": map[string]any{"local_presence": true},
}

func recoveryPath(account string, rest ...string) string {
	return "/v1/accounts/" + strings.Join(append([]string{account, "recoveries"}, rest...), "/")
}

func (r *rig) startRecovery(t *testing.T, node int, account string) (s wire.RecoveryStart) {
	t.Helper()
	r.do(t, node, http.MethodPost, recoveryPath(account), nil, &s)
	return s
}

func (r *rig) recovery(t *testing.T, node int, account string) wire.Recovery {
	t.Helper()
	var l wire.Recoveries
	r.do(t, node, http.MethodGet, recoveryPath(account), nil, &l)
	return l.Recoveries[0]
}

// claimed is a claim's answer with its secret.
type claimed struct {
	Outcome string
	RetryAt time.Time `json:"retry_at"`
	Grant   string
}

func (r *rig) claim(t *testing.T, node int, account, id string) (c claimed) {
	t.Helper()
	r.do(t, node, http.MethodPost, recoveryPath(account, id, "claims"), nil, &c)
	return c
}

// says is what the phone signs about a recovery.
func (p phone) says(t *testing.T, r wire.Recovery, cancel bool) map[string]any {
	t.Helper()
	x := kit.Recovery{Tenant: p.signIn.Tenant, Account: p.signIn.Account, ID: r.ID, Nonce: r.Nonce, Device: p.signIn.Device}
	sign := p.key.ConfirmRecovery
	if cancel {
		sign = p.key.CancelRecovery
	}
	at, signature, err := sign(x, time.Now())
	check(t, err)
	said := map[string]any{"device": p.signIn.Device, "time_ms": at, "signature": signature}
	if !cancel {
		said["kind"] = wire.EvidenceDevice
	}
	return said
}

// sendRecoveryCode has a code sent, once the one that verified the phone is a second ago, and returns it.
func (r *rig) sendRecoveryCode(t *testing.T, o outside, node int, account, id string, to wire.Phone, channel string) string {
	t.Helper()
	eventually(t, 10*time.Second, func(ctx context.Context) error {
		var s wire.Sending
		_, err := r.call(ctx, node, http.MethodPost, recoveryPath(account, id, "codes"), "", wire.SendCodeRequest{Phone: to.ID, Channel: channel}, &s)
		if err == nil && s.Outcome != wire.Sent {
			err = fmt.Errorf("sending is answered %+v", s)
		}
		return err
	})
	return codeOf(t, o.gateway.await(t, account, func(g received) bool {
		return g.notice.Type == wire.NoticeSend && g.job.Phone == to.ID && (g.job.Digits != "" || strings.Contains(g.job.Text, "recovery of your account"))
	}).job)
}

// TestA3_Recovery is what a rack whose clocks can't be set can show; the days and the end are those of TestA3_TheWholeWay of
// package appliance.
func TestA3_Recovery(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	ask := askNobody(t, r, o) // while the policy forbids it
	withPolicy(t, r, recoveryPolicy)
	byPhone, _ := r.person(t)
	phone := r.trustPhone(t, o, byPhone, number())
	account, p := r.person(t)
	mine, theirs := r.trustPhone(t, o, account, number()), r.trustPhone(t, o, account, "+14155550199")
	t.Run("told, shortened and cancelled", func(t *testing.T) { recoveryIsCancelled(t, r, o, account, p, mine, theirs) })
	t.Run("cancelled by phones and sign-ins", func(t *testing.T) { phonesAndSignInsCancel(t, r, o, byPhone, phone) })
	t.Run("nobody is answered alike", func(t *testing.T) { ask(t) })
}

func recoveryIsCancelled(t *testing.T, r *rig, o outside, account string, p phone, mine, theirs wire.Phone) {
	s := r.startRecovery(t, 0, account)
	if s.Outcome != wire.Started || s.Recovery.State != wire.RecoveryWaiting || s.Recovery.Ready.Sub(s.Recovery.Started) != 14*24*time.Hour {
		t.Fatalf("started: %+v", s)
	}
	id := s.Recovery.ID
	told := o.frontend.awaitType(t, account, wire.NoticeRecoveryStarted)
	if !slices.Equal(told.data.Devices, []string{p.signIn.Device}) || !slices.Equal(told.data.Phones, []string{mine.ID, theirs.ID}) ||
		told.data.Recovery != id || !told.data.Ready.Equal(s.Recovery.Ready) {
		t.Errorf("at the start devices are told %+v", told.data)
	}
	tell := func(x wire.Phone, about string) {
		t.Helper()
		got := o.gateway.await(t, account, func(g received) bool { return g.job.Phone == x.ID && g.job.About == about })
		if got.notice.Type != wire.NoticeTell || got.job.Text == "" || got.job.To == "" {
			t.Errorf("the phone is told %+v", got.job)
		}
	}
	for _, x := range []wire.Phone{mine, theirs} {
		tell(x, wire.NoticeRecoveryStarted)
	}

	ready := func(days int) wire.Recovery {
		t.Helper()
		for node := range r.nodes() {
			if c := r.claim(t, node, account, id); c.Outcome != wire.NotYet || !c.RetryAt.Equal(s.Recovery.Started.Add(time.Duration(days)*24*time.Hour)) {
				t.Errorf("node %d: claimed: %+v, want not-yet, in %d days", node, c, days)
			}
			if again := r.startRecovery(t, node, account); again.Outcome != wire.Running || again.Recovery.ID != id || !again.Recovery.Started.Equal(s.Recovery.Started) {
				t.Errorf("node %d: started again: %+v", node, again)
			}
		}
		return r.recovery(t, 1, account)
	}
	ready(14)
	prove := func(node int, q any) (a wire.RecoveryProof) {
		t.Helper()
		r.do(t, node, http.MethodPost, recoveryPath(account, id, "evidence"), q, &a)
		return a
	}
	code := r.sendRecoveryCode(t, o, 1, account, id, theirs, "text")
	if a := prove(2, map[string]string{"kind": "phone_code", "code": otherThan(code)}); a.Outcome != wire.Wrong {
		t.Errorf("a wrong code: %+v", a)
	}
	if a := prove(0, map[string]string{"kind": "phone_code", "code": code}); a.Outcome != wire.Accepted {
		t.Errorf("the code: %+v", a)
	}
	ready(9)
	if a := prove(1, map[string]string{"kind": "phone_code", "code": code}); a.Outcome != wire.Ended {
		t.Errorf("the code again: %+v", a)
	}
	if a := prove(1, map[string]string{"kind": "email"}); a.Outcome != wire.Accepted {
		t.Errorf("an e-mail: %+v", a)
	}
	confirmed := p.says(t, r.recovery(t, 2, account), false)
	if a := prove(2, confirmed); a.Outcome != wire.Accepted {
		t.Errorf("a device: %+v", a)
	}
	x := ready(3)
	if !x.Ready.Equal(x.Floor) || !slices.Equal(x.Evidence, []string{"phone_code", "email", "device"}) {
		t.Errorf("with all evidence: %+v", x)
	}

	// Its owner says no, by a device; nobody can say it for them.
	cancel := func(node int, q any) int {
		return r.status(t, node, http.MethodPost, recoveryPath(account, id, "cancellations"), q)
	}
	delete(confirmed, "kind")
	if status := cancel(0, confirmed); status != http.StatusForbidden {
		t.Errorf("a yes in the place of a no is answered %d", status)
	}
	no := p.says(t, x, true)
	if status := cancel(1, no); status != http.StatusOK {
		t.Fatalf("its owner's no is answered %d", status)
	}
	o.frontend.awaitType(t, account, wire.NoticeRecoveryCancelled)
	for _, x := range []wire.Phone{mine, theirs} {
		tell(x, wire.NoticeRecoveryCancelled)
	}
	for node := range r.nodes() {
		if x := r.recovery(t, node, account); x.State != wire.RecoveryCancelled || x.Ended.IsZero() {
			t.Errorf("node %d: %+v", node, x)
		}
		if c := r.claim(t, node, account, id); c.Outcome != wire.Ended {
			t.Errorf("node %d: claimed after it: %+v", node, c)
		}
		if again := r.startRecovery(t, node, account); again.Outcome != wire.TooSoon || time.Until(again.RetryAt) < 6*24*time.Hour {
			t.Errorf("node %d: started again: %+v", node, again)
		}
	}
}

func phonesAndSignInsCancel(t *testing.T, r *rig, o outside, byPhone string, mine wire.Phone) {
	s := r.startRecovery(t, 0, byPhone)
	code := r.sendRecoveryCode(t, o, 1, byPhone, s.Recovery.ID, mine, "voice")
	var a wire.RecoveryProof
	r.do(t, 2, http.MethodPost, recoveryPath(byPhone, s.Recovery.ID, "cancellations"), map[string]string{"code": code}, &a)
	if a.Outcome != wire.Accepted || a.Recovery.State != wire.RecoveryCancelled {
		t.Errorf("a phone's code: %+v", a)
	}

	bySignIn, p := r.person(t)
	r.startRecovery(t, 0, bySignIn)
	x := r.begin(t, 1, bySignIn)
	pushed := p.read(t, x, r.decide(t, 2, bySignIn, x, p.decision(t, x, true)).Code)
	if got := r.recovery(t, 0, bySignIn); got.State != wire.RecoveryWaiting {
		t.Errorf("before a code is typed: %+v", got)
	}
	r.enter(t, 0, bySignIn, x, pushed)
	for node := range r.nodes() {
		if got := r.recovery(t, node, bySignIn); got.State != wire.RecoveryCancelled {
			t.Errorf("node %d, after a sign-in: %+v", node, got)
		}
	}
}

// askNobody compares: whether there is an account can't be told by starting a recovery of it.
func askNobody(t *testing.T, r *rig, o outside) func(*testing.T) {
	t.Helper()
	account, _ := r.person(t)
	r.trustPhone(t, o, account, number())
	names := []string{account, "nobody-" + account}
	var answers [2][]string
	ask := func(t *testing.T, method, rest string, body func(i int) any) {
		for i, name := range names {
			var answer map[string]any
			status, err := r.call(t.Context(), i, method, recoveryPath(name)+rest, "", body(i), &answer)
			if status == 0 {
				t.Fatal(err)
			}
			answers[i] = append(answers[i], fmt.Sprintf("%s %s: %d %s", method, rest, status, shape("", answer)))
		}
	}
	none := func(int) any { return nil }
	ask(t, http.MethodPost, "", none)
	return func(t *testing.T) {
		ask(t, http.MethodPost, "", none)
		ask(t, http.MethodPost, "", none)
		ask(t, http.MethodGet, "", none)
		var at [2]wire.Recovery
		for i, name := range names {
			at[i] = r.recovery(t, i, name)
		}
		of := func(i int) string { return "/" + at[i].ID }
		for i := range names {
			names[i] += "/recoveries" + of(i)
		}
		each := func(rest string, body func(i int) any) {
			for i, path := range names {
				var answer map[string]any
				status, err := r.call(t.Context(), i, http.MethodPost, "/v1/accounts/"+path+rest, "", body(i), &answer)
				if status == 0 {
					t.Fatal(err)
				}
				answers[i] = append(answers[i], fmt.Sprintf("%s: %d %s", rest, status, shape("", answer)))
			}
		}
		k, err := kit.NewKey()
		check(t, err)
		somebody := phone{key: k, signIn: kit.SignIn{Tenant: tenant, Account: account, Device: "somebodysdevice1"}}
		eventually(t, 10*time.Second, func(ctx context.Context) error { // the code that verified the phone must be a second ago
			var s wire.Sending
			path := recoveryPath(account, at[0].ID, "codes")
			_, err := r.call(ctx, 0, http.MethodPost, path, "", wire.SendCodeRequest{Phone: at[0].Phones[0].ID, Channel: "text"}, &s)
			if err == nil && s.Outcome != wire.Sent {
				err = fmt.Errorf("sending is answered %+v", s)
			}
			return err
		})
		r.do(t, 1, http.MethodPost, recoveryPath("nobody-"+account, at[1].ID, "codes"), wire.SendCodeRequest{Phone: at[1].Phones[0].ID, Channel: "text"}, nil)
		each("/codes", func(i int) any { return wire.SendCodeRequest{Phone: at[i].Phones[0].ID, Channel: "text"} })
		each("/evidence", func(int) any { return map[string]string{"kind": "phone_code", "code": "000000"} })
		each("/evidence", func(i int) any { return somebody.says(t, at[i], false) })
		each("/cancellations", func(i int) any { return somebody.says(t, at[i], true) })
		each("/evidence", func(int) any { return map[string]string{"kind": "email"} })
		each("/claims", none)
		each("/completions", func(int) any {
			return map[string]any{"grant": "x", "new_device": wire.DeviceRequest{PublicKey: k.Public()}}
		})
		if !slices.Equal(answers[0], answers[1]) {
			t.Errorf("an account is answered\n%s\nand nobody\n%s", strings.Join(answers[0], "\n"), strings.Join(answers[1], "\n"))
		}
	}
}

// shape is a JSON value with what differs by itself left out: ids, times, indices.
func shape(name string, v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for k, x := range v {
			parts = append(parts, k+"="+shape(k, x))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, " ") + "}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, shape(name, x))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case string:
		if _, err := time.Parse(time.RFC3339, v); err == nil || name == "id" || name == "nonce" || name == "masked" || name == "request_id" {
			return "…"
		}
		return v
	case float64:
		if name == "entry" {
			return "…"
		}
	}
	return fmt.Sprint(v)
}
