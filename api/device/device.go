// Package device is a trusted device's side of Strongroom: what an app on a phone has to do, in Go, for those who port it.
// It imports nothing of the server; README.md has the byte formats, and testdata the vectors to test a port with.
//
// A device has one P-256 key. With it the device is enrolled, signs its decisions, proves that a text message reached it,
// and opens what is sealed to it: its seed, and the codes of sign-ins that it allowed. A front-end carries all of that and
// can do none of it.
package device

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Domain strings begin everything that a device signs or that is sealed to it.
const (
	decisionDomain  = "strongroom/decision/v1"
	denialDomain    = "strongroom/decision/v2" // with a reason
	fetchDomain     = "strongroom/fetch/v1"
	textProofDomain = "strongroom/text-proof/v1"
	trustDomain     = "strongroom/device-trust/v1"
	resetDomain     = "strongroom/password-reset/v1"
	recoveryDomain  = "strongroom/recovery/v1"
	codeDomain      = "strongroom/sealed-code/v1"
	envelopeDomain  = "strongroom/envelope/v1"
)

// Key is a device's key. Real devices keep it in hardware: one that can sign with ECDSA and agree on keys with ECDH.
type Key struct {
	sign  *ecdsa.PrivateKey
	agree *ecdh.PrivateKey
}

// NewKey makes a key.
func NewKey() (*Key, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a device's key: %w", err)
	}
	return keyOf(k)
}

// ParseKey reads what MarshalPrivate wrote.
func ParseKey(pkcs8 []byte) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	k, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || k.Curve != elliptic.P256() {
		return nil, errors.New("reading a device's key: it must be a P-256 key as PKCS#8 DER")
	}
	return keyOf(k)
}

func keyOf(k *ecdsa.PrivateKey) (*Key, error) {
	agree, err := k.ECDH()
	if err != nil {
		return nil, fmt.Errorf("making a device's key: %w", err)
	}
	return &Key{k, agree}, nil
}

// MarshalPrivate writes the key as PKCS#8 DER, for devices that have no better place for it.
func (k *Key) MarshalPrivate() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k.sign) }

// Public is the key to enrol with: PKIX DER.
func (k *Key) Public() []byte {
	b, err := x509.MarshalPKIXPublicKey(&k.sign.PublicKey)
	if err != nil {
		panic(err) // a P-256 key can be written
	}
	return b
}

func (*Key) String() string   { return "(redacted)" }
func (*Key) GoString() string { return "(redacted)" }

// SignIn is what a device knows of a sign-in that it is asked about.
type SignIn struct {
	Tenant, Account string // as in the binding that the device was enrolled with
	ID              string
	Nonce           []byte
	Device          string // this device's id
}

// Decision is a signed Allow or Don't Allow, for the front-end to carry.
type Decision struct {
	Allow     bool
	Reason    string // of Don't Allow; empty: none was given
	TimeMS    int64
	Signature []byte
}

// Decide signs Allow or Don't Allow.
func (k *Key) Decide(s SignIn, allow bool, at time.Time) (Decision, error) {
	d := Decision{Allow: allow, TimeMS: at.UnixMilli()}
	var err error
	d.Signature, err = k.signMessage(DecisionMessage(s, allow, d.TimeMS))
	return d, err
}

// Reasons that go with Don't Allow. There are no others.
const (
	NotMe   = "not_me"  // somebody else knows the password
	Mistake = "mistake" // it was the person's own
)

// Deny signs Don't Allow with a reason. It may come after a Don't Allow without one, of the same device.
func (k *Key) Deny(s SignIn, reason string, at time.Time) (Decision, error) {
	if reason != NotMe && reason != Mistake {
		return Decision{}, errors.New("signing Don't Allow: there is no such reason")
	}
	d := Decision{Reason: reason, TimeMS: at.UnixMilli()}
	var err error
	d.Signature, err = k.signMessage(DenialMessage(s, reason, d.TimeMS))
	return d, err
}

// Fetch signs a request for the code of a sign-in that the device allowed.
func (k *Key) Fetch(s SignIn, at time.Time) (timeMS int64, signature []byte, err error) {
	timeMS = at.UnixMilli()
	signature, err = k.signMessage(FetchMessage(s, timeMS))
	return timeMS, signature, err
}

// ProveText signs that this device, which is signed in on, received the text with that code on that phone. SignIn.Device
// plays no part: the device has no id yet.
func (k *Key) ProveText(s SignIn, phone, code string) ([]byte, error) {
	return k.signMessage(TextProofMessage(s, phone, code))
}

// ProveTrust signs that this device is here, for a front-end that drew the challenge for this one question: 16 to 64 random
// bytes. A device that is asked while nobody signs in on it doesn't answer.
func (k *Key) ProveTrust(b Binding, challenge []byte, at time.Time) (timeMS int64, signature []byte, err error) {
	timeMS = at.UnixMilli()
	signature, err = k.signMessage(TrustMessage(b, challenge, timeMS))
	return timeMS, signature, err
}

// AskReset signs a request to set a new password, in a sign-in for that purpose that was begun on this device. present says
// that the device's owner unlocked it for this: say so only if they did.
func (k *Key) AskReset(s SignIn, present bool, at time.Time) (timeMS int64, signature []byte, err error) {
	timeMS = at.UnixMilli()
	signature, err = k.signMessage(ResetMessage(s, present, timeMS))
	return timeMS, signature, err
}

// Recovery is what a device knows of a recovery that it is told of.
type Recovery struct {
	Tenant, Account string // as in the binding that the device was enrolled with
	ID              string
	Nonce           []byte
	Device          string // this device's id
}

// CancelRecovery signs the owner's no to a recovery.
func (k *Key) CancelRecovery(r Recovery, at time.Time) (timeMS int64, signature []byte, err error) {
	return k.recovery(r, true, at)
}

// ConfirmRecovery signs that whoever recovers has this device.
func (k *Key) ConfirmRecovery(r Recovery, at time.Time) (timeMS int64, signature []byte, err error) {
	return k.recovery(r, false, at)
}

func (k *Key) recovery(r Recovery, cancel bool, at time.Time) (timeMS int64, signature []byte, err error) {
	timeMS = at.UnixMilli()
	signature, err = k.signMessage(RecoveryMessage(r, cancel, timeMS))
	return timeMS, signature, err
}

func (k *Key) signMessage(m []byte) ([]byte, error) {
	sum := sha256.Sum256(m)
	signature, err := ecdsa.SignASN1(rand.Reader, k.sign, sum[:])
	if err != nil {
		return nil, fmt.Errorf("signing with a device's key: %w", err)
	}
	return signature, nil
}

// DecisionMessage is what is signed for a decision.
func DecisionMessage(s SignIn, allow bool, timeMS int64) []byte {
	decision := "deny"
	if allow {
		decision = "allow"
	}
	return message(decisionDomain, s.Tenant, s.Account, s.ID, string(s.Nonce), s.Device, decision, eight(uint64(timeMS)))
}

// DenialMessage is what is signed for Don't Allow with a reason.
func DenialMessage(s SignIn, reason string, timeMS int64) []byte {
	return message(denialDomain, s.Tenant, s.Account, s.ID, string(s.Nonce), s.Device, "deny", reason, eight(uint64(timeMS)))
}

// FetchMessage is what is signed to be given a code again.
func FetchMessage(s SignIn, timeMS int64) []byte {
	return message(fetchDomain, s.Tenant, s.Account, s.ID, string(s.Nonce), s.Device, eight(uint64(timeMS)))
}

// TextProofMessage is what is signed to prove that a text was received.
func TextProofMessage(s SignIn, phone, code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return message(textProofDomain, s.Tenant, s.Account, s.ID, string(s.Nonce), phone, string(sum[:]))
}

// TrustMessage is what is signed to show that the device is here.
func TrustMessage(b Binding, challenge []byte, timeMS int64) []byte {
	return message(trustDomain, b.Tenant, b.Account, b.Credential, string(challenge), eight(uint64(timeMS)))
}

// ResetMessage is what is signed to ask for a password reset.
func ResetMessage(s SignIn, present bool, timeMS int64) []byte {
	presence := "absent"
	if present {
		presence = "present"
	}
	return message(resetDomain, s.Tenant, s.Account, s.ID, string(s.Nonce), s.Device, presence, eight(uint64(timeMS)))
}

// RecoveryMessage is what is signed for or against a recovery.
func RecoveryMessage(r Recovery, cancel bool, timeMS int64) []byte {
	decision := "confirm"
	if cancel {
		decision = "cancel"
	}
	return message(recoveryDomain, r.Tenant, r.Account, r.ID, string(r.Nonce), r.Device, decision, eight(uint64(timeMS)))
}

// message joins parts, each after its length in four bytes, high byte first.
func message(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

// eight is a number as eight bytes, high byte first.
func eight(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }
