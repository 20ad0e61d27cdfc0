package appliance_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
	"strongroom.internal/hsm/pkcs11"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// SoftHSM reads its configuration once, when it is loaded: all tests of this package share a directory of tokens.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "appliance")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		tokens, conf := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
		if err := errors.Join(
			os.Mkdir(tokens, 0o700),
			os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600),
			os.Setenv("SOFTHSM2_CONF", conf),
		); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// node is one founded node in this process: a real token, a real Raft group of one.
type node struct {
	*appliance.Service
	pool *hsm.Pool
	raft *cluster.Raft
}

var operator = appliance.Caller{Identity: "spiffe://test/operator/o", Role: appliance.Operator}

func tenant(t *testing.T) appliance.Caller {
	name := "t" + rand.Text()[:8]
	return appliance.Caller{
		Identity: "spiffe://test/tenant/" + name + "/frontend/f", Role: appliance.Frontend,
		Tenant: name,
	}
}

func newNode(t testing.TB) *node { return newNodeWith(t, nil, nil) }

// newNodeOver is newNode with an engine that stands between the service and the real one.
func newNodeOver(t testing.TB, wrap func(cluster.Engine) cluster.Engine) *node {
	return newNodeWith(t, wrap, nil)
}

// newNodeAt is newNode with a clock of its own.
func newNodeAt(t testing.TB, now func() time.Time) *node { return newNodeWith(t, nil, now) }

func newNodeWith(t testing.TB, wrap func(cluster.Engine) cluster.Engine, now func() time.Time) *node {
	t.Helper()
	pin := func() (*hsm.Secret, error) { return hsm.NewSecret([]byte("1234")), nil }
	label := rand.Text()
	so, _ := pin()
	user, _ := pin()
	// The library stays loaded while a token is made, so that it is found at once.
	if err := pkcs11.InitToken(t.Context(), softHSM, label, so, user); err != nil {
		t.Fatalf("making a token (apt-get install softhsm2): %v", err)
	}
	backend, err := pkcs11.Open(t.Context(), pkcs11.Config{Module: softHSM, TokenLabel: label, PIN: pin})
	if err != nil {
		t.Fatal(err)
	}
	pool := hsm.NewPool(backend, hsm.PoolConfig{})
	if err := pool.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	identity, founding, err := appliance.Found(t.Context(), appliance.FoundConfig{
		Pool: pool, NodeID: "n1", TrustDomain: "test", ClusterAddr: address, APIAddr: "127.0.0.1:1",
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := pool.Signer(t.Context(), hsm.KeyIdentity)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(identity.Chain)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(identity.Authority)
	machine := &appliance.Machine{}
	raft, err := cluster.Create(cluster.Config{
		NodeID: "n1", DataDir: t.TempDir(), Listener: listener, TrustDomain: "test", Roots: roots, Machine: machine,
		Heartbeat: 50 * time.Millisecond,
		Certificate: func() (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { _, err := raft.Propose(t.Context(), founding); return err })
	engine := cluster.Engine(raft)
	if wrap != nil {
		engine = wrap(raft)
	}
	service, err := appliance.New(appliance.Config{NodeID: "n1", Pool: pool, Engine: engine, Members: raft, Machine: machine, Memory: &remembered{}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, raft.Close(context.Background()), pool.Close()); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() error {
		for _, check := range service.Ready(t.Context()) {
			if check.Err != nil {
				return check.Err
			}
		}
		return nil
	})
	return &node{service, pool, raft}
}

// remembered is what a node signed last, for as long as a test.
type remembered struct{ last appliance.SignedHead }

func (m *remembered) Last() (appliance.SignedHead, error) { return m.last, nil }
func (m *remembered) Keep(h appliance.SignedHead) error   { m.last = h; return nil }

// eventually waits for a condition.
func eventually(t testing.TB, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func code(t testing.TB, seed []byte, at time.Time) otp.Code {
	t.Helper()
	counter := otp.Counter(otp.Step(at.Unix() / 30))
	mac := hmac.New(sha1.New, seed)
	mac.Write(counter[:])
	return otp.Truncate(mac.Sum(nil), 6)
}

func newDeviceKey(t testing.TB) (*ecdh.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(crypto.PublicKey(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func TestADeviceIsEnrolledAndItsCodeOpensOnce(t *testing.T) {
	n, c := newNode(t), tenant(t)
	key, public := newDeviceKey(t)
	if _, created, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil || !created {
		t.Fatalf("making an account: created %v, %v", created, err)
	}
	device, err := n.EnrolDevice(t.Context(), c, "k1", "alice", "", appliance.DeviceRequest{PublicKey: public, Name: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := n.EnrolDevice(t.Context(), c, "k1", "alice", "", appliance.DeviceRequest{PublicKey: public, Name: "phone"})
	if err != nil || again.ID != device.ID {
		t.Fatalf("the same request again: device %q, %v; want %q", again.ID, err, device.ID)
	}
	seed, err := hsm.OpenEnvelope(key, device.Binding, device.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	verify := func(code otp.Code) account.Outcome {
		t.Helper()
		v, err := n.Verify(t.Context(), c, "", "alice", appliance.VerifyRequest{Code: code})
		if err != nil {
			t.Fatal(err)
		}
		return v.Outcome
	}
	if got := verify(code(t, seed.Reveal(), now)); got != account.Accepted {
		t.Fatalf("the device's code: %v", got)
	}
	// Without the tenant's wish to know, a spent code reads like a wrong one.
	if got := verify(code(t, seed.Reveal(), now)); got != account.Wrong {
		t.Errorf("the code again: %v, want wrong", got)
	}
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, appliance.Policy{TellSpent: true}); err != nil {
		t.Fatal(err)
	}
	if got := verify(code(t, seed.Reveal(), now)); got != account.Spent {
		t.Errorf("the code again, told: %v, want spent", got)
	}
	info, err := n.Account(t.Context(), c, "alice")
	if err != nil || info.Failures != 2 || len(info.Credentials) != 1 || info.Credentials[0].LastUsed.IsZero() {
		t.Errorf("the account is %+v (%v), want two failures and a used device", info, err)
	}
	certificate, err := x509.ParseCertificate(device.Certificate)
	if err != nil || certificate.URIs[0].Path != "/tenant/"+c.Tenant+"/device/"+device.ID {
		t.Errorf("the device's certificate: %v, %v", certificate, err)
	}
	if err := n.RemoveCredential(t.Context(), c, "", "alice", device.ID); err != nil {
		t.Fatal(err)
	}
	if got := verify(code(t, seed.Reveal(), now.Add(30*time.Second))); got != account.Wrong {
		t.Errorf("a removed device's code: %v, want wrong", got)
	}
	eventually(t, func() error {
		if got := n.pool.State().Resident; got > 1 { // the decoy may be
			return errors.New("the removed device's seed is still in the module")
		}
		return nil
	})
}

func TestTheDoorsAreClosedUnlessPolicyOpensThem(t *testing.T) {
	n, c := newNode(t), tenant(t)
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	uri := func() *hsm.Secret {
		return hsm.NewSecret([]byte("otpauth://totp/x:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=x"))
	}
	for name, r := range map[string]appliance.AuthenticatorRequest{"import": {URI: uri()}, "reveal": {Issuer: "x", Label: "alice"}} {
		if _, err := n.AddAuthenticator(t.Context(), c, "", "alice", r); !errors.Is(err, appliance.ErrPolicy) {
			t.Errorf("%s: %v, want ErrPolicy", name, err)
		}
	}
	policy := appliance.Policy{AllowImport: true, AllowReveal: true}
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, policy); err != nil {
		t.Fatal(err)
	}
	if _, err := n.AddAuthenticator(t.Context(), c, "", "alice", appliance.AuthenticatorRequest{URI: uri()}); err != nil {
		t.Fatal(err)
	}
	got, err := n.Verify(t.Context(), c, "", "alice",
		appliance.VerifyRequest{Code: code(t, []byte("12345678901234567890"), time.Now())})
	if err != nil || got.Outcome != account.Accepted {
		t.Errorf("the imported seed's code: %+v, %v", got, err)
	}
	shown, err := n.AddAuthenticator(t.Context(), c, "once", "alice", appliance.AuthenticatorRequest{Issuer: "x", Label: "alice"})
	if err != nil || shown.URI == nil || shown.QR == nil {
		t.Fatalf("revealing: %+v, %v", shown, err)
	}
	again, err := n.AddAuthenticator(t.Context(), c, "once", "alice", appliance.AuthenticatorRequest{Issuer: "x", Label: "alice"})
	if err != nil || again.ID != shown.ID || again.URI != nil || again.QR != nil {
		t.Errorf("revealing again: %+v, %v; want the same without its seed", again, err)
	}
}

func TestAnUnknownAccountIsAnsweredLikeAnother(t *testing.T) {
	n, c := newNode(t), tenant(t)
	for attempt := 1; attempt <= 35; attempt++ {
		v, err := n.Verify(t.Context(), c, "", "nobody", appliance.VerifyRequest{Code: code(t, []byte("x"), time.Now())})
		if err != nil {
			t.Fatal(err)
		}
		want := account.Wrong
		if attempt > 33 {
			want = account.Locked
		}
		if v.Outcome != want {
			t.Errorf("attempt %d: %v, want %v", attempt, v.Outcome, want)
		}
	}
	if _, err := n.Account(t.Context(), c, "nobody"); !errors.Is(err, appliance.ErrNotFound) {
		t.Errorf("reading it: %v, want ErrNotFound", err)
	}
}
