package pkcs11

import (
	"crypto/ecdh"
	"encoding/asn1"
	"fmt"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// GenerateSeed makes a seed of a whole HMAC block inside the module, seals it, delivers it to the recipient, and
// destroys it.
func (s *session) GenerateSeed(
	b hsm.Binding, h hsm.Hash, recipient *ecdh.PublicKey,
) (hsm.SealedSeed, *hsm.Envelope, error) {
	if _, _, err := hmacOf(h); err != nil {
		return hsm.SealedSeed{}, nil, err
	}
	p, err := s.enter()
	if err != nil {
		return hsm.SealedSeed{}, nil, err
	}
	defer s.leave()
	seed, err := p.GenerateKey(s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, nil)},
		freshSeed(attribute(pkcs11.CKA_VALUE_LEN, h.BlockSize())))
	if err != nil {
		return hsm.SealedSeed{}, nil, translate("generating a seed", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, seed) }()
	sealed, err := s.seal(p, b, h, seed)
	if err != nil || recipient == nil {
		return sealed, nil, err
	}
	envelope, err := s.deliver(p, b, seed, recipient)
	return sealed, envelope, err
}

// RevealSeed makes a seed from the module's random generator. The host sees it, once: that is what this door is.
func (s *session) RevealSeed(b hsm.Binding, h hsm.Hash) (hsm.SealedSeed, *hsm.Secret, error) {
	_, size, err := hmacOf(h)
	if err != nil {
		return hsm.SealedSeed{}, nil, err
	}
	p, err := s.enter()
	if err != nil {
		return hsm.SealedSeed{}, nil, err
	}
	random, err := p.GenerateRandom(s.handle, size)
	s.leave()
	if err != nil {
		return hsm.SealedSeed{}, nil, translate("drawing a seed", err)
	}
	secret := hsm.NewSecret(random)
	sealed, err := s.ImportSeed(b, h, secret)
	if err != nil {
		secret.Destroy()
		return hsm.SealedSeed{}, nil, err
	}
	return sealed, secret, nil
}

// ImportSeed takes a seed in that exists already, as one HMAC block.
func (s *session) ImportSeed(b hsm.Binding, h hsm.Hash, seed *hsm.Secret) (hsm.SealedSeed, error) {
	block, err := hsm.BlockOf(h, seed)
	if err != nil {
		return hsm.SealedSeed{}, err
	}
	defer block.Destroy()
	p, err := s.enter()
	if err != nil {
		return hsm.SealedSeed{}, err
	}
	defer s.leave()
	object, err := p.CreateObject(s.handle, freshSeed(attribute(pkcs11.CKA_VALUE, block.Reveal())))
	if err != nil {
		return hsm.SealedSeed{}, translate("importing a seed", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, object) }()
	return s.seal(p, b, h, object)
}

// seal wraps a fresh seed under the newest wrapping key and tags the record.
func (s *session) seal(
	p *pkcs11.Ctx, b hsm.Binding, h hsm.Hash, seed pkcs11.ObjectHandle,
) (sealed hsm.SealedSeed, err error) {
	sealed.Hash = h
	var wrapping pkcs11.ObjectHandle
	if wrapping, sealed.KeyVersion, err = s.newestWrappingKey(p); err != nil {
		return hsm.SealedSeed{}, err
	}
	if sealed.Blob, err = p.WrapKey(s.handle, kwp(), wrapping, seed); err != nil {
		return hsm.SealedSeed{}, translate("sealing a seed", err)
	}
	if sealed.Tag, err = s.tag(p, sealed.Tagged(b)); err != nil {
		return hsm.SealedSeed{}, err
	}
	return sealed, nil
}

// deliver wraps a fresh seed to a device's key. Every key of the way is made, used and destroyed in the module; see
// hsm.OpenEnvelope for the format.
func (s *session) deliver(
	p *pkcs11.Ctx, b hsm.Binding, seed pkcs11.ObjectHandle, recipient *ecdh.PublicKey,
) (*hsm.Envelope, error) {
	public, private, err := p.GenerateKeyPair(s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{
			attribute(pkcs11.CKA_TOKEN, false),
			attribute(pkcs11.CKA_EC_PARAMS, oidP256),
		},
		[]*pkcs11.Attribute{
			attribute(pkcs11.CKA_TOKEN, false),
			attribute(pkcs11.CKA_PRIVATE, true),
			attribute(pkcs11.CKA_SENSITIVE, true),
			attribute(pkcs11.CKA_EXTRACTABLE, false),
			attribute(pkcs11.CKA_DERIVE, true),
		})
	if err != nil {
		return nil, translate("making an ephemeral key", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, public) }()
	defer func() { _ = p.DestroyObject(s.handle, private) }()
	ephemeral, err := s.point(p, public)
	if err != nil {
		return nil, err
	}
	shared, err := p.DeriveKey(s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE,
			pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, recipient.Bytes()))},
		private, derived(attribute(pkcs11.CKA_DERIVE, true)))
	if err != nil {
		return nil, translate("agreeing on a key with the device", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, shared) }()
	var memory arena
	defer memory.free()
	context := hsm.EnvelopeContext(b, recipient.Bytes(), ephemeral)
	wrapper, err := p.DeriveKey(s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_CBC_ENCRYPT_DATA, memory.cbcEncryptData(context[:]))},
		shared, derived(attribute(pkcs11.CKA_WRAP, true)))
	if err != nil {
		return nil, translate("deriving the envelope's key", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, wrapper) }()
	wrapped, err := p.WrapKey(s.handle, kwp(), wrapper, seed)
	if err != nil {
		return nil, translate("sealing a seed to its device", err)
	}
	return &hsm.Envelope{Ephemeral: ephemeral, Wrapped: wrapped}, nil
}

// derived is an AES-256 key of one purpose that stays in the module.
func derived(purpose *pkcs11.Attribute) []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		attribute(pkcs11.CKA_VALUE_LEN, 32),
		attribute(pkcs11.CKA_TOKEN, false),
		attribute(pkcs11.CKA_PRIVATE, true),
		attribute(pkcs11.CKA_SENSITIVE, true),
		attribute(pkcs11.CKA_EXTRACTABLE, false),
		purpose,
	}
}

// oidP256 is the DER of prime256v1's object identifier (RFC 5480, Section 2.1.1.1).
var oidP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// point reads a public key's point: raw, or in the OCTET STRING that PKCS#11 v2.40 asks for.
func (s *session) point(p *pkcs11.Ctx, public pkcs11.ObjectHandle) ([]byte, error) {
	values, err := p.GetAttributeValue(s.handle, public, []*pkcs11.Attribute{attribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, translate("reading a public key", err)
	}
	raw := values[0].Value
	var inner []byte
	if rest, err := asn1.Unmarshal(raw, &inner); err == nil && len(rest) == 0 {
		raw = inner
	}
	if len(raw) != 65 && len(raw) != 32 {
		return nil, fmt.Errorf("reading a public key: %d bytes", len(raw))
	}
	return raw, nil
}
