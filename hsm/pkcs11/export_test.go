package pkcs11

import "github.com/miekg/pkcs11"

// Keeper is the session that keeps the login.
func Keeper(b *Backend) pkcs11.SessionHandle {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.login.keeper
}
