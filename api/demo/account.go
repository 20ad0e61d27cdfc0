package demo

import (
	"context"
	"net/http"
)

// panel is a part of the account page: one file panel_<name>.go, and one template panel-<name>.html that defines
// "panel-<name>".
type panel struct {
	Name string
	// load reads what the template shows.
	load func(ctx context.Context, s *Site, h *home) (any, error)
	// actions are what its forms do: they post to /account/<name>/<action>. What they return is said to the person.
	actions map[string]action
}

type action func(ctx context.Context, s *Site, h *home, form func(string) string) (said string, err error)

// panels in their order on the page.
var panels = []panel{devicesPanel, phonesPanel, noticesPanel}

// shownPanel is a panel with what it shows, or why it can't.
type shownPanel struct {
	Name    string
	Data    any
	Trouble string
}

func (s *Site) accountPage(w http.ResponseWriter, r *http.Request, h *home) {
	x := s.sessions.get(r)
	if !x.in || x.account != h.person.Account {
		back(w, r, "/mac")
		return
	}
	var list []shownPanel
	for _, p := range panels {
		shown := shownPanel{Name: p.Name}
		var err error
		if shown.Data, err = p.load(r.Context(), s, h); err != nil {
			shown.Trouble = s.explain("reading the "+p.Name+" of an account", err)
		}
		list = append(list, shown)
	}
	s.show(w, r, http.StatusOK, view{
		Title: "Your account", Page: "account", Pane: paneAccount,
		Data: map[string]any{"Person": h.person, "Panels": list},
	})
}

func (s *Site) accountAction(w http.ResponseWriter, r *http.Request, h *home) {
	x := s.sessions.get(r)
	if !x.in || x.account != h.person.Account {
		back(w, r, "/mac")
		return
	}
	for _, p := range panels {
		act := p.actions[r.PathValue("action")]
		if p.Name != r.PathValue("panel") || act == nil {
			continue
		}
		said, err := act(withKey(r), s, h, r.PostFormValue)
		if err != nil {
			h.complain(paneAccount, s.explain("acting on the "+p.Name+" of an account", err))
		} else if said != "" {
			h.say(paneAccount, said)
		}
		back(w, r, "/account#"+p.Name)
		return
	}
	http.NotFound(w, r)
}
