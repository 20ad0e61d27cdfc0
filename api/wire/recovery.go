package wire

import "time"

// States of a recovery.
const (
	RecoveryWaiting   = "waiting"
	RecoveryReady     = "ready"
	RecoveryCompleted = "completed"
	RecoveryCancelled = "cancelled"
	RecoveryWithdrawn = "withdrawn"
	RecoveryExpired   = "expired"
)

// Kinds of evidence.
const (
	EvidencePhoneCode = "phone_code"
	EvidenceDevice    = "device"
	EvidencePassword  = "password"
	EvidenceEmail     = "email"
)

// Outcomes of starting and claiming a recovery; too-soon and ended are those of others.
const (
	Started        = "started"
	Running        = "running" // one runs, and nothing was changed
	Granting       = "granted"
	NotYet         = "not-yet" // with retry_at
	EvidenceNeeded = "evidence-needed"
)

// Recovery is a recovery of an account. One for a name that isn't an account looks like any other.
type Recovery struct {
	ID          string        `json:"id" example:"mfzgk5dfon2gs3th"`
	State       string        `json:"state" enum:"waiting,ready,completed,cancelled,withdrawn,expired"`
	Explanation string        `json:"explanation" doc:"The state in a sentence, for the person or for whoever helps them."`
	Nonce       []byte        `json:"nonce" doc:"What devices sign over."`
	Started     time.Time     `json:"started"`
	Ready       time.Time     `json:"ready" doc:"From when on it can be completed. Evidence alone brings it nearer."`
	Floor       time.Time     `json:"floor" doc:"Before which no evidence makes it ready."`
	Expires     time.Time     `json:"expires" doc:"Until when it can be completed."`
	Granted     time.Time     `json:"granted,omitzero" doc:"When a grant was first given."`
	Ended       time.Time     `json:"ended,omitzero"`
	Evidence    []string      `json:"evidence" nullable:"false" doc:"Kinds that were given."`
	Helps       []Help        `json:"helps" nullable:"false" doc:"Kinds that were not, and by how many hours each would shorten the wait."`
	Phones      []PhoneOption `json:"phones" nullable:"false" doc:"To which a code can be sent."`
	Entry       int64         `json:"entry,omitempty" doc:"Index of the key-usage log's entry, when something was done."`
}

// Help is a kind of evidence that would help.
type Help struct {
	Kind  string `json:"kind" enum:"phone_code,device,password,email"`
	Hours int    `json:"hours"`
}

// Recoveries is a list: the newest, if there was one.
type Recoveries struct {
	Recoveries []Recovery `json:"recoveries" nullable:"false"`
}

// RecoveryStart answers a start.
type RecoveryStart struct {
	Outcome  string    `json:"outcome" enum:"started,running,too-soon" doc:"running: one runs, and it was neither begun again nor shortened. too-soon: one was cancelled by the account's owner, or started a moment ago."`
	RetryAt  time.Time `json:"retry_at,omitzero" doc:"With too-soon: when one may be started."`
	Recovery *Recovery `json:"recovery,omitempty"`
	Entry    int64     `json:"entry"`
}

// EvidenceRequest gives what speaks for whoever recovers.
type EvidenceRequest struct {
	Kind      string `json:"kind" enum:"phone_code,device,password,email" doc:"password and email are what the front-end says: that the person typed the right password, or answered a message to an address that was known before."`
	Code      Secret `json:"code,omitzero" maxLength:"32" doc:"With phone_code: the code that was sent, 6 ASCII digits." example:"123456"`
	Device    string `json:"device,omitempty" maxLength:"64" doc:"With device: its id, and what it signed (confirm)."`
	TimeMS    int64  `json:"time_ms,omitempty" minimum:"1" maximum:"253402300799999" doc:"Unix milliseconds, as they were signed."`
	Signature []byte `json:"signature,omitempty" maxLength:"128" doc:"ECDSA P-256 with SHA-256, ASN.1 DER, by the device's key: see api/device."`
}

func (r EvidenceRequest) reveal() any {
	type plain EvidenceRequest
	return struct {
		plain
		Code string `json:"code,omitempty"`
	}{plain(r), r.Code.Reveal()}
}

// CancellationRequest is the owner's no: a device's signature, or the code that was sent to a phone.
type CancellationRequest struct {
	Code      Secret `json:"code,omitzero" maxLength:"32" doc:"That was sent to a phone, 6 ASCII digits." example:"123456"`
	Device    string `json:"device,omitempty" maxLength:"64" doc:"Or the id of the device that signed (cancel)."`
	TimeMS    int64  `json:"time_ms,omitempty" minimum:"1" maximum:"253402300799999" doc:"Unix milliseconds, as they were signed."`
	Signature []byte `json:"signature,omitempty" maxLength:"128" doc:"ECDSA P-256 with SHA-256, ASN.1 DER, by the device's key: see api/device."`
}

func (r CancellationRequest) reveal() any {
	type plain CancellationRequest
	return struct {
		plain
		Code string `json:"code,omitempty"`
	}{plain(r), r.Code.Reveal()}
}

// RecoveryProof answers evidence and cancellations.
type RecoveryProof struct {
	Outcome  string    `json:"outcome" enum:"accepted,wrong,locked,ended"`
	RetryAt  time.Time `json:"retry_at,omitzero" doc:"When locked: the next attempt is heard then. Absent when waiting does not help."`
	Recovery Recovery  `json:"recovery"`
	Entry    int64     `json:"entry"`
	Replayed bool      `json:"replayed,omitempty"`
}

// RecoveryClaim answers whoever wants to complete a recovery.
type RecoveryClaim struct {
	Outcome string    `json:"outcome" enum:"granted,not-yet,evidence-needed,ended"`
	RetryAt time.Time `json:"retry_at,omitzero" doc:"With not-yet: when it is ready."`
	Grant   Secret    `json:"grant,omitzero" doc:"With granted: to be redeemed once, within 15 minutes. Until it was, another may be asked for; only the newest counts."`
	Expires time.Time `json:"expires,omitzero"`
	Entry   int64     `json:"entry"`
}

func (c RecoveryClaim) reveal() any {
	return struct {
		Outcome string    `json:"outcome"`
		RetryAt time.Time `json:"retry_at,omitzero"`
		Grant   string    `json:"grant,omitempty"`
		Expires time.Time `json:"expires,omitzero"`
		Entry   int64     `json:"entry"`
	}{c.Outcome, c.RetryAt, c.Grant.Reveal(), c.Expires, c.Entry}
}

// CompletionRequest redeems a recovery's grant.
type CompletionRequest struct {
	Grant     Secret        `json:"grant" minLength:"1" maxLength:"64"`
	NewDevice DeviceRequest `json:"new_device" doc:"To which the account is bound from now on. What it had of devices, authenticators, trusted browsers, app passwords and sign-ins is dead in the same step."`
}

func (r CompletionRequest) reveal() any {
	return struct {
		Grant     string        `json:"grant"`
		NewDevice DeviceRequest `json:"new_device"`
	}{r.Grant.Reveal(), r.NewDevice}
}

// ResetRequest asks for a grant to set a new password.
type ResetRequest struct {
	SignIn    string `json:"sign_in" minLength:"1" maxLength:"64" doc:"Begun for password-reset. With a device, own is that device, and it is still open; without, it was verified by a code within 15 minutes, and the tenant's policy lets that do."`
	Device    string `json:"device,omitempty" maxLength:"64" doc:"That signed."`
	Presence  string `json:"local_presence,omitempty" enum:"present,absent" doc:"As it was signed: the device's owner unlocked it for this. The tenant's policy may demand it. Default absent."`
	TimeMS    int64  `json:"time_ms,omitempty" minimum:"1" maximum:"253402300799999" doc:"Unix milliseconds, as they were signed."`
	Signature []byte `json:"signature,omitempty" maxLength:"128" doc:"ECDSA P-256 with SHA-256, ASN.1 DER, by the device's key: see api/device."`
}

// Values of ResetRequest.Presence.
const (
	Present = "present"
	Absent  = "absent"
)

// ResetGrant answers it.
type ResetGrant struct {
	Grant   Secret    `json:"grant" doc:"To be redeemed once, when the new password is set."`
	Expires time.Time `json:"expires"`
	Entry   int64     `json:"entry"`
}

func (g ResetGrant) reveal() any {
	return struct {
		Grant   string    `json:"grant"`
		Expires time.Time `json:"expires"`
		Entry   int64     `json:"entry"`
	}{g.Grant.Reveal(), g.Expires, g.Entry}
}

// RedemptionRequest redeems a grant.
type RedemptionRequest struct {
	Grant Secret `json:"grant" minLength:"1" maxLength:"64"`
}

func (r RedemptionRequest) reveal() any {
	return struct {
		Grant string `json:"grant"`
	}{r.Grant.Reveal()}
}

// Redemption answers it: set the password now.
type Redemption struct {
	Device string `json:"device,omitempty" doc:"That asked for it. Absent: a code did."`
	Entry  int64  `json:"entry"`
}

// RecoveryPolicy is what a tenant's policy says of recoveries that start from now on.
type RecoveryPolicy struct {
	Allow     bool            `json:"allow,omitempty" doc:"Recoveries may be started. Off again, none is granted."`
	WaitDays  int             `json:"wait_days,omitempty" minimum:"0" maximum:"90" doc:"How long one waits without evidence; absent or 0: 14."`
	FloorDays int             `json:"floor_days,omitempty" minimum:"0" maximum:"90" doc:"How long it waits with any evidence; absent or 0: 3."`
	PauseDays int             `json:"pause_days,omitempty" minimum:"0" maximum:"90" doc:"How long none starts after the owner has cancelled one; absent or 0: 7."`
	Shorten   EvidenceWeights `json:"shorten,omitzero" doc:"By how many hours each kind of evidence shortens the wait, once. 0: it doesn't, but is evidence all the same; without any, nothing is granted."`
}

// EvidenceWeights are hours.
type EvidenceWeights struct {
	PhoneCode int `json:"phone_code_hours,omitempty" minimum:"0" maximum:"2160"`
	Device    int `json:"device_hours,omitempty" minimum:"0" maximum:"2160"`
	Password  int `json:"password_hours,omitempty" minimum:"0" maximum:"2160"`
	Email     int `json:"email_hours,omitempty" minimum:"0" maximum:"2160"`
}

// ResetPolicy is what a tenant's policy says of password resets.
type ResetPolicy struct {
	LocalPresence bool `json:"local_presence,omitempty" doc:"The device has to say that its owner unlocked it for this."`
	ByCode        bool `json:"by_code,omitempty" doc:"A sign-in for a reset that was verified by a code is enough. Whoever has the phone then has the account."`
}
