package demo

import (
	"context"
	"net/http"
	"time"
)

// panel is a part of the account page: one file panel_<name>.go, and one template panel-<name>.html that defines
// "panel-<name>".
type panel struct {
	Name  string
	Title string
	// load reads what the template shows.
	load func(ctx context.Context, s *Site, h *home) (any, error)
	// actions are what its forms do: they post to /account/<name>/<action>. What they return is said to the person.
	actions map[string]action
}

// action is done for who is signed in. What adds or takes away a second factor names the sign-in whose code they typed.
type action func(ctx context.Context, s *Site, h *home, x session, form func(string) string) (said saying, err error)

// panels in their order on the page.
var panels = []panel{
	protectionPanel, devicesPanel, browsersPanel, phonesPanel, authenticatorsPanel, appPasswordsPanel, passwordPanel, noticesPanel,
}

// shownPanel is a panel with what it shows, or why it can't.
type shownPanel struct {
	Name, Title string
	Data        any
	Trouble     string
}

// signedIn leads who is not signed in to where they can.
func (s *Site) signedIn(w http.ResponseWriter, r *http.Request, h *home) (x session, ok bool) {
	x = s.sessions.get(r)
	if ok = x.in && x.account == h.person.Account; !ok {
		back(w, r, "/mac")
	}
	return x, ok
}

// freshFor is how long a second factor counts as just shown.
const freshFor = 10 * time.Minute

// fresh says whether who is signed in has just shown a second factor: a code, or the key of a trusted Mac, which is asked
// for its signature now.
func (s *Site) fresh(ctx context.Context, h *home, x session) (bool, error) {
	if !x.proved.IsZero() && time.Since(x.proved) < freshFor {
		return true, nil
	}
	mac, _ := h.theMac()
	return s.trusts(ctx, x.account, mac)
}

// mayAdd sees that a second factor was just shown, because what is to be added opens the account, or a service, later on.
func (s *Site) mayAdd(w http.ResponseWriter, r *http.Request, h *home, what string) bool {
	x, ok := s.signedIn(w, r, h)
	if !ok {
		return false
	}
	fresh, err := s.fresh(r.Context(), h, x)
	if err == nil && fresh {
		return true
	}
	words := what + ", sign in with a code first, or on a trusted Mac."
	if err != nil {
		words = s.explain("asking whether a Mac is trusted", err)
	}
	h.complain(paneAccount, words)
	back(w, r, "/account")
	return false
}

func (s *Site) accountPage(w http.ResponseWriter, r *http.Request, h *home) {
	if _, ok := s.signedIn(w, r, h); !ok {
		return
	}
	var list []shownPanel
	for _, p := range panels {
		shown := shownPanel{Name: p.Name, Title: p.Title}
		var err error
		if shown.Data, err = p.load(r.Context(), s, h); err != nil {
			shown.Trouble = s.explain("reading the "+p.Name+" of an account", err)
		}
		list = append(list, shown)
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Your account", Page: "account", Pane: paneAccount,
		Data: map[string]any{"Person": h.who(), "Panels": list},
	})
}

func (s *Site) accountAction(w http.ResponseWriter, r *http.Request, h *home) {
	x, ok := s.signedIn(w, r, h)
	if !ok {
		return
	}
	for _, p := range panels {
		act := p.actions[r.PathValue("action")]
		if p.Name != r.PathValue("panel") || act == nil {
			continue
		}
		said, err := act(withKey(r), s, h, x, r.PostFormValue)
		if err != nil {
			h.complain(paneAccount, s.explain("acting on the "+p.Name+" of an account", err))
		} else if said.Text != "" {
			h.leave(paneAccount, said)
		}
		back(w, r, "/account#"+p.Name)
		return
	}
	http.NotFound(w, r)
}
