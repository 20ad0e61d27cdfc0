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

	// MaxSignIns bounds the sign-ins that an account remembers, open and ended: nobody signs in on nine devices at once.
	MaxSignIns = 8
	// DefaultSignInMinutes and MaxSignInMinutes bound how long a sign-in and its codes live, in minutes.
	DefaultSignInMinutes = 10
	MaxSignInMinutes     = 60
	// KeepSignIns is how long, in milliseconds, a sign-in that has run out is remembered at least, if there is room: who
	// asks how it ended asks soon.
	KeepSignIns Time = 60 * 60 * 1000
	// MaxLive bounds the live codes of an account over all sign-ins, so that one attempt on the default 25 devices stays
	// within the budget: 25 x 300 + 16 x 100 units.
	MaxLive = 16
	// QuietAfter sign-ins that were denied within QuietFor milliseconds, the devices are told of no more: prompts that
	// come until somebody says yes by mistake are an attack that is known from others. It holds until the first of the three
	// is so old, however many sign-ins were begun, verified or cancelled meanwhile.
	QuietAfter      = 3
	QuietFor   Time = 60 * 60 * 1000

	// MaxPhones is a person's, and some of others who help.
	MaxPhones = 10
	// SendsWithin is the time, in milliseconds, over which sent codes are counted. The bounds of what policy may allow are
	// what a person with bad reception may need; each message costs money.
	SendsWithin            Time = 60 * 60 * 1000
	DefaultSendsPerSignIn       = 5
	DefaultSendsPerPhone        = 5
	DefaultSendsPerAccount      = 10
	MaxSendsPerSignIn           = 20
	MaxSendsPerPhone            = 20
	MaxSendsPerAccount          = 40
	// DefaultSendCooldown and MaxSendCooldown, in seconds, are between two codes to one number: the first may be on its way.
	DefaultSendCooldown = 30
	MaxSendCooldown     = 600
	// RepeatFor is how long, in milliseconds, a text that was refused as password and code is refused again for nothing:
	// software that saved it tries it every few seconds.
	RepeatFor Time = 10 * 60 * 1000

	// TellFor is how long, in milliseconds, a message about a removed number is of use: a gateway may be down for a night.
	TellFor Time = 24 * 60 * 60 * 1000
	// SeenEvery is how often, in milliseconds, it is noted that a device was seen: front-ends may report it with each of a
	// device's requests.
	SeenEvery Time = 60 * 60 * 1000

	// WayBack is how long, in milliseconds, protection can be turned off again by the link.
	WayBack Time = 14 * 24 * 60 * 60 * 1000
	// LinkSize is what a link's token is made of, and LinkTokenSize the token: 160 bits can't be guessed, so that a wrong one
	// need not be charged.
	LinkSize      = 16
	LinkTokenSize = 20
	// MaxSettings is what a front-end may leave of earlier settings, and MaxPrior what that is sealed: with a key of seven
	// nodes.
	MaxSettings = 16 << 10
	MaxPrior    = 20 << 10
	// MaxLost bounds the lost and erased devices that are remembered: a person looks for the last ones.
	MaxLost = 10
	// MaxPlatforms and MaxClasses keep a whole policy within an entry's detail.
	MaxPlatforms = 12
	MaxPlatform  = 24
	MaxVersion   = 16
	MaxClasses   = 8
	MaxClass     = 24

	// DefaultRecoveryWait, DefaultRecoveryFloor and DefaultRecoveryPause, in days, hold where the policy says nothing: two
	// weeks are a holiday; three days a weekend in which nobody looks at a phone; a week's peace is as long as half a wait.
	DefaultRecoveryWait  = 14
	DefaultRecoveryFloor = 3
	DefaultRecoveryPause = 7
	// MaxRecoveryDays bounds each of them; whoever waits longer has given up. MaxRecovery is the same in milliseconds.
	MaxRecoveryDays      = 90
	MaxRecovery     Time = MaxRecoveryDays * 24 * 60 * 60 * 1000
	// MinRecoveryFloor, in milliseconds, is below every floor that a policy can ask for: an owner who sleeps and then works
	// hears of it in time.
	MinRecoveryFloor Time = 24 * 60 * 60 * 1000
	// RecoveryOpen is how long, in milliseconds, a recovery that is ready may be completed. After that it is nobody's any more.
	RecoveryOpen Time = 14 * 24 * 60 * 60 * 1000
	// RecoveryGap is the least time, in milliseconds, between two starts: each tells all devices and phones.
	RecoveryGap Time = 24 * 60 * 60 * 1000
	// RecoveryTries is how many wrong attempts to cancel a recovery a code survives. They are heard on a locked account too, or
	// whoever locks it keeps a phone's owner from saying no; what they could guess is a no.
	RecoveryTries = 5
	// GrantLife is how long, in milliseconds, a grant may be redeemed: as long as it takes to think of a new password.
	GrantLife Time = 15 * 60 * 1000
	// GrantSize is what a grant's token is made of, and GrantTokenSize the token: as a link's.
	GrantSize      = 16
	GrantTokenSize = 20

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

	// DefaultStepUpMinutes is how old, in minutes, a verified sign-in may be with which a device is added, where policy doesn't
	// say.
	DefaultStepUpMinutes = 10
	// MaxBrowsers is more than a person uses; the one that was used longest ago makes room.
	MaxBrowsers = 20
	// DefaultBrowserDays and MaxBrowserDays bound how long a browser is trusted without a code.
	DefaultBrowserDays = 30
	MaxBrowserDays     = 400
	// TrustWithin is how long, in milliseconds, a verified sign-in is good for trusting the browser that it was in: the
	// question comes right behind the code.
	TrustWithin Time = 10 * 60 * 1000
	// RotateGrace is how long, in milliseconds, a browser's former token is as good as the new one: two pages that are loaded
	// at once, or an answer that was lost on the way. A thief who is that quick is found out at the next use.
	RotateGrace Time = 60 * 1000
	// MinChallenge and MaxChallenge bound, in bytes, what a device signs to show that it is there: 128 bits never come twice.
	MinChallenge = 16
	MaxChallenge = 64
	// stepCost is one code of four digits, in units of Budget: all of it. So one guess is free, if nothing else was.
	stepCost = 10_000
	// MaxStepGuesses is how many codes of four digits may be wrong since the last that was right, or the recovery key: 5 in
	// 10,000. After that they are neither sent nor heard. Fewer would lock out people who type the code of the message
	// before; more would promise less.
	MaxStepGuesses = 5
	// StepFreshFor is how long, in milliseconds, a proof counts for turning two-step verification off, moving to two
	// factors, or a new recovery key.
	StepFreshFor Time = 10 * 60 * 1000
	// MaxStepPhones is a person's, and one or two of others: what the older scheme let people have in practice.
	MaxStepPhones = 5
	// recoveryCost is what a wrong recovery key is charged: the smallest there is.
	recoveryCost = 1

	NonceSize    = 16
	RepeatSize   = 16
	MaxSignature = 80  // ASN.1 DER of two numbers of 32 bytes is at most 72
	MaxChannel   = 72  // "device/" and an id
	MaxDomain    = 253 // RFC 1035, Section 2.3.4
	// MaxMatches bounds what an evaluator may report: the widest attempt, MaxCredentials of LookAhead+1 codes.
	MaxMatches = MaxCredentials * (LookAhead + 1)

	// MaxCommand and MaxState bound what decoders look at.
	MaxCommand = 32 << 10
	MaxState   = 256 << 10
)
