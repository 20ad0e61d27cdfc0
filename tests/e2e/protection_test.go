package e2e

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// withPolicy puts members of the tenant's policy in force for one test.
func withPolicy(t *testing.T, r *rig, members map[string]any) {
	t.Helper()
	operator, err := httpClient(r.rack.Operator())
	check(t, err)
	path := "/v1/tenants/" + tenant + "/policy"
	var before, now map[string]any
	check(t, r.as(operator, 0, http.MethodGet, path, nil, &before))
	check(t, r.as(operator, 0, http.MethodGet, path, nil, &now))
	for name, value := range members {
		now[name] = value
	}
	check(t, r.as(operator, 0, http.MethodPut, path, now, nil))
	t.Cleanup(func() { check(t, r.as(operator, 0, http.MethodPut, path, before, nil)) })
}

var example = []map[string]any{
	{"name": "iOS", "minimum": "9"},
	{"name": "OS X", "minimum": "10.11"},
	{"name": "watchOS", "minimum": "2"},
	{"name": "tvOS"},
	{"name": "iCloud for Windows", "minimum": "5"},
}

func protectionPath(account string, rest ...string) string {
	return "/v1/accounts/" + strings.Join(append([]string{account, "protection"}, rest...), "/")
}

// protect turns protection on with a new device, and returns the device in its owner's hand.
func (r *rig) protect(t *testing.T, node int, account, key string) (wire.ProtectionAnswer, string, phone, *kit.Key) {
	t.Helper()
	k, err := kit.NewKey()
	check(t, err)
	a, token := r.protectWith(t, node, account, key, k)
	return a, token, hold(t, k, *a.NewDevice), k
}

func (r *rig) protectWith(t *testing.T, node int, account, key string, k *kit.Key) (a wire.ProtectionAnswer, token string) {
	t.Helper()
	var out struct {
		wire.ProtectionAnswer
		LinkToken string `json:"link_token"`
	}
	_, err := r.call(t.Context(), node, http.MethodPost, protectionPath(account), key, wire.ProtectionRequest{
		NewDevice: &wire.DeviceRequest{PublicKey: k.Public(), Name: "iPhone", Model: "iPhone 6s", Serial: "C39XG2JHGRY", Platform: "iOS", SystemVersion: "9.1"},
	}, &out)
	check(t, err)
	return out.ProtectionAnswer, out.LinkToken
}

func (r *rig) protection(t *testing.T, node int, account string) (p wire.Protection) {
	t.Helper()
	r.do(t, node, http.MethodGet, protectionPath(account), nil, &p)
	return p
}

// TestE1_TurningOn: a verified phone first; the device on which it is turned on is trusted in the same step; whoever
// repeats the request, on any node, gets the same answer.
func TestE1_TurningOn(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.account(t)
	k, err := kit.NewKey()
	check(t, err)
	request := wire.ProtectionRequest{NewDevice: &wire.DeviceRequest{PublicKey: k.Public(), Name: "iPhone"}}
	if status := r.status(t, 0, http.MethodPost, protectionPath(account), request); status != http.StatusConflict {
		t.Fatalf("P12: without a phone it is answered %d", status)
	}
	if p := r.protection(t, 1, account); p.Mode != wire.ProtectionOff || p.Assurance != wire.AssurancePassword || !slices.Equal(p.Missing, []string{"phone"}) {
		t.Errorf("before: %+v", p)
	}
	var devices wire.Credentials
	if r.do(t, 2, http.MethodGet, "/v1/accounts/"+account+"/devices", nil, &devices); len(devices.Credentials) != 0 {
		t.Fatal("the refused device is there")
	}
	r.trustPhone(t, o, account, number())

	a, token := r.protectWith(t, 0, account, "turn-on", k)
	if a.Protection.Mode != wire.ProtectionOn || a.Protection.Assurance != wire.AssuranceTwoFactor || a.NewDevice == nil || len(token) != 32 {
		t.Fatalf("turned on: %+v, a token of %d", a, len(token))
	}
	p := hold(t, k, *a.NewDevice)
	told := o.frontend.awaitType(t, account, wire.NoticeProtectionOn)
	if told.data.LinkToken != token || !told.data.Expires.Equal(a.Protection.UndoUntil) ||
		a.Protection.UndoUntil.Sub(a.Protection.Since) != 14*24*time.Hour {
		t.Errorf("E3: the notice is %+v", told.data)
	}
	for node := range r.nodes() {
		again, same := r.protectWith(t, node, account, "turn-on", k)
		if same != token || again.NewDevice == nil || again.NewDevice.Device.ID != p.signIn.Device {
			t.Errorf("node %d answers the repeated request with %+v", node, again)
		}
		if status := r.status(t, node, http.MethodPost, protectionPath(account), wire.ProtectionRequest{Device: p.signIn.Device}); status != http.StatusOK {
			t.Errorf("node %d: turning on what is on is answered %d", node, status)
		}
	}

	// The new device shows codes, allows sign-ins, and answers say what they are worth.
	s := r.begin(t, 1, account)
	code := p.read(t, s, r.decide(t, 2, account, s, p.decision(t, s, true)).Code)
	if e := r.enter(t, 0, account, s, code); e.Outcome != wire.Accepted || e.Assurance != wire.AssuranceTwoFactor {
		t.Errorf("P73: %+v", e)
	}
	shown, _ := p.seed.Code(time.Now())
	if v := r.verify(t, 1, account, shown, ""); v.Outcome != wire.Accepted || v.Assurance != wire.AssuranceTwoFactor {
		t.Errorf("P73: %+v", v)
	}
}

// TestE2_BornProtected: by the tenant's policy, complete with the first verified phone, and for good.
func TestE2_BornProtected(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	earlier := r.account(t)
	withPolicy(t, r, map[string]any{"born_protected": true, "excluded_classes": []string{"kiosk"}})
	account, kiosk := r.account(t), r.account(t)+"-kiosk"
	r.do(t, 1, http.MethodPut, "/v1/accounts/"+kiosk, wire.AccountRequest{Class: "kiosk"}, nil)
	if p := r.protection(t, 2, account); p.Mode != wire.ProtectionPending || !p.Born {
		t.Fatalf("new: %+v", p)
	}
	for _, name := range []string{earlier, kiosk} {
		if p := r.protection(t, 2, name); p.Mode != wire.ProtectionOff || p.Born {
			t.Errorf("%s: %+v", name, p)
		}
	}
	r.trustPhone(t, o, account, number())
	p := r.protection(t, 0, account)
	if p.Mode != wire.ProtectionOn || p.Assurance != wire.AssuranceTwoFactor || !p.UndoUntil.IsZero() {
		t.Fatalf("P23: with its first phone: %+v", p)
	}
	if told := o.frontend.awaitType(t, account, wire.NoticeProtectionOn); told.data.LinkToken != "" {
		t.Error("the notice has a link")
	}
	for node := range r.nodes() {
		if status := r.status(t, node, http.MethodPost, protectionPath(account, "undo"), map[string]string{"token": "abcdefghijklmnopabcdefghijklmnop"}); status != http.StatusForbidden {
			t.Errorf("node %d: a token for it is answered %d", node, status)
		}
	}
}

// TestE3_TwoWeeksToChangeOnesMind: the link works once, on any node, also after the leader's death, and says what is lost.
// The days themselves are TestTheWayBack's, at account.Apply: a real rack's clocks can't be set.
func TestE3_TwoWeeksToChangeOnesMind(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, other := r.account(t), r.account(t)
	r.trustPhone(t, o, account, number())
	r.trustPhone(t, o, other, number())
	_, token, p, _ := r.protect(t, 0, account, "")
	_, others, _, _ := r.protect(t, 0, other, "")
	undo := func(node int, token, key string) (a wire.UndoAnswer, status int) {
		t.Helper()
		status, err := r.call(t.Context(), node, http.MethodPost, protectionPath(account, "undo"), key, map[string]string{"token": token}, &a)
		if status == 0 {
			t.Fatal(err)
		}
		return a, status
	}
	for _, wrong := range []string{others, strings.ToUpper(token), token[:31], token + "a", "x"} {
		for node := range r.nodes() {
			if _, status := undo(node, wrong, ""); status != http.StatusForbidden {
				t.Errorf("node %d: a wrong token is answered %d", node, status)
			}
		}
	}
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	a, status := undo((leader+1)%3, token, "undo")
	if status != http.StatusOK || a.Protection.Mode != wire.ProtectionOff || a.Protection.Assurance != wire.AssurancePassword ||
		!slices.Contains(a.Lost, "two_factor_assurance") {
		t.Fatalf("the link: %d %+v", status, a)
	}
	r.powerOn(t, leader)
	r.ready(t)
	for node := range r.nodes() {
		if _, status := undo(node, token, "undo"); status != http.StatusOK {
			t.Errorf("node %d: the request repeated is answered %d", node, status)
		}
		if _, status := undo(node, token, ""); status != http.StatusForbidden {
			t.Errorf("node %d: the link's second use is answered %d", node, status)
		}
	}
	o.frontend.awaitType(t, account, wire.NoticeProtectionOff)
	shown, _ := p.seed.Code(time.Now())
	if v := r.verify(t, 1, account, shown, ""); v.Outcome != wire.Accepted || v.Assurance != wire.AssurancePassword {
		t.Errorf("P76: a code is worth %+v", v)
	}

	// Where policy forbids it, it's for good; a link of before is dead while it does.
	withPolicy(t, r, map[string]any{"no_way_back": true})
	if status := r.status(t, 2, http.MethodPost, protectionPath(other, "undo"), map[string]string{"token": others}); status != http.StatusForbidden {
		t.Errorf("policy forbids it and it is answered %d", status)
	}
	var again wire.ProtectionAnswer
	r.do(t, 0, http.MethodPost, protectionPath(account), wire.ProtectionRequest{Device: p.signIn.Device}, &again)
	if again.Protection.Mode != wire.ProtectionOn || !again.Protection.UndoUntil.IsZero() || !again.LinkToken.IsZero() {
		t.Errorf("turned on again: %+v", again.Protection)
	}
}

// TestE6_Devices: what a person sees of them, and that a lost or erased one is dead on every node at once.
func TestE6_Devices(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.account(t)
	r.trustPhone(t, o, account, number())
	_, _, p, _ := r.protect(t, 0, account, "")
	second := r.another(t, account)
	path := "/v1/accounts/" + account + "/devices/"
	shown, _ := p.seed.Code(time.Now())
	r.verify(t, 0, account, shown, "")
	var d wire.Credential
	r.do(t, 1, http.MethodGet, path+p.signIn.Device, nil, &d)
	if d.Name != "iPhone" || d.Model != "iPhone 6s" || d.Serial != "C39XG2JHGRY" || d.SystemVersion != "9.1" || d.Added.IsZero() ||
		d.LastUsed.IsZero() || !d.Trusted || !d.ShowsCodes || d.State != "" {
		t.Errorf("P39: %+v", d)
	}

	s := r.begin(t, 0, account)
	code := p.read(t, s, r.decide(t, 1, account, s, p.decision(t, s, true)).Code)
	signed := p.decision(t, s, false)
	r.do(t, 2, http.MethodPost, path+p.signIn.Device+"/reports", wire.DeviceReport{State: "lost"}, nil)
	told := o.frontend.awaitType(t, account, wire.NoticeDeviceLost)
	if !slices.Equal(told.data.Devices, []string{second.signIn.Device}) {
		t.Errorf("the loss is told to %q", told.data.Devices)
	}
	next, _ := p.seed.Code(time.Now().Add(30 * time.Second))
	for node := range r.nodes() {
		if v := r.verify(t, node, account, next, ""); v.Outcome != wire.Wrong {
			t.Errorf("node %d: a lost device's own code: %+v", node, v)
		}
		if e := r.enter(t, node, account, s, code); e.Outcome != wire.Wrong {
			t.Errorf("node %d: the code it was shown: %+v", node, e)
		}
		if status := r.status(t, node, http.MethodPost, signInPath(account, s, "decisions"), signed); status != http.StatusNotFound {
			t.Errorf("node %d: its decision is answered %d", node, status)
		}
		var d wire.Credential
		r.do(t, node, http.MethodGet, path+p.signIn.Device, nil, &d)
		if d.State != "lost" || d.Trusted || d.ShowsCodes || d.Serial != "C39XG2JHGRY" {
			t.Errorf("node %d lists it as %+v", node, d)
		}
	}
	r.do(t, 0, http.MethodPost, path+p.signIn.Device+"/reports", wire.DeviceReport{State: "erased"}, &d)
	if d.State != "erased" {
		t.Errorf("P42: erased: %+v", d)
	}
	r.do(t, 1, http.MethodDelete, path+p.signIn.Device, nil, nil)
	if status := r.status(t, 2, http.MethodGet, path+p.signIn.Device, nil); status != http.StatusNotFound {
		t.Errorf("P42: removed, and answered %d", status)
	}
}

// TestE7_AnyAccountType: classes of accounts are eligible unless the tenant's policy excludes them, and the answer is clear.
func TestE7_AnyAccountType(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	withPolicy(t, r, map[string]any{"platforms": example, "listed_only": true, "excluded_classes": []string{"kiosk"}})
	for _, x := range []struct {
		class   string
		status  int
		reasons []string
	}{
		{"child", http.StatusCreated, []string{}},
		{"managed", http.StatusCreated, []string{}},
		{"kiosk", http.StatusForbidden, []string{"class-excluded"}},
	} {
		account := r.account(t) + "-" + x.class
		r.do(t, 0, http.MethodPut, "/v1/accounts/"+account, wire.AccountRequest{Class: x.class}, nil)
		r.trustPhone(t, o, account, number())
		var v wire.Eligibility
		r.do(t, 1, http.MethodGet, "/v1/eligibility?platform=iOS&version=9.1&account="+account, nil, &v)
		if v.Eligible != (len(x.reasons) == 0) || !slices.Equal(v.Reasons, x.reasons) || v.Protection.Class != x.class {
			t.Errorf("%s: %+v", x.class, v)
		}
		r.do(t, 1, http.MethodGet, "/v1/eligibility?account="+account, nil, &v)
		if v.Eligible || !slices.Contains(v.Reasons, "no-eligible-device") {
			t.Errorf("P17: %s without a device: %+v", x.class, v)
		}
		k, err := kit.NewKey()
		check(t, err)
		request := wire.ProtectionRequest{NewDevice: &wire.DeviceRequest{PublicKey: k.Public(), Platform: "iOS", SystemVersion: "9.1"}}
		if status := r.status(t, 2, http.MethodPost, protectionPath(account), request); status != x.status {
			t.Errorf("%s is answered %d, want %d", x.class, status, x.status)
		}
	}
	if status := r.status(t, 0, http.MethodGet, "/v1/eligibility?account=nobody-at-all", nil); status != http.StatusNotFound {
		t.Errorf("an account that isn't there is answered %d", status)
	}
}

// TestS12_WhichSystemsShowCodes: one call answers; a device below the minimum is listed and gets no seed, no code and no
// notice, until its system is new enough.
func TestS12_WhichSystemsShowCodes(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	withPolicy(t, r, map[string]any{"platforms": example, "listed_only": true})
	for query, want := range map[string]string{
		"platform=iOS&version=9":                       "",
		"platform=iOS&version=8.4.1":                   "version-below-minimum",
		"platform=OS+X&version=10.11":                  "",
		"platform=OS+X&version=10.9":                   "version-below-minimum",
		"platform=watchOS&version=2.0":                 "",
		"platform=tvOS":                                "",
		"platform=iCloud+for+Windows&version=5":        "",
		"platform=iCloud+for+Windows&version=4.9.10":   "version-below-minimum",
		"platform=Android&version=6":                   "platform-not-listed",
		"platform=iOS&version=nine":                    "version-not-readable",
		"platform=iOS&version=99999999999999999999999": "",
	} {
		var v wire.Eligibility
		r.do(t, 0, http.MethodGet, "/v1/eligibility?"+query, nil, &v)
		if v.Eligible != (want == "") || v.ShowsCodes != v.Eligible || want != "" && !slices.Equal(v.Reasons, []string{want}) {
			t.Errorf("%s: %+v, want %q", query, v, want)
		}
	}

	account := r.account(t)
	k, err := kit.NewKey()
	check(t, err)
	var old wire.EnrolledDevice
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+account+"/devices", wire.DeviceRequest{
		PublicKey: k.Public(), Name: "old", Platform: "iOS", SystemVersion: "8.4",
	}, &old)
	if len(old.Envelope.Wrapped) != 0 || old.Device.ShowsCodes || !old.Device.Trusted {
		t.Fatalf("it is enrolled as %+v", old)
	}
	s := r.begin(t, 1, account)
	if told := o.frontend.awaitType(t, account, wire.NoticeBegun); len(told.data.Devices) != 0 || s.Channels.Devices {
		t.Errorf("it is told of the sign-in: %+v, %+v", told.data, s.Channels)
	}
	p := phone{key: k, signIn: kit.SignIn{Tenant: tenant, Account: account, Device: old.Device.ID}}
	if status := r.status(t, 2, http.MethodPost, signInPath(account, s, "decisions"), p.decision(t, s, true)); status != http.StatusForbidden {
		t.Errorf("its Allow is answered %d", status)
	}
	r.trustPhone(t, o, account, number())
	if status := r.status(t, 0, http.MethodPost, protectionPath(account), wire.ProtectionRequest{Device: old.Device.ID}); status != http.StatusForbidden {
		t.Errorf("turning protection on on it is answered %d", status)
	}

	var updated wire.EnrolledDevice
	r.do(t, 1, http.MethodPut, "/v1/accounts/"+account+"/devices/"+old.Device.ID, wire.DeviceChange{SystemVersion: "9.0.1"}, &updated)
	p = hold(t, k, updated)
	s = r.begin(t, 0, account)
	o.frontend.await(t, account, func(g received) bool {
		return g.data.SignIn == s.ID && slices.Equal(g.data.Devices, []string{old.Device.ID})
	})
	if code := p.read(t, s, r.decide(t, 2, account, s, p.decision(t, s, true)).Code); len(code) != 6 {
		t.Error("it shows no code after its update")
	}
}

// TestE4_EarlierSettings: given back by any node, also by one that joined after they were left, and readable on no disk. That
// their key dies on time, for backups too, is TestE4_EarlierSettingsDieOnTime of package appliance, with a clock that is set.
func TestE4_EarlierSettings(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.account(t)
	r.trustPhone(t, o, account, number())
	secret := []byte("Question: the first pet? Answer: Wellington " + account)
	request := map[string]any{
		"new_device": wire.DeviceRequest{PublicKey: newPublic(t)}, "earlier_settings": base64.StdEncoding.EncodeToString(secret),
	}
	var on struct {
		LinkToken string `json:"link_token"`
	}
	ctx := deadline(t, 3*time.Minute)
	until(ctx, t, func() error { // all nodes have their keys of the day within seconds
		_, err := r.call(ctx, 0, http.MethodPost, protectionPath(account), "on", request, &on)
		return err
	})
	needles := map[string][]byte{
		"the settings": secret[:40], "the settings in base64": []byte(base64.StdEncoding.EncodeToString(secret)[:40]), "the token": []byte(on.LinkToken),
	}
	for _, c := range r.rack.Chassis {
		searchTree(t, c.Dir(), needles)
	}

	// A node is lost with its disk and its module, and another stands in its place.
	old := (r.leader(t) + 1) % 3
	chassis := r.rack.Chassis[old]
	check(t, chassis.Kill())
	check(t, chassis.WipeDisk())
	check(t, r.rack.Replace(ctx, chassis))
	check(t, r.rack.Join(ctx, chassis))
	r.ready(t)

	var off struct {
		EarlierSettings string `json:"earlier_settings"`
	}
	undo := func(node int) error {
		_, err := r.call(ctx, node, http.MethodPost, protectionPath(account, "undo"), "off", map[string]string{"token": on.LinkToken}, &off)
		if got, _ := base64.StdEncoding.DecodeString(off.EarlierSettings); err == nil && string(got) != string(secret) {
			t.Errorf("node %d gives back %q", node, got)
		}
		return err
	}
	until(ctx, t, func() error { return undo(old) })
	for node := range r.nodes() {
		check(t, undo(node))
	}
	for _, c := range r.rack.Chassis {
		searchTree(t, c.Dir(), needles)
	}
}

func newPublic(t *testing.T) []byte {
	t.Helper()
	k, err := kit.NewKey()
	check(t, err)
	return k.Public()
}

// until repeats what a cluster may not be able to do yet.
func until(ctx context.Context, t *testing.T, try func() error) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}
