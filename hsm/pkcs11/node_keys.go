package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// PKCS#11 v3.0's EdDSA on Curve25519, which SoftHSM has under v2.40 too. The parameters are the curve's name as a
// PrintableString.
const (
	ckkECEdwards           = 0x40
	ckmECEdwardsKeyPairGen = 0x1055
	ckmEdDSA               = 0x1057
)

var nameEd25519 = append([]byte{0x13, 12}, "edwards25519"...)

func nodeLabel(name hsm.KeyName) (string, error) {
	switch name {
	case hsm.KeyIdentity, hsm.KeyLog:
		return "strongroom-" + string(name), nil
	}
	return "", fmt.Errorf("%q is not a key of a node", name)
}

// CreateNodeKey makes a signing key on the token that can't leave it, unless there is one.
func (s *session) CreateNodeKey(name hsm.KeyName) (crypto.PublicKey, error) {
	label, err := nodeLabel(name)
	if err != nil {
		return nil, err
	}
	if public, err := s.PublicKey(name); err == nil || !errors.Is(err, hsm.ErrNoKey) {
		return public, err
	}
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	mechanism, params := uint(pkcs11.CKM_EC_KEY_PAIR_GEN), oidP256
	if name == hsm.KeyLog && s.backend.fit.edDSA {
		mechanism, params = ckmECEdwardsKeyPairGen, nameEd25519
	}
	common := []*pkcs11.Attribute{
		attribute(pkcs11.CKA_LABEL, label), attribute(pkcs11.CKA_ID, versionID(1)), attribute(pkcs11.CKA_TOKEN, true),
	}
	tokenObjects.Lock()
	_, _, err = p.GenerateKeyPair(s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)},
		append(common[:3:3], attribute(pkcs11.CKA_EC_PARAMS, params), attribute(pkcs11.CKA_VERIFY, true)),
		append(append(common[:3:3],
			attribute(pkcs11.CKA_PRIVATE, true), attribute(pkcs11.CKA_SENSITIVE, true),
			attribute(pkcs11.CKA_EXTRACTABLE, false), attribute(pkcs11.CKA_SIGN, true),
			attribute(pkcs11.CKA_DECRYPT, false), attribute(pkcs11.CKA_UNWRAP, false)), fixed...))
	tokenObjects.Unlock()
	s.leave()
	if err != nil {
		return nil, translate("making the "+string(name)+" key", err)
	}
	return s.PublicKey(name)
}

// PublicKey reads the public half of a node's key, or of an installed cluster key.
func (s *session) PublicKey(name hsm.KeyName) (crypto.PublicKey, error) {
	label, err := nodeLabel(name)
	if err != nil {
		key, err := s.installed(name)
		if err == nil && key.public == nil {
			err = fmt.Errorf("the %s key has no public half", name)
		}
		return key.public, err
	}
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	object, err := s.object(p, label, 1, pkcs11.CKO_PUBLIC_KEY)
	if err != nil {
		return nil, err
	}
	raw, err := s.point(p, object)
	if err != nil {
		return nil, err
	}
	if len(raw) == ed25519.PublicKeySize {
		return ed25519.PublicKey(raw), nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, fmt.Errorf("reading the %s key: %w", name, err)
	}
	return key, nil
}

// Sign signs with a node's key or an installed cluster key.
func (s *session) Sign(name hsm.KeyName, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	public, err := s.PublicKey(name)
	if err != nil {
		return nil, err
	}
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	var key pkcs11.ObjectHandle
	if label, err := nodeLabel(name); err == nil {
		if key, err = s.object(p, label, 1, pkcs11.CKO_PRIVATE_KEY); err != nil {
			return nil, err
		}
	} else if installed, err := s.installed(name); err == nil {
		key = installed.handle
	} else {
		return nil, err
	}
	mechanism := uint(pkcs11.CKM_ECDSA)
	if _, ok := public.(ed25519.PublicKey); ok {
		if opts.HashFunc() != 0 {
			return nil, errors.New("signing: Ed25519 signs messages, not digests")
		}
		mechanism = ckmEdDSA
	} else if opts.HashFunc() != 0 && len(digest) != opts.HashFunc().Size() {
		return nil, errors.New("signing: the digest has not the hash's length")
	}
	if err := p.SignInit(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, key); err != nil {
		return nil, translate("signing with the "+string(name)+" key", err)
	}
	signature, err := p.Sign(s.handle, digest)
	if err != nil {
		return nil, translate("signing with the "+string(name)+" key", err)
	}
	if mechanism == ckmEdDSA {
		return signature, nil
	}
	// PKCS#11 gives r and s side by side; X.509 and TLS want them in a SEQUENCE (RFC 3279, Section 2.2.3).
	half := len(signature) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]),
	})
}
