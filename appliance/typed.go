package appliance

import (
	"encoding/binary"

	"strongroom.internal/hsm"
)

// What app passwords and recovery keys have in common: people read them off a screen and type them, and what is kept of
// them is a MAC under the pepper.

// grouped is a secret as it is shown: groups of four characters, with hyphens.
func grouped(s *hsm.Secret) *hsm.Secret {
	const group = 4
	characters := s.Reveal()
	shown := make([]byte, 0, len(characters)+len(characters)/group)
	for i, b := range characters {
		if i > 0 && i%group == 0 {
			shown = append(shown, '-')
		}
		shown = append(shown, b)
	}
	return hsm.NewSecret(shown)
}

// peppered is what the pepper MACs: domain, tenant, account and secret, each after its length in four bytes, high byte
// first.
func peppered(domain, tenant, account string, s *hsm.Secret) []byte {
	secret := s.Reveal()
	m := make([]byte, 0, 4*4+len(domain)+len(tenant)+len(account)+len(secret))
	for _, part := range []string{domain, tenant, account} {
		m = binary.BigEndian.AppendUint32(m, uint32(len(part)))
		m = append(m, part...)
	}
	m = binary.BigEndian.AppendUint32(m, uint32(len(secret)))
	return append(m, secret...)
}
