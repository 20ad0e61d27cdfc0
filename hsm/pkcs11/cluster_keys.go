package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// installedKey is a cluster key that is loaded in the keeper's session.
type installedKey struct {
	handle pkcs11.ObjectHandle
	public crypto.PublicKey // nil for a MAC key
}

// signs tells the cluster keys that sign from those that MAC.
func signs(name hsm.KeyName) (bool, error) {
	switch name {
	case hsm.KeyDeviceTrust, hsm.KeyAuthority:
		return true, nil
	case hsm.KeyCode, hsm.KeyPepper:
		return false, nil
	}
	return false, fmt.Errorf("%q is not a cluster key", name)
}

// GenerateClusterKey makes a key, seals it, and destroys it.
func (s *session) GenerateClusterKey(name hsm.KeyName, version uint32) (hsm.SealedKey, error) {
	pair, err := signs(name)
	if err != nil {
		return hsm.SealedKey{}, fmt.Errorf("making a cluster key: %w", err)
	}
	p, err := s.enter()
	if err != nil {
		return hsm.SealedKey{}, err
	}
	defer s.leave()
	sealed := hsm.SealedKey{Name: name, Version: version}
	var key pkcs11.ObjectHandle
	if pair {
		var public pkcs11.ObjectHandle
		public, key, err = p.GenerateKeyPair(s.handle,
			[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
			[]*pkcs11.Attribute{attribute(pkcs11.CKA_TOKEN, false), attribute(pkcs11.CKA_EC_PARAMS, oidP256)},
			[]*pkcs11.Attribute{
				attribute(pkcs11.CKA_TOKEN, false), attribute(pkcs11.CKA_PRIVATE, true),
				attribute(pkcs11.CKA_SENSITIVE, true), attribute(pkcs11.CKA_EXTRACTABLE, true),
				attribute(pkcs11.CKA_SIGN, false),
			})
		if err != nil {
			return hsm.SealedKey{}, translate("making a cluster key", err)
		}
		defer func() { _ = p.DestroyObject(s.handle, public) }()
		if sealed.Public, err = s.publicDER(p, public); err != nil {
			return hsm.SealedKey{}, err
		}
	} else {
		key, err = p.GenerateKey(s.handle,
			[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, nil)},
			freshSeed(attribute(pkcs11.CKA_VALUE_LEN, hsm.SHA256.BlockSize())))
		if err != nil {
			return hsm.SealedKey{}, translate("making a cluster key", err)
		}
	}
	defer func() { _ = p.DestroyObject(s.handle, key) }()
	wrapping, keyVersion, err := s.newestWrappingKey(p)
	if err != nil {
		return hsm.SealedKey{}, err
	}
	sealed.KeyVersion = keyVersion
	if sealed.Blob, err = p.WrapKey(s.handle, kwp(), wrapping, key); err != nil {
		return hsm.SealedKey{}, translate("sealing a cluster key", err)
	}
	sealed.Tag, err = s.tag(p, sealed.Tagged())
	return sealed, err
}

// InstallClusterKey loads a key into the keeper's session, where every session can use it.
func (s *session) InstallClusterKey(k hsm.SealedKey) error {
	pair, err := signs(k.Name)
	if err != nil {
		return fmt.Errorf("installing a cluster key: %w", err)
	}
	p, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	if err := s.checkTag(p, k.Tagged(), k.Tag); err != nil {
		return fmt.Errorf("installing the %s key: %w", k.Name, err)
	}
	wrapping, err := s.tokenKey(p, wrappingLabel, k.KeyVersion)
	if err != nil {
		return err
	}
	key := installedKey{}
	template := unsealedSeed
	if pair {
		if key.public, err = x509.ParsePKIXPublicKey(k.Public); err != nil {
			return fmt.Errorf("installing the %s key: reading its public half: %w", k.Name, err)
		}
		template = append([]*pkcs11.Attribute{
			attribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
			attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
			attribute(pkcs11.CKA_TOKEN, false),
			attribute(pkcs11.CKA_PRIVATE, true),
			attribute(pkcs11.CKA_SENSITIVE, true),
			attribute(pkcs11.CKA_EXTRACTABLE, false),
			attribute(pkcs11.CKA_SIGN, true),
			attribute(pkcs11.CKA_DECRYPT, false),
			attribute(pkcs11.CKA_UNWRAP, false),
		}, fixed...)
	}
	s.login.mu.Lock()
	defer s.login.mu.Unlock()
	if key.handle, err = p.UnwrapKey(s.login.keeper, kwp(), wrapping, k.Blob, template); err != nil {
		return translate("unsealing the "+string(k.Name)+" key", err)
	}
	if old, ok := s.login.installed[k.Name]; ok {
		_ = p.DestroyObject(s.login.keeper, old.handle)
	}
	s.login.installed[k.Name] = key
	return nil
}

func (s *session) installed(name hsm.KeyName) (installedKey, error) {
	s.login.mu.Lock()
	defer s.login.mu.Unlock()
	key, ok := s.login.installed[name]
	if !ok {
		return installedKey{}, fmt.Errorf("using the %s key: %w", name, hsm.ErrNoKey)
	}
	return key, nil
}

// KeyedMAC computes HMAC-SHA-256 with a cluster key.
func (s *session) KeyedMAC(name hsm.KeyName, messages [][]byte) ([][]byte, error) {
	key, err := s.installed(name)
	if err != nil {
		return nil, err
	}
	if key.public != nil {
		return nil, fmt.Errorf("computing MACs: the %s key signs", name)
	}
	return s.macs(key.handle, pkcs11.CKM_SHA256_HMAC, messages, 32)
}

// BindingMAC computes a MAC with the binding key.
func (s *session) BindingMAC(message []byte) ([]byte, error) {
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	return s.tag(p, message)
}

// publicDER encodes a P-256 public key object as PKIX.
func (s *session) publicDER(p *pkcs11.Ctx, public pkcs11.ObjectHandle) ([]byte, error) {
	raw, err := s.point(p, public)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, fmt.Errorf("reading a public key: %w", err)
	}
	return x509.MarshalPKIXPublicKey(key)
}
