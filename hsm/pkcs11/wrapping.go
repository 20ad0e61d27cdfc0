package pkcs11

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// CreateWrappingKey makes the wrapping key and the binding key, both on the token.
func (s *session) CreateWrappingKey() error {
	p, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	for _, label := range []string{wrappingLabel, bindingLabel} {
		found, err := find(p, s.handle, []*pkcs11.Attribute{attribute(pkcs11.CKA_LABEL, label)})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("making the wrapping key: the token has a %s key already: it belongs to a cluster", label)
		}
	}
	if _, err := generateWrapping(p, s.handle, true); err != nil {
		return err
	}
	tokenObjects.Lock()
	defer tokenObjects.Unlock()
	_, err = p.GenerateKey(s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, nil)},
		append(bindingKeyTemplate(true), attribute(pkcs11.CKA_VALUE_LEN, sha256.BlockSize)))
	return translate("making the binding key", err)
}

func generateWrapping(p *pkcs11.Ctx, session pkcs11.SessionHandle, token bool) (pkcs11.ObjectHandle, error) {
	var memory arena
	defer memory.free()
	if token {
		tokenObjects.Lock()
		defer tokenObjects.Unlock()
	}
	key, err := p.GenerateKey(session,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)},
		append(wrappingKeyTemplate(&memory, 1, token), attribute(pkcs11.CKA_VALUE_LEN, 32)))
	return key, translate("making the wrapping key", err)
}

// wrappingVersions lists the token's wrapping keys by version.
func (s *session) wrappingVersions(p *pkcs11.Ctx) (map[uint32]pkcs11.ObjectHandle, error) {
	found, err := find(p, s.handle, wrappingKeys())
	if err != nil {
		return nil, err
	}
	versions := make(map[uint32]pkcs11.ObjectHandle, len(found))
	for _, key := range found {
		values, err := p.GetAttributeValue(s.handle, key, []*pkcs11.Attribute{attribute(pkcs11.CKA_ID, nil)})
		if err != nil {
			return nil, translate("reading a wrapping key's version", err)
		}
		id := values[0].Value
		if len(id) != 4 {
			return nil, errors.New("reading a wrapping key's version: its CKA_ID is not of ours")
		}
		versions[binary.BigEndian.Uint32(id)] = key
	}
	return versions, nil
}

// newestWrappingKey is the one that seals. Which one is newest changes only in a ceremony that restarts the session's
// login, so the answer is remembered like any handle.
func (s *session) newestWrappingKey(p *pkcs11.Ctx) (pkcs11.ObjectHandle, uint32, error) {
	s.login.mu.Lock()
	newest := s.login.newest
	s.login.mu.Unlock()
	if newest == 0 {
		versions, err := s.wrappingVersions(p)
		if err != nil {
			return 0, 0, err
		}
		for version := range versions {
			newest = max(newest, version)
		}
		if newest == 0 {
			return 0, 0, fmt.Errorf("finding the wrapping key: %w", hsm.ErrNoKey)
		}
		s.login.mu.Lock()
		s.login.newest = newest
		s.login.mu.Unlock()
	}
	key, err := s.tokenKey(p, wrappingLabel, newest)
	return key, newest, err
}

// KeyChecks gives the check values: of a wrapping key from how it wraps a key that everybody knows, of the binding key
// from a MAC over a constant.
func (s *session) KeyChecks() ([]hsm.KeyCheck, error) {
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	versions, err := s.wrappingVersions(p)
	if err != nil {
		return nil, err
	}
	known, err := p.CreateObject(s.handle, freshSeed(attribute(pkcs11.CKA_VALUE, make([]byte, 32))))
	if err != nil {
		return nil, translate("making the key that is known", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, known) }()
	var checks []hsm.KeyCheck
	for version := uint32(1); len(checks) < len(versions); version++ {
		key, ok := versions[version]
		if !ok {
			if version > 1<<16 {
				return nil, errors.New("computing check values: the wrapping keys' versions have gaps")
			}
			continue
		}
		wrapped, err := p.WrapKey(s.handle, kwp(), key, known)
		if err != nil {
			return nil, translate("computing a wrapping key's check value", err)
		}
		sum := sha256.Sum256(wrapped)
		checks = append(checks, hsm.KeyCheck{Name: hsm.KeyWrapping, Version: version, Value: sum[:8]})
	}
	if len(checks) == 0 {
		return nil, fmt.Errorf("computing check values: %w", hsm.ErrNoKey)
	}
	mac, err := s.tag(p, []byte("strongroom/key-check/v1"))
	if err != nil {
		return nil, err
	}
	return append(checks, hsm.KeyCheck{Name: hsm.KeyBinding, Version: 1, Value: mac[:8]}), nil
}
