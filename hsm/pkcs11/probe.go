package pkcs11

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// fitness is what the probe found where modules differ and either way is good.
type fitness struct {
	edDSA  bool
	nested bool // a CKA_UNWRAP_TEMPLATE may hold another
	oaep   oaepHash
}

// oaepHash is a hash that RSA-OAEP can use here.
type oaepHash struct {
	name      string
	hash, mgf uint
}

var oaepHashes = []oaepHash{
	{"SHA-256", pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	{"SHA-1", pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1}, // OAEP does not need collision resistance (RFC 8017, B.1)
}

func (o oaepHash) mechanism() []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP,
		pkcs11.NewOAEPParams(o.hash, o.mgf, pkcs11.CKZ_DATA_SPECIFIED, nil))}
}

func oaepNamed(name string) (oaepHash, error) {
	for _, o := range oaepHashes {
		if o.name == name {
			return o, nil
		}
	}
	return oaepHash{}, fmt.Errorf("taking in the wrapping key: there is no OAEP with %q here", name)
}

// required lists the mechanisms without which nothing works, each with what needs it.
var required = []struct {
	mechanism  uint
	name, need string
}{
	{pkcs11.CKM_SHA_1_HMAC, "CKM_SHA_1_HMAC", "codes"},
	{pkcs11.CKM_SHA256_HMAC, "CKM_SHA256_HMAC", "codes and tags"},
	{pkcs11.CKM_SHA512_HMAC, "CKM_SHA512_HMAC", "codes"},
	{pkcs11.CKM_GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN", "seeds"},
	{pkcs11.CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN", "the wrapping key"},
	{ckmAESKeyWrapPad, "CKM_AES_KEY_WRAP_PAD", "sealing (RFC 5649)"},
	{pkcs11.CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", "the node's identity"},
	{pkcs11.CKM_ECDSA, "CKM_ECDSA", "the node's identity"},
	{pkcs11.CKM_ECDH1_DERIVE, "CKM_ECDH1_DERIVE", "delivering a seed to a device"},
	{pkcs11.CKM_AES_CBC_ENCRYPT_DATA, "CKM_AES_CBC_ENCRYPT_DATA", "delivering a seed to a device"},
	{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", "joining"},
	{pkcs11.CKM_RSA_PKCS_OAEP, "CKM_RSA_PKCS_OAEP", "joining"},
}

// probe tries, with throw-away objects, what the promises rest on. A module's list of mechanisms says what it knows; only
// trying says what it enforces.
func (b *Backend) probe() (fitness, error) {
	opened, err := b.OpenSession(context.Background())
	if err != nil {
		return fitness{}, err
	}
	defer func() { _ = opened.Close() }()
	s := opened.(*session)
	p, err := s.enter()
	if err != nil {
		return fitness{}, err
	}
	defer s.leave()
	known := make(map[uint]bool)
	mechanisms, err := p.GetMechanismList(s.login.slot)
	if err != nil {
		return fitness{}, translate("listing the module's mechanisms", err)
	}
	for _, m := range mechanisms {
		known[m.Mechanism] = true
	}
	var broken []string
	for _, r := range required {
		if !known[r.mechanism] {
			broken = append(broken, fmt.Sprintf("it has no %s: needed for %s", r.name, r.need))
		}
	}
	fit := fitness{edDSA: known[ckmEdDSA] && known[ckmECEdwardsKeyPairGen]}
	if len(broken) == 0 {
		broken = s.probeBoundary(p)
		fit.nested = s.probeNesting(p)
		if fit.oaep, err = s.probeOAEP(p); err != nil {
			broken = append(broken, err.Error())
		}
	}
	if len(broken) > 0 {
		return fitness{}, fmt.Errorf("%w: %s", hsm.ErrUnfit, strings.Join(broken, "; "))
	}
	return fit, nil
}

// probeBoundary tries to take a seed and a wrapping key out, as a thief with the PIN would.
func (s *session) probeBoundary(p *pkcs11.Ctx) (broken []string) {
	fail := func(promise string, err error) []string {
		return append(broken, fmt.Sprintf("promise 1 (a seed never exists in clear outside the hardware): %s: %v", promise, err))
	}
	wrapping, err := generateWrapping(p, s.handle, false)
	if err != nil {
		return fail("a wrapping key with an unwrap template can't be made", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, wrapping) }()
	value := make([]byte, 64)
	_, _ = rand.Read(value)
	seed, err := p.CreateObject(s.handle, freshSeed(attribute(pkcs11.CKA_VALUE, value)))
	if err != nil {
		return fail("a seed can't be made", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, seed) }()
	blob, err := p.WrapKey(s.handle, kwp(), wrapping, seed)
	if err != nil {
		return fail("a seed can't be sealed", err)
	}
	unsealed, err := p.UnwrapKey(s.handle, kwp(), wrapping, blob, unsealedSeed)
	if err != nil {
		return fail("a sealed seed can't be used", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, unsealed) }()
	if leaked := s.reads(p, unsealed, value); leaked {
		broken = fail("an unsealed seed can be read", errors.New("C_GetAttributeValue gives CKA_VALUE"))
	}
	for _, forced := range neverOut {
		weaker := replaced(unsealedSeed, attribute(forced.Type, forced.Value[0] == 0))
		readable, err := p.UnwrapKey(s.handle, kwp(), wrapping, blob, weaker)
		if err == nil {
			_ = p.DestroyObject(s.handle, readable)
			broken = fail("CKA_UNWRAP_TEMPLATE is not enforced",
				fmt.Errorf("a seed was unsealed against it in attribute %#x", forced.Type))
		}
	}
	decrypts := []*pkcs11.Attribute{attribute(pkcs11.CKA_DECRYPT, true)}
	if twin, err := p.CopyObject(s.handle, wrapping, decrypts); err == nil {
		_ = p.DestroyObject(s.handle, twin)
		broken = fail("CKA_COPYABLE is not enforced", errors.New("the wrapping key was copied as one that decrypts"))
	}
	if err := p.SetAttributeValue(s.handle, wrapping, decrypts); err == nil {
		broken = fail("CKA_MODIFIABLE is not enforced", errors.New("the wrapping key was changed to one that decrypts"))
	}
	thief, err := p.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)},
		[]*pkcs11.Attribute{
			attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
			attribute(pkcs11.CKA_VALUE_LEN, 32), attribute(pkcs11.CKA_TOKEN, false), attribute(pkcs11.CKA_WRAP, true),
		})
	if err != nil {
		return fail("a user's key can't be made", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, thief) }()
	if _, err := p.WrapKey(s.handle, kwp(), thief, wrapping); err == nil {
		broken = fail("CKA_WRAP_WITH_TRUSTED is not enforced", errors.New("the wrapping key left under a user's key"))
	}
	return broken
}

// replaced is a template with one attribute changed.
func replaced(template []*pkcs11.Attribute, change *pkcs11.Attribute) []*pkcs11.Attribute {
	template = slices.Clone(template)
	for i, a := range template {
		if a.Type == change.Type {
			template[i] = change
		}
	}
	return template
}

// probeNesting finds whether a CKA_UNWRAP_TEMPLATE may hold one, as PKCS#11 allows and few modules do.
func (s *session) probeNesting(p *pkcs11.Ctx) bool {
	var memory arena
	defer memory.free()
	key, err := p.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)},
		[]*pkcs11.Attribute{
			attribute(pkcs11.CKA_VALUE_LEN, 32), attribute(pkcs11.CKA_TOKEN, false), attribute(pkcs11.CKA_UNWRAP, true),
			memory.template(pkcs11.CKA_UNWRAP_TEMPLATE, comesIn(&memory, true)),
		})
	if err != nil {
		return false
	}
	_ = p.DestroyObject(s.handle, key)
	return true
}

func (s *session) reads(p *pkcs11.Ctx, key pkcs11.ObjectHandle, value []byte) bool {
	values, err := p.GetAttributeValue(s.handle, key, []*pkcs11.Attribute{attribute(pkcs11.CKA_VALUE, nil)})
	return err == nil && len(values) == 1 && bytes.Equal(values[0].Value, value)
}

// probeOAEP finds the best hash that the module wraps with: some know only SHA-1.
func (s *session) probeOAEP(p *pkcs11.Ctx) (oaepHash, error) {
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return oaepHash{}, fmt.Errorf("making a key to try: %w", err)
	}
	public, err := p.CreateObject(s.handle, []*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		attribute(pkcs11.CKA_TOKEN, false), attribute(pkcs11.CKA_WRAP, true),
		attribute(pkcs11.CKA_MODULUS, pair.N.Bytes()), attribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
	})
	if err != nil {
		return oaepHash{}, translate("joining: a public key can't be made", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, public) }()
	secret, err := p.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, nil)},
		freshSeed(attribute(pkcs11.CKA_VALUE_LEN, 32)))
	if err != nil {
		return oaepHash{}, translate("joining: a key to wrap can't be made", err)
	}
	defer func() { _ = p.DestroyObject(s.handle, secret) }()
	for _, o := range oaepHashes {
		if _, err = p.WrapKey(s.handle, o.mechanism(), public, secret); err == nil {
			return o, nil
		}
	}
	return oaepHash{}, translate("joining: RSA-OAEP does not wrap", err)
}
