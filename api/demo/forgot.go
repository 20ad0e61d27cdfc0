package demo

import (
	"net/http"

	"strongroom.internal/api/wire"
)

// Who has forgotten the password sets a new one on a trusted phone. Who has no phone either recovers the account: see
// recovery.go.

func (s *Site) forgotPage(w http.ResponseWriter, r *http.Request, h *home) {
	s.show(w, r, http.StatusOK, view{Title: "Forgot the password?", Page: "forgot", Pane: paneMac, Data: h.who()})
}

func (s *Site) phonePasswordPage(w http.ResponseWriter, r *http.Request, h *home) {
	if h.thePhone().ID() == "" {
		back(w, r, "/phone")
		return
	}
	s.show(w, r, http.StatusOK, view{
		Title: "New password", Page: "phone-password", Pane: panePhone, Data: map[string]any{"Account": h.person.Account, "Tab": "protection"},
	})
}

// resetPassword: the phone signs that its owner is there and wants another password, and for that the API gives a grant. It
// is redeemed when the password is set.
func (s *Site) resetPassword(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/phone/password")
	text := r.PostFormValue("new")
	if words := unfit(text); words != "" {
		h.complain(panePhone, words)
		return
	}
	d := h.thePhone()
	in, err := s.api.BeginSignIn(withKey(r), h.person.Account, wire.SignInRequest{
		Purpose: wire.PurposePasswordReset, Device: d.NewDevice("phone"), Own: d.ID(), Address: addresses[0].IP,
	})
	var q wire.ResetRequest
	if err == nil {
		q, err = d.AskReset(in)
	}
	var g wire.ResetGrant
	if err == nil {
		g, err = s.api.GrantReset(r.Context(), h.person.Account, q)
	}
	if err == nil {
		_, err = s.api.RedeemReset(r.Context(), h.person.Account, g.Grant)
	}
	if err == nil && r.PostFormValue("known") != "" {
		err = s.api.ChangePassword(r.Context(), h.person.Account, wire.PasswordChange{Device: d.ID(), Security: true})
	}
	if err != nil {
		h.complain(panePhone, s.explain("setting a new password", err))
		return
	}
	s.takePassword(h, text, nil)
	h.say(panePhone, "The new password is set. App passwords are revoked.")
}
