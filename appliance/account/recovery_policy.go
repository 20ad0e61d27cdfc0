package account

import (
	"errors"
	"fmt"
)

// RecoveryPolicy is what a tenant's policy says of recoveries. Its zero value allows none. What it says counts for
// recoveries that start afterwards: one that runs has its terms from its start, and no policy changes them.
type RecoveryPolicy struct {
	Allow bool `cbor:"1,keyasint,omitempty" json:"allow"`
	// WaitDays is how long a recovery waits without evidence, and FloorDays how long with any. 0: the defaults of limits.go.
	WaitDays  uint8 `cbor:"2,keyasint,omitempty" json:"wait_days,omitempty"`
	FloorDays uint8 `cbor:"3,keyasint,omitempty" json:"floor_days,omitempty"`
	// PauseDays is how long none starts after the owner has cancelled one. 0: the default.
	PauseDays uint8   `cbor:"4,keyasint,omitempty" json:"pause_days,omitempty"`
	Shorten   Weights `cbor:"5,keyasint,omitzero" json:"shorten,omitzero"`
}

// Weights is by how many hours each kind of evidence shortens a wait, once. 0: it doesn't, but is evidence all the same.
type Weights struct {
	PhoneCode uint16 `cbor:"1,keyasint,omitempty" json:"phone_code_hours,omitempty"`
	Device    uint16 `cbor:"2,keyasint,omitempty" json:"device_hours,omitempty"`
	Password  uint16 `cbor:"3,keyasint,omitempty" json:"password_hours,omitempty"`
	Email     uint16 `cbor:"4,keyasint,omitempty" json:"email_hours,omitempty"`
}

// Of is the weight of a kind, in milliseconds.
func (w Weights) Of(k EvidenceKind) Time {
	return Time([...]uint16{PhoneCodeEvidence: w.PhoneCode, DeviceEvidence: w.Device, PasswordEvidence: w.Password, EmailEvidence: w.Email}[k]) * 60 * 60 * 1000
}

// ResetPolicy is what a tenant's policy says of password resets.
type ResetPolicy struct {
	// LocalPresence wants the device to say that its owner unlocked it for this.
	LocalPresence bool `cbor:"1,keyasint,omitempty" json:"local_presence,omitempty"`
	// ByCode lets a sign-in for a reset that was verified by a code stand for a device's signature. Whoever has the phone
	// then has the account.
	ByCode bool `cbor:"2,keyasint,omitempty" json:"by_code,omitempty"`
}

func (p RecoveryPolicy) validate() error {
	var errs []error
	most := func(name string, n, most int) {
		if n > most {
			errs = append(errs, fmt.Errorf("recovery.%s: must be at most %d", name, most))
		}
	}
	most("wait_days", int(p.WaitDays), MaxRecoveryDays)
	most("pause_days", int(p.PauseDays), MaxRecoveryDays)
	for name, hours := range map[string]uint16{
		"phone_code": p.Shorten.PhoneCode, "device": p.Shorten.Device, "password": p.Shorten.Password, "email": p.Shorten.Email,
	} {
		most("shorten."+name+"_hours", int(hours), MaxRecoveryDays*24)
	}
	if t := p.terms(); t.Floor > t.Wait {
		errs = append(errs, errors.New("recovery.floor_days: must not be longer than the wait"))
	}
	return errors.Join(errs...)
}

// terms are those of a recovery that starts now.
func (p RecoveryPolicy) terms() Terms {
	days := func(n uint8, otherwise int) Time {
		return Time(or(n, otherwise, MaxRecoveryDays)) * 24 * 60 * 60 * 1000
	}
	return Terms{
		Wait: days(p.WaitDays, DefaultRecoveryWait), Floor: days(p.FloorDays, DefaultRecoveryFloor),
		Pause: days(p.PauseDays, DefaultRecoveryPause), Shorten: p.Shorten,
	}
}
