package wire

import (
	"fmt"
	"time"
)

// Modes of protection.
const (
	ProtectionOff     = "off"
	ProtectionPending = "pending"
	ProtectionOn      = "two_factor"
	ProtectionTwoStep = "two_step"
)

// Levels of assurance, the lowest first.
const (
	AssurancePassword  = "password"
	AssuranceTwoStep   = "two_step"
	AssuranceTwoFactor = "two_factor"
)

// Protection is how an account stands to protection by two factors.
type Protection struct {
	Mode      string    `json:"mode" enum:"off,pending,two_factor,two_step" doc:"pending: the account was born protected and waits for its first verified phone. two_step: the older scheme, which has records of its own under /two-step."`
	Assurance string    `json:"assurance" enum:"password,two_step,two_factor" doc:"What its sign-ins are worth, the lowest first."`
	Since     time.Time `json:"since,omitzero"`
	Born      bool      `json:"born,omitempty" doc:"By the tenant's policy, when the account was made."`
	UndoUntil time.Time `json:"undo_until,omitzero" doc:"Until when the link turns it off again. Absent while it is on: nothing does."`
	Missing   []string  `json:"missing" nullable:"false" doc:"What has to be there first: phone, a verified one."`
	Class     string    `json:"class,omitempty" doc:"Of the account, as the front-end says." example:"child"`
}

// AccountRequest says what a new account is. Without it, it is of no class.
type AccountRequest struct {
	Class string `json:"class,omitempty" maxLength:"24" pattern:"^[a-z0-9-]*$" doc:"Such as child or managed; the tenant's policy may exclude some from protection. Of an account that exists it stays what it was."`
}

// ClassRequest says which class of accounts one is of.
type ClassRequest struct {
	Class string `json:"class" maxLength:"24" pattern:"^[a-z0-9-]*$" doc:"Empty: none."`
}

// ProtectionRequest turns protection on: on a device that is trusted already, or on a new one.
type ProtectionRequest struct {
	Device          string         `json:"device,omitempty" maxLength:"64" doc:"The id of the account's device on which it is turned on."`
	NewDevice       *DeviceRequest `json:"new_device,omitempty" doc:"Or the device, which becomes trusted in the same step."`
	SignIn          string         `json:"sign_in,omitempty" maxLength:"64" doc:"A sign-in that was verified of late, where the tenant's policy asks for one (step_up_minutes), or a new device is given for an account that has one; a phone that was verified as recently does as well."`
	EarlierSettings Secret         `json:"earlier_settings,omitzero" maxLength:"21848" doc:"Base64 of at most 16 KiB that the front-end wants back should protection be turned off, such as old security questions. Sealed in the hardware; after 14 days their key is destroyed in every node."`
	Checked         bool           `json:"checked,omitempty" doc:"The front-end asked its own questions before, such as security questions. It is noted in the log."`
}

func (r ProtectionRequest) reveal() any {
	return struct {
		Device          string         `json:"device,omitempty"`
		NewDevice       *DeviceRequest `json:"new_device,omitempty"`
		SignIn          string         `json:"sign_in,omitempty"`
		EarlierSettings string         `json:"earlier_settings,omitempty"`
		Checked         bool           `json:"checked,omitempty"`
	}{r.Device, r.NewDevice, r.SignIn, r.EarlierSettings.Reveal(), r.Checked}
}

// Format hides all of it: pointers to it stand in other requests, and fmt prints what those point to, for verbs that don't
// fit, without asking the secrets in there.
func (ProtectionRequest) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// Format is that of ProtectionRequest, for the same reason.
func (ProtectionAnswer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// ProtectionAnswer answers it.
type ProtectionAnswer struct {
	Protection Protection      `json:"protection"`
	NewDevice  *EnrolledDevice `json:"new_device,omitempty" doc:"What the device needs that is trusted now."`
	LinkToken  Secret          `json:"link_token,omitzero" doc:"For the link in the mail that tells the person: until undo_until it turns protection off again, once. Absent when there is no way back."`
	Entry      int64           `json:"entry"`
}

func (a ProtectionAnswer) reveal() any {
	return struct {
		Protection Protection      `json:"protection"`
		NewDevice  *EnrolledDevice `json:"new_device,omitempty"`
		LinkToken  string          `json:"link_token,omitempty"`
		Entry      int64           `json:"entry"`
	}{a.Protection, a.NewDevice, a.LinkToken.Reveal(), a.Entry}
}

// UndoRequest turns protection off again.
type UndoRequest struct {
	Token Secret `json:"token" minLength:"1" maxLength:"64" doc:"From the link."`
}

func (r UndoRequest) reveal() any {
	return struct {
		Token string `json:"token"`
	}{r.Token.Reveal()}
}

// UndoAnswer says what is given up.
type UndoAnswer struct {
	Protection      Protection `json:"protection"`
	EarlierSettings Secret     `json:"earlier_settings,omitzero" doc:"Base64 of what the front-end gave when protection was turned on."`
	Lost            []string   `json:"lost" nullable:"false" doc:"Capabilities that the account no longer has: two_factor_assurance (what asks for that level refuses it), code_required (nothing holds a front-end any more to ask for a code), permanence (protection that nobody can turn off)."`
	Entry           int64      `json:"entry"`
}

func (a UndoAnswer) reveal() any {
	return struct {
		Protection      Protection `json:"protection"`
		EarlierSettings string     `json:"earlier_settings,omitempty"`
		Lost            []string   `json:"lost"`
		Entry           int64      `json:"entry"`
	}{a.Protection, a.EarlierSettings.Reveal(), a.Lost, a.Entry}
}

// Eligibility says whether a device and an account may have protection.
type Eligibility struct {
	Eligible   bool        `json:"eligible"`
	Reasons    []string    `json:"reasons" nullable:"false" doc:"Why not: platform-not-listed, version-below-minimum, version-not-readable, class-excluded, no-eligible-device, already-on, two-step-on (turn it off, or move)."`
	ShowsCodes bool        `json:"shows_codes" doc:"Such a device is given codes and notices; of an account alone: one of its devices is."`
	Minimum    string      `json:"minimum,omitempty" doc:"The first version of the platform that is eligible."`
	Protection *Protection `json:"protection,omitempty" doc:"Of the account that was asked about."`
}

// DeviceChange is what a device says of itself anew. Absent members stay as they are.
type DeviceChange struct {
	Name          string `json:"name,omitempty" maxLength:"128"`
	SystemVersion string `json:"system_version,omitempty" maxLength:"128"`
}

// DeviceReport says what became of a device.
type DeviceReport struct {
	State string `json:"state" enum:"lost,erased"`
}

// PresenceReport says whether a device is signed in.
type PresenceReport struct {
	SignedIn bool `json:"signed_in" doc:"The device is signed in and was just seen; false: it was signed out."`
}

// Platform is a kind of system and what a tenant's policy says of it.
type Platform struct {
	Name    string `json:"name" minLength:"1" maxLength:"24" doc:"As devices give it; case doesn't matter." example:"iOS"`
	Minimum string `json:"minimum,omitempty" maxLength:"16" doc:"The first version that is eligible, compared number by number. Absent: all are." example:"9"`
	NoCodes bool   `json:"no_codes,omitempty" doc:"Its devices are eligible and are never given codes or notices."`
}
