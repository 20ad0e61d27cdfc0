package demo

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// A phone that is new, or was removed, is signed in on. Where the account knows its number, it proves with its own key
// that the text reached it, and nothing is typed; otherwise a code of another device does it.

// setup is such a sign-in, as far as it has come.
type setup struct {
	device *app.Device
	signIn wire.SignIn
	phone  string // id of the number that a text was sent to; empty: a code has to be typed
}

func (h *home) settingUp() setup {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.setup
}

func (h *home) setsUp(x setup) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setup = x
}

func (s *Site) setupPage(w http.ResponseWriter, r *http.Request, h *home) {
	d, x := h.thePhone(), h.settingUp()
	if d.ID() != "" {
		back(w, r, "/phone")
		return
	}
	// Where the password is enough, nothing is to be proved: the phone becomes trusted when protection is turned on.
	if alone, err := s.passwordAlone(r.Context(), h.person.Account); err == nil && alone {
		s.protectionPage(w, r, h)
		return
	}
	waits := x.device == d && time.Now().Before(x.signIn.Expires)
	if waits {
		if in, err := s.api.SignIn(r.Context(), h.person.Account, x.signIn.ID); err == nil {
			// A verified one is being finished here: see textArrived.
			if words, over := endings[in.State]; over && in.State != "verified" {
				h.setsUp(setup{})
				h.complain(panePhone, words)
				waits = false
			}
		}
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Set up this phone", Page: "phone-setup", Pane: panePhone,
		Data: map[string]any{"Removed": d.Removed(), "Waits": waits, "Texted": x.phone != "", "Account": h.person.Account},
	})
}

func (s *Site) setUp(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/phone")
	d := h.thePhone()
	if _, ok := s.homes.checkPassword(h.person.Account, r.PostFormValue("password")); !ok || d.ID() != "" {
		h.complain(panePhone, "That password is not right.")
		return
	}
	in, err := s.api.BeginSignIn(withKey(r), h.person.Account, wire.SignInRequest{
		Purpose: wire.PurposeDevice, Device: d.NewDevice("phone"), Address: addresses[0].IP,
	})
	if err != nil {
		h.complain(panePhone, s.explain("beginning a sign-in", err))
		return
	}
	x := setup{device: d, signIn: in}
	// This phone has its owner's number. The service knows numbers by their last digits only, as people see them.
	for _, option := range in.Channels.Phones {
		if r.PostFormValue("text") == "" || option.Masked[len(option.Masked)-2:] != h.number[len(h.number)-2:] {
			continue
		}
		x.phone = option.ID
		h.setsUp(x) // before the text can come
		sent, err := s.api.SendCode(r.Context(), h.person.Account, in.ID, wire.SendCodeRequest{Phone: option.ID, Channel: "text"})
		if err != nil || sent.Outcome != wire.Sent {
			x.phone = ""
		}
		break
	}
	h.setsUp(x)
}

var textCode = regexp.MustCompile(`^[0-9]{6}`)

// textArrived is the phone's system: it sees the text that it waits for, and the phone proves that it has it.
func (s *Site) textArrived(h *home, job wire.CodeJob) {
	x := h.settingUp()
	code := textCode.FindString(job.Text)
	if x.device == nil || x.signIn.ID != job.SignIn || x.phone != job.Phone || code == "" || job.To != h.number {
		return
	}
	ctx, cancel := context.WithTimeout(s.closing, callTimeout)
	defer cancel()
	proof, err := x.device.ProveText(s.tenant, h.person.Account, x.signIn, x.phone, code)
	if err != nil {
		s.log.Error("proving a text", "error", err)
		return
	}
	s.finishSetup(ctx, h, x, wire.EnterRequest{TextProof: &proof})
}

func (s *Site) setupCode(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/phone")
	x := h.settingUp()
	digits, ok := digitsOf(r.PostFormValue("code"))
	if x.device == nil || !ok {
		h.complain(panePhone, "A code has six digits.")
		return
	}
	s.finishSetup(withKey(r), h, x, wire.EnterRequest{Code: wire.NewSecret(digits)})
}

// finishSetup makes the phone trusted, if the proof is right.
func (s *Site) finishSetup(ctx context.Context, h *home, x setup, q wire.EnterRequest) {
	defer h.changed(panePhone, paneAccount)
	about := x.device.About()
	q.NewDevice = &about
	entered, err := s.api.VerifySignIn(ctx, h.person.Account, x.signIn.ID, q)
	switch {
	case err != nil:
		h.complain(panePhone, s.explain("setting a phone up", err))
	case entered.Outcome == wire.Locked:
		h.complain(panePhone, "There were too many wrong codes. "+until(entered.RetryAt))
	case entered.Outcome != wire.Accepted || entered.NewDevice == nil:
		h.complain(panePhone, "That code is not right.")
	default:
		if err := x.device.Enrolled(*entered.NewDevice); err != nil {
			s.log.Error("setting a phone up", "error", err)
			return
		}
		h.setsUp(setup{})
		h.say(panePhone, "This phone is trusted now.")
		s.keep(h)
	}
}
