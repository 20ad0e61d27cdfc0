package demo

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// Somebody signs in on the Mac: name and password, which are this service's own; then, unless the Mac is trusted, the code.

func (s *Site) macPage(w http.ResponseWriter, r *http.Request, h *home) {
	x := s.sessions.get(r)
	mac, _ := h.theMac()
	switch {
	case x.in && x.account == h.person.Account:
		s.show(w, r, http.StatusOK, view{
			Title: "Signed in", Page: "mac-in", Pane: paneMac, Decide: "/mac/decide",
			Data: map[string]any{"Name": h.person.Name, "Account": x.account, "Trusted": mac.ID() != "", "Codes": mac.ShowsCodes(), "Requests": openRequests(mac)},
		})
		return
	case x.signIn != "":
		in, err := s.api.SignIn(r.Context(), x.account, x.signIn)
		if err != nil {
			s.show(w, r, http.StatusOK, view{
				Title: "Sign in", Page: "mac-wait", Pane: paneMac, Said: saying{Text: s.explain("reading a sign-in", err), Bad: true},
			})
			return
		}
		if words, over := endings[in.State]; over {
			if r.Header.Get("X-Live") == "" { // otherwise the page is loaded again, and then says so
				s.sessions.end(w, r)
				h.complain(paneMac, words)
			}
			s.show(w, r, http.StatusOK, view{Title: "Sign in", Page: "mac-out", Pane: paneMac, Data: h.person})
			return
		}
		s.show(w, r, http.StatusOK, view{Title: "Enter the code", Page: "mac-code", Pane: paneMac, Data: in})
		return
	}
	s.show(w, r, http.StatusOK, view{Title: "Sign in", Page: "mac-out", Pane: paneMac, Data: h.person})
}

// endings are the states in which a sign-in is over before its code was typed.
var endings = map[string]string{
	"denied":    "This sign-in was not allowed. No code opens it any more.",
	"expired":   "This sign-in took too long. Please begin again.",
	"cancelled": "This sign-in was cancelled.",
	"verified":  "This sign-in was finished somewhere else.",
}

func (s *Site) password(w http.ResponseWriter, r *http.Request, h *home) {
	account := strings.TrimSpace(r.PostFormValue("account"))
	owner, ok := s.homes.checkPassword(account, r.PostFormValue("password"))
	if !ok || owner != h { // another visitor's person has their own Mac
		h.complain(paneMac, "That account and password don't go together.")
		back(w, r, "/mac")
		return
	}
	mac, address := h.theMac()
	trusted, err := s.trusts(r.Context(), account, mac)
	if err != nil {
		h.complain(paneMac, s.explain("asking whether a Mac is trusted", err))
		back(w, r, "/mac")
		return
	}
	if trusted {
		s.sessions.begin(w, r, session{account: account, in: true, proved: time.Now()})
		h.say(paneMac, "No code was needed: this Mac is trusted.")
		back(w, r, "/mac")
		return
	}
	alone, err := s.passwordAlone(r.Context(), account)
	if err != nil {
		h.complain(paneMac, s.explain("asking whether an account is protected", err))
		back(w, r, "/mac")
		return
	}
	if alone {
		s.sessions.begin(w, r, session{account: account, in: true})
		h.say(paneMac, "No code was asked for: two-factor authentication is off.")
		back(w, r, "/mac")
		return
	}
	in, err := s.api.BeginSignIn(withKey(r), account, wire.SignInRequest{
		Purpose: wire.PurposeDevice, Device: mac.NewDevice("computer"), Address: address,
	})
	if err != nil {
		h.complain(paneMac, s.explain("beginning a sign-in", err))
		back(w, r, "/mac")
		return
	}
	s.sessions.begin(w, r, session{account: account, signIn: in.ID})
	back(w, r, "/mac")
}

// code is one attempt. With "trust this Mac" the Mac becomes a trusted device in the same step, or not at all.
func (s *Site) code(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/mac")
	x := s.sessions.get(r)
	mac, _ := h.theMac()
	digits, ok := digitsOf(r.PostFormValue("code"))
	if x.signIn == "" {
		h.complain(paneMac, inWords["ended"]) // another window was told before
		return
	}
	if !ok {
		h.complain(paneMac, "A code has six digits.")
		return
	}
	request := wire.EnterRequest{Code: wire.NewSecret(digits)}
	if r.PostFormValue("trust") != "" {
		about := mac.About()
		request.NewDevice = &about
	}
	entered, err := s.api.VerifySignIn(withKey(r), x.account, x.signIn, request)
	var p *client.Problem
	if errors.As(err, &p) && p.Named("idempotency-key-reused") {
		h.complain(paneMac, "Please type the code once more.") // another was typed on a page that went back
		return
	}
	if err != nil {
		h.complain(paneMac, s.explain("entering a code", err))
		return
	}
	switch entered.Outcome {
	case wire.Accepted:
		if entered.NewDevice != nil {
			if err := mac.Enrolled(*entered.NewDevice); err != nil {
				s.log.Error("making a Mac trusted", "error", err)
			}
			s.keep(h)
		}
		s.sessions.begin(w, r, session{account: x.account, in: true, proved: time.Now()})
	case wire.Locked:
		h.complain(paneMac, "There were too many wrong codes. "+until(entered.RetryAt))
	case wire.Ended: // the page says how
	default:
		h.complain(paneMac, "That code is not right.")
	}
}

// send has a code brought to a phone by text or call.
func (s *Site) send(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/mac")
	x := s.sessions.get(r)
	if x.signIn == "" {
		h.complain(paneMac, inWords["ended"])
		return
	}
	channel := "text"
	if r.PostFormValue("channel") == "voice" {
		channel = "voice"
	}
	sent, err := s.api.SendCode(withKey(r), x.account, x.signIn, wire.SendCodeRequest{Phone: r.PostFormValue("phone"), Channel: channel})
	if err != nil {
		h.complain(paneMac, s.explain("sending a code", err))
		return
	}
	if words, bad := sending(sent, channel); bad {
		h.complain(paneMac, words)
	} else {
		h.say(paneMac, words)
	}
}

// sending says how the sending of a code went.
func sending(sent wire.Sending, channel string) (words string, bad bool) {
	switch sent.Outcome {
	case wire.Sent:
		if channel == "voice" {
			return "We are calling. The call reads the code to you.", false
		}
		return "A text message with a code is on its way.", false
	case wire.TooSoon:
		return "A code was sent a moment ago. " + until(sent.RetryAt), true
	case wire.Limit:
		return "No more codes can be sent for this sign-in.", true
	}
	return "This sign-in is over.", true
}

func until(t time.Time) string {
	switch wait := time.Until(t); {
	case t.IsZero():
		return ""
	case wait < 2*time.Minute:
		return "Try again in " + (wait.Round(time.Second) + time.Second).String() + "."
	default:
		return "Try again at " + t.Local().Format("15:04") + "."
	}
}

func (s *Site) cancel(w http.ResponseWriter, r *http.Request, h *home) {
	if x := s.sessions.get(r); x.signIn != "" {
		if err := s.api.CancelSignIn(r.Context(), x.account, x.signIn); err != nil {
			h.complain(paneMac, s.explain("cancelling a sign-in", err))
		}
	}
	s.sessions.end(w, r)
	back(w, r, "/mac")
}

// signOut ends the session; with "forget" the Mac's trust too, which is what signing out completely means.
func (s *Site) signOut(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/mac")
	x := s.sessions.get(r)
	mac, _ := h.theMac()
	if id := mac.ID(); x.in && r.PostFormValue("forget") != "" && id != "" {
		if err := s.api.SignOutDevice(withKey(r), x.account, id); err != nil && !isNotFound(err) {
			h.complain(paneMac, s.explain("signing out of a Mac", err))
			return
		}
		if err := mac.Forget(); err != nil {
			s.log.Error("forgetting a Mac's key", "error", err)
		}
		s.keep(h)
	}
	s.sessions.end(w, r)
	h.say(paneMac, "You are signed out.")
}

func isNotFound(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Named("not-found")
}

// digitsOf takes out what people put between digits.
func digitsOf(typed string) (digits string, ok bool) {
	if len(typed) > 64 {
		return "", false
	}
	digits = strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(typed)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return digits, len(digits) == 6
}
