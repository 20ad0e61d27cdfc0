package wire

import "time"

// Outcomes of asking whether a browser or a device is trusted.
const (
	Trusted   = "trusted"
	Untrusted = "untrusted"
)

// TrustBrowserRequest trusts the browser in which a sign-in was just verified. Its owner has to have chosen so.
type TrustBrowserRequest struct {
	SignIn  string `json:"sign_in" minLength:"1" maxLength:"64" doc:"Of the purpose browser, verified within ten minutes, and not used for this before." example:"mfzgk5dfon2gs3th"`
	Browser Secret `json:"browser" minLength:"16" maxLength:"128" doc:"The front-end's id of the browser, such as a random cookie of its own. Only a MAC of it is kept." example:"6d1c0a55e1f94a3e8b5b1c3f"`
	Name    string `json:"name,omitempty" maxLength:"128" doc:"That its owner can know it by." example:"Safari on the Mac"`
}

func (r TrustBrowserRequest) reveal() any {
	type plain TrustBrowserRequest
	return struct {
		plain
		Browser string `json:"browser"`
	}{plain(r), r.Browser.Reveal()}
}

// Browser is a browser that is trusted.
type Browser struct {
	ID       string    `json:"id" example:"mfzgk5dfon2gs3th"`
	Name     string    `json:"name,omitempty"`
	Added    time.Time `json:"added"`
	LastUsed time.Time `json:"last_used,omitzero" doc:"Absent when its token was never shown."`
	Expires  time.Time `json:"expires" doc:"From then on it needs a code again."`
}

// Browsers is an account's list.
type Browsers struct {
	Browsers []Browser `json:"browsers" nullable:"false"`
}

// TrustedBrowser answers a TrustBrowserRequest.
type TrustedBrowser struct {
	Browser Browser `json:"browser"`
	Token   Secret  `json:"token" doc:"For this browser alone to keep, as a cookie that scripts can't read. It says nothing of the person."`
	Entry   int64   `json:"entry" doc:"Index of the key-usage log's entry that records it."`
}

func (a TrustedBrowser) reveal() any {
	type plain TrustedBrowser
	return struct {
		plain
		Token string `json:"token"`
	}{plain(a), a.Token.Reveal()}
}

// VerifyBrowserRequest asks whether a browser is trusted now.
type VerifyBrowserRequest struct {
	Browser Secret `json:"browser" minLength:"16" maxLength:"128" doc:"The front-end's id of the browser that shows the token." example:"6d1c0a55e1f94a3e8b5b1c3f"`
	Token   Secret `json:"token" maxLength:"256" doc:"As the browser has it."`
}

func (r VerifyBrowserRequest) reveal() any {
	return struct {
		Browser string `json:"browser"`
		Token   string `json:"token"`
	}{r.Browser.Reveal(), r.Token.Reveal()}
}

// BrowserVerification answers it.
type BrowserVerification struct {
	Outcome   string    `json:"outcome" enum:"trusted,untrusted" doc:"untrusted, whatever the reason: the log has it."`
	Browser   string    `json:"browser,omitempty" doc:"When trusted: the id of its trust."`
	Token     Secret    `json:"token,omitzero" doc:"When trusted: the token that takes the place of the one that was shown. Give it to the browser. The former one is good for another minute; shown after that, it ends the browser's trust."`
	Expires   time.Time `json:"expires,omitzero"`
	Assurance string    `json:"assurance,omitempty" enum:"password,two_step,two_factor"`
	Entry     int64     `json:"entry"`
	Replayed  bool      `json:"replayed,omitempty"`
}

func (a BrowserVerification) reveal() any {
	type plain BrowserVerification
	return struct {
		plain
		Token string `json:"token,omitempty"`
	}{plain(a), a.Token.Reveal()}
}

// SignOutBrowserRequest ends trust in the browser that somebody signs out of completely.
type SignOutBrowserRequest struct {
	Browser Secret `json:"browser" minLength:"16" maxLength:"128" doc:"The front-end's id of it." example:"6d1c0a55e1f94a3e8b5b1c3f"`
}

func (r SignOutBrowserRequest) reveal() any {
	return struct {
		Browser string `json:"browser"`
	}{r.Browser.Reveal()}
}

// VerifyDeviceRequest asks whether a device is trusted now, by its own proof.
type VerifyDeviceRequest struct {
	Challenge []byte `json:"challenge" minLength:"24" maxLength:"88" doc:"16 to 64 random bytes that the front-end drew for this one question. What the answer is worth depends on it."`
	TimeMS    int64  `json:"time_ms" minimum:"1" maximum:"253402300799999" doc:"Unix milliseconds, as they were signed."`
	Signature []byte `json:"signature" maxLength:"128" doc:"ECDSA P-256 with SHA-256, ASN.1 DER, by the device's key: see api/device."`
}

// DeviceVerification answers it.
type DeviceVerification struct {
	Outcome   string `json:"outcome" enum:"trusted,untrusted" doc:"untrusted also for a device that was removed, lost, erased or signed out, and for an account that does not exist."`
	Assurance string `json:"assurance,omitempty" enum:"password,two_step,two_factor"`
	Entry     int64  `json:"entry"`
	Replayed  bool   `json:"replayed,omitempty"`
}

// PasswordChange says that the account's password was changed.
type PasswordChange struct {
	Security bool   `json:"security,omitempty" doc:"Somebody else may have had it: every browser and device loses its trust but the one at hand."`
	Device   string `json:"device,omitempty" maxLength:"64" doc:"The trusted device on which it was changed. Absent: on none."`
	SignIn   string `json:"sign_in,omitempty" maxLength:"64" doc:"The sign-in in which it was changed: it stays good for what asks for a verified one. Others don't, after a change for security."`
}

// DeviceEnrolment enrols a device by itself.
type DeviceEnrolment struct {
	DeviceRequest
	SignIn string `json:"sign_in,omitempty" maxLength:"64" doc:"Verified of late. It is asked for when the account has a device or is protected, unless the policy open_enrolment says no."`
}
