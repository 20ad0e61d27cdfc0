package account

import (
	"slices"
	"strings"
)

// SignIn is one attempt of somebody to get in, from the first request to its end. See SIGNINS.md for its states.
type SignIn struct {
	ID      string  `cbor:"1,keyasint"`
	Nonce   []byte  `cbor:"2,keyasint"` // what devices sign their decisions over
	Purpose Purpose `cbor:"3,keyasint"`
	Begun   Time    `cbor:"4,keyasint"`
	Expires Time    `cbor:"5,keyasint"` // and with it every code of it
	Ended   Time    `cbor:"6,keyasint,omitempty"`
	// End is how it ended; InvalidEnd while it is open or has merely run out.
	End End `cbor:"7,keyasint,omitempty"`
	// By is what ended it: the device that denied, or the credential or channel whose code was right.
	By string `cbor:"8,keyasint,omitempty"`
	// Own is the device that is being signed in on, where it is one of the account's: it neither decides nor shows a code.
	Own    string    `cbor:"9,keyasint,omitempty"`
	Device NewDevice `cbor:"10,keyasint,omitzero"`
	Place  Place     `cbor:"11,keyasint,omitzero"`
	// Codes are the newest code of each channel. A code is not here: it is computed of what is.
	Codes []LiveCode `cbor:"12,keyasint,omitempty"`
	Sends uint8      `cbor:"13,keyasint,omitempty"` // codes sent by text or voice
	// Quiet says that the devices were not told of it, because of too many that were denied.
	Quiet bool `cbor:"14,keyasint,omitempty"`
	// Reason is why it was denied, where the person said so.
	Reason DenyReason `cbor:"20,keyasint,omitempty"`
	// Trusted says that a browser became trusted by it, which one may, once.
	Trusted bool `cbor:"33,keyasint,omitempty"`
	// Granted says that a password reset was granted for it.
	Granted bool `cbor:"46,keyasint,omitempty"`
}

// Purpose is what a sign-in is for.
type Purpose uint8

// Purposes.
const (
	InvalidPurpose Purpose = iota
	ForDevice              // a new device
	ForBrowser
	ForPasswordReset
	ForLegacy // older software, in which the code goes after the password
)

var purposeNames = [...]string{"invalid", "device", "browser", "password-reset", "legacy"}

// String is the purpose's name on the wire.
func (p Purpose) String() string {
	if int(p) >= len(purposeNames) {
		return purposeNames[0]
	}
	return purposeNames[p]
}

// ParsePurpose is the reverse of String; an unknown name is InvalidPurpose.
func ParsePurpose(s string) Purpose { return Purpose(max(slices.Index(purposeNames[1:], s)+1, 0)) }

// End is how a sign-in ended.
type End uint8

// Ends. None of them is ever left again.
const (
	InvalidEnd End = iota
	Verified       // a right code was typed, or proved
	Denied         // a device said Don't Allow
	Cancelled
)

// SignInState is where a sign-in stands at a moment.
type SignInState uint8

// States, as SIGNINS.md draws them.
const (
	InvalidSignIn SignInState = iota
	SignInBegun
	SignInAllowed
	SignInDenied
	SignInVerified
	SignInExpired
	SignInCancelled
)

var signInStateNames = [...]string{"invalid", "begun", "allowed", "denied", "verified", "expired", "cancelled"}

// String is the state's name on the wire.
func (s SignInState) String() string {
	if int(s) >= len(signInStateNames) {
		return signInStateNames[0]
	}
	return signInStateNames[s]
}

// NewDevice is what is known of where somebody signs in. All of it is what the device or browser says of itself.
type NewDevice struct {
	Kind          string `cbor:"1,keyasint,omitempty"` // such as "computer", "phone", "browser"
	Name          string `cbor:"2,keyasint,omitempty"`
	Model         string `cbor:"3,keyasint,omitempty"`
	Platform      string `cbor:"4,keyasint,omitempty"`
	SystemVersion string `cbor:"5,keyasint,omitempty"`
}

func (d *NewDevice) validate(v *validation) {
	v.text("kind", d.Kind, 0, MaxText)
	v.text("name", d.Name, 0, MaxText)
	v.text("model", d.Model, 0, MaxText)
	v.text("platform", d.Platform, 0, MaxText)
	v.text("system version", d.SystemVersion, 0, MaxText)
}

// Place is about where an address of the internet is used, as a database of addresses has it: never exact, and at times
// the network's own. The zero Place says that nothing is known.
type Place struct {
	Label     string `cbor:"1,keyasint,omitempty"`
	Latitude  int32  `cbor:"2,keyasint,omitempty"` // in hundredths of a degree, rounded; north is positive
	Longitude int32  `cbor:"3,keyasint,omitempty"` // likewise; east is positive
	Accuracy  uint16 `cbor:"4,keyasint,omitempty"` // radius in km; 0 when only the label is known
}

func (p *Place) validate(v *validation) {
	v.text("place", p.Label, 0, MaxText)
	v.check(p.Latitude >= -90_00 && p.Latitude <= 90_00, "latitude", "out of bounds")
	v.check(p.Longitude >= -180_00 && p.Longitude <= 180_00, "longitude", "out of bounds")
}

// LiveCode is a code that would be right now: the one of a channel and a number that is never used again in the account.
type LiveCode struct {
	Channel string `cbor:"1,keyasint"`
	N       uint32 `cbor:"2,keyasint"`
}

// Channels are ways for a code: to a device that said Allow, or to a phone.
const (
	devicePrefix = "device/"
	phonePrefix  = "phone/"
)

// DeviceChannel is the channel to a device.
func DeviceChannel(credential string) string { return devicePrefix + credential }

// PhoneChannel is the channel to a phone.
func PhoneChannel(phone string) string { return phonePrefix + phone }

// Open says whether the sign-in may still become verified.
func (x *SignIn) Open(now Time) bool { return x.End == InvalidEnd && now < x.Expires }

// State is where the sign-in stands.
func (x *SignIn) State(now Time) SignInState {
	switch {
	case x.End == Verified:
		return SignInVerified
	case x.End == Denied:
		return SignInDenied
	case x.End == Cancelled:
		return SignInCancelled
	case now >= x.Expires:
		return SignInExpired
	case slices.ContainsFunc(x.Codes, func(l LiveCode) bool { return strings.HasPrefix(l.Channel, devicePrefix) }):
		return SignInAllowed
	}
	return SignInBegun
}

// Code finds the live code of a channel; 0 when there is none.
func (x *SignIn) Code(channel string) (n uint32) {
	for _, l := range x.Codes {
		if l.Channel == channel {
			return l.N
		}
	}
	return 0
}

func (x *SignIn) validate(v *validation) {
	v.text("sign-in", x.ID, 1, MaxID)
	v.check(len(x.Nonce) == NonceSize, "nonce", "must have 16 bytes")
	v.check(x.Purpose > InvalidPurpose && int(x.Purpose) < len(purposeNames), "purpose", "not known")
	v.check(x.End <= Cancelled, "end", "not known")
	v.check(int(x.Reason) < len(denyReasons) && (x.Reason == NoReason || x.End == Denied), "reason", "not known, or of another end")
	v.check((x.End == InvalidEnd) == (x.Ended == 0), "end", "has no time, or a time and no end")
	v.text("by", x.By, 0, MaxChannel)
	v.text("own", x.Own, 0, MaxID)
	x.Device.validate(v)
	x.Place.validate(v)
	v.check(len(x.Codes) <= MaxLive, "codes", "too many")
	for _, l := range x.Codes {
		v.text("channel", l.Channel, 1, MaxChannel)
	}
}

// SignIn finds a sign-in; nil when the account has none of that id. The result must not be written to.
func (s *State) SignIn(id string) *SignIn {
	if i := s.signIn(id); i >= 0 {
		return &s.SignIns[i]
	}
	return nil
}

func (s *State) signIn(id string) int {
	if s == nil {
		return -1
	}
	return slices.IndexFunc(s.SignIns, func(x SignIn) bool { return x.ID == id })
}

// ownSignIn gives the new state sign-ins of its own, and the one at i codes of its own, to write to.
func (s *State) ownSignIn(i int) *SignIn {
	s.SignIns = slices.Clone(s.SignIns)
	x := &s.SignIns[i]
	x.Codes = slices.Clone(x.Codes)
	return x
}

// end ends the sign-in at i. s is the new state.
func (s *State) end(i int, how End, by string) *SignIn {
	x := s.ownSignIn(i)
	x.End, x.Ended, x.By, x.Codes = how, s.Time, by, nil
	return x
}

// live counts the codes that would be right now, of one sign-in or of all.
func (s *State) live(signIn string, now Time) (n uint32) {
	for i := range s.SignIns {
		if x := &s.SignIns[i]; x.Open(now) && (signIn == "" || x.ID == signIn) {
			n += uint32(len(x.Codes))
		}
	}
	return n
}

// makeLive gives a channel of the sign-in at i a new code, in place of the one it had. It is false when one attempt would
// have too many chances then. s is the new state.
func (s *State) makeLive(i int, channel string) (n uint32, ok bool) {
	x := s.ownSignIn(i)
	at := slices.IndexFunc(x.Codes, func(l LiveCode) bool { return l.Channel == channel })
	if at < 0 {
		live := s.live("", s.Time)
		if live >= MaxLive || s.cost("")+(live+1)*unit[CodeDigits] > Budget {
			return 0, false
		}
		x.Codes = append(x.Codes, LiveCode{Channel: channel})
		at = len(x.Codes) - 1
	}
	s.Channels.Made++
	x.Codes[at].N = s.Channels.Made
	s.grown()
	return s.Channels.Made, true
}

// silence takes the codes of a channel away: its device or phone is no longer trusted. s is the new state.
func (s *State) silence(channel string) {
	for i := range s.SignIns {
		if s.SignIns[i].Code(channel) != 0 {
			x := s.ownSignIn(i)
			x.Codes = slices.DeleteFunc(x.Codes, func(l LiveCode) bool { return l.Channel == channel })
			s.Channels.Made++ // who is evaluating now has looked at a code that is dead
		}
	}
}

// Fresh says whether somebody proved a second factor in a sign-in within the last minutes. What a device signed for a reset
// of its own is none: what is stolen must not vouch for itself.
func (s *State) Fresh(signIn string, within, now Time) bool {
	x := s.SignIn(signIn)
	return x != nil && x.End == Verified && (x.Own == "" || x.By != x.Own) && now-x.Ended < within
}
