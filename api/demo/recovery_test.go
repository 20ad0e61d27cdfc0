package demo

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

func recoveryIn(state string, evidence ...string) wire.Recovery {
	return wire.Recovery{
		ID: "r1", State: state, Ready: time.Date(2026, 12, 9, 10, 0, 0, 0, time.Local), Evidence: evidence,
		Helps: []wire.Help{{Kind: wire.EvidencePhoneCode, Hours: 120}, {Kind: wire.EvidenceDevice, Hours: 24}},
	}
}

// TestRecoveryPagesByState: the date and what would help while it waits, the form when it is ready, and its end.
func TestRecoveryPagesByState(t *testing.T) {
	for state, words := range map[string][]string{
		wire.RecoveryWaiting:   {"9 Dec 2026, 10:00", "Have a code sent, up to 5 days sooner", "Given: the password", "Stop the recovery"},
		wire.RecoveryReady:     {"The wait is over", `action="/mac/recovery/complete"`, "Stop the recovery"},
		wire.RecoveryCompleted: {"The account was recovered"},
		wire.RecoveryCancelled: {"The recovery is over", "or by a sign-in"},
		wire.RecoveryExpired:   {"was not completed in time"},
	} {
		s, _, _ := withNode(t, map[string]string{
			"GET recoveries": answered(t, wire.Recoveries{Recoveries: []wire.Recovery{recoveryIn(state, wire.EvidencePassword)}}),
		})
		page := body(t, askWithin(10*time.Second, s, http.MethodGet, "/mac/recovery", ours, nil))
		for _, w := range words {
			if !strings.Contains(page, w) {
				t.Errorf("%s: the page doesn't say %q", state, w)
			}
		}
	}
	s, _, _ := withNode(t, nil)
	if got := askWithin(10*time.Second, s, http.MethodGet, "/mac/recovery", ours, nil); got.Header.Get("Location") != "/mac/forgot" {
		t.Errorf("without one: %d to %q", got.StatusCode, got.Header.Get("Location"))
	}
}

// TestCompletingARecovery: claimed and redeemed for the Mac at hand; then the password is the new one, and nobody is signed in.
func TestCompletingARecovery(t *testing.T) {
	const text = "quite-another"
	complete := func(claim map[string]any) (*Site, *home, *node) {
		t.Helper()
		s, h, n := withNode(t, map[string]string{
			"POST claims":      answered(t, claim),
			"POST completions": answered(t, wire.EnrolledDevice{Binding: wire.Binding{Tenant: "demo", Account: "ada", Credential: "mac1"}}),
		})
		s.sessions.begin(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), session{account: h.person.Account, in: true})
		s.submit("/mac/recovery/complete", url.Values{"recovery": {"r1"}, "new": {text}})
		return s, h, n
	}
	for outcome, words := range map[string]string{
		wire.NotYet: "9 Dec 2026", wire.EvidenceNeeded: "Something has to speak for you", wire.Ended: "recovery is over",
	} {
		s, h, n := complete(map[string]any{"outcome": outcome, "retry_at": recoveryIn("").Ready})
		if said := h.hear(paneMac); !said.Bad || !strings.Contains(said.Text, words) {
			t.Errorf("%s: it says %q", outcome, said.Text)
		}
		if _, changed := s.homes.checkPassword(h.person.Account, text); changed || n.was("completions") || len(s.sessions.list) != 1 {
			t.Errorf("%s: something was done: %q", outcome, n.asked)
		}
	}
	s, h, n := complete(map[string]any{"outcome": wire.Granting, "grant": "a grant"})
	if said := h.hear(paneMac); said.Bad || !strings.Contains(said.Text, "yours again") {
		t.Errorf("it says %q", said.Text)
	}
	mac, _ := h.theMac()
	if !n.was("POST", "/recoveries/r1/completions", `"grant":"a grant"`, "MacBook Air") || mac.ID() != "mac1" {
		t.Errorf("the Mac is %q, and asked was %q", mac.ID(), n.asked)
	}
	if _, right := s.homes.checkPassword(h.person.Account, text); !right || len(s.sessions.list) != 0 {
		t.Errorf("the new password is right: %v; %d sessions are left", right, len(s.sessions.list))
	}
	again, err := openHomes(s.homes.dir, 10, s.log)
	if err != nil {
		t.Fatal(err)
	}
	if _, right := again.checkPassword(h.person.Account, text); !right {
		t.Error("it is forgotten by a restart")
	}
}

// TestMailSpeaksForARecovery: by the link that was mailed when it was started, and by no other.
func TestMailSpeaksForARecovery(t *testing.T) {
	s, h, n := withNode(t, map[string]string{"POST evidence": answered(t, map[string]any{"outcome": wire.Accepted, "recovery": recoveryIn(wire.RecoveryWaiting)})})
	notice := wire.Notice{Type: wire.NoticeRecoveryStarted, Timestamp: time.Now()}
	data := wire.NoticeData{Account: h.person.Account, Recovery: "r1"}
	if !h.mailed(notice, data) || h.mailed(notice, data) || len(h.letters()) != 1 {
		t.Fatalf("mails: %+v", h.letters())
	}
	for _, token := range []string{"", "another"} {
		s.submit("/messages/recovery", url.Values{"token": {token}})
		if said := h.hear(paneMessages); !said.Bad || len(n.asked) != 0 {
			t.Errorf("with %q: %q, asked %q", token, said.Text, n.asked)
		}
	}
	s.submit("/messages/recovery", url.Values{"token": {h.letters()[0].Token}})
	if said := h.hear(paneMessages); said.Bad || !strings.Contains(said.Text, "9 Dec 2026") || !n.was("/recoveries/r1/evidence", `"kind":"email"`) {
		t.Errorf("with the link's: %q, asked %q", said.Text, n.asked)
	}
}
