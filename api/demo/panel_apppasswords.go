package demo

import (
	"context"
	"net/http"
	"strings"

	"strongroom.internal/api/wire"
)

// mailService is the service that app passwords are for here; they open no other.
const mailService = "mail"

var appPasswordsPanel = panel{
	Name: "app-passwords", Title: "App passwords",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		return s.api.AppPasswords(ctx, h.person.Account)
	},
	actions: map[string]action{
		"revoke": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			return says("The app password was revoked. It opens nothing any more."), s.api.RevokeAppPassword(ctx, h.person.Account, form("id"))
		},
		"revoke-all": func(ctx context.Context, s *Site, h *home, _ session, _ func(string) string) (saying, error) {
			return says("All app passwords were revoked. They open nothing any more."), s.api.RevokeAppPasswords(ctx, h.person.Account)
		},
	},
}

// makeAppPassword answers with the page that shows it. It is on no other and kept nowhere: loaded again, the form is the
// same request, and its answer has the password no more.
func (s *Site) makeAppPassword(w http.ResponseWriter, r *http.Request, h *home) {
	if !s.mayAdd(w, r, h, "For an app password") {
		return
	}
	label := strings.TrimSpace(r.PostFormValue("label"))
	made, err := s.api.CreateAppPassword(withKey(r), h.person.Account, wire.AppPasswordRequest{Label: label, Service: mailService})
	if err != nil {
		h.complain(paneAccount, s.explain("making an app password", err))
		back(w, r, "/account")
		return
	}
	h.changed(paneAccount)
	s.show(w, r, http.StatusOK, view{
		Title: "App password", Page: "app-password", Data: map[string]string{"Label": made.AppPassword.Label, "Password": made.Password.Reveal()},
	})
}
