package e2e

import (
	"encoding/base64"
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

// browser is somebody's browser: what the front-end knows it by, and the token that it has.
type browser struct{ cookie, id, token string }

func browsersPath(account string, rest ...string) string {
	return "/v1/accounts/" + strings.Join(append([]string{account, "browsers"}, rest...), "/")
}

// another enrols one more device for an account that has one, under a policy that lets it: how it is done otherwise is
// TestS5_AnotherDeviceNeedsASecondFactor.
func (r *rig) another(t *testing.T, account string) phone {
	t.Helper()
	withPolicy(t, r, map[string]any{"open_enrolment": true})
	return r.phone(t, account)
}

// verified has a sign-in in a browser verified by the code that a phone brings.
func (r *rig) verified(t *testing.T, node int, account string, p phone) (s wire.SignIn) {
	t.Helper()
	r.do(t, node, http.MethodPost, "/v1/accounts/"+account+"/sign-ins", wire.SignInRequest{
		Purpose: wire.PurposeBrowser, Device: wire.NewDevice{Kind: "browser", Name: "Safari"},
	}, &s)
	code := p.read(t, s, r.decide(t, node, account, s, p.decision(t, s, true)).Code)
	if e := r.enter(t, node, account, s, code); e.Outcome != wire.Accepted {
		t.Fatalf("entered: %+v", e)
	}
	return s
}

// trustBrowser trusts a new browser, by a sign-in of its own.
func (r *rig) trustBrowser(t *testing.T, node int, account string, p phone, key string) *browser {
	t.Helper()
	b := &browser{cookie: "cookie of " + account + key}
	s := r.verified(t, node, account, p)
	r.issue(t, node, account, key, s, b)
	return b
}

// issue asks for a browser's token.
func (r *rig) issue(t *testing.T, node int, account, key string, s wire.SignIn, b *browser) (entry int64) {
	t.Helper()
	var made struct {
		Browser wire.Browser
		Token   string
		Entry   int64
	}
	_, err := r.call(t.Context(), node, http.MethodPost, browsersPath(account), key, map[string]string{
		"sign_in": s.ID, "browser": b.cookie, "name": "Safari on the Mac",
	}, &made)
	check(t, err)
	b.id, b.token = made.Browser.ID, made.Token
	return made.Entry
}

// browserTrust is wire.BrowserVerification as a client reads it.
type browserTrust struct {
	wire.BrowserVerification
	Token string `json:"token"`
}

// show shows a browser's token to a node; what isn't an answer fails the test.
func (r *rig) show(t *testing.T, node int, account, key, cookie, token string) (v browserTrust) {
	t.Helper()
	_, err := r.call(t.Context(), node, http.MethodPost, browsersPath(account, "verifications"), key,
		map[string]string{"browser": cookie, "token": token}, &v)
	check(t, err)
	return v
}

// opens shows the token that the browser has, and has it keep the next one.
func (r *rig) opens(t *testing.T, node int, account string, b *browser) bool {
	t.Helper()
	v := r.show(t, node, account, "", b.cookie, b.token)
	if v.Outcome == wire.Trusted {
		b.token = v.Token
	}
	return v.Outcome == wire.Trusted
}

// untrusted checks that no node trusts a browser.
func (r *rig) untrusted(t *testing.T, why, account string, b *browser) {
	t.Helper()
	for node := range r.nodes() {
		if v := r.show(t, node, account, "", b.cookie, b.token); v.Outcome != wire.Untrusted || v.Token != "" {
			t.Errorf("%s: node %d: %+v", why, node, v)
		}
	}
}

// trusts asks a node whether a device is trusted now, by its own proof.
func (r *rig) trusts(t *testing.T, node int, account string, p phone) bool {
	t.Helper()
	v := r.prove(t, node, account, p, p.signIn.Device)
	if (v.Outcome == wire.Trusted) != (v.Assurance != "") {
		t.Errorf("node %d: %+v", node, v)
	}
	return v.Outcome == wire.Trusted
}

func (r *rig) prove(t *testing.T, node int, account string, p phone, as string) (v wire.DeviceVerification) {
	t.Helper()
	q := wire.VerifyDeviceRequest{Challenge: []byte("drawn for " + t.Name() + time.Now().String())[:48]}
	b := kit.Binding{Tenant: p.signIn.Tenant, Account: p.signIn.Account, Credential: p.signIn.Device}
	var err error
	q.TimeMS, q.Signature, err = p.key.ProveTrust(b, q.Challenge, time.Now())
	check(t, err)
	r.do(t, node, http.MethodPost, "/v1/accounts/"+account+"/devices/"+as+"/verifications", q, &v)
	return v
}

// TestS7_ATrustedBrowserNeedsNoCode: by a sign-in that was just verified, once; on every node, also when the leader is killed
// between issue and use, and for who repeats a request; by no token that was changed, is another's, or was replaced.
func TestS7_ATrustedBrowserNeedsNoCode(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	s := r.verified(t, 0, account, p)
	b := &browser{cookie: "cookie of " + account}
	entry := r.issue(t, 1, account, "issue", s, b)
	told := o.frontend.awaitType(t, account, wire.NoticeBrowserTrusted)
	if told.data.Credential != b.id || told.data.Name != "Safari on the Mac" || !slices.Equal(told.data.Devices, []string{p.signIn.Device}) {
		t.Errorf("the phone is told %+v", told.data)
	}
	if status := r.status(t, 2, http.MethodPost, browsersPath(account), map[string]string{"sign_in": s.ID, "browser": "another cookie ..."}); status != http.StatusForbidden {
		t.Errorf("a second browser by the same sign-in: %d", status)
	}

	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	other, third := (leader+1)%3, (leader+2)%3
	if again := r.issue(t, other, account, "issue", s, b); again != entry {
		t.Errorf("the same request at another node: entry %d, want %d", again, entry)
	}
	first := r.show(t, third, account, "use", b.cookie, b.token)
	if first.Outcome != wire.Trusted || first.Browser != b.id || first.Token == "" || first.Assurance != wire.AssurancePassword {
		t.Fatalf("after the leader was killed: %+v", first)
	}
	repeated := r.show(t, other, account, "use", b.cookie, b.token)
	if repeated.Outcome != wire.Trusted || !repeated.Replayed || repeated.Entry != first.Entry {
		t.Errorf("the same request at another node: %+v", repeated)
	}
	r.powerOn(t, leader)
	r.ready(t)
	issued := b.token
	b.token = repeated.Token // as good as the first's

	// What is no token of this browser of this account changes nothing, and one answer is like the other.
	ctx := deadline(t, time.Minute)
	credentials, err := r.rack.IssueClient(ctx, firmwaresim.Frontend, "other", "fe-of-other")
	check(t, err)
	stranger, err := httpClient(credentials)
	check(t, err)
	check(t, r.as(stranger, 0, http.MethodPut, "/v1/accounts/"+account, nil, nil))
	bob, _ := r.person(t)
	signature := []byte(b.token)
	signature[60] ^= 1
	number := []byte(b.token)
	number[18] ^= 1
	answers := map[string]browserTrust{
		"a changed signature": r.show(t, 0, account, "", b.cookie, string(signature)),
		"a changed number":    r.show(t, 1, account, "", b.cookie, string(number)),
		"another browser":     r.show(t, 2, account, "", "another cookie ...", b.token),
		"another account":     r.show(t, 0, bob, "", b.cookie, b.token),
		"no account":          r.show(t, 1, "nobody-"+account, "", b.cookie, b.token),
		"rubbish":             r.show(t, 2, account, "", b.cookie, "rubbish"),
		"nothing":             r.show(t, 2, account, "", b.cookie, ""),
	}
	var foreign browserTrust
	check(t, r.as(stranger, 0, http.MethodPost, browsersPath(account, "verifications"), map[string]string{"browser": b.cookie, "token": b.token}, &foreign))
	answers["another tenant"] = foreign
	for what, v := range answers {
		v.Entry = 0
		if v != (browserTrust{BrowserVerification: wire.BrowserVerification{Outcome: wire.Untrusted}}) {
			t.Errorf("%s: %+v", what, v)
		}
	}

	// It goes on all the same, on every node, and each use brings the next token.
	seen := map[string]bool{}
	for node := range r.nodes() {
		if !r.opens(t, node, account, b) || seen[b.token] {
			t.Fatalf("node %d does not trust it, or gave it its token again", node)
		}
		seen[b.token] = true
	}
	var list wire.Browsers
	r.do(t, 1, http.MethodGet, browsersPath(account), nil, &list)
	if len(list.Browsers) != 1 || list.Browsers[0].ID != b.id || list.Browsers[0].Expires.Sub(list.Browsers[0].Added) != 30*24*time.Hour {
		t.Errorf("listed: %+v", list)
	}

	// A copy of an older one: nobody can say whose it is, so that nobody is trusted by it any more.
	if v := r.show(t, 0, account, "", b.cookie, issued); v.Outcome != wire.Untrusted {
		t.Errorf("an older token: %+v", v)
	}
	if told := o.frontend.awaitType(t, account, wire.NoticeBrowserReused); told.data.Credential != b.id || !slices.Equal(told.data.Devices, []string{p.signIn.Device}) {
		t.Errorf("the phone is told %+v", told.data)
	}
	r.untrusted(t, "after an older one was shown", account, b)
	r.tokensAreNowhere(t, entry, b, issued, first.Token)
}

// tokensAreNowhere looks for tokens and the browser's cookie in the log and in all that the nodes keep.
func (r *rig) tokensAreNowhere(t *testing.T, from int64, b *browser, tokens ...string) {
	t.Helper()
	needles := map[string][]byte{"the browser's cookie": []byte(b.cookie)}
	for i, token := range append(tokens, b.token) {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		check(t, err)
		needles[fmt.Sprintf("token %d", i)] = []byte(token)
		needles[fmt.Sprintf("the signature of token %d", i)] = raw[15:]
	}
	entries, err := r.rack.RunAs(deadline(t, time.Minute), r.rack.Operator(), "", "log", "entries", "--from", fmt.Sprint(from), "--count", "512")
	check(t, err)
	for what := range search([]byte(entries), needles) {
		t.Errorf("%s is in the log", what)
	}
	for _, part := range []string{
		`"operation":"trust-browser","key":"pepper","subject":"` + b.id + `","key_version":1,"macs":1,"outcome":"done"`,
		`"operation":"sign-browser-token","key":"device-trust","subject":"` + b.id + `"`,
		`"operation":"verify-browser","key":"pepper","subject":"` + b.id + `","key_version":1,"macs":1,"outcome":"accepted"`,
		`"operation":"verify-browser","key":"pepper","subject":"` + b.id + `","key_version":1,"macs":1,"outcome":"token-reused"`,
		`"operation":"verify-browser","key":"pepper","subject":"","key_version":1,"macs":1,"outcome":"wrong"`,
	} {
		if !strings.Contains(entries, part) {
			t.Errorf("no entry has %s", part)
		}
	}
	for _, chassis := range r.rack.Chassis {
		searchTree(t, chassis.Dir(), needles)
	}
}

// TestS7_TrustIsRevoked singly, by signing out, all together and by policy: at once on every node, and on one that was away.
func TestS7_TrustIsRevoked(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	var b [4]*browser
	for i := range b {
		b[i] = r.trustBrowser(t, i%3, account, p, fmt.Sprint("browser-", i))
	}
	away := (r.leader(t) + 1) % 3
	asked := (away + 1) % 3
	r.kill(t, away)
	r.do(t, asked, http.MethodDelete, browsersPath(account, b[0].id), nil, nil)
	r.do(t, asked, http.MethodPost, browsersPath(account, "sign-outs"), map[string]string{"browser": b[1].cookie}, nil)
	r.powerOn(t, away)
	r.ready(t)
	r.untrusted(t, "revoked", account, b[0])
	r.untrusted(t, "signed out", account, b[1])
	if status := r.status(t, 0, http.MethodDelete, browsersPath(account, b[0].id), nil); status != http.StatusNotFound {
		t.Errorf("revoking again: %d", status)
	}
	if !r.opens(t, away, account, b[2]) {
		t.Error("another browser went with them")
	}
	withPolicy(t, r, map[string]any{"no_browser_trust": true})
	r.untrusted(t, "by policy", account, b[2])
	var list wire.Browsers
	if r.do(t, 2, http.MethodGet, browsersPath(account), nil, &list); len(list.Browsers) != 0 {
		t.Errorf("by policy, listed: %+v", list)
	}
	withPolicy(t, r, map[string]any{"no_browser_trust": false})
	r.do(t, 0, http.MethodDelete, browsersPath(account), nil, nil)
	r.untrusted(t, "all revoked", account, b[2])
	r.untrusted(t, "all revoked", account, b[3])
}

// TestS6_NoCodeAgainUntil: a trusted device shows on any node that it is, until it is signed out, removed, lost or erased; no
// other device and account can say so for it. With the leader killed behind the event: TestS6_PasswordChangedForSecurity.
func TestS6_NoCodeAgainUntil(t *testing.T) {
	r := power(t)
	withPolicy(t, r, map[string]any{"open_enrolment": true})
	account, p := r.person(t)
	bob, other := r.person(t)
	for node := range r.nodes() {
		if !r.trusts(t, node, account, p) {
			t.Errorf("node %d: a trusted device isn't", node)
		}
		for what, v := range map[string]wire.DeviceVerification{
			"another's device":   r.prove(t, node, account, other, other.signIn.Device),
			"in another's name":  r.prove(t, node, account, other, p.signIn.Device),
			"on another account": r.prove(t, node, bob, p, p.signIn.Device),
			"on no account":      r.prove(t, node, "nobody-"+bob, p, p.signIn.Device),
		} {
			if v.Outcome != wire.Untrusted || v.Assurance != "" || v.Entry == 0 {
				t.Errorf("%s, node %d: %+v", what, node, v)
			}
		}
	}
	path := "/v1/accounts/" + account + "/devices/"
	for i, event := range []struct {
		what, method, path string
		body               any
	}{
		{"signed out", http.MethodPost, "/sign-outs", nil},
		{"removed", http.MethodDelete, "", nil},
		{"lost", http.MethodPost, "/reports", map[string]string{"state": "lost"}},
		{"erased", http.MethodPost, "/reports", map[string]string{"state": "erased"}},
	} {
		d := r.phone(t, account)
		if !r.trusts(t, 0, account, d) {
			t.Errorf("%s: it wasn't trusted", event.what)
		}
		r.do(t, i%3, event.method, path+d.signIn.Device+event.path, event.body, nil)
		for node := range r.nodes() {
			if r.trusts(t, node, account, d) {
				t.Errorf("%s: node %d trusts it", event.what, node)
			}
			shown, _ := d.seed.Code(time.Now())
			if v := r.verify(t, node, account, shown, ""); v.Outcome != wire.Wrong {
				t.Errorf("%s: node %d takes its code: %+v", event.what, node, v)
			}
		}
	}
	if !r.trusts(t, 0, account, p) {
		t.Error("the others' end ended its trust")
	}
}

// TestS6_PasswordChangedForSecurity: app passwords, browsers, open sign-ins and the devices that are not at hand are dead on
// every node; the device at hand goes on. Any change ends app passwords, and no more.
func TestS6_PasswordChangedForSecurity(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	withPolicy(t, r, map[string]any{"allow_app_passwords": true})
	account, p := r.person(t)
	mac := r.another(t, account)
	b := r.trustBrowser(t, 0, account, p, "")
	mail := r.newAppPassword(t, 1, account, "", map[string]any{"label": "Mail"})
	old := r.verified(t, 2, account, p)
	open := r.begin(t, 0, account)
	code := p.read(t, open, r.decide(t, 1, account, open, p.decision(t, open, true)).Code)
	path := "/v1/accounts/" + account + "/password-changes"

	r.do(t, 2, http.MethodPost, path, wire.PasswordChange{}, nil)
	if v := r.tryAppPassword(t, 0, account, mail.Password, ""); v.Outcome != wire.Wrong {
		t.Errorf("an app password: %+v", v)
	}
	if e := r.enter(t, 1, account, open, code); e.Outcome != wire.Ended {
		t.Errorf("a sign-in that was open: %+v", e)
	}
	if !r.opens(t, 1, account, b) || !r.trusts(t, 2, account, mac) {
		t.Error("trust went with it")
	}
	mail = r.newAppPassword(t, 1, account, "", map[string]any{"label": "Mail"})

	leader := r.leader(t)
	r.do(t, leader, http.MethodPost, path, wire.PasswordChange{Security: true, Device: mac.signIn.Device}, nil)
	r.kill(t, leader)
	r.newLeader(t, leader)
	r.powerOn(t, leader)
	r.ready(t)
	r.untrusted(t, "after the change", account, b)
	for node := range r.nodes() {
		if v := r.tryAppPassword(t, node, account, mail.Password, ""); v.Outcome != wire.Wrong {
			t.Errorf("node %d: an app password: %+v", node, v)
		}
		if r.trusts(t, node, account, p) || !r.trusts(t, node, account, mac) {
			t.Errorf("node %d: the phone is trusted, or the Mac at hand isn't", node)
		}
	}
	if status := r.status(t, 0, http.MethodPost, browsersPath(account), map[string]string{"sign_in": old.ID, "browser": b.cookie}); status != http.StatusForbidden {
		t.Errorf("a sign-in of before trusts a browser: %d", status)
	}
	removed := o.frontend.awaitType(t, account, wire.NoticeDeviceRemoved)
	changed := o.frontend.await(t, account, func(g received) bool {
		return g.notice.Type == wire.NoticePasswordChanged && g.data.Credential == mac.signIn.Device
	})
	if removed.data.Credential != p.signIn.Device || len(changed.data.Devices) != 2 {
		t.Errorf("told: %+v, %+v", removed.data, changed.data)
	}
}

// TestS5_AnotherDeviceNeedsASecondFactor: a front-end's certificate alone adds no device to an account that has one; with a
// sign-in that was just verified it does, and the person's devices are told.
func TestS5_AnotherDeviceNeedsASecondFactor(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	key, err := kit.NewKey()
	check(t, err)
	path := "/v1/accounts/" + account + "/devices"
	request := wire.DeviceEnrolment{DeviceRequest: wire.DeviceRequest{PublicKey: key.Public(), Name: "the front-end's own"}}
	open := r.begin(t, 0, account)
	for _, signIn := range []string{"", "nosuchsignin", open.ID} {
		request.SignIn = signIn
		if status := r.status(t, 1, http.MethodPost, path, request); status != http.StatusForbidden {
			t.Errorf("with sign-in %q it is answered %d", signIn, status)
		}
	}
	if status := r.status(t, 2, http.MethodPost, "/v1/accounts/"+account+"/authenticators", map[string]string{"issuer": "x", "label": "y"}); status != http.StatusForbidden {
		t.Errorf("an app is added: %d", status)
	}
	request.SignIn, request.Name = r.verified(t, 2, account, p).ID, "watch"
	var enrolled wire.EnrolledDevice
	r.do(t, 0, http.MethodPost, path, request, &enrolled)
	told := o.frontend.await(t, account, func(g received) bool {
		return g.notice.Type == wire.NoticeDeviceAdded && g.data.Credential == enrolled.Device.ID
	})
	if raw, _ := json.Marshal(told.data); told.data.Name != "watch" || !slices.Contains(told.data.Devices, p.signIn.Device) {
		t.Errorf("told: %s", raw)
	}
	if !r.trusts(t, 1, account, hold(t, key, enrolled)) {
		t.Error("it isn't trusted")
	}
}

// TestE5_AProtectedAccountsPhonesAreGuarded: a phone of the front-end's own would bring the code that adds a device of its own.
func TestE5_AProtectedAccountsPhonesAreGuarded(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.account(t)
	first := r.trustPhone(t, o, account, "+14155550120")
	_, _, p, _ := r.protect(t, 0, account, "")
	path := "/v1/accounts/" + account + "/phones"
	add := map[string]string{"number": "+14155550121"}
	if status := r.status(t, 1, http.MethodPost, path, add); status != http.StatusForbidden {
		t.Errorf("adding one: %d", status)
	}
	if status := r.status(t, 2, http.MethodDelete, path+"/"+first.ID, nil); status != http.StatusForbidden {
		t.Errorf("removing one: %d", status)
	}
	s := r.verified(t, 0, account, p)
	r.do(t, 0, http.MethodDelete, "/v1/accounts/"+account+"/devices/"+p.signIn.Device, nil, nil)
	key, err := kit.NewKey()
	check(t, err)
	device := wire.DeviceEnrolment{DeviceRequest: wire.DeviceRequest{PublicKey: key.Public()}}
	if status := r.status(t, 0, http.MethodPost, "/v1/accounts/"+account+"/devices", device); status != http.StatusForbidden {
		t.Errorf("a device in the place of the one that was removed: %d", status)
	}
	add["sign_in"], device.SignIn = s.ID, s.ID // the person's
	r.do(t, 1, http.MethodPost, path, add, nil)
	r.do(t, 2, http.MethodPost, "/v1/accounts/"+account+"/devices", device, nil)
}
