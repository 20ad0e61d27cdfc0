package api

import (
	"strongroom.internal/api/wire"
	"strongroom.internal/hsm"
)

func wireModule(s hsm.State, i hsm.Info) wire.Module {
	return wire.Module{
		Status: s.Status.String(), Since: s.Since.UTC(), Reason: s.Reason, Sessions: s.Sessions, Resident: s.Resident,
		Kind: i.Kind, Manufacturer: i.Manufacturer, Model: i.Model, Serial: i.Serial, Firmware: i.Firmware, Label: i.Label,
	}
}
