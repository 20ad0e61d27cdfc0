package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// State is how a request stands.
type State string

// States. Those after Allowed are ends.
const (
	Asking    State = "asking"
	Allowed   State = "allowed" // the code is there, or can be had again
	Denied    State = "denied"
	Verified  State = "verified" // somebody signed in with a code
	Cancelled State = "cancelled"
)

// Request is a sign-in that the device was asked about.
type Request struct {
	SignIn  string
	Nonce   []byte
	Device  wire.NewDevice
	Place   *wire.Place
	Purpose string
	At      time.Time
	Expires time.Time
	State   State
	Code    string // after Allow on this device, until the end
}

// Open says that the request can still be decided, or its code be used.
func (r Request) Open(now time.Time) bool {
	return (r.State == Asking || r.State == Allowed) && now.Before(r.Expires)
}

// maxRequests is how many requests a device remembers.
const maxRequests = 8

// Push is what the front-end's push service calls. A notice comes at least once: what comes again changes nothing.
// It reports whether anything changed.
func (d *Device) Push(n wire.Notice) (changed bool, err error) {
	var data wire.NoticeData
	if err := json.Unmarshal(n.Data, &data); err != nil {
		return false, fmt.Errorf("reading a notice: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.binding.Credential == "" || data.Account != d.binding.Account {
		return false, nil
	}
	switch n.Type {
	case wire.NoticeBegun:
		return d.asked(n, data), nil
	case wire.NoticeAllowed:
		return d.turned(data.SignIn, Allowed), nil
	case wire.NoticeDenied:
		return d.turned(data.SignIn, Denied), nil
	case wire.NoticeVerified:
		return d.turned(data.SignIn, Verified), nil
	case wire.NoticeCancelled:
		return d.turned(data.SignIn, Cancelled), nil
	case wire.NoticeDeviceRemoved, wire.NoticeDeviceLost:
		if data.Credential != d.binding.Credential {
			return false, nil
		}
		return true, d.forget(true)
	}
	return d.toldOfRecovery(n, data)
}

func (d *Device) asked(n wire.Notice, data wire.NoticeData) bool {
	if !slices.Contains(data.Devices, d.binding.Credential) || d.find(data.SignIn) != nil {
		return false
	}
	r := Request{
		SignIn: data.SignIn, Nonce: data.Nonce, Place: data.Place, Purpose: data.Purpose,
		At: n.Timestamp, Expires: data.Expires, State: Asking,
	}
	if data.Device != nil {
		r.Device = *data.Device
	}
	d.requests = append(d.requests, r)
	if len(d.requests) > maxRequests {
		d.requests = slices.Delete(d.requests, 0, len(d.requests)-maxRequests)
	}
	return true
}

// turned moves a request on, never back: the device may know better than a notice that was on its way.
func (d *Device) turned(signIn string, to State) bool {
	r := d.find(signIn)
	if r == nil || r.State == to || r.State != Asking && r.State != Allowed {
		return false
	}
	r.State = to
	if to != Allowed {
		r.Code = ""
	}
	return true
}

func (d *Device) find(signIn string) *Request {
	for i := range d.requests {
		if d.requests[i].SignIn == signIn {
			return &d.requests[i]
		}
	}
	return nil
}

// Requests are those that the device remembers, newest first.
func (d *Device) Requests() []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Clone(d.requests)
	slices.Reverse(list)
	return list
}

// about is what the device signs of a request, and a copy of its key's holder to sign without the lock.
func (d *Device) begin(signIn string) (device.SignIn, *device.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.find(signIn)
	if r == nil {
		return device.SignIn{}, nil, ErrUnknownSignIn
	}
	return device.SignIn{
		Tenant: d.binding.Tenant, Account: d.binding.Account, Device: d.binding.Credential, ID: r.SignIn, Nonce: r.Nonce,
	}, d.key, nil
}

// Decide signs Allow or Don't Allow and has it carried. After Allow the request has its code.
func (d *Device) Decide(ctx context.Context, relay Relay, signIn string, allow bool) error {
	s, key, err := d.begin(signIn)
	if err != nil {
		return err
	}
	signed, err := key.Decide(s, allow, time.Now())
	if err != nil {
		return err
	}
	r := wire.DecisionRequest{Device: s.Device, Decision: "deny", TimeMS: signed.TimeMS, Signature: signed.Signature}
	if allow {
		r.Decision = "allow"
	}
	answer, err := relay.Decide(ctx, s.Account, signIn, r)
	if err != nil {
		return err
	}
	if !allow {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.turned(signIn, Denied)
		return nil
	}
	return d.open(s, key, answer.Code)
}

// FetchAgain has the code of a request that this device allowed brought once more: it was shown, and is gone.
func (d *Device) FetchAgain(ctx context.Context, relay Relay, signIn string) error {
	s, key, err := d.begin(signIn)
	if err != nil {
		return err
	}
	at, signature, err := key.Fetch(s, time.Now())
	if err != nil {
		return err
	}
	sealed, err := relay.FetchCode(ctx, s.Account, signIn, s.Device, wire.FetchCodeRequest{TimeMS: at, Signature: signature})
	if err != nil {
		return err
	}
	return d.open(s, key, &sealed)
}

func (d *Device) open(s device.SignIn, key *device.Key, sealed *wire.SealedCode) error {
	if sealed == nil {
		return ErrUnknownSignIn
	}
	code, err := key.OpenCode(s, sealed.N, sealed.Sealed)
	if err != nil {
		return fmt.Errorf("opening a code: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turned(s.ID, Allowed); d.find(s.ID) != nil && d.find(s.ID).State == Allowed {
		d.find(s.ID).Code = code
	}
	return nil
}
