package e2e

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// TestE5_Phones: added, verified by text or call, listed masked, removed, and never the last one.
func TestE5_Phones(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.account(t)
	path := "/v1/accounts/" + account + "/phones"
	for _, bad := range []string{"+1", "+14155550", "4155550132", "+1 415 555 0132", "+41446681800x", "+99912345678"} {
		if status := r.status(t, 0, http.MethodPost, path, map[string]string{"number": bad}); status != http.StatusUnprocessableEntity {
			t.Errorf("%q is answered %d", bad, status)
		}
	}
	mine := r.trustPhone(t, o, account, "+14155550101")
	o.frontend.awaitType(t, account, wire.NoticePhoneAdded)
	if status := r.status(t, 1, http.MethodDelete, path+"/"+mine.ID, nil); status != http.StatusConflict {
		t.Errorf("P31: removing the last one is answered %d", status)
	}

	var hers wire.Phone
	r.do(t, 0, http.MethodPost, path, map[string]string{"number": "+14155550102", "label": "Mum"}, &hers)
	if status := r.status(t, 1, http.MethodDelete, path+"/"+mine.ID, nil); status != http.StatusConflict {
		t.Errorf("removing the last verified one is answered %d", status)
	}
	r.do(t, 2, http.MethodPost, path+"/"+hers.ID+"/codes", wire.SendPhoneCodeRequest{Channel: "voice"}, nil)
	call := o.gateway.await(t, account, func(g received) bool { return g.job.Phone == hers.ID })
	code := codeOf(t, call.job)
	var v wire.PhoneVerification
	r.do(t, 0, http.MethodPost, path+"/"+hers.ID+"/verifications", map[string]string{"code": otherThan(code)}, &v)
	if v.Outcome != wire.Wrong {
		t.Errorf("a wrong code: %+v", v)
	}
	r.do(t, 1, http.MethodPost, path+"/"+hers.ID+"/verifications", map[string]string{"code": code}, &v)
	if v.Outcome != wire.Accepted {
		t.Fatalf("the call's code: %+v", v)
	}

	var list wire.Phones
	r.do(t, 2, http.MethodGet, path, nil, &list)
	if len(list.Phones) != 2 || list.Phones[0].ID != mine.ID || list.Phones[1].Label != "Mum" || list.Phones[1].Verified.IsZero() ||
		list.Phones[1].Masked != "•••• •• 02" {
		t.Errorf("the phones are %+v", list)
	}
	r.do(t, 0, http.MethodPut, path+"/"+hers.ID, wire.PhoneChange{Label: "Mum's", Position: 0}, nil)
	r.do(t, 0, http.MethodGet, path, nil, &list)
	if list.Phones[0].ID != hers.ID || list.Phones[0].Label != "Mum's" {
		t.Errorf("after the change: %+v", list)
	}

	// A code that is on its way to a phone dies with it.
	s := r.begin(t, 0, account)
	var sent wire.Sending
	for ctx := deadline(t, 10*time.Second); sent.Outcome != wire.Sent; time.Sleep(50 * time.Millisecond) { // the cool-down
		r.do(t, 0, http.MethodPost, signInPath(account, s, "codes"), wire.SendCodeRequest{Phone: mine.ID, Channel: "text"}, &sent)
		if sent.Outcome != wire.Sent && sent.Outcome != wire.TooSoon || ctx.Err() != nil {
			t.Fatalf("sending a code: %+v", sent)
		}
	}
	text := o.gateway.await(t, account, func(g received) bool { return g.job.SignIn == s.ID })
	r.do(t, 1, http.MethodDelete, path+"/"+mine.ID, nil, nil)
	o.frontend.awaitType(t, account, wire.NoticePhoneRemoved)
	for node := range r.nodes() {
		if e := r.enter(t, node, account, s, codeOf(t, text.job)); e.Outcome != wire.Wrong {
			t.Errorf("node %d: the code of a removed phone: %+v", node, e)
		}
		if status := r.status(t, node, http.MethodDelete, path+"/"+hers.ID, nil); status != http.StatusConflict {
			t.Errorf("node %d: removing the last one is answered %d", node, status)
		}
	}
}

// TestE5_TheCodeTurnsItOn: P23: entering the code verifies the number and turns protection on in one step, or does neither;
// who repeats the request, on whichever node, gets the same answer.
func TestE5_TheCodeTurnsItOn(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account := r.account(t)
	path := "/v1/accounts/" + account + "/phones"
	var mine wire.Phone
	r.do(t, 0, http.MethodPost, path, map[string]string{"number": "+14155550101"}, &mine)
	r.do(t, 1, http.MethodPost, path+"/"+mine.ID+"/codes", wire.SendPhoneCodeRequest{Channel: "text"}, nil)
	code := codeOf(t, o.gateway.await(t, account, func(g received) bool { return g.job.Phone == mine.ID }).job)
	k, err := kit.NewKey()
	check(t, err)
	type answer struct {
		wire.PhoneVerification
		Protection *struct {
			Protection wire.Protection
			NewDevice  *wire.EnrolledDevice `json:"new_device"`
			LinkToken  string               `json:"link_token"`
		} `json:"protection"`
	}
	verify := func(node int, key, code, system string) (a answer, status int) {
		t.Helper()
		status, err := r.call(t.Context(), node, http.MethodPost, path+"/"+mine.ID+"/verifications", key, map[string]any{
			"code": code, "protection": map[string]any{
				"new_device": wire.DeviceRequest{PublicKey: k.Public(), Name: "iPhone", Platform: "iOS", SystemVersion: system},
			},
		}, &a)
		if status == 0 {
			t.Fatal(err)
		}
		return a, status
	}
	neither := func(when string) {
		t.Helper()
		for node := range r.nodes() {
			var phones wire.Phones
			var devices wire.Credentials
			r.do(t, node, http.MethodGet, path, nil, &phones)
			r.do(t, node, http.MethodGet, "/v1/accounts/"+account+"/devices", nil, &devices)
			if p := r.protection(t, node, account); p.Mode != wire.ProtectionOff || !phones.Phones[0].Verified.IsZero() || len(devices.Credentials) != 0 {
				t.Errorf("%s, node %d has half of it: %+v %+v %+v", when, node, p, phones, devices)
			}
		}
	}
	if a, _ := verify(0, "", otherThan(code), "9.1"); a.Outcome != wire.Wrong || a.Protection != nil {
		t.Errorf("a wrong code: %+v", a)
	}
	neither("after a wrong code")
	withPolicy(t, r, map[string]any{"platforms": example})
	if _, status := verify(1, "", code, "8.4"); status != http.StatusForbidden {
		t.Errorf("a system that is too old is answered %d", status)
	}
	neither("with a system that is too old")

	a, status := verify(2, "on", code, "9.1")
	if status != http.StatusOK || a.Outcome != wire.Accepted || a.Protection == nil || a.Protection.NewDevice == nil || len(a.Protection.LinkToken) != 32 ||
		a.Protection.Protection.Mode != wire.ProtectionOn || a.Protection.Protection.Assurance != wire.AssuranceTwoFactor {
		t.Fatalf("the code: %d %+v", status, a)
	}
	p := hold(t, k, *a.Protection.NewDevice)
	if told := o.frontend.awaitType(t, account, wire.NoticeProtectionOn); told.data.LinkToken != a.Protection.LinkToken {
		t.Errorf("told: %+v", told.data)
	}
	var kinds []string
	for _, g := range o.frontend.of(account) {
		kinds = append(kinds, g.notice.Type)
	}
	if !slices.Equal(kinds, []string{wire.NoticePhoneAdded, wire.NoticeDeviceAdded, wire.NoticeProtectionOn}) {
		t.Errorf("told: %q", kinds)
	}
	for node := range r.nodes() {
		if again, _ := verify(node, "on", code, "9.1"); !again.Replayed || again.Protection == nil || again.Protection.LinkToken != a.Protection.LinkToken ||
			again.Protection.NewDevice.Device.ID != p.signIn.Device {
			t.Errorf("node %d answers the repeated request with %+v", node, again)
		}
		if _, status := verify(node, "", code, "9.1"); status != http.StatusConflict {
			t.Errorf("node %d: the code's second use is answered %d", node, status)
		}
	}
	shown, _ := p.seed.Code(time.Now())
	if v := r.verify(t, 1, account, shown, ""); v.Outcome != wire.Accepted || v.Assurance != wire.AssuranceTwoFactor {
		t.Errorf("the device's code: %+v", v)
	}
	r.do(t, 0, http.MethodPost, protectionPath(account, "undo"), map[string]string{"token": a.Protection.LinkToken}, nil)
}

// TestE5_ARemovedNumberIsTold: P36: the devices by the front-end, and every verified number by a text, the removed one too; in
// no log entry is a number.
func TestE5_ARemovedNumberIsTold(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	mine := r.trustPhone(t, o, account, "+14155550141")
	hers := r.trustPhone(t, o, account, "+14155550142")
	before := r.head(t)
	messages := func() (to []string) {
		for _, g := range o.gateway.of(account) {
			if g.notice.Type == wire.NoticeTell {
				to = append(to, g.job.To)
			}
		}
		return to
	}
	withPolicy(t, r, map[string]any{"tell_phones": true})
	r.do(t, 1, http.MethodDelete, "/v1/accounts/"+account+"/phones/"+hers.ID, nil, nil)
	told := o.frontend.awaitType(t, account, wire.NoticePhoneRemoved)
	if told.data.Phone != hers.ID || told.data.Masked != "•••• •• 42" || !slices.Equal(told.data.Devices, []string{p.signIn.Device}) {
		t.Errorf("the front-end is told %+v", told.data)
	}
	left := o.gateway.await(t, account, func(g received) bool { return g.notice.Type == wire.NoticeTell && g.job.Phone == mine.ID }).job
	gone := o.gateway.await(t, account, func(g received) bool { return g.notice.Type == wire.NoticeTell && g.job.Phone == hers.ID }).job
	if left.To != "+14155550141" || !strings.Contains(left.Text, "•••• •• 42") || left.Digits != "" || left.Channel != "text" {
		t.Errorf("the number that remains is told %+v", left)
	}
	if gone.To != "+14155550142" || !strings.Contains(gone.Text, "no more codes") || strings.Contains(gone.Text, account) {
		t.Errorf("the removed number is told %+v", gone)
	}
	if to := messages(); len(to) != 2 {
		t.Errorf("told are %q", to)
	}
	h := r.since(t, before)
	removed := 0
	for i, e := range h.entries {
		if e.Operation == "remove-phone" && e.Subject == hers.ID {
			removed++
		}
		for _, number := range []string{"4155550141", "4155550142"} {
			if strings.Contains(string(h.raw[i]), number) {
				t.Errorf("a number is in %s", h.raw[i])
			}
		}
	}
	if removed != 1 {
		t.Errorf("%d entries are of the removal", removed)
	}
}

// TestE5_NothingOfAPhoneIsInTheLog: no number, no code, no digits of either.
func TestE5_NothingOfAPhoneIsInTheLog(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	r.trustPhone(t, o, account, "+14155550177")
	s := r.begin(t, 0, account)
	code := p.read(t, s, r.decide(t, 0, account, s, p.decision(t, s, true)).Code)
	r.enter(t, 1, account, s, code)
	r.do(t, 0, http.MethodGet, signInPath(account, s), nil, nil) // node 0 has all of it now
	operator, err := httpClient(r.rack.Operator())
	check(t, err)
	var head wire.LogHead
	check(t, r.as(operator, 0, http.MethodGet, "/v1/log/head", nil, &head))
	seen := 0
	for from := int64(0); from < head.Size; {
		var l wire.LogEntries
		check(t, r.as(operator, 0, http.MethodGet, "/v1/log/entries?n=512&from="+strconv.FormatInt(from, 10), nil, &l))
		if len(l.Entries) == 0 {
			break
		}
		for _, raw := range l.Entries {
			entry := string(raw)
			if strings.Contains(entry, s.ID) {
				seen++
			}
			for what, text := range map[string]string{"number": "4155550177", "code": `"` + code, "account": account} {
				if strings.Contains(entry, text) {
					t.Errorf("the %s is in %s", what, entry)
				}
			}
		}
		from += int64(len(l.Entries))
	}
	if seen < 3 {
		t.Errorf("%d entries are about the sign-in, want those of its beginning, decision and end", seen)
	}
}
