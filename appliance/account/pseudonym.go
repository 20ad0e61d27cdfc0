package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// pseudonymDomain keeps pseudonyms apart from everything else that is hashed.
const pseudonymDomain = "strongroom/pseudonym/v1"

// Pseudonym is the account's name in the log: the first 32 hex digits of HMAC-SHA-256 under the account's salt over the
// domain string, the tenant and the account, each after its length in four bytes, high byte first. Without the salt,
// nobody can tell whose it is, nor try names.
func Pseudonym(salt []byte, tenant, account string) string {
	var room [512]byte
	h := hmac.New(sha256.New, salt)
	h.Write(appendParts(room[:0], pseudonymDomain, tenant, account))
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}
