package demo

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// newSite is a site whose nodes nobody reaches, with one home, whose visitor has the cookie "ours".
func newSite(t *testing.T) (*Site, *home) {
	t.Helper()
	api, err := client.New(client.Config{Nodes: []string{"127.0.0.1:1"}, TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	s, err := Open(Config{
		Client: api, Tenant: "demo", Dir: t.TempDir(), PasswordRounds: 10,
		FrontendSecret: wire.NewSecret(exampleSecret), GatewaySecret: wire.NewSecret(exampleSecret),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	h := &home{id: homeID(ours), person: newPerson(10), number: drawNumber(), macAt: addresses[0].IP}
	if h.phone, err = app.New(iPhone()); err != nil {
		t.Fatal(err)
	}
	if h.mac, err = app.New(macBook()); err != nil {
		t.Fatal(err)
	}
	if err := s.homes.add(h); err != nil {
		t.Fatal(err)
	}
	return s, h
}

const (
	ours   = "OURSOURSOURSOURSOURSOURSOU"
	theirs = "THEIRSTHEIRSTHEIRSTHEIRSTH"
)

func ask(s *Site, method, path, browser string, form url.Values, change ...func(*http.Request)) *http.Response {
	return askWithin(50*time.Millisecond, s, method, path, browser, form, change...) // no node answers
}

func askWithin(
	timeout time.Duration, s *Site, method, path, browser string, form url.Values, change ...func(*http.Request),
) *http.Response {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(form.Encode()))
	if browser != "" {
		r.AddCookie(&http.Cookie{Name: browserCookie, Value: browser})
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func TestFormsAreOfOurPages(t *testing.T) {
	s, h := newSite(t)
	right := url.Values{"csrf": {s.csrfToken(ours)}, "address": {addresses[1].IP}}
	for _, c := range []struct {
		name    string
		browser string
		form    url.Values
		change  func(*http.Request)
		want    int
	}{
		{"no token", ours, url.Values{"address": {addresses[1].IP}}, nil, http.StatusForbidden},
		{"another browser's token", ours, url.Values{"csrf": {s.csrfToken(theirs)}, "address": {addresses[1].IP}}, nil, http.StatusForbidden},
		{"no cookie", "", right, nil, http.StatusForbidden},
		{"from another site", ours, right, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		{"from another origin", ours, right, func(r *http.Request) { r.Header.Set("Origin", "https://example.net") }, http.StatusForbidden},
		{"too large", ours, url.Values{"csrf": right["csrf"], "x": {strings.Repeat("x", maxForm)}}, nil, http.StatusForbidden},
		{"as a form of ours", ours, right, nil, http.StatusSeeOther},
	} {
		if c.change == nil {
			c.change = func(*http.Request) {}
		}
		if _, at := h.theMac(); at != addresses[0].IP {
			t.Fatalf("before %s, the Mac is at %s", c.name, at)
		}
		if got := ask(s, http.MethodPost, "/stage/move", c.browser, c.form, c.change); got.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.name, got.StatusCode, c.want)
		}
	}
	if _, at := h.theMac(); at != addresses[1].IP {
		t.Errorf("the Mac is at %s", at)
	}
}

var inlineScript = regexp.MustCompile(`<script nonce="([^"]+)">`)

func TestHeadersOfPages(t *testing.T) {
	s, _ := newSite(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/mac", "/legacy", "/phone", "/phone/protection", "/messages", "/messages/undo?token=x", "/messages/recovery?token=x", "/browser", "/mac/forgot", "/mac/recovery"} {
		got := ask(s, http.MethodGet, path, ours, nil)
		var b strings.Builder
		if err := got.Write(&b); err != nil {
			t.Fatal(err)
		}
		found := inlineScript.FindStringSubmatch(b.String())
		policy := got.Header.Get("Content-Security-Policy")
		if got.StatusCode != http.StatusOK || found == nil {
			t.Fatalf("%s: %d\n%s", path, got.StatusCode, b.String())
		}
		nonce := strings.ReplaceAll(found[1], "&#43;", "+")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "'nonce-"+nonce+"'") ||
			strings.Contains(policy, "unsafe") || seen[nonce] {
			t.Errorf("%s: nonce %s, policy %s", path, nonce, policy)
		}
		seen[nonce] = true
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, got.Header)
		}
		if strings.Count(b.String(), "<form") != strings.Count(b.String(), `name="csrf"`) {
			t.Errorf("%s has a form without a token", path)
		}
	}
	for _, path := range []string{"/mac", "/phone", "/events", "/account", "/messages"} {
		if got := ask(s, http.MethodGet, path, theirs, nil); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/" {
			t.Errorf("%s without a home: %d to %s", path, got.StatusCode, got.Header.Get("Location"))
		}
	}
	if got := ask(s, http.MethodGet, "/account", ours, nil); got.Header.Get("Location") != "/mac" {
		t.Errorf("the account of somebody who is not signed in: %d", got.StatusCode)
	}
}

func TestCookiesAreForUsAlone(t *testing.T) {
	s, _ := newSite(t)
	got := ask(s, http.MethodGet, "/", "", nil)
	for _, c := range got.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || len(c.Value) < 26 {
			t.Errorf("the cookie %+v", c)
		}
	}
	if len(got.Cookies()) != 1 {
		t.Errorf("cookies: %v", got.Cookies())
	}
	secure := ask(s, http.MethodGet, "/", "", nil, func(r *http.Request) { r.TLS = &tls.ConnectionState{} })
	if c := secure.Cookies(); len(c) != 1 || !c[0].Secure {
		t.Errorf("over TLS: %v", c)
	}
}

func TestSessionsHaveNewNames(t *testing.T) {
	var s sessions
	first, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	planted := &http.Cookie{Name: sessionCookie, Value: "planted"}
	first.AddCookie(planted)
	s.begin(w, first, session{account: "a", in: true})
	given := w.Result().Cookies()[0]
	if given.Value == planted.Value || s.get(first).in {
		t.Error("a name that was planted is a session's")
	}
	second := httptest.NewRequest(http.MethodGet, "/", nil)
	second.AddCookie(given)
	if x := s.get(second); !x.in || x.account != "a" {
		t.Errorf("the session is %+v", x)
	}
	s.begin(httptest.NewRecorder(), second, session{account: "b"})
	if s.get(second).account != "" {
		t.Error("the former session is one still")
	}
	s.end(httptest.NewRecorder(), second)
	for range maxSessions + 10 {
		s.begin(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), session{})
	}
	if len(s.list) > maxSessions {
		t.Errorf("%d sessions are kept", len(s.list))
	}
}

func TestPasswordsAreTheOwners(t *testing.T) {
	s, h := newSite(t)
	for _, c := range []struct {
		account, password string
		want              bool
	}{
		{h.person.Account, h.person.Password, true},
		{h.person.Account, h.person.Password + "x", false},
		{h.person.Account, "", false},
		{h.person.Account, strings.Repeat("x", 2000), false},
		{"nobody@example.com", h.person.Password, false},
		{"nobody@example.com", "", false},
	} {
		if _, ok := s.homes.checkPassword(c.account, c.password); ok != c.want {
			t.Errorf("%s with %q: %v", c.account, c.password, ok)
		}
	}
}

func TestHomesAreFoundAgain(t *testing.T) {
	s, h := newSite(t)
	if err := s.homes.save(h); err != nil {
		t.Fatal(err)
	}
	again, err := openHomes(s.homes.dir, 10, s.log)
	if err != nil {
		t.Fatal(err)
	}
	found := again.of(ours)
	if found == nil || found != again.ofAccount(h.person.Account) || found.number != h.number || again.of(theirs) != nil {
		t.Fatalf("found: %+v", found)
	}
	if _, ok := again.checkPassword(h.person.Account, h.person.Password); !ok {
		t.Error("the password is another")
	}
}
