package pkcs11

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// transportBits is the size of a joiner's key: RSA, because that is what every module unwraps with (NIST SP 800-56B).
const transportBits = 3072

// comesIn is the transport key's CKA_UNWRAP_TEMPLATE: without it the joiner's own PIN would unwrap the wrapping key as a
// readable one, or as one that decrypts. Nested in it is the wrapping key's own, without which it unseals seeds readable;
// where the module can't nest (SoftHSM), that is open between CreateTransportKey and ImportFrom to who has the joiner's
// PIN and the package.
func comesIn(a *arena, nested bool) []*pkcs11.Attribute {
	template := append([]*pkcs11.Attribute{
		attribute(pkcs11.CKA_SENSITIVE, true),
		attribute(pkcs11.CKA_WRAP_WITH_TRUSTED, true),
		attribute(pkcs11.CKA_ENCRYPT, false),
		attribute(pkcs11.CKA_DECRYPT, false),
	}, fixed...)
	if nested {
		template = append(template, a.template(pkcs11.CKA_UNWRAP_TEMPLATE, neverOut))
	}
	return template
}

// CreateTransportKey makes the pair that receives the wrapping key once.
func (s *session) CreateTransportKey() ([]byte, error) {
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.destroyLabelled(p, transportLabel); err != nil {
		return nil, err
	}
	var memory arena
	defer memory.free()
	common := []*pkcs11.Attribute{
		attribute(pkcs11.CKA_LABEL, transportLabel), attribute(pkcs11.CKA_ID, versionID(1)),
		attribute(pkcs11.CKA_TOKEN, true),
	}
	tokenObjects.Lock()
	public, _, err := p.GenerateKeyPair(s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
		append(common[:3:3],
			attribute(pkcs11.CKA_MODULUS_BITS, transportBits),
			attribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
			attribute(pkcs11.CKA_WRAP, false), attribute(pkcs11.CKA_ENCRYPT, false)),
		append(append(common[:3:3],
			attribute(pkcs11.CKA_PRIVATE, true), attribute(pkcs11.CKA_SENSITIVE, true),
			attribute(pkcs11.CKA_EXTRACTABLE, false), attribute(pkcs11.CKA_UNWRAP, true),
			attribute(pkcs11.CKA_DECRYPT, false), attribute(pkcs11.CKA_SIGN, false),
			memory.template(pkcs11.CKA_UNWRAP_TEMPLATE, comesIn(&memory, s.backend.fit.nested))), fixed...))
	tokenObjects.Unlock()
	if err != nil {
		return nil, translate("making the transport key", err)
	}
	return s.transportPKIX(p, public)
}

func (s *session) transportPKIX(p *pkcs11.Ctx, public pkcs11.ObjectHandle) ([]byte, error) {
	values, err := p.GetAttributeValue(s.handle, public, []*pkcs11.Attribute{
		attribute(pkcs11.CKA_MODULUS, nil), attribute(pkcs11.CKA_PUBLIC_EXPONENT, nil),
	})
	if err != nil {
		return nil, translate("reading the transport key", err)
	}
	return x509.MarshalPKIXPublicKey(&rsa.PublicKey{
		N: new(big.Int).SetBytes(values[0].Value), E: int(new(big.Int).SetBytes(values[1].Value).Int64()),
	})
}

// ExportTo wraps both keys to a joiner whose key the security officer has put on this token as trusted.
func (s *session) ExportTo(pkix []byte) (hsm.KeyPackage, error) {
	recipient, err := parseTransportKey(pkix)
	if err != nil {
		return hsm.KeyPackage{}, err
	}
	checks, err := s.KeyChecks()
	if err != nil {
		return hsm.KeyPackage{}, err
	}
	p, err := s.enter()
	if err != nil {
		return hsm.KeyPackage{}, err
	}
	defer s.leave()
	peer, err := s.peerKey(p, recipient)
	if err != nil {
		return hsm.KeyPackage{}, err
	}
	// For one use: whatever comes of it, the trusted key is not left on the token.
	defer func() {
		tokenObjects.Lock()
		defer tokenObjects.Unlock()
		_ = p.DestroyObject(s.handle, peer)
	}()
	wrapping, version, err := s.newestWrappingKey(p)
	if err != nil {
		return hsm.KeyPackage{}, err
	}
	binding, err := s.tokenKey(p, bindingLabel, 1)
	if err != nil {
		return hsm.KeyPackage{}, err
	}
	sum := sha256.Sum256(pkix)
	pack := hsm.KeyPackage{Recipient: sum[:], KeyVersion: version, Checks: checks, OAEPHash: s.backend.fit.oaep.name}
	if pack.Wrapping, err = p.WrapKey(s.handle, s.backend.fit.oaep.mechanism(), peer, wrapping); err != nil {
		return hsm.KeyPackage{}, translate("wrapping the wrapping key", err)
	}
	if pack.Binding, err = p.WrapKey(s.handle, s.backend.fit.oaep.mechanism(), peer, binding); err != nil {
		return hsm.KeyPackage{}, translate("wrapping the binding key", err)
	}
	return pack, nil
}

// peerKey finds the joiner's key among the trusted ones.
func (s *session) peerKey(p *pkcs11.Ctx, recipient *rsa.PublicKey) (pkcs11.ObjectHandle, error) {
	found, err := find(p, s.handle, []*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		attribute(pkcs11.CKA_MODULUS, recipient.N.Bytes()),
	})
	if err != nil {
		return 0, err
	}
	for _, key := range found {
		values, err := p.GetAttributeValue(s.handle, key, []*pkcs11.Attribute{attribute(pkcs11.CKA_TRUSTED, nil)})
		if err == nil && bytes.Equal(values[0].Value, []byte{1}) {
			return key, nil
		}
	}
	return 0, fmt.Errorf("finding the joiner's transport key: %w", hsm.ErrUntrusted)
}

// ImportFrom takes both keys in. The transport key is destroyed before anything else can go wrong: the package may be
// somewhere on a wire, and whoever has it, this token and its PIN would have the wrapping key.
func (s *session) ImportFrom(pack hsm.KeyPackage) error {
	oaep, err := oaepNamed(pack.OAEPHash)
	if err != nil {
		return err
	}
	p, err := s.enter()
	if err != nil {
		return err
	}
	err = s.importKeys(p, pack, oaep)
	if destroyErr := s.destroyLabelled(p, transportLabel); destroyErr != nil {
		err = errors.Join(err, fmt.Errorf("destroying the transport key: %w", destroyErr))
	}
	s.login.mu.Lock()
	clear(s.login.handles)
	s.login.newest = 0
	s.login.mu.Unlock()
	s.leave()
	if err != nil {
		return err
	}
	own, err := s.KeyChecks()
	if err != nil {
		return err
	}
	if !sameChecks(own, pack.Checks) {
		err := errors.New("taking in the wrapping key: its check value is not the cluster's")
		return errors.Join(err, s.forgetKeys())
	}
	return nil
}

// forgetKeys destroys what was just taken in, so that the token can join once more.
func (s *session) forgetKeys() error {
	p, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	s.login.mu.Lock()
	clear(s.login.handles)
	s.login.newest = 0
	s.login.mu.Unlock()
	return errors.Join(s.destroyLabelled(p, wrappingLabel), s.destroyLabelled(p, bindingLabel))
}

func (s *session) importKeys(p *pkcs11.Ctx, pack hsm.KeyPackage, oaep oaepHash) error {
	for _, label := range []string{wrappingLabel, bindingLabel} {
		if found, err := find(p, s.handle, []*pkcs11.Attribute{attribute(pkcs11.CKA_LABEL, label)}); err != nil {
			return err
		} else if len(found) > 0 {
			return fmt.Errorf("taking in the wrapping key: the token has a %s key already: it belongs to a cluster", label)
		}
	}
	if len(pack.Wrapping) == 0 || len(pack.Binding) == 0 { // miekg/pkcs11 panics
		return errors.New("taking in the wrapping key: the package is empty")
	}
	transport, err := s.transportKey(p, pack.Recipient)
	if err != nil {
		return err
	}
	var memory arena
	defer memory.free()
	tokenObjects.Lock()
	defer tokenObjects.Unlock()
	wrapping, err := p.UnwrapKey(s.handle, oaep.mechanism(), transport, pack.Wrapping,
		wrappingKeyTemplate(&memory, pack.KeyVersion, true))
	if err != nil {
		return refused("unwrapping the wrapping key", err)
	}
	template := bindingKeyTemplate(true)
	if s.backend.fit.nested { // it has to say what the transport key's template says
		template = append([]*pkcs11.Attribute{memory.template(pkcs11.CKA_UNWRAP_TEMPLATE, neverOut)}, template...)
	}
	if _, err := p.UnwrapKey(s.handle, oaep.mechanism(), transport, pack.Binding, template); err != nil {
		_ = p.DestroyObject(s.handle, wrapping)
		return refused("unwrapping the binding key", err)
	}
	return nil
}

// refused keeps a package that does not open from looking like a module that is gone: SoftHSM answers CKR_GENERAL_ERROR
// when the padding is wrong. A module that is really gone fails the next ping.
func refused(doing string, err error) error {
	if is(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_DEVICE_ERROR) {
		return fmt.Errorf("%s: the module can't open the package (%v)", doing, err)
	}
	return translate(doing, err)
}

// transportKey is the private key that a package was made for.
func (s *session) transportKey(p *pkcs11.Ctx, recipient []byte) (pkcs11.ObjectHandle, error) {
	public, err := find(p, s.handle, named(transportLabel, 1, pkcs11.CKO_PUBLIC_KEY))
	if err != nil {
		return 0, err
	}
	if len(public) != 1 {
		return 0, fmt.Errorf("finding the transport key: %w", hsm.ErrNoKey)
	}
	pkix, err := s.transportPKIX(p, public[0])
	if err != nil {
		return 0, err
	}
	if sum := sha256.Sum256(pkix); !bytes.Equal(sum[:], recipient) {
		return 0, errors.New("taking in the wrapping key: the package is for another transport key")
	}
	found, err := find(p, s.handle, named(transportLabel, 1, pkcs11.CKO_PRIVATE_KEY))
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("finding the transport key: %w", hsm.ErrNoKey)
	}
	return found[0], nil
}

func (s *session) destroyLabelled(p *pkcs11.Ctx, label string) error {
	found, err := find(p, s.handle, []*pkcs11.Attribute{attribute(pkcs11.CKA_LABEL, label)})
	if err != nil {
		return err
	}
	tokenObjects.Lock()
	defer tokenObjects.Unlock()
	for _, object := range found {
		if err := p.DestroyObject(s.handle, object); err != nil {
			return translate("destroying "+label, err)
		}
	}
	return nil
}

func parseTransportKey(pkix []byte) (*rsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(pkix)
	if err != nil {
		return nil, fmt.Errorf("reading a transport key: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < transportBits {
		return nil, fmt.Errorf("reading a transport key: it must be RSA of at least %d bits", transportBits)
	}
	return key, nil
}

func sameChecks(a, b []hsm.KeyCheck) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Version != b[i].Version || !bytes.Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}
