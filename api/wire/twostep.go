package wire

import "time"

// TwoStep is how an account stands to two-step verification, the older scheme.
type TwoStep struct {
	On              bool      `json:"on"`
	Since           time.Time `json:"since,omitzero"`
	Imported        bool      `json:"imported,omitempty" doc:"It was on elsewhere before."`
	Phones          []Phone   `json:"phones" nullable:"false" doc:"Its own: no sign-in with two factors uses them. While it is off, one that waits for its code."`
	RecoveryKeyMade time.Time `json:"recovery_key_made,omitzero" doc:"Absent: there is none."`
	Proved          time.Time `json:"proved,omitzero" doc:"When a code or the recovery key was last right."`
	Entry           int64     `json:"entry,omitempty" doc:"Index of the key-usage log's entry, when something was done."`
}

// TwoStepRequest begins to turn it on, for an account that is not eligible for two factors.
type TwoStepRequest struct {
	Number        Secret `json:"number" minLength:"8" maxLength:"16" doc:"E.164, with its plus sign and nothing between the digits." example:"+14155550132"`
	Label         string `json:"label,omitempty" maxLength:"128"`
	Platform      string `json:"platform,omitempty" maxLength:"128" doc:"Of the best device that the person has, which the account need not know." example:"iOS"`
	SystemVersion string `json:"system_version,omitempty" maxLength:"128" example:"8.4.1"`
	SignIn        string `json:"sign_in,omitempty" maxLength:"64" doc:"A sign-in that was verified of late, where the tenant's policy asks for one (step_up_minutes)."`
}

func (r TwoStepRequest) reveal() any {
	return struct {
		Number        string `json:"number"`
		Label         string `json:"label,omitempty"`
		Platform      string `json:"platform,omitempty"`
		SystemVersion string `json:"system_version,omitempty"`
		SignIn        string `json:"sign_in,omitempty"`
	}{r.Number.Reveal(), r.Label, r.Platform, r.SystemVersion, r.SignIn}
}

// TwoStepImport takes over two-step verification that was on elsewhere.
type TwoStepImport struct {
	Phones []TwoStepPhone `json:"phones" minItems:"1" maxItems:"5" nullable:"false" doc:"They were verified there."`
}

// TwoStepPhone is a phone that was verified elsewhere.
type TwoStepPhone struct {
	Number Secret `json:"number" minLength:"8" maxLength:"16" doc:"E.164." example:"+14155550132"`
	Label  string `json:"label,omitempty" maxLength:"128"`
}

func (r TwoStepImport) reveal() any {
	type phone struct {
		Number string `json:"number"`
		Label  string `json:"label,omitempty"`
	}
	phones := make([]phone, len(r.Phones))
	for i, p := range r.Phones {
		phones[i] = phone{p.Number.Reveal(), p.Label}
	}
	return struct {
		Phones []phone `json:"phones"`
	}{phones}
}

// TwoStepCodeRequest asks for a code of four digits.
type TwoStepCodeRequest struct {
	Phone   string `json:"phone,omitempty" maxLength:"64" doc:"Absent: the first."`
	Channel string `json:"channel" enum:"text,voice"`
}

// TwoStepSending answers it. A name that is no account is answered like any other.
type TwoStepSending struct {
	Outcome string        `json:"outcome" enum:"sent,too-soon,limit" doc:"limit: so many wrong codes were typed that none is sent until the recovery key was right."`
	RetryAt time.Time     `json:"retry_at,omitzero" doc:"With too-soon: when another code may be sent."`
	Phone   string        `json:"phone,omitempty" doc:"When sent: the id of the phone that it goes to."`
	Phones  []PhoneOption `json:"phones" nullable:"false" doc:"Those that may be chosen."`
	Entry   int64         `json:"entry"`
}

// TwoStepAttempt is one attempt: with the code that was sent, or with the recovery key.
type TwoStepAttempt struct {
	Code        Secret `json:"code,omitzero" maxLength:"32" doc:"4 ASCII digits and nothing else." example:"1234"`
	RecoveryKey Secret `json:"recovery_key,omitzero" maxLength:"128" doc:"28 characters. Case, spaces and hyphens don't matter; O is 0, I and L are 1." example:"0123-4567-89AB-CDEF-GHJK-MNPQ-RSCT"`
}

func (r TwoStepAttempt) reveal() any {
	return struct {
		Code        string `json:"code,omitempty"`
		RecoveryKey string `json:"recovery_key,omitempty"`
	}{r.Code.Reveal(), r.RecoveryKey.Reveal()}
}

// TwoStepVerification answers it.
type TwoStepVerification struct {
	Outcome   string    `json:"outcome" enum:"accepted,wrong,locked,ended" doc:"ended: there is no code to compare with; each is compared once. Have another sent."`
	RetryAt   time.Time `json:"retry_at,omitzero" doc:"When locked: the next attempt is heard then. Absent when waiting does not help."`
	Assurance string    `json:"assurance,omitempty" enum:"password,two_step,two_factor" doc:"When accepted: two_step. Absent when the code turned it on: that proves a phone."`
	Entry     int64     `json:"entry"`
	Replayed  bool      `json:"replayed,omitempty"`
}

// NewRecoveryKey answers a request for one.
type NewRecoveryKey struct {
	RecoveryKey Secret    `json:"recovery_key,omitzero" doc:"Shown this once. A request that is repeated is answered without it."`
	Made        time.Time `json:"made"`
	Entry       int64     `json:"entry"`
}

func (k NewRecoveryKey) reveal() any {
	return struct {
		RecoveryKey string    `json:"recovery_key,omitempty"`
		Made        time.Time `json:"made"`
		Entry       int64     `json:"entry"`
	}{k.RecoveryKey.Reveal(), k.Made, k.Entry}
}
