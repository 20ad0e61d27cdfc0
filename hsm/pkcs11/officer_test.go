package pkcs11_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"

	"strongroom.internal/hsm"
	"strongroom.internal/hsm/pkcs11"
)

// The security officer's process works beside ours: our sessions, loaded seeds and installed keys stay.
func TestOfficerDisturbsNobody(t *testing.T) {
	v := newVictim(t)
	transport, err := v.pool.CreateTransportKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := v.pool.State()
	v.trust(t, transport)
	if _, err := v.pool.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{{1}}); err != nil {
		t.Error(err)
	}
	if _, err := v.pool.ExportTo(t.Context(), transport); err != nil {
		t.Error(err)
	}
	if after := v.pool.State(); after.Status != hsm.Ready || after.Recoveries != 0 || after.Resident != before.Resident {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// In our own process the officer can't log in: a process is user or officer.
func TestOfficerNeedsAProcess(t *testing.T) {
	v := newVictim(t)
	transport, err := v.pool.CreateTransportKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pin := func() (*hsm.Secret, error) { return secret(officerPIN), nil }
	if err := pkcs11.TrustTransportKey(t.Context(), v.config(pin), transport); err == nil {
		t.Error("the officer logged in beside the user")
	}
	if _, err := v.pool.KeyedMAC(t.Context(), hsm.KeyCode, [][]byte{{1}}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestOfficerRefuses(t *testing.T) {
	k := newToken(t)
	weak, _ := rsa.GenerateKey(rand.Reader, 2048)
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	asked := 0
	c := k.config(func() (*hsm.Secret, error) { asked++; return secret(wrongPIN), nil })
	for name, public := range map[string]any{"2048 bits": &weak.PublicKey, "P-256": &curve.PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if err := pkcs11.TrustTransportKey(t.Context(), c, der); err == nil || asked != 0 {
			t.Errorf("%s: %v, and the PIN was asked for %d times", name, err, asked)
		}
	}
	good, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(&good.PublicKey)
	if err := pkcs11.TrustTransportKey(t.Context(), c, der); !errors.Is(err, hsm.ErrPIN) || asked != 1 {
		t.Errorf("a wrong PIN: %v, asked for %d times", err, asked)
	}
}

// What is wrong with a configuration is said all at once, before anything is loaded.
func TestConfigIsRefused(t *testing.T) {
	_, err := pkcs11.Open(t.Context(), pkcs11.Config{Module: "softhsm.so"})
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 3 {
		t.Errorf("%v, want three problems", err)
	}
	pin := func() (*hsm.Secret, error) { return nil, errors.New("nobody asks") }
	if _, err := pkcs11.Open(t.Context(), pkcs11.Config{Module: "/etc/passwd", TokenLabel: "x", PIN: pin}); err == nil {
		t.Error("a file that is no library was loaded")
	}
	newToken(t)
	c := pkcs11.Config{Module: softHSM, TokenLabel: "nobody's", PIN: pin}
	if _, err := pkcs11.Open(t.Context(), c); !errors.Is(err, hsm.ErrGone) {
		t.Errorf("a token that is not there: %v", err)
	}
}
