// Package wire is the JSON that goes over the wire between the API and its clients: plain types without behaviour,
// shared by both sides. It imports nothing of ours, so a front-end that uses the client links nothing of the server.
//
// Times are RFC 3339 in UTC, binary is standard base64, a member that is absent is unset. Secrets have a type of their
// own that only [Encode] writes in clear.
package wire

import "time"

// Account is what a front-end sees of an account.
type Account struct {
	Account     string       `json:"account" doc:"The name that the front-end gave the account." example:"alice"`
	Created     time.Time    `json:"created"`
	Credentials []Credential `json:"credentials" nullable:"false" doc:"Trusted devices and authenticator apps."`
	Locked      bool         `json:"locked" doc:"Attempts are refused now, right ones too."`
	RetryAt     time.Time    `json:"retry_at,omitzero" doc:"When locked: the next attempt is heard then. Absent when waiting does not help."`
	Failures    int          `json:"failures" doc:"Consecutive failed attempts." minimum:"0"`
	Protection  Protection   `json:"protection"`
}

// Kinds of credentials.
const (
	KindDevice        = "device"
	KindAuthenticator = "authenticator"
)

// Credential is a trusted device or an authenticator app, without its secrets.
type Credential struct {
	ID            string    `json:"id" example:"mfzgk5dfon2gs3th"`
	Kind          string    `json:"kind" enum:"device,authenticator"`
	Params        Params    `json:"params"`
	Name          string    `json:"name,omitempty" example:"Alice's phone"`
	Model         string    `json:"model,omitempty"`
	Serial        string    `json:"serial,omitempty" doc:"The help desk sees its last four characters."`
	Platform      string    `json:"platform,omitempty"`
	SystemVersion string    `json:"system_version,omitempty"`
	Added         time.Time `json:"added"`
	LastUsed      time.Time `json:"last_used,omitzero" doc:"Absent when it was never used."`
	Certificate   []byte    `json:"certificate,omitempty" doc:"Devices only: the certificate for the device's key, DER."`
	Trusted       bool      `json:"trusted,omitempty" doc:"It is a device that vouches for its owner: not one that is lost or erased."`
	ShowsCodes    bool      `json:"shows_codes,omitempty" doc:"It is given codes and notices: its system is not below the tenant's minimum."`
	State         string    `json:"state,omitempty" enum:"lost,erased" doc:"As it was reported; absent when it wasn't."`
	Reported      time.Time `json:"reported,omitzero" doc:"When."`
	SignedIn      *bool     `json:"signed_in,omitempty" doc:"The device is signed in, as far as is known: a sign-in was verified on it, or the front-end said so. Absent where nothing was ever said."`
	SignedInSince time.Time `json:"signed_in_since,omitzero" doc:"Since when it is so, or is not so."`
	LastSeen      time.Time `json:"last_seen,omitzero" doc:"The last sign of the device itself, to an hour: a report, something that it signed, a code of it."`
}

// Params say how codes are computed (RFC 4226, RFC 6238). Zero members mean TOTP, SHA1, 6 digits, 30 s.
type Params struct {
	Type      string `json:"type,omitempty" enum:"totp,hotp" doc:"Default totp."`
	Algorithm string `json:"algorithm,omitempty" enum:"SHA1,SHA256,SHA512" doc:"Default SHA1."`
	Digits    int    `json:"digits,omitempty" minimum:"6" maximum:"8" doc:"Default 6."`
	Period    int    `json:"period,omitempty" enum:"30,60" doc:"Seconds, totp only. Default 30."`
}

// Credentials is a list of one kind.
type Credentials struct {
	Credentials []Credential `json:"credentials" nullable:"false"`
}

// DeviceRequest enrols a device that has a key of its own.
type DeviceRequest struct {
	PublicKey     []byte `json:"public_key" doc:"The device's P-256 public key, PKIX DER." maxLength:"1024"`
	Name          string `json:"name,omitempty" maxLength:"128" example:"Alice's phone"`
	Model         string `json:"model,omitempty" maxLength:"128"`
	Serial        string `json:"serial,omitempty" maxLength:"128"`
	Platform      string `json:"platform,omitempty" maxLength:"128"`
	SystemVersion string `json:"system_version,omitempty" maxLength:"128"`
}

// EnrolledDevice is what the new device needs.
type EnrolledDevice struct {
	Device   Credential `json:"device"`
	Envelope Envelope   `json:"envelope,omitzero" doc:"The seed, sealed to the device's key inside the hardware. Absent for a device that may show no codes: it gets its seed when its system is new enough (change-device)."`
	Binding  Binding    `json:"binding" doc:"What the envelope is bound to; the device needs it to open it."`
	Entry    int64      `json:"entry" doc:"Index of the key-usage log's entry that records it."`
}

// Envelope is a seed sealed to a device's key.
type Envelope struct {
	Ephemeral []byte `json:"ephemeral" doc:"Ephemeral P-256 public key, uncompressed point."`
	Wrapped   []byte `json:"wrapped" doc:"The seed, wrapped with RFC 5649."`
}

// Binding says whose seed an envelope holds.
type Binding struct {
	Tenant     string `json:"tenant"`
	Account    string `json:"account"`
	Credential string `json:"credential"`
	Version    uint32 `json:"version"`
}

// AuthenticatorRequest adds an authenticator app. With URI an existing seed is imported; without it one is made and shown
// once. Both need the tenant's policy to allow it.
type AuthenticatorRequest struct {
	URI    Secret `json:"uri,omitzero" doc:"otpauth URI to import. The other members go without it." maxLength:"2048"`
	Issuer string `json:"issuer,omitempty" maxLength:"64" example:"Example Bank"`
	Label  string `json:"label,omitempty" maxLength:"128" example:"alice@example.com"`
	Params Params `json:"params,omitzero"`
	SignIn string `json:"sign_in,omitempty" maxLength:"64" doc:"Verified of late; as for a device."`
}

func (r AuthenticatorRequest) reveal() any {
	type plain AuthenticatorRequest
	return struct {
		URI string `json:"uri,omitempty"`
		plain
	}{r.URI.Reveal(), plain(r)}
}

// NewAuthenticator is the answer. URI and QR are there only when the seed was made here, this once, and can't be had
// again, not even with the same Idempotency-Key.
type NewAuthenticator struct {
	Authenticator Credential `json:"authenticator"`
	URI           Secret     `json:"uri,omitzero" doc:"otpauth URI; shown this once."`
	QR            Secret     `json:"qr,omitzero" doc:"The same as a QR code: PNG in base64; shown this once."`
	Entry         int64      `json:"entry" doc:"Index of the key-usage log's entry that records it."`
}

func (a NewAuthenticator) reveal() any {
	type plain NewAuthenticator
	return struct {
		plain
		URI string `json:"uri,omitempty"`
		QR  string `json:"qr,omitempty"`
	}{plain(a), a.URI.Reveal(), a.QR.Reveal()}
}

// Policy is a tenant's policy; its zero value closes both doors of the first promise.
type Policy struct {
	AllowImport    bool `json:"allow_import" required:"false" doc:"Existing seeds may be imported as otpauth URIs."`
	AllowReveal    bool `json:"allow_reveal" required:"false" doc:"New seeds may be shown once as a QR code."`
	TellSpent      bool `json:"tell_spent" required:"false" doc:"Front-ends are told spent and expired apart from wrong. A guesser then learns that a code was right."`
	MaxCredentials int  `json:"max_credentials,omitempty" minimum:"0" maximum:"255" doc:"The most credentials that an account may have; absent or 0: the default."`

	AllowAppPasswords   bool   `json:"allow_app_passwords" required:"false" doc:"App passwords may be made, and those that there are open their services without a second factor."`
	MaxAppPasswords     int    `json:"max_app_passwords,omitempty" minimum:"0" maximum:"25" doc:"The most that an account may have; absent or 0: 25."`
	SignInMinutes       int    `json:"sign_in_minutes,omitempty" minimum:"0" maximum:"60" doc:"How long a sign-in and its codes live; absent or 0: 10."`
	CodeDomain          string `json:"code_domain,omitempty" maxLength:"253" doc:"The domain that text messages bind their code to, so that phones fill it in there and nowhere else." example:"example.com"`
	SendsPerSignIn      int    `json:"sends_per_sign_in,omitempty" minimum:"0" maximum:"20" doc:"Codes that may be sent to phones for one sign-in; absent or 0: 5."`
	SendsPerPhone       int    `json:"sends_per_phone,omitempty" minimum:"0" maximum:"20" doc:"Codes that may be sent to one number within an hour; absent or 0: 5."`
	SendsPerAccount     int    `json:"sends_per_account,omitempty" minimum:"0" maximum:"40" doc:"Codes that may be sent for one account within an hour; absent or 0: 10."`
	SendCooldownSeconds int    `json:"send_cooldown_seconds,omitempty" minimum:"0" maximum:"600" doc:"Between two codes to one number; absent or 0: 30."`
	TellPhones          bool   `json:"tell_phones,omitempty" doc:"When a number is removed, all verified numbers of the account are told by a text, that one too. The gateway gets phone.tell for it."`
	StepUpMinutes       int    `json:"step_up_minutes,omitempty" minimum:"0" maximum:"1440" doc:"How long ago a sign-in may have been verified that phones are changed with; absent or 0: none is asked for unless the account is protected, and devices are added with one of ten minutes."`

	NoBrowserTrust bool `json:"no_browser_trust,omitempty" doc:"No browser is trusted, nor any that was before."`
	BrowserDays    int  `json:"browser_days,omitempty" minimum:"0" maximum:"400" doc:"How long a browser is trusted; absent or 0: 30. A shorter time holds at once."`
	OpenEnrolment  bool `json:"open_enrolment,omitempty" doc:"Devices and apps may be added to an account that has a device or is protected without a sign-in that was verified within step_up_minutes, or ten. Whoever holds a front-end's certificate can then allow sign-ins with a device of their own."`

	AllowTwoStepImport bool `json:"allow_two_step_import,omitempty" doc:"Two-step verification that was on elsewhere may be taken over. What was taken over goes on when this is off again."`

	BornProtected bool           `json:"born_protected,omitempty" doc:"New accounts are protected from the start: it is complete with their first verified phone, and there is no way back."`
	NoWayBack     bool           `json:"no_way_back,omitempty" doc:"Protection can't be turned off again, not even in the first two weeks."`
	Platforms     []Platform     `json:"platforms,omitempty" nullable:"false" maxItems:"12" doc:"Systems of devices and their minimum versions. A device below the minimum can be listed and is given no codes and no notices."`
	ListedOnly    bool           `json:"listed_only,omitempty" doc:"Devices of platforms that are not listed are not eligible."`
	Recovery      RecoveryPolicy `json:"recovery,omitzero"`
	PasswordReset ResetPolicy    `json:"password_reset,omitzero"`

	ExcludedClasses []string `json:"excluded_classes,omitempty" nullable:"false" maxItems:"8" doc:"Classes of accounts that can't turn protection on. None is excluded unless it stands here: not children's and not managed ones."`
}
