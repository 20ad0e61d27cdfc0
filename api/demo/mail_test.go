package demo

import (
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

// TestMailOfProtection is written once for a notice that comes twice, is kept with the home, and is bounded.
func TestMailOfProtection(t *testing.T) {
	s, h := newSite(t)
	at := time.Unix(1767225600, 0).UTC()
	on := wire.Notice{Type: wire.NoticeProtectionOn, Timestamp: at}
	data := wire.NoticeData{LinkToken: "abcdefghijklmnopabcdefghijklmnop", Expires: at.AddDate(0, 0, 14)}
	if !h.mailed(on, data) || h.mailed(on, data) || h.mailed(wire.Notice{Type: wire.NoticePhoneAdded, Timestamp: at}, wire.NoticeData{}) {
		t.Errorf("the mails are %d", len(h.letters()))
	}
	if !h.mailed(wire.Notice{Type: wire.NoticeProtectionOff, Timestamp: at.Add(time.Hour)}, wire.NoticeData{}) {
		t.Error("there is no mail when it is turned off")
	}
	if err := s.homes.save(h); err != nil {
		t.Fatal(err)
	}
	again, err := openHomes(s.homes.dir, 10, s.log)
	if err != nil {
		t.Fatal(err)
	}
	if kept := again.of(ours).letters(); len(kept) != 2 || kept[0].Token != data.LinkToken || !kept[1].Off {
		t.Errorf("kept: %+v", kept)
	}
	page := body(t, ask(s, "GET", "/messages", ours, nil))
	if off, link := strings.Index(page, "authentication is off"), strings.Index(page, "/messages/undo?token="+data.LinkToken); off < 0 || link < off {
		t.Errorf("the newest is not first, or the link is not there: %s", page)
	}
	for i := range 2 * maxMails {
		h.mailed(wire.Notice{Type: wire.NoticeProtectionOff, Timestamp: at.AddDate(0, 0, i)}, wire.NoticeData{})
	}
	if len(h.letters()) != maxMails {
		t.Errorf("%d mails are kept", len(h.letters()))
	}
}

// TestLinkIsFollowedByPeople: to look at it does nothing, and what stands in it is text.
func TestLinkIsFollowedByPeople(t *testing.T) {
	s, _ := newSite(t)
	page := body(t, ask(s, "GET", "/messages/undo?token=%22%3E%3Cscript%3E", ours, nil))
	if strings.Contains(page, `"><script>`) || !strings.Contains(page, `action="/messages/undo"`) {
		t.Error(page)
	}
	for _, none := range []string{"/messages/undo", "/messages/undo?token=" + strings.Repeat("x", maxToken+1)} {
		if got := ask(s, "GET", none, ours, nil); got.Header.Get("Location") != "/messages" {
			t.Errorf("%.30s: %d", none, got.StatusCode)
		}
	}
}
