package wire

import "time"

// Phone is a phone of an account. Its number is not shown again.
type Phone struct {
	ID       string    `json:"id" example:"mfzgk5dfon2gs3th"`
	Masked   string    `json:"masked" example:"•••• •• 67"`
	Label    string    `json:"label,omitempty" example:"Mum"`
	Added    time.Time `json:"added"`
	Verified time.Time `json:"verified,omitzero" doc:"Absent while it is pending: codes for sign-ins go to verified phones only."`
}

// Phones is a list, in the person's order.
type Phones struct {
	Phones []Phone `json:"phones" nullable:"false"`
}

// PhoneRequest adds a phone.
type PhoneRequest struct {
	Number Secret `json:"number" minLength:"8" maxLength:"16" doc:"E.164, with its plus sign and nothing between the digits." example:"+14155550132"`
	Label  string `json:"label,omitempty" maxLength:"128"`
	SignIn string `json:"sign_in,omitempty" maxLength:"64" doc:"A sign-in that was verified of late, where the tenant's policy asks for one (step_up_minutes), or the account is protected."`
}

func (r PhoneRequest) reveal() any {
	return struct {
		Number string `json:"number"`
		Label  string `json:"label,omitempty"`
		SignIn string `json:"sign_in,omitempty"`
	}{r.Number.Reveal(), r.Label, r.SignIn}
}

// PhoneChange changes a phone's label and place in the list.
type PhoneChange struct {
	Label    string `json:"label,omitempty" maxLength:"128"`
	Position int    `json:"position,omitempty" minimum:"0" maximum:"10" doc:"Place in the list, from 0."`
	SignIn   string `json:"sign_in,omitempty" maxLength:"64" doc:"As for adding one."`
}

// SendPhoneCodeRequest has the code sent that verifies a phone.
type SendPhoneCodeRequest struct {
	Channel string `json:"channel" enum:"text,voice"`
}

// VerifyPhoneRequest is one attempt with it.
type VerifyPhoneRequest struct {
	Code       Secret             `json:"code" minLength:"1" maxLength:"32" example:"123456"`
	Protection *ProtectionRequest `json:"protection,omitempty" doc:"Turns protection on in the same step, if the code is right; or neither is done. Where something is in the way of it, or it is on (protection-on), that is said before the code is looked at."`
}

func (r VerifyPhoneRequest) reveal() any {
	var protection any
	if r.Protection != nil {
		protection = r.Protection.reveal()
	}
	return struct {
		Code       string `json:"code"`
		Protection any    `json:"protection,omitempty"`
	}{r.Code.Reveal(), protection}
}

// PhoneVerification answers it.
type PhoneVerification struct {
	Outcome  string    `json:"outcome" enum:"accepted,wrong,locked,ended" doc:"ended: there is no code to compare with; have another sent."`
	RetryAt  time.Time `json:"retry_at,omitzero"`
	Entry    int64     `json:"entry"`
	Replayed bool      `json:"replayed,omitempty"`
	// Protection is the answer of turning it on.
	Protection *ProtectionAnswer `json:"protection,omitempty" doc:"When accepted and asked for: protection is on."`
}

func (v PhoneVerification) reveal() any {
	type plain PhoneVerification
	if v.Protection == nil {
		return plain(v)
	}
	return struct {
		plain
		Protection any `json:"protection"`
	}{plain(v), v.Protection.reveal()}
}
