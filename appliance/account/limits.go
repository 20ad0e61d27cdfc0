package account

import "strongroom.internal/appliance/otp"

// Every bound of the package, with its reason. Lengths are in bytes. A bound may be widened in a later release, never
// narrowed: the log holds what was within it.
const (
	// MaxCredentials is the most that any policy may allow. With the budget it bounds an attempt's work: 30 authenticators
	// of 3 steps are 90 MACs.
	MaxCredentials = 30
	// DefaultCredentials holds where the policy says nothing: a person's devices, with room for a family's.
	DefaultCredentials = 25

	// Budget is the chance, in units of 1e-8, that guessing may have between two honest successes before delays begin:
	// 10,000 units are 1 in 10,000.
	Budget = 10_000
	// MaxFailures is the most consecutive failures an account may see: NIST SP 800-63B, Section 5.2.2.
	MaxFailures = 100
	// FirstDelay and MaxDelay, in milliseconds, bound the growing delays: the first is short enough to sit out, and a day
	// is as long as an owner should be kept out by someone else's guesses.
	FirstDelay Time = 60 * 1000
	MaxDelay   Time = 24 * 60 * 60 * 1000

	// CoalesceFor is how long, in milliseconds, attempts on a locked account are counted under one log entry: 144 entries a
	// day are what guessing at one account may cost.
	CoalesceFor Time = 10 * 60 * 1000

	// MaxDrift bounds how far a credential's clock may be remembered to be off, in steps. Ten steps of 30 s are five
	// minutes; a token worse than that is broken.
	MaxDrift = 10
	// skew is how many steps before and after its expected one a time-based code is heard: RFC 6238, Section 5.2, advises
	// at most one for the network; the other is for clocks.
	skew = 1
	// LookAhead is how many counters past its own a counter-based credential is heard: RFC 4226, Section 7.4. Codes that
	// were made and not used, by a button pressed in a pocket.
	LookAhead = 5
	// ResyncSteps and ResyncCounters bound where two consecutive codes are searched: each way for time, ahead for counters.
	ResyncSteps    = MaxDrift
	ResyncCounters = 100

	// MaxLag is how far, in milliseconds, an attempt's time may be behind the account's last: nodes' clocks differ by a
	// second at most (cluster), the rest is queueing. An older one is evaluated again.
	MaxLag Time = 5 * 1000

	// MaxRequests and RequestLife bound the memory of requests by their id, per account: a retry comes within seconds, and
	// sixteen requests to one account within ten minutes are no person's.
	MaxRequests      = 16
	RequestLife Time = 10 * 60 * 1000

	// MaxTime is the end of the year 9999, in milliseconds: far enough, and nothing overflows.
	MaxTime Time = 253402300799999
	// MaxCounter keeps windows around a counter from overflowing.
	MaxCounter = otp.MaxCounter

	SaltSize       = 16   // 128 bits can't be guessed
	MaxTenant      = 64   // a DNS label and a little
	MaxAccount     = 128  // an e-mail address or an opaque id
	MaxActor       = 512  // audit.MaxField; a SPIFFE ID may have up to 2048, ours have far fewer
	MaxNode        = 64   // a node's id
	MaxModule      = 64   // a token's serial has 16, a TPM's name 68 hex digits cut
	MaxID          = 64   // a credential's id has 16
	MaxText        = 128  // each thing that a device says of itself, each name a person gave
	MaxSeed        = 1024 // hsm.SealedSeed: 136-byte blob and tag on PKCS#11, a private area on a TPM
	MaxEnvelope    = 512  // hsm.Envelope: a point and a wrapped block
	MaxCertificate = 4096 // DER, P-256
	MaxPublicKey   = 256  // PKIX DER, P-256 is 91

	// MaxAppPasswords is FEATURES.md's, A1.
	MaxAppPasswords = 25
	// appPasswordCost is what one wrong app password is charged, in units of Budget: the smallest there is, though its
	// chance is 2e-21.
	appPasswordCost = 1
	MACSize         = 32 // HMAC-SHA-256
	WrongSize       = 16 // 128 bits of it tell two passwords apart

	// MaxMatches bounds what an evaluator may report: the widest attempt, MaxCredentials of LookAhead+1 codes.
	MaxMatches = MaxCredentials * (LookAhead + 1)

	// MaxCommand and MaxState bound what decoders look at.
	MaxCommand = 32 << 10
	MaxState   = 256 << 10
)
