package demo

import (
	"crypto/rand"
	"net/http"
	"slices"
	"time"

	"strongroom.internal/api/wire"
)

// Somebody signs in in a browser, at a library or at home. It has no key of its own: where its owner says so, it keeps a
// token, which is another one after each use.

const (
	trustedCookie = "trusted"       // this service's id of a browser that was trusted once
	tokenCookie   = "trusted-token" // its newest token
	// Bounds of both, in bytes: the API takes no others.
	minTrustedID, maxTrustedID = 16, 128
	maxTrustToken              = 256
)

// browserName is what its owner knows it by.
const browserName = "Firefox at a library"

func (s *Site) browserDesk() desk {
	return desk{
		pane: paneBrowser, what: "browser", sessions: &s.visits,
		begins: func(*home) wire.SignInRequest {
			return wire.SignInRequest{
				Purpose: wire.PurposeBrowser, Device: wire.NewDevice{Kind: "browser", Name: browserName, Model: "Firefox"}, Address: addresses[0].IP,
			}
		},
		trusted: s.trustsBrowser,
	}
}

// trustsBrowser shows the browser's token, and gives it the one that takes its place. A form that is sent twice shows one
// token twice, which for a minute is as good.
func (s *Site) trustsBrowser(w http.ResponseWriter, r *http.Request, h *home) (trust string, trusted bool, err error) {
	id, token := cookie(r, trustedCookie), cookie(r, tokenCookie)
	if len(id) < minTrustedID || len(id) > maxTrustedID || token == "" || len(token) > maxTrustToken {
		return "", false, nil
	}
	v, err := s.api.VerifyBrowser(r.Context(), h.person.Account, wire.VerifyBrowserRequest{
		Browser: wire.NewSecret(id), Token: wire.NewSecret(token),
	})
	switch {
	case err != nil:
		return "", false, err
	case v.Outcome != wire.Trusted:
		setCookie(w, r, tokenCookie, "", -1)
		return "", false, nil
	}
	setCookie(w, r, tokenCookie, v.Token.Reveal(), lifeOf(v.Expires))
	return v.Browser, true, nil
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// lifeOf is a cookie's, in seconds.
func lifeOf(until time.Time) int { return max(1, int(time.Until(until)/time.Second)) }

func (s *Site) browserPage(w http.ResponseWriter, r *http.Request, h *home) {
	x := s.visits.get(r)
	switch {
	case !x.in || x.account != h.person.Account:
		s.signInPage(s.browserDesk(), x, w, r, h)
		return
	case x.offer:
		s.show(w, r, http.StatusOK, view{Title: "Trust this browser?", Page: "browser-trust", Pane: paneBrowser})
		return
	}
	v := view{Title: "Signed in", Page: "browser-in", Pane: paneBrowser}
	var until time.Time
	if x.trust != "" {
		list, err := s.api.Browsers(r.Context(), x.account)
		if err != nil {
			v.Said = complains(s.explain("listing the browsers of an account", err))
		}
		if i := slices.IndexFunc(list, func(b wire.Browser) bool { return b.ID == x.trust }); i >= 0 {
			until = list[i].Expires
		}
	}
	v.Data = map[string]any{"Name": h.person.Name, "Account": x.account, "Until": until}
	s.show(w, r, http.StatusOK, v)
}

// trustBrowser is what its owner answers after the code, once.
func (s *Site) trustBrowser(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/browser")
	x := s.visits.get(r)
	if !x.offer {
		return
	}
	trust := ""
	if r.PostFormValue("trust") == "yes" {
		id := cookie(r, trustedCookie)
		if len(id) < minTrustedID || len(id) > maxTrustedID {
			id = rand.Text()
		}
		b, err := s.api.TrustBrowser(withKey(r), x.account, wire.TrustBrowserRequest{
			SignIn: x.opened, Browser: wire.NewSecret(id), Name: browserName,
		})
		if err != nil {
			h.complain(paneBrowser, s.explain("trusting a browser", err))
			return
		}
		setCookie(w, r, trustedCookie, id, 365*24*3600)
		setCookie(w, r, tokenCookie, b.Token.Reveal(), lifeOf(b.Browser.Expires))
		trust = b.Browser.ID
	}
	s.visits.change(r, func(x *session) { x.offer, x.trust = false, trust })
	h.changed(paneAccount)
}

// leaveBrowser ends the session; completely: the browser's trust too.
func (s *Site) leaveBrowser(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/browser")
	x := s.visits.get(r)
	if id := cookie(r, trustedCookie); x.in && r.PostFormValue("forget") != "" && len(id) >= minTrustedID && len(id) <= maxTrustedID {
		if err := s.api.SignOutBrowser(withKey(r), x.account, wire.NewSecret(id)); err != nil {
			h.complain(paneBrowser, s.explain("signing out of a browser", err))
			return
		}
		setCookie(w, r, trustedCookie, "", -1)
		setCookie(w, r, tokenCookie, "", -1)
		h.changed(paneAccount)
	}
	s.visits.end(w, r)
	h.say(paneBrowser, "You are signed out.")
}
