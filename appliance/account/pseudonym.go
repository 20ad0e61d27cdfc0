package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// These keep what is hashed under an account's salt apart.
const (
	pseudonymDomain = "strongroom/pseudonym/v1"
	requestDomain   = "strongroom/log-request/v1"
)

// Pseudonym is the account's name in the log: the first 32 hex digits of HMAC-SHA-256 under the account's salt over the
// domain string, the tenant and the account, each after its length in four bytes, high byte first. Without the salt,
// nobody can tell whose it is, nor try names.
func Pseudonym(salt []byte, tenant, account string) string {
	var room [512]byte
	return salted(salt, appendParts(room[:0], pseudonymDomain, tenant, account))
}

// LogRequest is a request's id in the entries of an account: the first 32 hex digits of HMAC-SHA-256 under the account's
// salt over the domain string, after its length as above, and the id's 16 bytes. An Idempotency-Key can be made of an
// account's name: with the salt goes what links the two. It is empty for the zero id.
func LogRequest(salt []byte, id RequestID) string {
	if id == (RequestID{}) {
		return ""
	}
	var room [64]byte
	return salted(salt, append(appendParts(room[:0], requestDomain), id[:]...))
}

func salted(salt, message []byte) string {
	h := hmac.New(sha256.New, salt)
	h.Write(message)
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}
