package api

import (
	"strongroom.internal/api/wire"
	"strongroom.internal/hsm"
)

func wireModule(s hsm.State, i hsm.Info) wire.Module {
	return wire.Module{
		Status: s.Status.String(), Since: s.Since.UTC(), Reason: s.Reason, Sessions: s.SessionsOpen, InUse: s.SessionsInUse,
		Waiting: s.Waiting, Resident: s.Resident, Hits: s.Hits, Misses: s.Misses, Evictions: s.Evictions, Recoveries: s.Recoveries,
		Kind: i.Kind, Manufacturer: i.Manufacturer, Model: i.Model, Serial: i.Serial, Firmware: i.Firmware, Label: i.Label,
	}
}
