// Package appliance is the use cases: enrol, verify, remove, admit a node, issue a certificate. It has the hardware
// compute, has the core decide through the engine, and lets an answer out only after its record is committed.
package appliance

import (
	"errors"
	"fmt"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// Role is what a client's certificate lets it do.
type Role uint8

// Roles. A front-end and the help desk belong to one tenant; operators and auditors to the cluster.
const (
	InvalidRole Role = iota
	Frontend
	Helpdesk // reads only
	Operator
	Auditor
	Node
)

var roleNames = [...]string{"invalid", "frontend", "helpdesk", "operator", "auditor", "node"}

func (r Role) String() string {
	if int(r) >= len(roleNames) {
		return roleNames[0]
	}
	return roleNames[r]
}

// ParseRole is the reverse of String; an unknown name is InvalidRole.
func ParseRole(s string) Role {
	for i, n := range roleNames[1:] {
		if n == s {
			return Role(i + 1)
		}
	}
	return InvalidRole
}

// Caller is who asks, as the certificate says.
type Caller struct {
	Identity string // the whole SPIFFE ID
	Role     Role
	Tenant   string // empty for operators and auditors
}

// AccountInfo is an account as its front-end sees it.
type AccountInfo struct {
	Account     string
	Created     time.Time
	Credentials []CredentialInfo
	Locked      bool
	RetryAt     time.Time // zero when not locked, or when waiting does not help
	Failures    int       // consecutive
	Protection  ProtectionInfo
	Lost        []CredentialInfo // devices that were reported lost or erased, and not removed yet
}

// CredentialInfo is a device or an authenticator app, without its secrets.
type CredentialInfo struct {
	ID            string
	Kind          account.Kind
	Params        otp.Params
	Name          string
	Model         string
	Serial        string
	Platform      string
	SystemVersion string
	Added         time.Time
	LastUsed      time.Time // zero: never
	Certificate   []byte    // DER; devices only
	Trusted       bool      // a device that is not lost
	ShowsCodes    bool      // its system is not below the tenant's minimum
	State         string    // "lost" or "erased"; empty: neither
	Presence      account.PresenceState
	Since         time.Time // of Presence; zero while it is unknown
	LastSeen      time.Time // the last sign of the device itself; zero: none
	Reported      time.Time // when it was reported so
}

// DeviceRequest enrols a device that has a key of its own.
type DeviceRequest struct {
	PublicKey     []byte // PKIX DER, P-256
	Name          string
	Model         string
	Serial        string
	Platform      string
	SystemVersion string
}

// EnrolledDevice is what the new device needs. Repeating the request with the same Idempotency-Key returns it again.
type EnrolledDevice struct {
	CredentialInfo
	Envelope hsm.Envelope // the seed, sealed to the device's key inside the module
	// Binding is what the envelope is bound to; the device needs it to open it.
	Binding hsm.Binding
	Entry   int64
}

// AuthenticatorRequest adds an authenticator app: by importing URI (policy: import), or, when URI is nil, by making a
// seed that is shown once (policy: reveal).
type AuthenticatorRequest struct {
	URI    *hsm.Secret // otpauth://…
	Issuer string
	Label  string
	Params otp.Params // zero fields: TOTP, SHA-1, 6 digits, 30 s
	SignIn string     // verified of late, for an account that has a device or is protected
}

// NewAuthenticator is the answer. URI and QR are set only when the seed was made here; they are shown this once and
// cannot be had again, not even with the same Idempotency-Key.
type NewAuthenticator struct {
	CredentialInfo
	URI   *hsm.Secret
	QR    *hsm.Secret // PNG
	Entry int64
}

// VerifyRequest is one attempt.
type VerifyRequest struct {
	Code   otp.Code
	Device string // only this credential's codes; empty for all of the account's
	// Receipt asks for proof that the attempt is on the log. It takes until the next checkpoint. Of an attempt whose code
	// was not accepted there is one only for tenants whose policy tells spent codes from wrong ones: the entry does.
	Receipt bool
}

// Verification answers an attempt. Outcome is Accepted, Wrong, Locked, or, for tenants whose policy asks, Spent.
type Verification struct {
	Outcome    account.Outcome
	RetryAt    time.Time         // Locked only; zero when waiting does not help
	Credential string            // Accepted only
	Assurance  account.Assurance // Accepted only: what the answer is worth
	Entry      int64             // index in the key-usage log; of a locked account's attempts, the one under which they are counted
	Receipt    []byte            // C2SP tlog-proof; nil when none was asked for, or when no checkpoint came in time
	Replayed   bool              // the answer of an earlier request with the same Idempotency-Key
}

// ResyncRequest gives two consecutive codes of one credential.
type ResyncRequest struct {
	Credential    string
	First, Second otp.Code
}

// CertificateRequest asks the cluster's authority for a client certificate.
type CertificateRequest struct {
	PublicKey []byte // PKIX DER; P-256 or Ed25519
	Role      Role   // not Node
	Tenant    string // front-ends and help desk
	Name      string // last part of the SPIFFE ID
	Lifetime  time.Duration
}

// IssuedCertificate is the answer.
type IssuedCertificate struct {
	Identity  string // SPIFFE ID
	Chain     []byte // PEM, leaf first
	Authority []byte // PEM, the cluster's root
	NotAfter  time.Time
	Entry     int64
}

// JoinToken lets one node join once.
type JoinToken struct {
	Token   *hsm.Secret // text; names the cluster's authority by hash, so that the joiner knows whom it talks to
	Expires time.Time
}

// JoinRequest is what a joining node shows.
type JoinRequest struct {
	Token         *hsm.Secret
	NodeID        string
	ClusterAddr   string // host:port of its Raft listener
	APIAddr       string // host:port of its API listener
	IdentityKey   []byte // PKIX DER
	LogKey        []byte // PKIX DER
	TransportKey  []byte // PKIX DER, RSA
	ModuleSerial  string
	ModuleDetails string // manufacturer, model and firmware, for the log and the status page
}

// JoinResponse lets it in.
type JoinResponse struct {
	ClusterID   string
	TrustDomain string
	Certificate []byte // PEM chain of the new node
	Authority   []byte // PEM
	Keys        hsm.KeyPackage
}

// Member is a node as the cluster's status shows it.
type Member struct {
	ID           string
	ClusterAddr  string
	APIAddr      string
	Leader       bool
	Voter        bool
	ModuleSerial string
	Module       string
	LogKey       []byte // PKIX DER
}

// ClusterStatus is the state of the cluster as one node sees it.
type ClusterStatus struct {
	ClusterID string
	Node      string
	Leader    string // empty: none known
	Term      uint64
	Applied   uint64
	Members   []Member
	LogSize   int64 // entries in all trees

	LogTree    string   // that grows
	LogRoot    [32]byte // its root
	LogSigned  int64    // entries, in all trees, up to which a checkpoint counts
	LogMissing int64    // entries that this node has still to fetch from others

	NoticesWaiting int       // to be delivered, of all tenants
	NoticesLost    uint64    // dropped, because too many waited
	Module         hsm.State // of this node
	Info           hsm.Info
	Clock          time.Duration // this node's offset from its peers' median
	Version        string
}

// Check is one line of readiness.
type Check struct {
	Name string // "module", "keys", "clock", "quorum", "log"
	Err  error  // nil: well
}

// Errors of the use cases. Whatever is none of these, nor ErrUnavailable, is a defect.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("exists already")
	ErrPolicy      = errors.New("the tenant's policy forbids it")
	ErrTooMany     = errors.New("a limit is reached")
	ErrConflict    = errors.New("this Idempotency-Key was used for another request")
	ErrEnded       = errors.New("the sign-in is over")
	ErrSignature   = errors.New("the signature is not the device's over what was to be signed")
	ErrNotEligible = errors.New("this device may not do that")
	ErrLastPhone   = errors.New("one verified phone must remain")
	ErrStepUp      = errors.New("it needs a second factor that was proved of late")
	ErrNoticesFull = errors.New("too many notices wait to be delivered")

	ErrPhoneNeeded = errors.New("a phone has to be verified first")
	ErrPermanent   = errors.New("protection can't be turned off any more")
	ErrProtected   = errors.New("protection is on already")
	ErrIneligible  = errors.New("the tenant's policy excludes accounts of this class")
	ErrTwoStepOn   = errors.New("two-step verification has to be turned off first, or moved")
	// ErrTwoFactorFirst: two-step verification is for accounts that are not eligible for two factors, and this one is.
	ErrTwoFactorFirst = errors.New("the account has two factors, or is eligible for them")
	ErrLink           = errors.New("the link is unknown or was used")
	ErrGrant          = errors.New("the grant is unknown, was used, or is too old")

	ErrToken = errors.New("the join token is unknown, used or expired")

	// ErrUnavailable: this node can't do it now and nothing was done; another node may. The module is gone, there is no
	// quorum, the clock is off, or too much waits.
	ErrUnavailable = errors.New("not available on this node now, nothing was done")
	// ErrUnknown: it may have been done. Repeat it with the same Idempotency-Key, or tell the person that it is unknown.
	ErrUnknown = errors.New("the outcome is unknown")
)

// InvalidError says which input is wrong, and what it must be. It never quotes a secret.
type InvalidError struct {
	Field  string
	Reason string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Reason) }

// Policy is a tenant's policy; its zero value closes both doors.
type Policy = account.Policy
