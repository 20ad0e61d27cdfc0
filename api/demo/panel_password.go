package demo

import (
	"context"
	"net/http"

	"strongroom.internal/api/wire"
)

var passwordPanel = panel{
	Name: "password", Title: "Password",
	load: func(context.Context, *Site, *home) (any, error) { return nil, nil },
}

// changePassword first has the API end what stood for the old password, and then takes the new one: a half of it is no
// trust, and not a new password with old trust.
func (s *Site) changePassword(w http.ResponseWriter, r *http.Request, h *home) {
	x, ok := s.signedIn(w, r, h)
	if !ok {
		return
	}
	defer back(w, r, "/account#password")
	text := r.PostFormValue("new")
	if _, right := s.homes.checkPassword(h.person.Account, r.PostFormValue("password")); !right {
		h.complain(paneAccount, "That is not your password.")
		return
	}
	if words := unfit(text); words != "" {
		h.complain(paneAccount, words)
		return
	}
	mac, _ := h.theMac()
	q := wire.PasswordChange{Security: r.PostFormValue("known") != "", Device: mac.ID(), SignIn: x.opened}
	if err := s.api.ChangePassword(withKey(r), h.person.Account, q); err != nil {
		h.complain(paneAccount, s.explain("changing a password", err))
		return
	}
	s.takePassword(h, text, r)
	if q.Security {
		h.say(paneAccount, "The password was changed. Nothing is trusted any more but what is in front of you.")
	} else {
		h.say(paneAccount, "The password was changed. App passwords are revoked.")
	}
}

// takePassword sets a password that the API was told of. Whoever is signed in with the old one is signed out, but for who
// asks on the Mac; nil: nobody does.
func (s *Site) takePassword(h *home, text string, r *http.Request) {
	s.homes.setPassword(h, text)
	s.sessions.endOthers(h.person.Account, r)
	s.visits.endOthers(h.person.Account, nil)
	s.keep(h)
	h.changed(paneMac, paneBrowser, panePhone, paneAccount)
}
