package wire

import "time"

// Outcomes of an attempt. A wrong code is an answer, not an error.
const (
	Accepted = "accepted"
	Wrong    = "wrong"
	Spent    = "spent"   // the code was right and was used before; only for tenants whose policy asks
	Expired  = "expired" // the code was right and is too old; only for tenants whose policy asks
	Locked   = "locked"
)

// VerifyRequest is one attempt.
type VerifyRequest struct {
	Code   Secret `json:"code" doc:"6 to 8 ASCII digits and nothing else: take out what people put between them." minLength:"1" maxLength:"32" example:"123456"`
	Device string `json:"device,omitempty" doc:"Only this credential's codes. Absent: all of the account's." maxLength:"64" example:"mfzgk5dfon2gs3th"`

	Receipt bool `json:"receipt,omitempty" doc:"Answer with proof that the attempt is on the key-usage log. It takes until the log's next checkpoint: a tenth of a second when all is well, 3 s at most."`
}

func (r VerifyRequest) reveal() any {
	return struct {
		Code    string `json:"code"`
		Device  string `json:"device,omitempty"`
		Receipt bool   `json:"receipt,omitempty"`
	}{r.Code.Reveal(), r.Device, r.Receipt}
}

// Verification answers an attempt.
type Verification struct {
	Outcome   string    `json:"outcome" enum:"accepted,wrong,spent,expired,locked" doc:"spent and expired are told only to tenants whose policy asks; the rest read wrong."`
	RetryAt   time.Time `json:"retry_at,omitzero" doc:"When locked: the next attempt is heard then. Absent when waiting does not help."`
	Assurance string    `json:"assurance,omitempty" enum:"password,two_step,two_factor" doc:"When accepted: what it is worth, by the account's protection."`
	Device    string    `json:"device,omitempty" doc:"When accepted: the credential whose code it was."`
	Entry     int64     `json:"entry" doc:"Index of the key-usage log's entry that records it."`
	Replayed  bool      `json:"replayed,omitempty" doc:"The answer of an earlier request with the same Idempotency-Key; nothing was charged."`
	Receipt   string    `json:"receipt,omitempty" doc:"When asked for: a C2SP tlog-proof with the entry, its inclusion proof, and a checkpoint. Absent when no checkpoint came in time: ask for it later, by entry. Absent as well, for tenants that are not told spent from wrong, when the code was not accepted: the entry tells."`
}

// ResyncRequest gives two consecutive codes of one credential.
type ResyncRequest struct {
	First  Secret `json:"first" minLength:"1" maxLength:"32" example:"123456"`
	Second Secret `json:"second" doc:"The code that came right after." minLength:"1" maxLength:"32" example:"654321"`
}

func (r ResyncRequest) reveal() any {
	return struct {
		First  string `json:"first"`
		Second string `json:"second"`
	}{r.First.Reveal(), r.Second.Reveal()}
}
