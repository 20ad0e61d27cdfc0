package demo

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// Somebody signs in: name and password, which are this service's own; then, unless what they sit at is trusted, the code.

// desk is what they sit at: the Mac, which can become one of the account's devices, or a browser.
type desk struct {
	pane     pane // and the first part of its paths
	what     string
	sessions *sessions
	// begins is what a sign-in at it begins with.
	begins func(h *home) wire.SignInRequest
	// trusted says whether it needs no code now, by the name of its trust where it has one.
	trusted func(w http.ResponseWriter, r *http.Request, h *home) (trust string, trusted bool, err error)
}

func (d desk) path() string { return "/" + string(d.pane) }

func (s *Site) macDesk() desk {
	return desk{
		pane: paneMac, what: "Mac", sessions: &s.sessions,
		begins: func(h *home) wire.SignInRequest {
			mac, address := h.theMac()
			return wire.SignInRequest{Purpose: wire.PurposeDevice, Device: mac.NewDevice("computer"), Address: address}
		},
		trusted: func(_ http.ResponseWriter, r *http.Request, h *home) (string, bool, error) {
			mac, _ := h.theMac()
			trusted, err := s.trusts(r.Context(), h.person.Account, mac)
			return "", trusted, err
		},
	}
}

func (s *Site) macPage(w http.ResponseWriter, r *http.Request, h *home) {
	x := s.sessions.get(r)
	mac, _ := h.theMac()
	if x.in && x.account == h.person.Account {
		s.show(w, r, http.StatusOK, view{
			Title: "Signed in", Page: "mac-in", Pane: paneMac, Decide: "/mac/decide",
			Data: map[string]any{"Name": h.person.Name, "Account": x.account, "Trusted": mac.ID() != "", "Codes": mac.ShowsCodes(), "Requests": openRequests(mac)},
		})
		return
	}
	s.signInPage(s.macDesk(), x, w, r, h)
}

// signInPage is what somebody sees who isn't signed in yet.
func (s *Site) signInPage(d desk, x session, w http.ResponseWriter, r *http.Request, h *home) {
	out := view{Title: "Sign in", Page: "sign-in", Pane: d.pane, Data: h.who()}
	if x.signIn == "" || x.in {
		s.show(w, r, http.StatusOK, out)
		return
	}
	in, err := s.api.SignIn(r.Context(), x.account, x.signIn)
	if err != nil {
		s.show(w, r, http.StatusOK, view{
			Title: "Sign in", Page: "wait", Pane: d.pane, Said: saying{Text: s.explain("reading a sign-in", err), Bad: true},
		})
		return
	}
	if words, over := endings[in.State]; over {
		if r.Header.Get("X-Live") == "" { // otherwise the page is loaded again, and then says so
			d.sessions.end(w, r)
			h.complain(d.pane, words)
		}
		s.show(w, r, http.StatusOK, out)
		return
	}
	s.show(w, r, http.StatusOK, view{Title: "Enter the code", Page: "code", Pane: d.pane, Data: in})
}

// endings are the states in which a sign-in is over before its code was typed.
var endings = map[string]string{
	"denied":    "This sign-in was not allowed. No code opens it any more.",
	"expired":   "This sign-in took too long. Please begin again.",
	"cancelled": "This sign-in was cancelled.",
	"verified":  "This sign-in was finished somewhere else.",
}

func (s *Site) password(d desk) at {
	return func(w http.ResponseWriter, r *http.Request, h *home) {
		defer back(w, r, d.path())
		account := strings.TrimSpace(r.PostFormValue("account"))
		owner, ok := s.homes.checkPassword(account, r.PostFormValue("password"))
		if !ok || owner != h { // another visitor's person has their own Mac
			h.complain(d.pane, "That account and password don't go together.")
			return
		}
		trust, trusted, err := d.trusted(w, r, h)
		if err != nil {
			h.complain(d.pane, s.explain("asking whether a "+d.what+" is trusted", err))
			return
		}
		if trusted {
			d.sessions.begin(w, r, session{account: account, in: true, trust: trust, proved: time.Now()})
			h.say(d.pane, "No code was needed: this "+d.what+" is trusted.")
			return
		}
		alone, err := s.passwordAlone(r.Context(), account)
		if err != nil {
			h.complain(d.pane, s.explain("asking whether an account is protected", err))
			return
		}
		if alone {
			d.sessions.begin(w, r, session{account: account, in: true})
			h.say(d.pane, "No code was asked for: two-factor authentication is off.")
			return
		}
		in, err := s.api.BeginSignIn(withKey(r), account, d.begins(h))
		if err != nil {
			h.complain(d.pane, s.explain("beginning a sign-in", err))
			return
		}
		d.sessions.begin(w, r, session{account: account, signIn: in.ID})
	}
}

// code is one attempt. With "trust this Mac" the Mac becomes a trusted device in the same step, or not at all; whether a
// browser is to be trusted is asked afterwards.
func (s *Site) code(d desk) at {
	return func(w http.ResponseWriter, r *http.Request, h *home) {
		defer back(w, r, d.path())
		x := d.sessions.get(r)
		mac, _ := h.theMac()
		digits, ok := digitsOf(r.PostFormValue("code"))
		if x.signIn == "" {
			h.complain(d.pane, inWords["ended"]) // another window was told before
			return
		}
		if !ok {
			h.complain(d.pane, "A code has six digits.")
			return
		}
		request := wire.EnterRequest{Code: wire.NewSecret(digits)}
		if d.pane == paneMac && r.PostFormValue("trust") != "" {
			about := mac.About()
			request.NewDevice = &about
		}
		entered, err := s.api.VerifySignIn(withKey(r), x.account, x.signIn, request)
		var p *client.Problem
		if errors.As(err, &p) && p.Named("idempotency-key-reused") {
			h.complain(d.pane, "Please type the code once more.") // another was typed on a page that went back
			return
		}
		if err != nil {
			h.complain(d.pane, s.explain("entering a code", err))
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
			d.sessions.begin(w, r, session{
				account: x.account, in: true, opened: x.signIn, offer: d.pane == paneBrowser, proved: time.Now(),
			})
		case wire.Locked:
			h.complain(d.pane, "There were too many wrong codes. "+until(entered.RetryAt))
		case wire.Ended: // the page says how
		default:
			h.complain(d.pane, "That code is not right.")
		}
	}
}

// send has a code brought to a phone by text or call.
func (s *Site) send(d desk) at {
	return func(w http.ResponseWriter, r *http.Request, h *home) {
		defer back(w, r, d.path())
		x := d.sessions.get(r)
		if x.signIn == "" {
			h.complain(d.pane, inWords["ended"])
			return
		}
		q := sendRequest(r)
		sent, err := s.api.SendCode(withKey(r), x.account, x.signIn, q)
		if err != nil {
			h.complain(d.pane, s.explain("sending a code", err))
			return
		}
		h.leave(d.pane, saysOf(sent, q.Channel))
	}
}

// sendRequest is what a form asks for that has a code sent.
func sendRequest(r *http.Request) wire.SendCodeRequest {
	q := wire.SendCodeRequest{Phone: r.PostFormValue("phone"), Channel: "text"}
	if r.PostFormValue("channel") == "voice" {
		q.Channel = "voice"
	}
	return q
}

// saysOf is what is said of a code that was to be sent.
func saysOf(sent wire.Sending, channel string) saying {
	words, bad := sending(sent, channel)
	if bad {
		return complains(words)
	}
	return says(words)
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

func (s *Site) cancel(d desk) at {
	return func(w http.ResponseWriter, r *http.Request, h *home) {
		defer back(w, r, d.path())
		if x := d.sessions.get(r); x.signIn != "" {
			if err := s.api.CancelSignIn(r.Context(), x.account, x.signIn); err != nil {
				h.complain(d.pane, s.explain("cancelling a sign-in", err))
			}
		}
		d.sessions.end(w, r)
	}
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
