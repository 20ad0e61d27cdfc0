package demo

import (
	"net/http"
	"strings"

	"strongroom.internal/api/wire"
)

// Older software has one field for a password: the code is typed after it.

func (s *Site) legacyPage(w http.ResponseWriter, r *http.Request, h *home) {
	s.show(w, r, http.StatusOK, view{Title: "Mail", Page: "legacy", Pane: paneMac, Data: h.person})
}

func (s *Site) legacy(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/legacy")
	const no = "That account and password don't go together. After the password, type a code from a trusted device."
	account, text := strings.TrimSpace(r.PostFormValue("account")), r.PostFormValue("password")
	if len(text) < 6 || len(text) > 1024 || s.homes.ofAccount(account) != h {
		h.complain(paneMac, no)
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
