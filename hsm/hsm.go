// Package hsm is what the appliance asks of hardware, and the pool that shares it.
//
// A [Backend] is one module: a PKCS#11 token or a TPM. It opens [Session]s, in which one operation at a time runs. The
// [Pool] bounds the sessions, keeps hot seeds resident, notices that a module is gone and brings it back. The appliance
// talks to the Pool only.
//
// # What never leaves the module
//
// A seed, the wrapping key and every private key exist in clear only inside the module. What the host holds are sealed
// blobs (RFC 5649 AES key wrap with padding on PKCS#11, a private area under a storage parent on a TPM) and MACs. Two
// doors are narrow and the caller logs each passage: [Session.ImportSeed] takes a seed that already exists, and
// [Session.RevealSeed] makes one that is shown once as a QR code.
//
// # Binding
//
// RFC 5649 has no associated data, so each sealed seed carries a tag: HMAC-SHA-256 under the binding key, which lives
// in the module, over the domain string, the [Binding], the wrapping key's version, the hash and the blob. A module
// checks the tag before it unseals: nobody can put one account's blob in another's place.
package hsm

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"errors"
)

// Hash is the hash function of an HMAC seed (RFC 6238, Section 1.2).
type Hash uint8

// The hashes that RFC 6238 names.
const (
	InvalidHash Hash = iota
	SHA1
	SHA256
	SHA512
)

// BlockSize is the HMAC block size in bytes. Every seed is stored as exactly one block, zero-padded or hashed first
// (RFC 2104, Section 2), because modules round and refuse other lengths.
func (h Hash) BlockSize() int {
	if h == SHA512 {
		return 128
	}
	return 64
}

// Crypto gives the standard library's name of the hash, or 0 for an invalid one.
func (h Hash) Crypto() crypto.Hash {
	switch h {
	case SHA1:
		return crypto.SHA1
	case SHA256:
		return crypto.SHA256
	case SHA512:
		return crypto.SHA512
	}
	return 0
}

// Binding says whose seed a sealed blob is. Equal bindings have equal canonical bytes; nothing else has.
type Binding struct {
	Tenant     string
	Account    string
	Credential string
	Version    uint32
}

// SealedSeed is a seed under the wrapping key. It may be stored anywhere.
type SealedSeed struct {
	KeyVersion uint32 `cbor:"1,keyasint"` // of the wrapping key
	Hash       Hash   `cbor:"2,keyasint"`
	Blob       []byte `cbor:"3,keyasint"`
	Tag        []byte `cbor:"4,keyasint"` // HMAC-SHA-256 under the binding key
}

// Envelope is a fresh seed sealed to a device's P-256 key from inside the module; see [OpenEnvelope].
type Envelope struct {
	Ephemeral []byte `cbor:"1,keyasint" json:"ephemeral"` // uncompressed point, 65 bytes
	Wrapped   []byte `cbor:"2,keyasint" json:"wrapped"`   // RFC 5649
}

// KeyName names a key of the cluster or of the node, as in DESIGN.md's table.
type KeyName string

// Keys of the cluster. All but the first two are sealed under the wrapping key and replicated.
const (
	KeyWrapping    KeyName = "wrapping"     // AES-256: seals seeds and cluster keys
	KeyBinding     KeyName = "binding"      // HMAC-SHA-256: tags sealed records
	KeyDeviceTrust KeyName = "device-trust" // P-256: signs device certificates and browser-trust tokens
	KeyAuthority   KeyName = "authority"    // P-256: signs the certificates of nodes and clients
	KeyCode        KeyName = "code"         // HMAC-SHA-256: sign-in codes that are pushed or sent
	KeyPepper      KeyName = "pepper"       // HMAC-SHA-256: app passwords and recovery keys
)

// Keys of one node; they never leave its module.
const (
	KeyIdentity  KeyName = "identity"  // P-256: TLS for Raft and API
	KeyLog       KeyName = "log"       // Ed25519, or P-256 where the module has no EdDSA: cosigns checkpoints
	KeyTransport KeyName = "transport" // RSA-3072: receives the wrapping key at join; used once, then destroyed
)

// SealedKey is a cluster key under the wrapping key, as it is replicated.
type SealedKey struct {
	Name       KeyName `cbor:"1,keyasint"`
	Version    uint32  `cbor:"2,keyasint"`
	KeyVersion uint32  `cbor:"3,keyasint"` // of the wrapping key
	Blob       []byte  `cbor:"4,keyasint"`
	Public     []byte  `cbor:"5,keyasint,omitempty"` // PKIX DER, for signing keys
	Tag        []byte  `cbor:"6,keyasint"`           // HMAC-SHA-256 under the binding key over all of the above
}

// KeyPackage carries the wrapping and binding keys to one joining module, under its transport key.
type KeyPackage struct {
	Recipient  []byte     `cbor:"1,keyasint"` // SHA-256 of the transport key's PKIX DER
	KeyVersion uint32     `cbor:"2,keyasint"`
	Wrapping   []byte     `cbor:"3,keyasint"` // RSA-OAEP on PKCS#11, a duplicate on a TPM
	Binding    []byte     `cbor:"4,keyasint"`
	Checks     []KeyCheck `cbor:"5,keyasint"`
	OAEPHash   string     `cbor:"6,keyasint,omitempty"` // PKCS#11: "SHA-256" or "SHA-1"
}

// KeyCheck is a key check value: 8 bytes of a MAC or encryption of a constant, equal exactly when the keys are.
type KeyCheck struct {
	Name    KeyName `cbor:"1,keyasint" json:"name"`
	Version uint32  `cbor:"2,keyasint" json:"version"`
	Value   []byte  `cbor:"3,keyasint" json:"value"`
}

// Info describes an open module.
type Info struct {
	Kind         string // "pkcs11" or "tpm"
	Manufacturer string
	Model        string
	Serial       string
	Firmware     string
	Label        string // of the token; empty on a TPM
}

// Limits are what a module can hold and do at once.
type Limits struct {
	Sessions int // sessions that may be open together
	Resident int // loaded seeds that may stay in the module together
}

// Handle names a seed that is loaded in the module. It is valid in every session of the backend until Unload, until
// the session that loaded it closes, or until the module goes away.
type Handle uint64

// Backend is one module, opened and logged in. Its methods are safe for concurrent use.
type Backend interface {
	Info() Info
	Limits() Limits

	// OpenSession opens a session. It fails with ErrGone when the module does not answer or was taken away.
	OpenSession(ctx context.Context) (Session, error)

	// Recover brings a module back after ErrGone: it re-initialises, finds the token by its serial and logs in once.
	// Every older Session and Handle is dead afterwards. A refused PIN is ErrPIN: it is final, and no later Recover
	// tries that PIN again. Only the Pool calls it, never twice at once.
	Recover(ctx context.Context) error

	// Close ends all sessions and the login.
	Close() error
}

// Session is one conversation with a module. One call at a time; the Pool sees to it. A call that has begun can't be
// cancelled. Errors: ErrGone and ErrSession as below, ErrTag, ErrNoKey; anything else is a refusal of this operation.
type Session interface {
	// Ping proves that the module, and the wrapping key on it, still answer from the hardware itself and not from a
	// cache of the library's. Before the wrapping key exists it proves only that the token answers.
	Ping() error

	// GenerateSeed makes a seed of h's output length inside the module and seals it under the newest wrapping key. With
	// a recipient it also seals it to that device key; the envelope is bound to b. The seed object is destroyed.
	GenerateSeed(b Binding, h Hash, recipient *ecdh.PublicKey) (SealedSeed, *Envelope, error)
	// RevealSeed is the QR door: it makes a seed of h's output length that the caller sees once.
	RevealSeed(b Binding, h Hash) (SealedSeed, *Secret, error)
	// ImportSeed is the import door: 10 to 256 bytes that already exist elsewhere.
	ImportSeed(b Binding, h Hash, seed *Secret) (SealedSeed, error)

	// Load checks the tag (ErrTag) and unseals. MAC computes HMAC over each message with a loaded seed of hash h.
	Load(b Binding, s SealedSeed) (Handle, error)
	MAC(seed Handle, h Hash, messages [][]byte) ([][]byte, error)
	Unload(seed Handle) error

	// CreateWrappingKey makes version 1 of the wrapping key and the binding key: the birth of a cluster. It refuses when
	// either exists.
	CreateWrappingKey() error
	// GenerateClusterKey makes one of the replicated cluster keys, sealed. The clear key is destroyed.
	GenerateClusterKey(name KeyName, version uint32) (SealedKey, error)
	// InstallClusterKey checks the tag and loads a replicated key, so that KeyedMAC and Sign can use it. Installing the
	// same key again replaces it. Keys are installed again after Recover, by the Pool.
	InstallClusterKey(SealedKey) error
	// KeyedMAC computes HMAC-SHA-256 with an installed cluster key (KeyCode, KeyPepper).
	KeyedMAC(name KeyName, messages [][]byte) ([][]byte, error)
	// BindingMAC computes HMAC-SHA-256 with the binding key, which every node's token holds from its joining on. The
	// message begins with a domain string of its own: the Pool sees to it.
	BindingMAC(message []byte) ([]byte, error)
	// KeyChecks gives the check values of the wrapping keys and the binding key on this module.
	KeyChecks() ([]KeyCheck, error)

	// CreateNodeKey makes the identity or log key if the module has none, and returns its public key either way.
	CreateNodeKey(name KeyName) (crypto.PublicKey, error)
	// PublicKey returns the public half of a node key, or of an installed cluster key.
	PublicKey(name KeyName) (crypto.PublicKey, error)
	// Sign signs a digest (ECDSA: ASN.1 DER) or a message (Ed25519) with a node key or an installed cluster key.
	Sign(name KeyName, digest []byte, opts crypto.SignerOpts) ([]byte, error)

	// CreateDayKey makes the node's key of a day (see DayKey) unless there is one. Its private half can't leave the module,
	// be copied or be changed, and DayKeys lists the days that there are keys of. OpenDay opens what was sealed to one, and
	// is ErrNoKey once DestroyDayKey was called, which may be repeated: what a key of a day held, nothing brings back.
	CreateDayKey(day uint32) (DayKey, error)
	DayKeys() ([]uint32, error)
	OpenDay(day uint32, sealed []byte) (*Secret, error)
	DestroyDayKey(day uint32) error

	// CreateTransportKey makes the one-use key pair that receives the wrapping key. An older one is destroyed.
	CreateTransportKey() (pkix []byte, err error)
	// ExportTo wraps the wrapping and binding keys to a transport key that the security officer marked trusted; any
	// other recipient is refused by the module itself (ErrUntrusted). The trusted public key is destroyed afterwards.
	ExportTo(pkix []byte) (KeyPackage, error)
	// ImportFrom unwraps a package, destroys the transport key whatever happens, and compares the key check values.
	ImportFrom(KeyPackage) error

	Close() error
}

// Errors that a backend translates its vendor's codes into.
var (
	// ErrGone: the module does not answer, or its token was taken away. Nothing was done.
	ErrGone = errors.New("the module is gone")
	// ErrSession: this session or a handle in it is dead, the module itself may be well. Nothing was done; open another
	// session and load again.
	ErrSession = errors.New("the module's session is dead")
	// ErrPIN: the PIN was refused or is locked. It is never tried again.
	ErrPIN = errors.New("the module refused the PIN")
	// ErrTag: a sealed record is not the one that was made for this binding.
	ErrTag = errors.New("the sealed record's tag does not match its place")
	// ErrNoKey: the named key is not on this module, or not installed.
	ErrNoKey = errors.New("no such key on the module")
	// ErrUntrusted: the recipient of an export is not marked trusted by the security officer.
	ErrUntrusted = errors.New("the transport key is not marked trusted")
	// ErrBusy: no session came free before the context ended. Nothing was done.
	ErrBusy = errors.New("the module is busy")
	// ErrUnfit: the module can't keep one of the promises; the message names which and why.
	ErrUnfit = errors.New("the module is not fit for use")
)
