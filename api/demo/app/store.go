package app

import (
	"errors"
	"fmt"

	"strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// Record is a device on the demo's disk, keys and all: a real device has hardware for that, and keeps none of it here.
type Record struct {
	About   wire.DeviceRequest `json:"about"`
	Private []byte             `json:"private"` // PKCS#8
	Binding device.Binding     `json:"binding,omitzero"`
	Seed    []byte             `json:"seed,omitempty"`
	Removed bool               `json:"removed,omitempty"`
	// Recovery runs for days, and nobody tells of its start again.
	Recovery *Recovery `json:"recovery,omitempty"`
}

// Record writes the device down.
func (d *Device) Record() (Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	private, err := d.key.MarshalPrivate()
	if err != nil {
		return Record{}, fmt.Errorf("writing a device's key: %w", err)
	}
	r := Record{About: d.about, Private: private, Binding: d.binding, Removed: d.removed, Recovery: d.recovery}
	if d.seed != nil {
		r.Seed = d.seed.Reveal()
	}
	return r, nil
}

// Restore makes the device that was written down. Requests are not: what is open is asked for again by nobody.
func Restore(r Record) (*Device, error) {
	key, err := device.ParseKey(r.Private)
	if err != nil {
		return nil, err
	}
	d := &Device{about: r.About, key: key, binding: r.Binding, removed: r.Removed, recovery: r.Recovery}
	if len(r.Seed) > 0 && r.Binding.Credential == "" {
		return nil, errors.New("reading a device: it has a seed and no id")
	}
	if len(r.Seed) > 0 {
		seed, err := device.NewSeed(r.Seed)
		if err != nil {
			return nil, err
		}
		d.seed = seed
	}
	return d, nil
}
