package hsm

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
)

// A node's keys of days hold what must be gone for good after a while. Each is a P-256 key pair that is made in the
// module, can't leave it, and is no one else's: no backup of the state and no other node has it. What is sealed to it dies
// when it is destroyed. Sealing needs the public half alone, so it is done on the host, which has what is sealed anyway:
// HPKE (RFC 9180) in base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; the encapsulated key (65 bytes) and
// the ciphertext.

// DayKey is the public half of a node's key of a day.
type DayKey struct {
	Day    uint32 `cbor:"1,keyasint"` // since 1970-01-01, UTC
	Public []byte `cbor:"2,keyasint"` // PKIX DER, P-256
}

// MaxDaySecret is the most, in bytes, that is sealed to a key of a day: a key of another cipher.
const MaxDaySecret = 64

// Seal seals a secret to the key.
func (k DayKey) Seal(secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret) > MaxDaySecret {
		return nil, fmt.Errorf("sealing to a day: the secret must have 1 to %d bytes", MaxDaySecret)
	}
	parsed, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("sealing to a day: reading the key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("sealing to a day: the key must be P-256")
	}
	point, err := key.ECDH()
	if err != nil {
		return nil, fmt.Errorf("sealing to a day: %w", err)
	}
	public, err := hpke.NewDHKEMPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("sealing to a day: %w", err)
	}
	return hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), dayInfo(k.Day), secret)
}

// OpenDaySecret opens what Seal made, for backends: the exchange with the private half is the module's.
func OpenDaySecret(day uint32, module ecdh.KeyExchanger, sealed []byte) (*Secret, error) {
	private, err := hpke.NewDHKEMPrivateKey(module)
	if err != nil {
		return nil, fmt.Errorf("opening what is sealed to a day: %w", err)
	}
	opened, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), dayInfo(day), sealed)
	if err != nil {
		return nil, fmt.Errorf("opening what is sealed to a day: %w", err)
	}
	return NewSecret(opened), nil
}

// dayInfo is HPKE's info string.
func dayInfo(day uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte("strongroom/day-key/v1"), day)
}

// CreateDayKey makes this node's key of a day unless there is one.
func (p *Pool) CreateDayKey(ctx context.Context, day uint32) (DayKey, error) {
	return call(ctx, p, func(s Session) (DayKey, error) { return s.CreateDayKey(day) })
}

// DayKeys lists the days whose keys are on the module, in order.
func (p *Pool) DayKeys(ctx context.Context) ([]uint32, error) { return call(ctx, p, Session.DayKeys) }

// OpenDay opens what was sealed to this node's key of a day; ErrNoKey when that is destroyed.
func (p *Pool) OpenDay(ctx context.Context, day uint32, sealed []byte) (*Secret, error) {
	return call(ctx, p, func(s Session) (*Secret, error) { return s.OpenDay(day, sealed) })
}

// DestroyDayKey destroys this node's key of a day, and with it all that was sealed to it. Repeating it is harmless.
func (p *Pool) DestroyDayKey(ctx context.Context, day uint32) error {
	return do(ctx, p, func(s Session) error { return s.DestroyDayKey(day) })
}
