package wire

import "time"

// AppPasswordRequest makes an app password. Members that are absent don't bound its use.
type AppPasswordRequest struct {
	Label   string    `json:"label" doc:"What its owner calls the application." minLength:"1" maxLength:"128" example:"Mail on the laptop"`
	Service string    `json:"service,omitempty" doc:"The only service that it opens, by an id of the front-end's. Absent: any." maxLength:"64" example:"imap"`
	Network string    `json:"network,omitempty" doc:"The only network that it is heard from, CIDR. Absent: any." maxLength:"64" example:"192.0.2.0/24"`
	Expires time.Time `json:"expires,omitzero" doc:"From when on it is dead, in the future. Absent: never."`
}

// AppPassword is an app password without the password, which nobody has any more.
type AppPassword struct {
	ID       string    `json:"id" example:"mfzgk5dfon2gs3th"`
	Label    string    `json:"label" example:"Mail on the laptop"`
	Service  string    `json:"service,omitempty"`
	Network  string    `json:"network,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	Added    time.Time `json:"added"`
	LastUsed time.Time `json:"last_used,omitzero" doc:"Absent when it was never used."`
	LastFrom string    `json:"last_from,omitempty" doc:"Address of the last use, if the front-end gave one."`
}

// AppPasswords is an account's list.
type AppPasswords struct {
	AppPasswords []AppPassword `json:"app_passwords" nullable:"false"`
}

// NewAppPassword is the answer. Password is there this once and can't be had again, not even with the same
// Idempotency-Key.
type NewAppPassword struct {
	AppPassword AppPassword `json:"app_password"`
	Password    Secret      `json:"password,omitzero" doc:"Four groups of four letters; shown this once." example:"abcd-efgh-ijkm-npqr"`
	Entry       int64       `json:"entry" doc:"Index of the key-usage log's entry that records it."`
}

func (a NewAppPassword) reveal() any {
	type plain NewAppPassword
	return struct {
		plain
		Password string `json:"password,omitempty"`
	}{plain(a), a.Password.Reveal()}
}

// VerifyAppPasswordRequest is one attempt with an app password.
type VerifyAppPasswordRequest struct {
	Password Secret `json:"password" doc:"16 letters; spaces, hyphens and case don't matter." minLength:"1" maxLength:"128" example:"abcd-efgh-ijkm-npqr"`
	Service  string `json:"service,omitempty" doc:"What is being opened. A password that is bound to a service is wrong without it." maxLength:"64" example:"imap"`
	SourceIP string `json:"source_ip,omitempty" doc:"Address of the application. A password that is bound to a network is wrong without it." maxLength:"64" example:"192.0.2.7"`
}

func (r VerifyAppPasswordRequest) reveal() any {
	type plain VerifyAppPasswordRequest
	return struct {
		plain
		Password string `json:"password"`
	}{plain(r), r.Password.Reveal()}
}

// AppPasswordVerification answers an attempt with an app password.
type AppPasswordVerification struct {
	Outcome     string    `json:"outcome" enum:"accepted,wrong,locked" doc:"wrong too when the password is for another service or network, or expired: the log has the reason."`
	RetryAt     time.Time `json:"retry_at,omitzero" doc:"When locked: the next attempt is heard then. Absent when waiting does not help."`
	AppPassword string    `json:"app_password,omitempty" doc:"When accepted: whose id it was."`
	Entry       int64     `json:"entry" doc:"Index of the key-usage log's entry that records it."`
	Replayed    bool      `json:"replayed,omitempty" doc:"The answer of an earlier request with the same Idempotency-Key; nothing was charged."`
}
