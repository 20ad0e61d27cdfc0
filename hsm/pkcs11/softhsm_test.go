package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
	"strongroom.internal/hsm/hsmtest"
	"strongroom.internal/hsm/pkcs11"
)

const (
	softHSM    = "/usr/lib/softhsm/libsofthsm2.so"
	userPIN    = "1234"
	officerPIN = "56789"
	wrongPIN   = "9999"
	// officerTask, when set, makes this binary the security officer's process: label, then the key in base64.
	officerTask = "STRONGROOM_TEST_OFFICER"
)

// SoftHSM reads its configuration once, when it is loaded: all tests share a directory of tokens.
func TestMain(m *testing.M) {
	if task := os.Getenv(officerTask); task != "" {
		if err := beOfficer(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "strongroom-pkcs11")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		tokenDir, awayDir = filepath.Join(dir, "tokens"), filepath.Join(dir, "away")
		conf := filepath.Join(dir, "softhsm2.conf")
		if err := errors.Join(
			os.Mkdir(tokenDir, 0o700), os.Mkdir(awayDir, 0o700),
			os.WriteFile(conf, []byte("directories.tokendir = "+tokenDir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600),
			os.Setenv("SOFTHSM2_CONF", conf),
		); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

var tokenDir, awayDir string

// token is a fresh SoftHSM token.
type token struct{ label string }

func newToken(t testing.TB) token {
	t.Helper()
	label := rand.Text()
	err := pkcs11.InitToken(context.Background(), softHSM, label, secret(officerPIN), secret(userPIN))
	if err != nil {
		t.Fatalf("making a token (apt-get install softhsm2): %v", err)
	}
	return token{label: label}
}

func secret(s string) *hsm.Secret { return hsm.NewSecret([]byte(s)) }

func (k token) config(pin func() (*hsm.Secret, error)) pkcs11.Config {
	return pkcs11.Config{Module: softHSM, TokenLabel: k.label, PIN: pin}
}

func (k token) open(t testing.TB) hsm.Backend {
	t.Helper()
	b, err := pkcs11.Open(context.Background(), k.config(func() (*hsm.Secret, error) { return secret(userPIN), nil }))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rig lets the conformance suite at the token.
func (k token) rig(t testing.TB) hsmtest.Rig {
	var home string
	return hsmtest.Rig{
		Open:  k.open,
		Trust: k.trust,
		Remove: func(t testing.TB) {
			home = k.dir(t)
			if err := os.Rename(home, filepath.Join(awayDir, k.label)); err != nil {
				t.Fatal(err)
			}
		},
		Return: func(t testing.TB) {
			if err := os.Rename(filepath.Join(awayDir, k.label), home); err != nil {
				t.Fatal(err)
			}
		},
		CutSessions: k.cutSessions,
		CutLogin: func(t testing.TB, _ hsm.Backend) {
			p, slot := k.raw(t)
			if err := p.CloseAllSessions(slot); err != nil {
				t.Fatal(err)
			}
		},
		PIN: &hsmtest.PIN{
			Right: userPIN, Wrong: wrongPIN,
			Open: func(pin func() (*hsm.Secret, error)) (hsm.Backend, error) {
				return pkcs11.Open(context.Background(), k.config(pin))
			},
			Warned: func(t testing.TB) bool {
				p, slot := k.raw(t)
				info, err := p.GetTokenInfo(slot)
				if err != nil {
					t.Fatal(err)
				}
				return info.Flags&raw.CKF_USER_PIN_COUNT_LOW != 0
			},
		},
	}
}

// raw is the library as a thief on the host has it, beside our own use of it, and the token's slot.
func (k token) raw(t testing.TB) (*raw.Ctx, uint) {
	t.Helper()
	p := raw.New(softHSM)
	if p == nil {
		t.Fatal("SoftHSM does not load")
	}
	// It stays initialised as long as a backend has it so; a test that has none gets its own.
	if err := p.Initialize(); err == nil {
		t.Cleanup(func() { _ = p.Finalize() })
	}
	slots, err := p.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if info, err := p.GetTokenInfo(slot); err == nil && info.Label == k.label {
			return p, slot
		}
	}
	t.Fatal("the token is not there")
	return nil, 0
}

// dir finds the token's directory: SoftHSM takes the serial number from the end of its name.
func (k token) dir(t testing.TB) string {
	t.Helper()
	p, slot := k.raw(t)
	info, err := p.GetTokenInfo(slot)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(tokenDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(strings.ReplaceAll(e.Name(), "-", ""), info.SerialNumber) {
			return filepath.Join(tokenDir, e.Name())
		}
	}
	t.Fatalf("no directory of the token with serial %q", info.SerialNumber)
	return ""
}

// cutSessions closes all sessions but the one that keeps the login. Handles are given out in order, so those before a
// new one are all there are.
func (k token) cutSessions(t testing.TB, b hsm.Backend) {
	t.Helper()
	p, slot := k.raw(t)
	last, err := p.OpenSession(slot, raw.CKF_SERIAL_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	keeper := pkcs11.Keeper(b.(*pkcs11.Backend))
	closed := 0
	for h := raw.SessionHandle(1); h <= last; h++ {
		if h != keeper && p.CloseSession(h) == nil {
			closed++
		}
	}
	if closed < 2 {
		t.Fatalf("%d sessions were open", closed)
	}
}

// trust has a process of its own be the security officer, while this one keeps its user's sessions.
func (k token) trust(t testing.TB, pkix []byte) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), officerTask+"="+k.label+" "+base64.StdEncoding.EncodeToString(pkix))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the officer's process: %v: %s", err, stderr.String())
	}
}

func beOfficer(task string) error {
	label, encoded, _ := strings.Cut(task, " ")
	pkix, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	return pkcs11.TrustTransportKey(context.Background(), pkcs11.Config{
		Module: softHSM, TokenLabel: label, PIN: func() (*hsm.Secret, error) { return secret(officerPIN), nil },
	}, pkix)
}
