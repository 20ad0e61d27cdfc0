package wire

import "time"

// Ended is the outcome of an attempt on a sign-in that is over: nothing was compared and nothing is charged.
const Ended = "ended"

// Outcomes of asking for a code on a phone.
const (
	Sent    = "sent"
	TooSoon = "too-soon" // with retry_at
	Limit   = "limit"    // of this sign-in
)

// Purposes of a sign-in.
const (
	PurposeDevice        = "device"
	PurposeBrowser       = "browser"
	PurposePasswordReset = "password-reset"
	PurposeLegacy        = "legacy"
)

// SignInRequest opens a sign-in. The front-end has checked the password, if there is one to check.
type SignInRequest struct {
	Purpose string    `json:"purpose,omitempty" enum:"device,browser,password-reset,legacy" doc:"Default device."`
	Device  NewDevice `json:"device,omitzero" doc:"What is known of where somebody signs in."`
	Own     string    `json:"own,omitempty" maxLength:"64" doc:"The id of the device that is signed in on, if it is one of the account's: it is not asked about itself."`
	Address string    `json:"address,omitempty" maxLength:"45" doc:"IP address of whoever signs in. Only the approximate place is kept." example:"203.0.113.7"`
}

// NewDevice is what a device or browser says of itself.
type NewDevice struct {
	Kind          string `json:"kind,omitempty" maxLength:"128" example:"computer"`
	Name          string `json:"name,omitempty" maxLength:"128"`
	Model         string `json:"model,omitempty" maxLength:"128"`
	Platform      string `json:"platform,omitempty" maxLength:"128"`
	SystemVersion string `json:"system_version,omitempty" maxLength:"128"`
}

// Place is about where an address is used. It is never exact, and at times it is the network's.
type Place struct {
	Label       string  `json:"label,omitempty" example:"Zürich, Switzerland"`
	Latitude    float64 `json:"latitude"`
	Longitude   float64 `json:"longitude"`
	AccuracyKM  int     `json:"accuracy_km" doc:"Radius. 0: only the label is known."`
	Approximate bool    `json:"approximate" doc:"Always true: say so to people."`
}

// SignIn is a sign-in. One for a name that isn't an account looks like any other.
type SignIn struct {
	ID         string    `json:"id" example:"mfzgk5dfon2gs3th"`
	State      string    `json:"state" enum:"begun,allowed,denied,verified,expired,cancelled"`
	CodeNeeded bool      `json:"code_needed" doc:"A code would end it well now."`
	Nonce      []byte    `json:"nonce" doc:"What devices sign their decisions over."`
	Purpose    string    `json:"purpose" enum:"device,browser,password-reset,legacy"`
	Begun      time.Time `json:"begun"`
	Expires    time.Time `json:"expires" doc:"And with it every code of it."`
	Ended      time.Time `json:"ended,omitzero"`
	Reason     string    `json:"reason,omitempty" enum:"not_me,mistake" doc:"Why it was denied, where the person said so."`
	Device     NewDevice `json:"device,omitzero"`
	Place      *Place    `json:"place,omitempty"`
	Channels   Channels  `json:"channels" doc:"Ways in which a code can come."`
	Entry      int64     `json:"entry,omitempty" doc:"Index of the key-usage log's entry, when something was done."`
}

// Channels are the ways in which a code can come for a sign-in.
type Channels struct {
	Devices bool          `json:"devices" doc:"There are trusted devices: they are asked, and show codes in their settings."`
	Phones  []PhoneOption `json:"phones" nullable:"false"`
}

// PhoneOption is a phone as somebody sees it who has yet to prove who they are.
type PhoneOption struct {
	ID     string `json:"id" example:"mfzgk5dfon2gs3th"`
	Masked string `json:"masked" example:"•••• •• 67"`
}

// SignIns is a list.
type SignIns struct {
	SignIns []SignIn `json:"sign_ins" nullable:"false"`
}

// DecisionRequest is what a device decided and signed. The front-end only carries it.
type DecisionRequest struct {
	Device    string `json:"device" minLength:"1" maxLength:"64"`
	Decision  string `json:"decision" enum:"allow,deny"`
	Reason    string `json:"reason,omitempty" enum:"not_me,mistake" doc:"With deny, where the person said why; signed with the rest. It may come after a denial without one, of the same device. not_me alerts the front-end by a notice of its own; mistake doesn't count among the denials after which devices are left in peace."`
	TimeMS    int64  `json:"time_ms" minimum:"1" maximum:"253402300799999" doc:"Unix milliseconds, as they were signed."`
	Signature []byte `json:"signature" maxLength:"128" doc:"ECDSA P-256 with SHA-256, ASN.1 DER, by the device's key: see api/device."`
}

// Decision answers it.
type Decision struct {
	SignIn SignIn      `json:"sign_in"`
	Code   *SealedCode `json:"code,omitempty" doc:"After allow: the code, for that device's eyes only."`
	Entry  int64       `json:"entry"`
}

// FetchCodeRequest asks again for the code of a sign-in that a device allowed.
type FetchCodeRequest struct {
	TimeMS    int64  `json:"time_ms" minimum:"1" maximum:"253402300799999" doc:"Unix milliseconds, as they were signed."`
	Signature []byte `json:"signature" maxLength:"128" doc:"As of a decision, over the message for fetching."`
}

// SealedCode is a code that only one device can read: HPKE, see api/device.
type SealedCode struct {
	SignIn string `json:"sign_in"`
	Device string `json:"device"`
	N      uint32 `json:"n"`
	Sealed []byte `json:"sealed" doc:"Encapsulated key (65 bytes) and ciphertext."`
	Entry  int64  `json:"entry,omitempty"`
}

// SendCodeRequest asks for a code on a phone.
type SendCodeRequest struct {
	Phone   string `json:"phone" minLength:"1" maxLength:"64"`
	Channel string `json:"channel" enum:"text,voice"`
}

// Sending answers it.
type Sending struct {
	Outcome string    `json:"outcome" enum:"sent,too-soon,limit,ended"`
	RetryAt time.Time `json:"retry_at,omitzero" doc:"With too-soon: when another code may be sent."`
	Entry   int64     `json:"entry"`
}

// EnterRequest is one attempt on a sign-in: with a code or with a text proof.
type EnterRequest struct {
	Code      Secret         `json:"code,omitzero" doc:"6 to 8 ASCII digits and nothing else. From whichever channel, or from a device's settings." maxLength:"32" example:"123456"`
	TextProof *TextProof     `json:"text_proof,omitempty" doc:"The new device received the text message itself: nothing has to be typed."`
	NewDevice *DeviceRequest `json:"new_device,omitempty" doc:"Makes this device trusted in the same step, or not at all."`
}

func (r EnterRequest) reveal() any {
	return struct {
		Code      string         `json:"code,omitempty"`
		TextProof *TextProof     `json:"text_proof,omitempty"`
		NewDevice *DeviceRequest `json:"new_device,omitempty"`
	}{r.Code.Reveal(), r.TextProof, r.NewDevice}
}

// TextProof says that a device received the text that was sent to a phone. It is signed with new_device's key.
type TextProof struct {
	Phone     string `json:"phone" minLength:"1" maxLength:"64"`
	Signature []byte `json:"signature" maxLength:"128" doc:"ECDSA P-256 with SHA-256, ASN.1 DER: see api/device."`
}

// Entered answers an attempt on a sign-in.
type Entered struct {
	Outcome   string          `json:"outcome" enum:"accepted,wrong,spent,expired,locked,ended" doc:"As of a verification; ended: the sign-in is over, its state says how."`
	RetryAt   time.Time       `json:"retry_at,omitzero" doc:"When locked: the next attempt is heard then. Absent when waiting does not help."`
	Assurance string          `json:"assurance,omitempty" enum:"password,two_step,two_factor" doc:"When accepted: what it is worth, by the account's protection."`
	Device    string          `json:"device,omitempty" doc:"When accepted: the credential whose own code it was."`
	NewDevice *EnrolledDevice `json:"new_device,omitempty" doc:"When accepted and asked for: what the device needs that is trusted now."`
	Entry     int64           `json:"entry"`
	Replayed  bool            `json:"replayed,omitempty"`
}

// CombinedRequest is a password with a code after it, or its end.
type CombinedRequest struct {
	Text Secret `json:"text" minLength:"6" maxLength:"1024" doc:"Ends with the 6 to 8 digits of a code. It is compared and forgotten. Its beginning may be left out." example:"correct horse123456"`
}

func (r CombinedRequest) reveal() any {
	return struct {
		Text string `json:"text"`
	}{r.Text.Reveal()}
}

// Combined answers it.
type Combined struct {
	Outcome   string    `json:"outcome" enum:"accepted,wrong,spent,expired,locked"`
	RetryAt   time.Time `json:"retry_at,omitzero"`
	Remainder int       `json:"remainder,omitempty" doc:"When accepted: how many bytes of the text stand before the code. They are the password, for the front-end to check."`
	Assurance string    `json:"assurance,omitempty" enum:"password,two_step,two_factor"`
	Device    string    `json:"device,omitempty"`
	Entry     int64     `json:"entry"`
	Replayed  bool      `json:"replayed,omitempty"`
}
