package pkcs11

import "github.com/miekg/pkcs11"

// Nests says whether the module takes an unwrap template in an unwrap template.
func Nests(b *Backend) bool { return b.fit.nested }

// Keeper is the session that keeps the login.
func Keeper(b *Backend) pkcs11.SessionHandle {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.login.keeper
}
