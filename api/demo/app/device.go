// Package app is what a person holds: the app on a trusted phone, or the part of a Mac's system that does the same.
//
// The demo runs it on its own server as a stand-in for a real device, and that is the only thing about it that is not
// real. It has a key that nobody else has, it opens its own seed and its own codes, it signs its own decisions, and it
// reaches the account only through a [Relay], which carries what it can neither read nor forge. Of Strongroom it imports
// api/device, which phones are to be written with, and api/wire, whose JSON the relay hands on.
package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// ErrNotTrusted: the device is not, or no longer, one of the account's.
var ErrNotTrusted = errors.New("this device is not trusted")

// ErrUnknownSignIn: the device was not asked about that sign-in, or it is over.
var ErrUnknownSignIn = errors.New("this device knows no such sign-in")

// Relay is the way from the app to whoever keeps the account: a front-end. It needs to be trusted with nothing but to
// carry.
type Relay interface {
	// Decide carries a signed decision and brings back the code that is sealed to the device.
	Decide(ctx context.Context, account, signIn string, r wire.DecisionRequest) (wire.Decision, error)
	// FetchCode carries a signed request for that code, once more.
	FetchCode(ctx context.Context, account, signIn, device string, r wire.FetchCodeRequest) (wire.SealedCode, error)
	// CancelRecovery carries a signed no to a recovery.
	CancelRecovery(ctx context.Context, account, recovery string, r wire.CancellationRequest) error
}

// Device is one device. It is safe for concurrent use.
type Device struct {
	mu       sync.Mutex         // guards what follows
	about    wire.DeviceRequest // without the key
	key      *device.Key
	binding  device.Binding // zero: not enrolled
	seed     *device.Seed   // nil also when it is enrolled and its system is too old to show codes
	removed  bool
	requests []Request
	recovery *Recovery // that runs; nil: none
	// recovered is the newest recovery that is over: a notice of its start may come once more.
	recovered string
}

// New makes a device with a new key. Its public key is not taken from about.
func New(about wire.DeviceRequest) (*Device, error) {
	d := &Device{about: about}
	if err := d.renew(); err != nil {
		return nil, err
	}
	return d, nil
}

// renew makes a new key, which makes it a device that nobody knows.
func (d *Device) renew() error {
	key, err := device.NewKey()
	if err != nil {
		return err
	}
	d.key = key
	return nil
}

// About is what the device says of itself, with its public key: what it is enrolled with.
func (d *Device) About() wire.DeviceRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	about := d.about
	about.PublicKey = d.key.Public()
	return about
}

// NewDevice is what it says of itself when somebody signs in on it.
func (d *Device) NewDevice(kind string) wire.NewDevice {
	d.mu.Lock()
	defer d.mu.Unlock()
	return wire.NewDevice{
		Kind: kind, Name: d.about.Name, Model: d.about.Model, Platform: d.about.Platform, SystemVersion: d.about.SystemVersion,
	}
}

// Enrolled takes what came back for the device's public key, opens the seed, and makes the device a trusted one. A device
// whose system is too old has no seed: it is trusted, and shows no codes until it was updated and is given one.
func (d *Device) Enrolled(e wire.EnrolledDevice) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var seed *device.Seed
	if len(e.Envelope.Wrapped) > 0 {
		var err error
		if seed, err = d.key.OpenSeed(device.Binding(e.Binding), e.Envelope.Ephemeral, e.Envelope.Wrapped); err != nil {
			return fmt.Errorf("opening the seed of an enrolment: %w", err)
		}
	}
	d.binding, d.seed, d.removed = device.Binding(e.Binding), seed, false
	return nil
}

// ID is the device's id, empty before it is enrolled and after it was removed.
func (d *Device) ID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.binding.Credential
}

// ShowsCodes says that it has a seed.
func (d *Device) ShowsCodes() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seed != nil
}

// Updated notes that the device has another version of its system.
func (d *Device) Updated(version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.about.SystemVersion = version
}

// Removed says that the device was trusted and was taken from the account.
func (d *Device) Removed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.removed
}

// Forget makes it a device that was never trusted: its seed is gone, and its key is another. An app does so as soon as it
// hears that it was removed; that its codes and decisions are worth nothing doesn't depend on it.
func (d *Device) Forget() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.forget(false)
}

func (d *Device) forget(removed bool) error {
	d.binding, d.seed, d.requests, d.recovery, d.removed = device.Binding{}, nil, nil, nil, removed
	return d.renew()
}

// Code is what the settings show at a moment, and how long they will. It asks nobody: it works in flight mode.
func (d *Device) Code(at time.Time) (code string, left time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seed == nil {
		return "", 0, ErrNotTrusted
	}
	code, left = d.seed.Code(at)
	return code, left, nil
}

// ProveText signs that the text message with that code reached this very device.
func (d *Device) ProveText(tenant, account string, s wire.SignIn, phone, code string) (wire.TextProof, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	signature, err := d.key.ProveText(device.SignIn{Tenant: tenant, Account: account, ID: s.ID, Nonce: s.Nonce}, phone, code)
	return wire.TextProof{Phone: phone, Signature: signature}, err
}

// ProveTrust answers a front-end's challenge with the device's id and a signature.
func (d *Device) ProveTrust(account string, challenge []byte) (id string, proof wire.VerifyDeviceRequest, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.binding.Credential == "" || d.binding.Account != account {
		return "", proof, ErrNotTrusted
	}
	proof.Challenge = challenge
	proof.TimeMS, proof.Signature, err = d.key.ProveTrust(d.binding, challenge, time.Now())
	return d.binding.Credential, proof, err
}
