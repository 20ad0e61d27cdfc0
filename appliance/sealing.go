package appliance

import (
	"context"
	"crypto/hpke"
	"encoding/binary"
	"fmt"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// SealedCode is a code that only one device can read: HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256),
// HKDF-SHA256 and AES-256-GCM, to the key that the device enrolled with. Sealed is the encapsulated key (65 bytes) and the
// ciphertext, without associated data; what is inside is the digits in ASCII. The info string is [CodeInfo].
type SealedCode struct {
	SignIn string
	Device string
	N      uint32
	Sealed []byte
	Entry  int64 // of the request that it answers
}

const sealedCodeDomain = "strongroom/sealed-code/v1"

// CodeInfo is HPKE's info string of a sealed code: the domain string, tenant, account, sign-in, device, and the code's
// number as eight bytes, high byte first; each after its length in four bytes, high byte first.
func CodeInfo(tenant, name, signIn, device string, n uint32) []byte {
	var info []byte
	number := binary.BigEndian.AppendUint64(nil, uint64(n))
	for _, part := range []string{sealedCodeDomain, tenant, name, signIn, device, string(number)} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(part)))
		info = append(info, part...)
	}
	return info
}

// sealedCode computes the live code of a device in the module and seals it; nil when there is none any more. The entry
// that the code is made has been committed.
func (s *Service) sealedCode(ctx context.Context, tenant, name, signIn, device string) (*SealedCode, error) {
	state, err := s.state(tenant, name)
	if err != nil {
		return nil, err
	}
	x, k := state.SignIn(signIn), state.Find(device)
	if x == nil || k == nil {
		return nil, nil
	}
	n := x.Code(account.DeviceChannel(device))
	if n == 0 {
		return nil, nil
	}
	_, recipient, err := parseDeviceKey(k.PublicKey)
	if err != nil {
		return nil, err
	}
	key, err := hpke.NewDHKEMPublicKey(recipient)
	if err != nil {
		return nil, fmt.Errorf("sealing a code: %w", err)
	}
	macs, err := s.pool.KeyedMAC(ctx, hsm.KeyCode, [][]byte{
		account.CodeMessage(tenant, name, signIn, account.DeviceChannel(device), n),
	})
	if err != nil {
		return nil, moduleError("computing a code", err)
	}
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), CodeInfo(tenant, name, signIn, device, n),
		[]byte(account.CodeOf(macs[0]).Reveal()))
	if err != nil {
		return nil, fmt.Errorf("sealing a code: %w", err)
	}
	return &SealedCode{SignIn: signIn, Device: device, N: n, Sealed: sealed}, nil
}
