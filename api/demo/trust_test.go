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

// TestBrowsersToken is in a cookie that no script reads, is another after each use, and goes when it is worth nothing.
func TestBrowsersToken(t *testing.T) {
	expires := time.Now().Add(time.Hour)
	s, h, n := withNode(t, map[string]string{
		"POST browsers": answered(t, map[string]any{"browser": wire.Browser{ID: "b1", Expires: expires}, "token": "first"}),
	})
	visit := func(x session) *http.Cookie {
		w := httptest.NewRecorder()
		s.visits.begin(w, httptest.NewRequest(http.MethodGet, "/", nil), x)
		return w.Result().Cookies()[0]
	}
	cookies := func(r *http.Response) map[string]*http.Cookie {
		list := map[string]*http.Cookie{}
		for _, c := range r.Cookies() {
			list[c.Name] = c
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
				t.Errorf("the cookie %+v", c)
			}
		}
		return list
	}
	x := session{account: h.person.Account, in: true, opened: "s1", offer: true}
	if got := cookies(s.submit("/browser/trust", url.Values{"trust": {"no"}}, visit(x))); len(got) != 0 || len(n.asked) != 0 {
		t.Errorf("Not now: %v, asked %q", got, n.asked)
	}
	x.offer = false
	if s.submit("/browser/trust", url.Values{"trust": {"yes"}}, visit(x)); len(n.asked) != 0 {
		t.Errorf("it was offered once, and asked was %q", n.asked)
	}
	x.offer = true
	given := cookies(s.submit("/browser/trust", url.Values{"trust": {"yes"}}, visit(x)))
	if given[tokenCookie] == nil || given[tokenCookie].Value != "first" || !n.was("/browsers", `"sign_in":"s1"`, given[trustedCookie].Value) {
		t.Fatalf("trusted: %v, asked %q", given, n.asked)
	}

	signIn := func(outcome string) map[string]*http.Cookie {
		n.answers["POST verifications"] = answered(t, map[string]any{"outcome": outcome, "browser": "b1", "token": "next", "expires": expires})
		form := url.Values{"account": {h.person.Account}, "password": {h.person.Password}}
		return cookies(s.submit("/browser/password", form, given[trustedCookie], given[tokenCookie]))
	}
	if got := signIn(wire.Trusted); got[tokenCookie].Value != "next" || got[visitCookie] == nil || !n.was("verifications", `"token":"first"`) {
		t.Errorf("signed in: %v, asked %q", got, n.asked)
	}
	if got := signIn(wire.Untrusted); got[tokenCookie].MaxAge >= 0 || got[visitCookie] != nil {
		t.Errorf("when it is worth nothing: %v", got)
	}
	x.offer = false
	n.answers["POST sign-outs"] = "{}"
	got := cookies(s.submit("/browser/sign-out", url.Values{"forget": {"yes"}}, visit(x), given[trustedCookie], given[tokenCookie]))
	if !n.was("sign-outs", given[trustedCookie].Value) || got[tokenCookie].MaxAge >= 0 || got[trustedCookie].MaxAge >= 0 || got[visitCookie].MaxAge >= 0 {
		t.Errorf("signed out completely: %v, asked %q", got, n.asked)
	}
}

// TestChangingAPassword: the API hears of it first; who is signed in elsewhere is signed out.
func TestChangingAPassword(t *testing.T) {
	s, h, n := withNode(t, map[string]string{})
	sign := func(x *sessions) *http.Cookie {
		w := httptest.NewRecorder()
		x.begin(w, httptest.NewRequest(http.MethodGet, "/", nil), session{account: h.person.Account, in: true, opened: "s1"})
		return w.Result().Cookies()[0]
	}
	mine := sign(&s.sessions)
	sign(&s.sessions)
	sign(&s.visits)
	old, account := h.person.Password, h.person.Account
	change := func(password, text string) saying {
		s.submit("/account/password/change", url.Values{"password": {password}, "new": {text}, "known": {"yes"}}, mine)
		return h.hear(paneAccount)
	}
	for _, c := range [][2]string{{"wrong", "long-enough"}, {old, "short"}, {old, strings.Repeat("x", maxPassword+1)}, {old, "long-enough"}} {
		if said := change(c[0], c[1]); !said.Bad {
			t.Errorf("%q: it says %q", c, said.Text) // the last: the node knows no such account
		}
		if _, right := s.homes.checkPassword(account, old); !right {
			t.Fatalf("%q: the password is another", c)
		}
	}
	n.answers["POST password-changes"] = "{}"
	if said := change(old, "long-enough"); said.Bad || !n.was("password-changes", `"security":true`, `"sign_in":"s1"`) {
		t.Errorf("it says %q, and asked was %q", said.Text, n.asked)
	}
	if _, right := s.homes.checkPassword(account, "long-enough"); !right || len(s.sessions.list) != 1 || len(s.visits.list) != 0 {
		t.Errorf("the new one is right: %v; %d and %d are signed in", right, len(s.sessions.list), len(s.visits.list))
	}
}
