package demo

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"

	"strongroom.internal/api/wire"
)

var authenticatorsPanel = panel{
	Name: "authenticators", Title: "Authenticator apps",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		return s.api.Authenticators(ctx, h.person.Account)
	},
	actions: map[string]action{
		"remove": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			return says("The app was removed. Its codes are worth nothing."), s.api.RemoveAuthenticator(ctx, h.person.Account, form("id"))
		},
	},
}

// addAuthenticator answers with the page that shows the QR code. As with app passwords, it is on no other and kept nowhere.
func (s *Site) addAuthenticator(w http.ResponseWriter, r *http.Request, h *home) {
	if !s.mayAdd(w, r, h, "For an authenticator app") {
		return
	}
	made, err := s.api.AddAuthenticator(withKey(r), h.person.Account, wire.AuthenticatorRequest{
		Issuer: "Example", Label: h.person.Account, SignIn: s.sessions.get(r).opened,
	})
	data := map[string]any{}
	if err == nil && !made.URI.IsZero() {
		data["Secret"], data["QR"], err = shownSeed(made)
	}
	if err != nil {
		h.complain(paneAccount, s.explain("adding an authenticator app", err))
		back(w, r, "/account#authenticators")
		return
	}
	h.changed(paneAccount)
	s.show(w, r, http.StatusOK, view{Title: "Authenticator app", Page: "authenticator", Data: data})
}

// shownSeed is a seed as letters in groups, for who can't scan, and as a drawing.
func shownSeed(made wire.NewAuthenticator) (letters string, drawing any, err error) {
	u, err := url.Parse(made.URI.Reveal())
	if err != nil {
		return "", nil, errSeed // not the cause: it quotes
	}
	for i, c := range u.Query().Get("secret") {
		if i > 0 && i%4 == 0 {
			letters += " "
		}
		letters += string(c)
	}
	png, err := base64.StdEncoding.DecodeString(made.QR.Reveal())
	if err != nil {
		return "", nil, errSeed
	}
	drawing, err = drawQR(png)
	return letters, drawing, err
}
