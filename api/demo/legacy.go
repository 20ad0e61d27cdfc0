package demo

import (
	"context"
	"net/http"
	"strings"

	"strongroom.internal/api/wire"
)

// Older software has one field for a password: an app password goes there, or the code is typed after the password.

func (s *Site) legacyPage(w http.ResponseWriter, r *http.Request, h *home) {
	s.show(w, r, http.StatusOK, view{Title: "Mail", Page: "legacy", Pane: paneMac, Data: h.who()})
}

func (s *Site) legacy(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/legacy")
	const no = "That account and password don't go together. Give an app password, or after the password a code from a trusted device."
	account, text := strings.TrimSpace(r.PostFormValue("account")), r.PostFormValue("password")
	if len(text) < 6 || len(text) > 1024 || s.homes.ofAccount(account) != h {
		h.complain(paneMac, no)
		return
	}
	alone, err := s.passwordAlone(r.Context(), account)
	if err != nil {
		h.complain(paneMac, s.explain("asking whether an account is protected", err))
		return
	}
	if _, right := s.homes.checkPassword(account, text); alone && right {
		h.say(paneMac, "Mail is connected. The password is enough: two-factor authentication is off.")
		return
	}
	if maybeAppPassword(text) {
		s.withAppPassword(r.Context(), h, account, text)
		return
	}
	if alone {
		h.complain(paneMac, "That account and password don't go together.")
		return
	}
	v, err := s.api.VerifyCombined(withKey(r), account, wire.NewSecret(text))
	if err != nil {
		h.complain(paneMac, s.explain("verifying a code after a password", err))
		return
	}
	if v.Outcome == wire.Locked {
		h.complain(paneMac, "There were too many wrong codes. "+until(v.RetryAt))
		return
	}
	// The code was right and is spent. What stands before it is the password, and ours to check.
	if _, right := s.homes.checkPassword(account, text[:min(max(v.Remainder, 0), len(text))]); v.Outcome != wire.Accepted || !right {
		h.complain(paneMac, no)
		return
	}
	h.say(paneMac, "Mail is connected. The code is spent; the next connection needs another one.")
}

// maybeAppPassword says that a text has the form of an app password: sixteen letters, l and o not among them, in groups or
// not. A password with a code after it ends with digits.
func maybeAppPassword(text string) bool {
	letters := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(text))
	return len(letters) == 16 && strings.Trim(letters, "abcdefghijkmnpqrstuvwxyz") == ""
}

func (s *Site) withAppPassword(ctx context.Context, h *home, account, text string) {
	_, address := h.theMac()
	v, err := s.api.VerifyAppPassword(ctx, account, wire.VerifyAppPasswordRequest{
		Password: wire.NewSecret(text), Service: mailService, SourceIP: address,
	})
	switch {
	case err != nil:
		h.complain(paneMac, s.explain("verifying an app password", err))
	case v.Outcome == wire.Accepted:
		h.say(paneMac, "Mail is connected with its app password. It opens Mail alone, until you revoke it.")
		h.changed(paneAccount) // when it was used last
	case v.Outcome == wire.Locked:
		h.complain(paneMac, "There were too many wrong passwords. "+until(v.RetryAt))
	default:
		h.complain(paneMac, "That is no app password of this account.")
	}
}
