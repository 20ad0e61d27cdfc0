package audit

import (
	"crypto/sha256"
	"fmt"
)

// RequestID names a request by who sent it and its Idempotency-Key: the first 16 bytes of SHA-256
// over "strongroom/request/v1", a NUL, the length of the actor's SPIFFE ID in decimal, a colon, that ID, and the key. The
// actor is part of it, so no client can meet another's requests. It is zero for an empty key: such a request can't be
// repeated, and its entry names none. Entries have it in hex; those of an account, salted: see [Entry.Request].
func RequestID(actor, idempotencyKey string) (id [16]byte) {
	if idempotencyKey == "" {
		return id
	}
	h := sha256.New()
	fmt.Fprintf(h, "strongroom/request/v1\x00%d:%s%s", len(actor), actor, idempotencyKey)
	copy(id[:], h.Sum(nil))
	return id
}
