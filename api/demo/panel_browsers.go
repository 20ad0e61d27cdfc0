package demo

import "context"

var browsersPanel = panel{
	Name: "browsers", Title: "Trusted browsers",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		return s.api.Browsers(ctx, h.person.Account)
	},
	actions: map[string]action{
		"revoke": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			defer h.changed(paneBrowser)
			return says("The browser is not trusted any more. It needs a code to sign in."), s.api.RevokeBrowser(ctx, h.person.Account, form("id"))
		},
		"revoke-all": func(ctx context.Context, s *Site, h *home, _ session, _ func(string) string) (saying, error) {
			defer h.changed(paneBrowser)
			return says("No browser is trusted any more."), s.api.RevokeBrowsers(ctx, h.person.Account)
		},
	},
}
