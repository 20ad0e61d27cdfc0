package demo

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"strongroom.internal/api/wire"
)

func TestMessagesAreTakenApart(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name string
		m    message
		want shownMessage
	}{
		{
			"a text",
			message{job: wire.CodeJob{Channel: "text", Text: "123456 is your code.\n\n@example.com #123456"}},
			shownMessage{Lines: []string{"123456 is your code.", ""}, Autofill: "@example.com #123456"},
		},
		{"a text without a domain", message{job: wire.CodeJob{Channel: "text", Text: "123456 is your code."}}, shownMessage{Lines: []string{"123456 is your code."}}},
		{"a call", message{at: now, job: wire.CodeJob{Channel: "voice", Digits: "1 2 3"}}, shownMessage{Voice: true, Ringing: true}},
		{"one that was answered", message{at: now, answered: true, job: wire.CodeJob{Channel: "voice", Digits: "1 2 3"}}, shownMessage{Voice: true, Spoken: []string{"1", "2", "3"}}},
		{"one that was missed", message{at: now.Add(-ringFor), job: wire.CodeJob{Channel: "voice", Digits: "1 2 3"}}, shownMessage{Voice: true}},
	} {
		if d := cmp.Diff(c.want, shown(c.m, now), cmpopts.IgnoreFields(shownMessage{}, "At")); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestDigits(t *testing.T) {
	for typed, want := range map[string]string{"123456": "123456", "123 456": "123456", " 123-456 ": "123456"} {
		if got, ok := digitsOf(typed); !ok || got != want {
			t.Errorf("%q: %q, %v", typed, got, ok)
		}
	}
	for _, bad := range []string{"", "12345", "1234567", "12345a", "١٢٣٤٥٦", strings.Repeat(" ", 100)} {
		if got, ok := digitsOf(bad); ok {
			t.Errorf("%q is the code %q", bad, got)
		}
	}
}

func TestMapKnowsLand(t *testing.T) {
	for name, at := range map[string][2]float64{
		"Zürich": {8.5, 47.4}, "Nairobi": {36.8, -1.3}, "São Paulo": {-46.6, -23.5}, "Denver": {-105, 39.7}, "Delhi": {77, 28.6},
		"Alice Springs": {133.9, -23.7}, "Yakutsk": {129.7, 62}, "Nuuk's inland": {-45, 65}, "Kyoto": {135.8, 35}, "Birmingham": {-1.9, 52.5},
	} {
		if !onLand(at[0], at[1]) {
			t.Errorf("%s is in the sea", name)
		}
	}
	for name, at := range map[string][2]float64{
		"the Atlantic": {-35, 30}, "the Pacific": {-150, 0}, "the Indian Ocean": {75, -20}, "the Black Sea": {34, 43.5}, "Hudson Bay": {-85, 60},
	} {
		if onLand(at[0], at[1]) {
			t.Errorf("%s is land", name)
		}
	}
	for i, outline := range append(lands, seas...) {
		if len(outline)%2 != 0 || len(outline) < 6 {
			t.Errorf("outline %d has %d numbers", i, len(outline))
		}
	}
}

// TestMapIsMarkup for any place, also at the edges of the world and with a name that is no markup.
func TestMapIsMarkup(t *testing.T) {
	for _, p := range []wire.Place{
		{Label: "Zürich, Switzerland", Latitude: 47.4, Longitude: 8.5, AccuracyKM: 20},
		{Latitude: 90, Longitude: 180, AccuracyKM: 1e6},
		{Latitude: -90, Longitude: -180},
		{Label: `"><script>alert(1)</script>`},
	} {
		drawn := string(drawMap(&p))
		for d := xml.NewDecoder(strings.NewReader(drawn)); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Errorf("%+v: %v", p, err)
				break
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
				t.Errorf("%+v: a script", p)
			}
		}
		if !strings.Contains(drawn, "approximate") || len(drawn) > 40_000 {
			t.Errorf("%+v: %d bytes", p, len(drawn))
		}
	}
}

func TestWatchersHearWhatChanges(t *testing.T) {
	var h home
	changes, end, ok := h.watch()
	if !ok {
		t.Fatal("nobody may watch")
	}
	h.changed(panePhone, paneMac)
	if a, b := <-changes, <-changes; a != panePhone || b != paneMac {
		t.Errorf("changed: %s, %s", a, b)
	}
	for range 100 { // nobody reads, and nobody waits for that
		h.changed(paneMac)
	}
	end()
	if len(h.watchers) != 0 {
		t.Error("it watches still")
	}
	for range maxWatchers {
		if _, _, ok := h.watch(); !ok {
			t.Fatal("too few may watch")
		}
	}
	if _, _, ok := h.watch(); ok {
		t.Error("too many watch")
	}
}

func TestNewsAndMessagesAreBounded(t *testing.T) {
	var h home
	for range 100 {
		h.noted(wire.Notice{}, wire.NoticeData{})
		h.received(wire.CodeJob{})
	}
	if len(h.recent()) != maxNews || len(h.inbox()) != maxMessages {
		t.Errorf("%d news, %d messages", len(h.recent()), len(h.inbox()))
	}
	if newest := h.inbox()[0]; newest.id != 100 {
		t.Errorf("the newest is %d", newest.id)
	}
}

// TestNoticesHaveWords: none of those that a front-end is told is shown by its name.
func TestNoticesHaveWords(t *testing.T) {
	for _, kind := range []string{
		wire.NoticeBegun, wire.NoticeAllowed, wire.NoticeDenied, wire.NoticeVerified, wire.NoticeCancelled, wire.NoticeDeviceAdded,
		wire.NoticeDeviceRemoved, wire.NoticePhoneAdded, wire.NoticePhoneRemoved, wire.NoticeProtectionOn, wire.NoticeProtectionOff,
		wire.NoticeDeviceLost, wire.NoticeNotMe, wire.NoticeBrowserTrusted, wire.NoticeBrowserReused, wire.NoticePasswordChanged,
		wire.NoticeTwoStepOn, wire.NoticeTwoStepOff, wire.NoticeRecoveryKeyMade, wire.NoticeRecoveryKeyUsed, wire.NoticeRecoveryStarted,
		wire.NoticeRecoveryShortened, wire.NoticeRecoveryGranted, wire.NoticeRecoveryCompleted, wire.NoticeRecoveryCancelled,
		wire.NoticePasswordReset,
	} {
		if noticeWords[kind] == "" {
			t.Errorf("%s has none", kind)
		}
	}
}

// TestTextsWithoutACodeArrive: what the gateway is to tell people is in the inbox, and is no code of a phone that waits.
func TestTextsWithoutACodeArrive(t *testing.T) {
	s, h := newSite(t)
	for _, kind := range []string{wire.NoticeTell, "another.kind"} {
		job := wire.CodeJob{Account: h.person.Account, Phone: "p1", Channel: "text", Text: "Somebody recovers your account."}
		if err := s.takeJob([]byte(answered(t, map[string]any{"type": kind, "data": job}))); err != nil {
			t.Fatal(err)
		}
	}
	if list := h.inbox(); len(list) != 1 {
		t.Errorf("the inbox has %+v", list)
	}
	done := make(chan struct{})
	close(done)
	if job, found := h.awaitText("p1", done); found {
		t.Errorf("a code is awaited, and %q comes", job.Text)
	}
}
