package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

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
