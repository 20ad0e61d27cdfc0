package demo

import (
	"context"
	"net/http"
	"strings"

	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// Two-factor authentication is turned on from the phone, step by step, or from the account page, and for two weeks turned
// off again by the link in a mail.

// turningOn is how far the phone has come with it.
type turningOn struct {
	device *app.Device
	phone  string // id of the number that waits for its code; empty: it was verified before
}

func (h *home) turning() turningOn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.turns
}

func (h *home) turn(x turningOn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turns = x
}

// passwordAlone says whether an account is opened by its password: only one that Strongroom says is not protected.
func (s *Site) passwordAlone(ctx context.Context, account string) (bool, error) {
	p, err := s.api.Protection(ctx, account)
	return err == nil && (p.Mode == wire.ProtectionOff || p.Mode == wire.ProtectionPending), err
}

// protect turns two-factor authentication on, on the device at hand, which becomes trusted in the same step if it is not.
// The link of the way back comes with the notice: see takeNotice.
func (s *Site) protect(ctx context.Context, h *home, d *app.Device) error {
	q := wire.ProtectionRequest{Device: d.ID()}
	if q.Device == "" {
		about := d.About()
		q.NewDevice = &about
	}
	a, err := s.api.Protect(ctx, h.person.Account, q)
	if err != nil {
		return err
	}
	if a.NewDevice != nil {
		if err := d.Enrolled(*a.NewDevice); err != nil {
			return err
		}
	}
	h.turn(turningOn{})
	h.changed(panePhone, paneMac, paneAccount)
	return nil
}

// protectionPage is the phone's: how the account stands, and the next step.
func (s *Site) protectionPage(w http.ResponseWriter, r *http.Request, h *home) {
	d, x := h.thePhone(), h.turning()
	v := view{Title: "Two-factor authentication", Page: "phone-protection", Pane: panePhone}
	p, err := s.api.Protection(r.Context(), h.person.Account)
	if err != nil {
		v.Said = saying{Text: s.explain("reading how an account is protected", err), Bad: true}
	}
	step := ""
	switch {
	case p.Mode != wire.ProtectionOff && p.Mode != wire.ProtectionPending:
	case len(p.Missing) == 0:
		step = "on"
	case x.device == d && x.phone != "":
		step = "code"
	default:
		step = "number"
	}
	v.Data = map[string]any{
		"Protection": p, "Step": step, "Trusted": d.ID() != "", "SignedIn": d.ID() != "" || x.device == d, "Account": h.person.Account,
		"Number": h.number, "Tab": "protection",
	}
	s.show(w, r, http.StatusOK, v)
}

// turnOn is one step of it. On a phone that is not trusted the first one asks for the password.
func (s *Site) turnOn(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/phone/protection")
	d, x := h.thePhone(), h.turning()
	if d.ID() == "" && x.device != d {
		if _, ok := s.homes.checkPassword(h.person.Account, r.PostFormValue("password")); !ok {
			h.complain(panePhone, "That password is not right.")
			return
		}
		x = turningOn{device: d}
		h.turn(x)
	}
	said, err := s.turnOnStep(withKey(r), h, d, x, r.PostFormValue)
	if err != nil {
		h.complain(panePhone, s.explain("turning two-factor authentication on", err))
	} else if said.Text != "" {
		h.leave(panePhone, said)
	}
}

func (s *Site) turnOnStep(ctx context.Context, h *home, d *app.Device, x turningOn, form func(string) string) (saying, error) {
	switch form("step") {
	case "number":
		p, err := s.api.AddPhone(ctx, h.person.Account, wire.PhoneRequest{Number: wire.NewSecret(plainNumber(form("number")))})
		if err != nil {
			return saying{}, err
		}
		h.turn(turningOn{d, p.ID})
		ctx = withoutKey(ctx) // the key was for adding it
		if !p.Verified.IsZero() {
			return s.turnedOn(ctx, h, d)
		}
		return s.sendTo(ctx, h, p.ID, form("channel"))
	case "send":
		return s.sendTo(ctx, h, x.phone, form("channel"))
	case "code":
		said, right, err := s.enterPhoneCode(ctx, h, x.phone, form("code"))
		if err != nil || !right {
			return said, err
		}
		return s.turnedOn(withoutKey(ctx), h, d)
	case "on":
		return s.turnedOn(ctx, h, d)
	case "over":
		h.turn(turningOn{device: x.device})
	}
	return saying{}, nil
}

func (s *Site) turnedOn(ctx context.Context, h *home, d *app.Device) (saying, error) {
	if err := s.protect(ctx, h, d); err != nil {
		return saying{}, err
	}
	s.keep(h)
	return says("Two-factor authentication is on, and this phone is trusted."), nil
}

// plainNumber takes out what people put between the digits of a number.
func plainNumber(typed string) string {
	return strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", "\u00a0", "").Replace(typed)
}

// undoPage is where the link in the mail leads. Nothing is done yet: programs follow links before people do.
func (s *Site) undoPage(w http.ResponseWriter, r *http.Request, h *home) {
	token := r.URL.Query().Get("token")
	if token == "" || len(token) > maxToken {
		back(w, r, "/messages")
		return
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Turn two-factor authentication off", Page: "undo", Pane: paneMessages,
		Data: map[string]any{"Token": token, "Account": h.person.Account},
	})
}

// maxToken is how long the token of a link may be.
const maxToken = 64

// undo turns it off by the link's token.
func (s *Site) undo(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/messages")
	a, err := s.api.UndoProtection(withKey(r), h.person.Account, wire.NewSecret(r.PostFormValue("token")))
	if err != nil {
		h.complain(paneMessages, s.explain("turning two-factor authentication off", err))
		return
	}
	words := "Two-factor authentication is off."
	for _, lost := range a.Lost {
		words += lostWords[lost]
	}
	h.say(paneMessages, words)
	h.changed(panePhone, paneMac, paneAccount)
}

// lostWords is what people read of a capability that they give up.
var lostWords = map[string]string{
	"code_required":        " The password alone opens the account again.",
	"two_factor_assurance": " Services that ask for two-factor authentication refuse it.",
	"permanence":           " Whoever has the password can change everything.",
}
