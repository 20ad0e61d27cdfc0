package demo

import (
	"context"

	"strongroom.internal/api/wire"
)

// shownDevice is a device as its person sees it.
type shownDevice struct {
	wire.Credential
	Here, Held bool   // the Mac that this page is on; the phone in the person's hand
	WhyNot     string // it shows no codes
}

var devicesPanel = panel{
	Name: "devices", Title: "Devices",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		list, err := s.api.Devices(ctx, h.person.Account)
		if err != nil {
			return nil, err
		}
		mac, _ := h.theMac()
		var devices []shownDevice
		for _, d := range list {
			x := shownDevice{Credential: d, Here: d.ID == mac.ID(), Held: d.ID == h.thePhone().ID()}
			if d.Trusted && !d.ShowsCodes {
				if x.WhyNot, err = s.whyNot(ctx, d.Platform, d.SystemVersion); err != nil {
					return nil, err
				}
			}
			devices = append(devices, x)
		}
		return devices, nil
	},
	actions: map[string]action{
		// Its codes and decisions are worth nothing, on every node, when the call returns.
		"remove": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			err := s.api.RemoveDevice(ctx, h.person.Account, form("device"))
			return says("The device was removed. It shows no codes any more, and needs one to sign in."), err
		},
		"rename": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			_, err := s.api.ChangeDevice(ctx, h.person.Account, form("device"), wire.DeviceChange{Name: form("name")})
			return says("The device has another name."), err
		},
		"report": func(ctx context.Context, s *Site, h *home, _ session, form func(string) string) (saying, error) {
			_, err := s.api.ReportDevice(ctx, h.person.Account, form("device"), form("state"))
			return says("Nothing of the device is trusted any more. It stays in the list until you remove it."), err
		},
	},
}

// whyNot says why a system shows no codes.
func (s *Site) whyNot(ctx context.Context, platform, version string) (string, error) {
	if platform == "" {
		return "Its system is not known.", nil
	}
	e, err := s.api.Eligibility(ctx, platform, version, "")
	if err != nil || len(e.Reasons) == 0 {
		return "Devices of this kind show none.", err
	}
	return reasonWords(e.Reasons[0], platform, version, e.Minimum), nil
}
