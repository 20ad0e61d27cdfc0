package hsmtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"strongroom.internal/hsm"
)

// birth: before it nothing can be sealed, and there is only one.
func (s suite) birth(t *testing.T) {
	m := s.bare(t, hsm.PoolConfig{})
	if _, _, err := m.GenerateSeed(t.Context(), binding("a"), hsm.SHA1, nil); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("a seed before the wrapping key: %v", err)
	}
	if _, err := m.KeyChecks(t.Context()); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("check values before the wrapping key: %v", err)
	}
	check(t, m.CreateWrappingKey(t.Context()))
	before := ok[[]hsm.KeyCheck](t)(m.KeyChecks(t.Context()))
	if err := m.CreateWrappingKey(t.Context()); err == nil {
		t.Error("a second wrapping key was made over the first")
	}
	after := ok[[]hsm.KeyCheck](t)(m.KeyChecks(t.Context()))
	if !equalChecks(before, after) || len(before) != 2 || len(before[0].Value) != 8 {
		t.Errorf("check values %v, then %v", before, after)
	}
	if other := ok[[]hsm.KeyCheck](t)(s.born(t, hsm.PoolConfig{}).KeyChecks(t.Context())); equalChecks(before, other) {
		t.Error("two clusters have the same check values")
	}
}

func equalChecks(a, b []hsm.KeyCheck) bool {
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

// makeClusterKeys makes one of each.
func (m module) makeClusterKeys(t testing.TB) (keys []hsm.SealedKey) {
	t.Helper()
	for _, name := range []hsm.KeyName{hsm.KeyDeviceTrust, hsm.KeyAuthority, hsm.KeyCode, hsm.KeyPepper} {
		keys = append(keys, ok[hsm.SealedKey](t)(m.GenerateClusterKey(t.Context(), name, 1)))
	}
	return keys
}

func (s suite) clusterKeys(t *testing.T) {
	m := s.born(t, hsm.PoolConfig{})
	keys := m.makeClusterKeys(t)
	if _, err := m.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{counter(1)}); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("a key that is not installed: %v", err)
	}
	check(t, m.InstallClusterKeys(t.Context(), keys))
	for _, k := range keys[:2] {
		signer := ok[crypto.Signer](t)(m.Signer(t.Context(), k.Name))
		if der := ok[[]byte](t)(x509.MarshalPKIXPublicKey(signer.Public())); !bytes.Equal(der, k.Public) {
			t.Errorf("%s: another public key than the sealed record's", k.Name)
		}
		certifies(t, signer)
	}
	code := ok[[][]byte](t)(m.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{counter(1), counter(2)}))
	pepper := ok[[][]byte](t)(m.KeyedMAC(t.Context(), hsm.KeyPepper, [][]byte{counter(1), counter(2)}))
	if len(code) != 2 || len(code[0]) != 32 || bytes.Equal(code[0], code[1]) || bytes.Equal(code[0], pepper[0]) {
		t.Errorf("MACs %x and %x", code, pepper)
	}
	check(t, m.InstallClusterKeys(t.Context(), keys)) // again: replaces
	if again := ok[[][]byte](t)(m.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{counter(1)})); !bytes.Equal(again[0], code[0]) {
		t.Error("the key changed when it was installed again")
	}
	for name, swap := range map[string]func(*hsm.SealedKey){
		"name":        func(k *hsm.SealedKey) { k.Name = hsm.KeyPepper },
		"version":     func(k *hsm.SealedKey) { k.Version++ },
		"key version": func(k *hsm.SealedKey) { k.KeyVersion++ },
		"blob":        func(k *hsm.SealedKey) { k.Blob = keys[3].Blob },
		"public":      func(k *hsm.SealedKey) { k.Public = keys[0].Public },
		"tag":         func(k *hsm.SealedKey) { k.Tag = keys[3].Tag },
	} {
		k := keys[2]
		swap(&k)
		if err := m.InstallClusterKeys(t.Context(), []hsm.SealedKey{k}); !errors.Is(err, hsm.ErrTag) {
			t.Errorf("another %s: %v, want ErrTag", name, err)
		}
	}
	if _, err := m.KeyedMAC(t.Context(), hsm.KeyAuthority, [][]byte{counter(1)}); err == nil {
		t.Error("a signing key made a MAC")
	}
	if _, err := m.GenerateClusterKey(t.Context(), hsm.KeyIdentity, 1); err == nil {
		t.Error("a node's key was made as a cluster's")
	}
}

// nodeKeys are made once, and are still there when the module is opened again.
func (s suite) nodeKeys(t *testing.T) {
	rig := s.newRig(t)
	backend := rig.Open(t)
	m := start(t, rig, backend, hsm.PoolConfig{})
	if _, err := m.Signer(t.Context(), hsm.KeyIdentity); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("a key that was not made: %v", err)
	}
	made := make(map[hsm.KeyName]crypto.PublicKey)
	for _, name := range []hsm.KeyName{hsm.KeyIdentity, hsm.KeyLog} {
		made[name] = ok[crypto.PublicKey](t)(m.CreateNodeKey(t.Context(), name))
	}
	certifies(t, ok[crypto.Signer](t)(m.Signer(t.Context(), hsm.KeyIdentity)))
	cosigns(t, ok[crypto.Signer](t)(m.Signer(t.Context(), hsm.KeyLog)))
	check(t, m.Pool.Close())
	m = start(t, rig, rig.Open(t), hsm.PoolConfig{})
	for name, key := range made {
		again := ok[crypto.PublicKey](t)(m.CreateNodeKey(t.Context(), name))
		if !key.(interface{ Equal(crypto.PublicKey) bool }).Equal(again) {
			t.Errorf("%s: a second key was made", name)
		}
	}
	if _, err := m.CreateNodeKey(t.Context(), hsm.KeyCode); err == nil {
		t.Error("a cluster's key was made as a node's")
	}
}

// certifies has a key sign a certificate as crypto/x509 wants it, and verifies it.
func certifies(t testing.TB, signer crypto.Signer) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "conformance"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der := ok[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer))
	certificate := ok[*x509.Certificate](t)(x509.ParseCertificate(der))
	check(t, certificate.CheckSignatureFrom(certificate))
	if _, err := signer.Sign(nil, []byte("not a digest"), crypto.SHA256); err == nil {
		t.Error("something that is not a digest was signed")
	}
}

// cosigns has a log key sign: Ed25519 the message, P-256 its digest.
func cosigns(t testing.TB, signer crypto.Signer) {
	t.Helper()
	message := []byte("a checkpoint")
	switch public := signer.Public().(type) {
	case ed25519.PublicKey:
		if !ed25519.Verify(public, message, ok[[]byte](t)(signer.Sign(nil, message, crypto.Hash(0)))) {
			t.Error("the signature does not verify")
		}
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(message)
		if !ecdsa.VerifyASN1(public, digest[:], ok[[]byte](t)(signer.Sign(nil, digest[:], crypto.SHA256))) {
			t.Error("the signature does not verify")
		}
	default:
		t.Errorf("a log key of type %T", public)
	}
}
