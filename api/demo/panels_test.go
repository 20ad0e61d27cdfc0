package demo

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAppPasswordsNeedASecondFactor: who gave the password alone gets none, nor who is not signed in.
func TestAppPasswordsNeedASecondFactor(t *testing.T) {
	s, h := newSite(t)
	post := func(x session) *http.Response {
		w := httptest.NewRecorder()
		s.sessions.begin(w, httptest.NewRequest(http.MethodGet, "/", nil), x)
		return ask(s, http.MethodPost, "/account/app-passwords/create", ours, url.Values{"csrf": {s.csrfToken(ours)}, "label": {"Mail"}},
			func(r *http.Request) { r.AddCookie(w.Result().Cookies()[0]) })
	}
	account := h.person.Account
	for _, c := range []struct {
		name string
		x    session
		to   string
		said string
	}{
		{"not signed in", session{account: account}, "/mac", ""},
		{"another's", session{account: "another", in: true, proved: time.Now()}, "/mac", ""},
		{"the password alone", session{account: account, in: true}, "/account", "sign in with a code first"},
		{"a code of long ago", session{account: account, in: true, proved: time.Now().Add(-freshFor)}, "/account", "sign in with a code first"},
		{"a code", session{account: account, in: true, proved: time.Now()}, "/account", "can't be done right now"}, // it asks the nodes
	} {
		h.leave(paneAccount, saying{})
		got := post(c.x)
		if said := h.hear(paneAccount).Text; got.Header.Get("Location") != c.to || (c.said == "") != (said == "") || !strings.Contains(said, c.said) {
			t.Errorf("%s: to %q, said %q", c.name, got.Header.Get("Location"), said)
		}
	}
}

func TestFormOfAppPasswords(t *testing.T) {
	for text, want := range map[string]bool{
		"abcd-efgh-ijkm-npqr": true, "ABCD EFGH IJKM NPQR": true, "abcdefghijkmnpqr": true,
		"abcd-efgh-ijkm-npq": false, "amber-basil-cedar123456": false, "abcdefghijkmnpq1": false, "abcdefghijkmnpql": false,
		"äbcd-efgh-ijkm-npq": false, "": false,
	} {
		if got := maybeAppPassword(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestPasswordAloneIsNotGuessed: when the nodes can't say that an account is unprotected, nobody gets in by its password.
func TestPasswordAloneIsNotGuessed(t *testing.T) {
	s, h := newSite(t)
	form := url.Values{"csrf": {s.csrfToken(ours)}, "account": {h.person.Account}, "password": {h.person.Password}}
	got := ask(s, http.MethodPost, "/mac/password", ours, form)
	for _, c := range got.Cookies() {
		if c.Name == sessionCookie {
			t.Error("there is a session")
		}
	}
	ask(s, http.MethodPost, "/legacy", ours, form)
	if said := h.hear(paneMac); !said.Bad || !strings.Contains(said.Text, "right now") {
		t.Errorf("older software: %q", said.Text)
	}
}

func TestReasonsAreWords(t *testing.T) {
	for reason, want := range map[string]string{
		"version-below-minimum": "OS X 10.9 is older than 10.11.", "platform-not-listed": "not known", "version-not-readable": "can't be told",
		"class-excluded": "Accounts like this one",
	} {
		if got := reasonWords(reason, "OS X", "10.9", "10.11"); !strings.Contains(got, want) {
			t.Errorf("%s: %q", reason, got)
		}
	}
}
