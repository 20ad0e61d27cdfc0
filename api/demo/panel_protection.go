package demo

import (
	"context"

	"strongroom.internal/api/wire"
)

var protectionPanel = panel{
	Name: "protection", Title: "Two-factor authentication",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		mac, _ := h.theMac()
		about := mac.About()
		e, err := s.api.Eligibility(ctx, about.Platform, about.SystemVersion, h.person.Account)
		if err != nil || e.Protection == nil {
			return nil, err
		}
		shown := struct {
			wire.Protection
			Trusted  bool   // the Mac that this page is on
			Obstacle string // in the way of turning it on here
		}{Protection: *e.Protection, Trusted: mac.ID() != ""}
		for _, reason := range e.Reasons {
			shown.Obstacle += reasonWords(reason, about.Platform, about.SystemVersion, e.Minimum)
		}
		return shown, nil
	},
	actions: map[string]action{
		"on": func(ctx context.Context, s *Site, h *home, _ session, _ func(string) string) (saying, error) {
			mac, _ := h.theMac()
			if err := s.protect(ctx, h, mac); err != nil {
				return saying{}, err
			}
			s.keep(h)
			return says("Two-factor authentication is on. We sent you a mail with the link that turns it off again."), nil
		},
	},
}

// reasonWords says why a system or an account is not eligible.
func reasonWords(reason, platform, version, minimum string) string {
	switch reason {
	case "version-below-minimum":
		return platform + " " + version + " is older than " + minimum + "."
	case "platform-not-listed":
		return "Systems like this one are not known here."
	case "version-not-readable":
		return "The version of its system can't be told."
	case "class-excluded":
		return "Accounts like this one can't have it."
	}
	return ""
}
