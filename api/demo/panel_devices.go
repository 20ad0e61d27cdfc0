package demo

import (
	"context"

	"strongroom.internal/api/wire"
)

var devicesPanel = panel{
	Name: "devices",
	load: func(ctx context.Context, s *Site, h *home) (any, error) {
		list, err := s.api.Devices(ctx, h.person.Account)
		if err != nil {
			return nil, err
		}
		mac, _ := h.theMac()
		type shown struct {
			wire.Credential
			Here, Held bool // the Mac that this page is on; the phone in the person's hand
		}
		var devices []shown
		for _, d := range list {
			devices = append(devices, shown{d, d.ID == mac.ID(), d.ID == h.thePhone().ID()})
		}
		return devices, nil
	},
	actions: map[string]action{
		// Its codes and decisions are worth nothing, on every node, when the call returns.
		"remove": func(ctx context.Context, s *Site, h *home, form func(string) string) (string, error) {
			err := s.api.RemoveDevice(ctx, h.person.Account, form("device"))
			return "The device was removed. It shows no codes any more, and needs one to sign in.", err
		},
	},
}
