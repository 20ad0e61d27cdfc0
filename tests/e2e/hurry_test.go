package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

// TestA4_NobodyCanHurryIt: every call that the API documents, by every role, and operators' changes of policy: none moves the
// date of a recovery that runs, nor reads a code or a grant of it.
func TestA4_NobodyCanHurryIt(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	withPolicy(t, r, recoveryPolicy)
	account, p := r.person(t)
	mine := r.trustPhone(t, o, account, number())
	s := r.startRecovery(t, 0, account)
	x := *s.Recovery
	code := r.sendRecoveryCode(t, o, 0, account, x.ID, mine, "text")
	pending := r.begin(t, 0, account)
	same := func(who string) {
		t.Helper()
		if got := r.recovery(t, 1, account); got.Ready.Before(x.Ready) || !got.Started.Equal(x.Started) || got.ID != x.ID || got.State != wire.RecoveryWaiting {
			t.Fatalf("after %s: %+v", who, got)
		}
		if c := r.claim(t, 2, account, x.ID); c.Outcome != wire.NotYet || c.Grant != "" {
			t.Fatalf("after %s it is claimed: %+v", who, c)
		}
	}
	// Operators set whatever policy there is.
	for _, recovery := range []map[string]any{
		{"allow": true, "wait_days": 1, "floor_days": 1},
		{"allow": false},
		{"allow": true, "wait_days": 3, "floor_days": 1, "shorten": map[string]any{"password_hours": 2160, "email_hours": 2160}},
	} {
		withPolicy(t, r, map[string]any{"recovery": recovery})
		if got := r.recovery(t, 0, account); !got.Ready.Equal(x.Ready) {
			t.Errorf("the policy %v makes it %+v", recovery, got)
		}
	}
	same("the policies")

	// Every role sends everything that is documented.
	ctx := deadline(t, time.Minute)
	clients := map[string]*http.Client{"frontend": r.clients[0]}
	for name, role := range map[string]string{"helpdesk": firmwaresim.Helpdesk, "auditor": firmwaresim.Auditor} {
		of := tenant
		if role == firmwaresim.Auditor {
			of = ""
		}
		credentials, err := r.rack.IssueClient(ctx, role, of, "a4-"+name)
		check(t, err)
		client, err := httpClient(credentials)
		check(t, err)
		clients[name] = client
	}
	operator, err := httpClient(r.rack.Operator())
	check(t, err)
	clients["operator"] = operator
	bodies := map[string]any{
		"/recoveries/{recovery}/evidence":                    map[string]string{"kind": "phone_code", "code": otherThan(code)},
		"/recoveries/{recovery}/cancellations":               map[string]string{"code": otherThan(code)},
		"/recoveries/{recovery}/codes":                       wire.SendCodeRequest{Phone: mine.ID, Channel: "text"},
		"/recoveries/{recovery}/completions":                 map[string]any{"grant": code, "new_device": wire.DeviceRequest{PublicKey: p.key.Public()}},
		"/password-resets":                                   map[string]string{"sign_in": pending.ID},
		"/password-resets/redemptions":                       map[string]string{"grant": code},
		"/devices":                                           wire.DeviceRequest{PublicKey: p.key.Public(), Name: "front-end's"},
		"/verifications":                                     map[string]string{"code": code}, // for something else
		"/sign-ins":                                          wire.SignInRequest{Purpose: wire.PurposePasswordReset},
		"/sign-ins/{sign_in}/verifications":                  map[string]string{"code": code},
		"/sign-ins/{sign_in}/codes":                          wire.SendCodeRequest{Phone: mine.ID, Channel: "text"},
		"/combined-verifications":                            map[string]string{"text": "password" + code},
		"/phones":                                            map[string]string{"number": "+14155550198"},
		"/phones/{phone}":                                    map[string]string{"label": "front-end's"},
		"/phones/{phone}/codes":                              map[string]string{"channel": "text"},
		"/phones/{phone}/verifications":                      map[string]string{"code": code},
		"/protection":                                        map[string]string{"device": p.signIn.Device},
		"/protection/undo":                                   map[string]string{"token": code},
		"/class":                                             map[string]string{"class": "child"},
		"/devices/{device}":                                  map[string]string{"name": "front-end's"},
		"/app-passwords":                                     map[string]string{"label": "Mail"},
		"/app-passwords/verifications":                       map[string]string{"password": "aaaa-aaaa-aaaa-aaaa"},
		"/authenticators":                                    map[string]string{"issuer": "e2e", "label": "front-end's"},
		"/authenticators/{authenticator}":                    nil,
		"/sign-ins/{sign_in}/decisions":                      phone{key: p.key, signIn: kit.SignIn{}}.decision(t, pending, true),
		"/devices/{device}/reports":                          map[string]string{"state": "lost"},
		"/authenticators/{authenticator}/resynchronisations": map[string]string{"first": code, "second": code},
	}
	fill := strings.NewReplacer("{account}", account, "{device}", p.signIn.Device, "{authenticator}", p.signIn.Device, "{sign_in}", pending.ID,
		"{phone}", mine.ID, "{recovery}", x.ID, "{entry}", fmt.Sprint(s.Entry), "{id}", "none")
	tried := 0
	var last []string // what ends it: never nearer, and so tried at last
	for _, path := range r.documented(t) {
		rest, of := strings.CutPrefix(path.name, "/v1/accounts/{account}")
		if !of || strings.Contains(path.name, "stream") {
			continue
		}
		for _, who := range []string{"helpdesk", "auditor", "operator", "frontend"} {
			if who == "frontend" && path.method == http.MethodDelete && (rest == "" || rest == "/recoveries/{recovery}") {
				last = append(last, fill.Replace(path.name))
				continue
			}
			var answer json.RawMessage
			err := r.as(clients[who], 0, path.method, fill.Replace(path.name), bodies[rest], &answer)
			tried++
			if who != "frontend" && path.method != http.MethodGet && (err == nil || !strings.Contains(err.Error(), "403")) {
				t.Errorf("%s %s as %s: %v", path.method, path.name, who, err)
			}
			if text := fmt.Sprint(string(answer), err); strings.Contains(text, code) {
				t.Errorf("%s %s shows %s the code: %s", path.method, path.name, who, text)
			}
		}
	}
	if tried < 150 || len(last) != 2 {
		t.Errorf("only %d calls were tried, and %v is left", tried, last)
	}
	same("every call")
	slices.SortFunc(last, func(a, b string) int { return len(b) - len(a) })
	for _, path := range last { // withdrawn, and deleted with its account: started anew, it waits anew
		r.do(t, 0, http.MethodDelete, path, nil, nil)
	}
	r.do(t, 0, http.MethodPut, "/v1/accounts/"+account, nil, nil)
	if status := r.status(t, 0, http.MethodGet, recoveryPath(account), nil); status != http.StatusNotFound {
		t.Errorf("an account made again has a recovery: %d", status)
	}
}

type documentedCall struct{ method, name string }

// documented are all calls of the reference that a node serves.
func (r *rig) documented(t *testing.T) (list []documentedCall) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	r.do(t, 0, http.MethodGet, "/openapi.json", nil, &document)
	for name, methods := range document.Paths {
		for method := range methods {
			list = append(list, documentedCall{strings.ToUpper(method), name})
		}
	}
	slices.SortFunc(list, func(a, b documentedCall) int { return strings.Compare(a.name+a.method, b.name+b.method) })
	return list
}
