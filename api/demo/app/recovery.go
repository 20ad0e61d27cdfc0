package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// ErrNoRecovery: the device was told of no such recovery, or it is over.
var ErrNoRecovery = errors.New("this device knows no such recovery")

// Recovery is one that the device was told of: somebody says that they have none of the account's devices and phones.
type Recovery struct {
	ID    string    `json:"id"`
	Nonce []byte    `json:"nonce"`
	At    time.Time `json:"at"`
	Ready time.Time `json:"ready"` // when it can be completed
}

// Recovery is the one that runs, as far as the device was told; false: none does.
func (d *Device) Recovery() (Recovery, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recovery == nil {
		return Recovery{}, false
	}
	return *d.recovery, true
}

// toldOfRecovery takes a notice about a recovery.
func (d *Device) toldOfRecovery(n wire.Notice, data wire.NoticeData) (changed bool, err error) {
	if data.Recovery == "" || !slices.Contains(data.Devices, d.binding.Credential) {
		return false, nil
	}
	running := d.recovery != nil && d.recovery.ID == data.Recovery
	switch n.Type {
	case wire.NoticeRecoveryStarted:
		if running || data.Recovery == d.recovered {
			return false, nil
		}
		d.recovery = &Recovery{ID: data.Recovery, Nonce: data.Nonce, At: n.Timestamp, Ready: data.Ready}
		return true, nil
	case wire.NoticeRecoveryCompleted: // the devices that it names were the account's
		return true, d.forget(true)
	case wire.NoticeRecoveryCancelled:
		d.recovered = data.Recovery
		if running {
			d.recovery = nil
		}
		return running, nil
	}
	if running {
		next := *d.recovery // another may have its record in hand
		next.Ready = data.Ready
		d.recovery = &next
	}
	return running, nil
}

// StopRecovery signs the owner's no and has it carried.
func (d *Device) StopRecovery(ctx context.Context, relay Relay, id string) error {
	d.mu.Lock()
	if d.recovery == nil || d.recovery.ID != id {
		d.mu.Unlock()
		return ErrNoRecovery
	}
	key, r := d.key, device.Recovery{
		Tenant: d.binding.Tenant, Account: d.binding.Account, ID: id, Nonce: d.recovery.Nonce, Device: d.binding.Credential,
	}
	d.mu.Unlock()
	at, signature, err := key.CancelRecovery(r, time.Now())
	if err != nil {
		return err
	}
	if err := relay.CancelRecovery(ctx, r.Account, id, wire.CancellationRequest{Device: r.Device, TimeMS: at, Signature: signature}); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recovered = id
	if d.recovery != nil && d.recovery.ID == id {
		d.recovery = nil
	}
	return nil
}

// AskReset signs, in a sign-in for that purpose that was begun on this device, that its owner wants another password. The
// device has just been unlocked for it: an app asks its system for that, and signs only then.
func (d *Device) AskReset(s wire.SignIn) (wire.ResetRequest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.binding.Credential == "" {
		return wire.ResetRequest{}, ErrNotTrusted
	}
	r := wire.ResetRequest{SignIn: s.ID, Device: d.binding.Credential, Presence: wire.Present}
	var err error
	r.TimeMS, r.Signature, err = d.key.AskReset(device.SignIn{
		Tenant: d.binding.Tenant, Account: d.binding.Account, ID: s.ID, Nonce: s.Nonce, Device: d.binding.Credential,
	}, true, time.Now())
	return r, err
}
