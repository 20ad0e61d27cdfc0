package demo

import (
	"net/http"
	"time"

	"strongroom.internal/api/demo/app"
)

// The pages of the trusted phone show what package app has.

func (s *Site) phonePage(w http.ResponseWriter, r *http.Request, h *home) {
	d := h.thePhone()
	if d.ID() == "" {
		s.setupPage(w, r, h)
		return
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Phone", Page: "phone", Pane: panePhone, Decide: "/phone/decide", Refresh: 5,
		Data: map[string]any{"Requests": openRequests(d), "Recovery": recoveries(d), "Past": pastRequests(d), "Now": time.Now(), "Tab": "requests"},
	})
}

func openRequests(d *app.Device) (list []app.Request) {
	for _, r := range d.Requests() {
		if r.Open(time.Now()) {
			list = append(list, r)
		}
	}
	return list
}

// pastRequests are the last two that are over.
func pastRequests(d *app.Device) (list []app.Request) {
	for _, r := range d.Requests() {
		if !r.Open(time.Now()) && len(list) < 2 {
			list = append(list, r)
		}
	}
	return list
}

// settingsPage shows the code that works without a network, and for how long.
func (s *Site) settingsPage(w http.ResponseWriter, r *http.Request, h *home) {
	now := time.Now()
	code, left, err := h.thePhone().Code(now)
	if err != nil {
		back(w, r, "/phone")
		return
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Code", Page: "phone-code", Pane: panePhone, Refresh: int(left/time.Second) + 1,
		Data: map[string]any{
			"Code": code, "Left": int(left/time.Second) + 1, "Until": now.Add(left).UnixMilli(), "Number": h.number, "Tab": "code",
			"Device": h.thePhone().About(),
		},
	})
}

// decideOn has the device in a pane sign Allow or Don't Allow, or show its code again.
func (s *Site) decideOn(p pane) at {
	return func(w http.ResponseWriter, r *http.Request, h *home) {
		defer back(w, r, "/"+string(p))
		d := h.thePhone()
		if p == paneMac {
			d, _ = h.theMac()
		}
		id := r.PostFormValue("sign_in")
		var err error
		// No key of the form: each signature is another request, and the same decision twice is one.
		switch r.PostFormValue("decision") {
		case "allow":
			err = d.Decide(r.Context(), relay{s.api}, id, true)
		case "deny":
			err = d.Decide(r.Context(), relay{s.api}, id, false)
		case "again":
			err = d.FetchAgain(r.Context(), relay{s.api}, id)
		}
		if err != nil {
			h.complain(p, s.explain("deciding on a device", err))
		}
		h.changed(paneMac, panePhone)
	}
}
