package demo

import (
	"context"
	"net/http"

	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// The stage is the page with everything side by side, and what only a demo has: people who are made up on request, new
// devices out of nowhere, and a Mac that travels.

// place is an address for documentation (RFC 5737), and where the demo's database of places puts it.
type place struct{ IP, Name string }

var addresses = [...]place{
	{"203.0.113.7", "Zürich"},
	{"198.51.100.7", "Nairobi"},
	{"192.0.2.7", "São Paulo"},
	{"10.0.0.7", "nowhere known"},
}

func (s *Site) stage(w http.ResponseWriter, r *http.Request) {
	h := s.home(r)
	if h == nil {
		s.show(w, r, http.StatusOK, view{Title: "Strongroom", Page: "start"})
		return
	}
	_, address := h.theMac()
	s.show(w, r, http.StatusOK, view{
		Title: "Strongroom", Page: "stage", Frame: true,
		Data: map[string]any{"Person": h.who(), "Places": addresses, "At": address, "Phone": h.thePhone().ID() != ""},
	})
}

func iPhone() wire.DeviceRequest {
	return wire.DeviceRequest{Name: "Ada's iPhone", Model: "iPhone", Serial: serial(), Platform: "iOS", SystemVersion: "18.2"}
}

func macBook() wire.DeviceRequest {
	return wire.DeviceRequest{Name: "Ada's MacBook Air", Model: "MacBook Air", Serial: serial(), Platform: "macOS", SystemVersion: "15.2"}
}

// oldMac has a system that is too old to show codes (S12), until it is updated.
func oldMac() wire.DeviceRequest {
	return wire.DeviceRequest{Name: "Ada's old MacBook", Model: "MacBook", Serial: serial(), Platform: "OS X", SystemVersion: "10.9.5"}
}

// updatedTo is what the old Mac can be updated to.
const updatedTo = "10.11.6"

// start makes a person: an account that is protected by two factors, with a phone that is trusted and a number that is
// verified; or one that has a password and nothing else yet.
func (s *Site) start(w http.ResponseWriter, r *http.Request) {
	former := s.home(r)
	h, err := s.newHome(r.Context(), browserToken(w, r), r.PostFormValue("with") == "password")
	if err != nil {
		s.show(w, r, http.StatusServiceUnavailable, view{
			Title: "Strongroom", Page: "start", Said: saying{Text: s.explain("making a person", err), Bad: true},
		})
		return
	}
	s.sessions.end(w, r)
	s.keep(h)
	if former != nil { // nobody signs in there any more
		if err := s.api.DeleteAccount(r.Context(), former.person.Account); err != nil {
			s.log.Warn("deleting the account of a former person", "error", err)
		}
	}
	back(w, r, "/")
}

func (s *Site) newHome(ctx context.Context, cookie string, plain bool) (*home, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	h := &home{id: homeID(cookie), person: newPerson(s.homes.rounds), number: drawNumber(), macAt: addresses[0].IP}
	var err error
	if h.phone, err = app.New(iPhone()); err != nil {
		return nil, err
	}
	if h.mac, err = app.New(macBook()); err != nil {
		return nil, err
	}
	if _, err := s.api.PutAccount(ctx, h.person.Account); err != nil {
		return nil, err
	}
	if err := s.homes.add(h); err != nil || plain {
		return h, err
	}
	verified, err := s.verifyNumber(ctx, h)
	if err != nil || !verified {
		return h, err
	}
	return h, s.protect(ctx, h, h.phone)
}

// verifyNumber adds the phone's number and types the code that comes by text, which is all that a person would do. A code
// that doesn't come in time is no error: the phone goes on from there.
func (s *Site) verifyNumber(ctx context.Context, h *home) (bool, error) {
	account := h.person.Account
	p, err := s.api.AddPhone(ctx, account, wire.PhoneRequest{Number: wire.NewSecret(h.number), Label: "Ada's iPhone"})
	if err != nil {
		return false, err
	}
	if sent, err := s.api.SendPhoneCode(ctx, account, p.ID, "text"); err != nil || sent.Outcome != wire.Sent {
		return false, err
	}
	job, ok := h.awaitText(p.ID, ctx.Done())
	if !ok {
		return false, nil
	}
	v, err := s.api.VerifyPhone(ctx, account, p.ID, wire.NewSecret(textCode.FindString(job.Text)))
	return v.Outcome == wire.Accepted, err
}

func (s *Site) newMac(w http.ResponseWriter, r *http.Request, h *home) {
	about := macBook()
	if r.PostFormValue("system") == "old" {
		about = oldMac()
	}
	mac, err := app.New(about)
	if err == nil {
		h.replace(nil, mac)
		s.keep(h)
	}
	s.sessions.end(w, r)
	back(w, r, "/")
}

func (s *Site) newPhone(w http.ResponseWriter, r *http.Request, h *home) {
	phone, err := app.New(iPhone())
	if err == nil {
		h.replace(phone, nil)
		s.keep(h)
	}
	back(w, r, "/")
}

func (s *Site) moveMac(w http.ResponseWriter, r *http.Request, h *home) {
	for _, a := range addresses {
		if a.IP == r.PostFormValue("address") {
			h.moveMac(a.IP)
			s.keep(h)
		}
	}
	back(w, r, "/")
}

// updateMac brings the old Mac's system up to date. If it is trusted, its account hears of that, and it is given its seed.
func (s *Site) updateMac(w http.ResponseWriter, r *http.Request, h *home) {
	defer back(w, r, "/mac")
	mac, _ := h.theMac()
	if mac.About().Platform != oldMac().Platform {
		return
	}
	if id := mac.ID(); id != "" {
		changed, err := s.api.ChangeDevice(withKey(r), h.person.Account, id, wire.DeviceChange{SystemVersion: updatedTo})
		if err == nil {
			err = mac.Enrolled(changed)
		}
		if err != nil {
			h.complain(paneMac, s.explain("updating a Mac", err))
			return
		}
	}
	mac.Updated(updatedTo)
	s.keep(h)
	h.say(paneMac, "The Mac was updated to OS X "+updatedTo+".")
	h.changed(paneAccount)
}
