// Package e2e shows, through public doors only, what people are promised: three real nodes, each a process of its own
// on a SoftHSM token of its own, asked over mutual TLS, with OATH Toolkit and OpenSC as judges.
package e2e

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
	"strongroom.internal/hsm"
)

// tenant is the front-end's; its policy opens both doors and has spent codes told apart.
const tenant = "example"

// rig is a rack that tests share. Every test leaves it as it found it: three nodes, ready.
type rig struct {
	rack    *firmwaresim.Rack
	clients []*http.Client // by node: connections of their own
}

// racks are made when the first test needs them. The second is for tests after which a node may be broken, or the log long.
var racks struct{ shared, wrecked lazyRig }

type lazyRig struct {
	sync.Once
	rig *rig
	err error
}

func TestMain(m *testing.M) {
	os.Exit(firmwaresim.Main(mainFunc(func() int {
		code := m.Run()
		for _, l := range []*lazyRig{&racks.shared, &racks.wrecked} {
			if l.rig == nil {
				continue
			}
			if err := l.rig.rack.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = max(code, 1)
			}
			_ = os.RemoveAll(l.rig.rack.Dir())
		}
		return code
	})))
}

type mainFunc func() int

func (f mainFunc) Run() int { return f() }

// power gives the rack, ready.
func power(t *testing.T) *rig { t.Helper(); return racks.shared.power(t) }

// powerToWreck gives the other one.
func powerToWreck(t *testing.T) *rig { t.Helper(); return racks.wrecked.power(t) }

func (l *lazyRig) power(t *testing.T) *rig {
	t.Helper()
	l.Do(func() { l.rig, l.err = newRig() })
	if l.err != nil {
		t.Fatal(l.err)
	}
	l.rig.ready(t)
	return l.rig
}

func newRig() (*rig, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	binary, err := firmwaresim.TestBinary(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "strongroom-e2e")
	if err != nil {
		return nil, err
	}
	rack, err := firmwaresim.Create(ctx, firmwaresim.Config{Dir: dir, Binary: binary})
	if err != nil {
		return nil, err
	}
	r := &rig{rack: rack}
	if err := writePlaces(rack.PlacesFile()); err != nil {
		return r, errors.Join(err, rack.Close())
	}
	for i, c := range rack.Chassis {
		c.SetEnv("STRONGROOM_FAILPOINT=@" + r.failpointFile(i))
	}
	if err := rack.Up(ctx); err != nil {
		return r, errors.Join(err, rack.Close())
	}
	if _, err := rack.RunAs(ctx, rack.Operator(), "", "policy", "set", tenant,
		"--allow-import", "--allow-reveal", "--tell-spent", "--allow-app-passwords"); err != nil {
		return r, errors.Join(err, rack.Close())
	}
	frontend, err := rack.IssueClient(ctx, firmwaresim.Frontend, tenant, "fe1")
	if err != nil {
		return r, errors.Join(err, rack.Close())
	}
	for range rack.Chassis {
		client, err := httpClient(frontend)
		if err != nil {
			return r, errors.Join(err, rack.Close())
		}
		r.clients = append(r.clients, client)
	}
	return r, nil
}

func httpClient(c firmwaresim.Credentials) (*http.Client, error) {
	config, err := c.TLS()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64},
	}, nil
}

func (r *rig) count() int   { return len(r.rack.Chassis) }
func (r *rig) nodes() []int { return []int{0, 1, 2} }

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// ready powers on what is off and waits until all nodes can verify codes.
func (r *rig) ready(t *testing.T) {
	t.Helper()
	ctx := deadline(t, time.Minute)
	for i, c := range r.rack.Chassis {
		if !c.TokenIn() {
			check(t, c.InsertToken())
		}
		if p := c.Power(); p == firmwaresim.Off || p == firmwaresim.Ended {
			check(t, c.PowerOn(ctx))
		}
		if err := c.AwaitReady(ctx); err != nil {
			t.Fatalf("node %d does not become ready: %v", i, err)
		}
	}
}

func (r *rig) kill(t *testing.T, node int) { t.Helper(); check(t, r.rack.Chassis[node].Kill()) }
func (r *rig) powerOn(t *testing.T, node int) {
	t.Helper()
	check(t, r.rack.Chassis[node].PowerOn(deadline(t, time.Minute)))
}

func (r *rig) leader(t *testing.T) int {
	t.Helper()
	leader, err := r.rack.Leader(deadline(t, 30*time.Second))
	check(t, err)
	return slices.Index(r.rack.Chassis, leader)
}

// newLeader waits until somebody else leads and the nodes that are on can verify.
func (r *rig) newLeader(t *testing.T, old int) int {
	t.Helper()
	leader := r.leader(t)
	if leader == old {
		t.Fatalf("node %d was killed and leads", old)
	}
	for i, c := range r.rack.Chassis {
		if i != old {
			check(t, c.AwaitReady(deadline(t, 30*time.Second)))
		}
	}
	return leader
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call sends a request to one node as a client does: what has no outcome, because a leader is being elected, is sent again
// under its key. Tests kill leaders, and those after them may meet an election. A nil body sends none; the answer is decoded
// into out unless that is nil.
func (r *rig) call(ctx context.Context, node int, method, path, key string, body, out any) (status int, err error) {
	if key == "" && method != http.MethodGet {
		key = rand.Text()
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a poll's pause
		status, err = r.once(ctx, node, method, path, key, body, out)
		if status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout || ctx.Err() != nil || time.Now().After(end) {
			return status, err
		}
	}
}

// once is call, whatever comes of it.
func (r *rig) once(ctx context.Context, node int, method, path, key string, body, out any) (status int, err error) {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+r.rack.Chassis[node].APIAddr()+path, reader)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := r.clients[node].Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return response.StatusCode, err
	}
	if response.StatusCode >= 300 {
		return response.StatusCode, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if out == nil {
		return response.StatusCode, nil
	}
	return response.StatusCode, json.Unmarshal(answer, out)
}

func (r *rig) do(t *testing.T, node int, method, path string, body, out any) {
	t.Helper()
	if _, err := r.call(t.Context(), node, method, path, "", body, out); err != nil {
		t.Fatal(err)
	}
}

// account makes a new account.
func (r *rig) account(t *testing.T) string {
	t.Helper()
	name := "a-" + strings.ToLower(rand.Text()[:12])
	r.do(t, 0, http.MethodPut, "/v1/accounts/"+name, nil, nil)
	return name
}

// importSeed imports a seed that oathtool knows and returns it in base32.
func (r *rig) importSeed(t *testing.T, account string) string {
	t.Helper()
	raw := make([]byte, 20)
	_, _ = rand.Read(raw)
	seed := base32.StdEncoding.EncodeToString(raw)
	uri := "otpauth://totp/e2e:" + account + "?issuer=e2e&secret=" + seed
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+account+"/authenticators", map[string]string{"uri": uri}, nil)
	return seed
}

// reveal has a seed made inside and shown once, and returns it in base32.
func (r *rig) reveal(t *testing.T, account string) string {
	t.Helper()
	var made struct{ URI string }
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+account+"/authenticators",
		map[string]string{"issuer": "e2e", "label": account}, &made)
	uri, err := url.Parse(made.URI)
	check(t, err)
	return uri.Query().Get("secret")
}

// device is a phone: a key pair, and the seed that came sealed to it.
type device struct {
	id     string
	public []byte // PKIX DER
	seed   *hsm.Secret
}

func (r *rig) enrolDevice(t *testing.T, node int, account string) device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	check(t, err)
	var enrolled wire.EnrolledDevice
	r.do(t, node, http.MethodPost, "/v1/accounts/"+account+"/devices", wire.DeviceRequest{PublicKey: public}, &enrolled)
	var private *ecdh.PrivateKey
	private, err = key.ECDH()
	check(t, err)
	seed, err := hsm.OpenEnvelope(private, hsm.Binding(enrolled.Binding), hsm.Envelope(enrolled.Envelope))
	check(t, err)
	return device{id: enrolled.Device.ID, public: public, seed: seed}
}

// code is what the phone shows.
func (d device) code(t *testing.T, at time.Time) string {
	t.Helper()
	return oathtool(t, base32.StdEncoding.EncodeToString(d.seed.Reveal()), at)
}

// verify asks one node. Anything but an answer fails the test.
func (r *rig) verify(t *testing.T, node int, account, code, key string) wire.Verification {
	t.Helper()
	var v wire.Verification
	_, err := r.call(t.Context(), node, http.MethodPost, "/v1/accounts/"+account+"/verifications", key,
		map[string]string{"code": code}, &v)
	if err != nil {
		t.Errorf("node %d: %v", node, err)
	}
	return v
}

// oathtool is the independent judge of what a code is.
func oathtool(t *testing.T, base32Seed string, at time.Time) string {
	t.Helper()
	command := exec.Command("oathtool", "--totp", "--base32", fmt.Sprintf("--now=@%d", at.Unix()), "-")
	command.Stdin = strings.NewReader(base32Seed)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("running oathtool (apt-get install oathtool): %v", err)
	}
	return strings.TrimSpace(string(out))
}

// wrongCode is none of the window's, nor of its neighbours'.
func wrongCode(t *testing.T, base32Seed string) string {
	t.Helper()
	right := make(map[string]bool)
	for step := -6; step <= 6; step++ {
		right[oathtool(t, base32Seed, time.Now().Add(time.Duration(step)*30*time.Second))] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n*7919); !right[code] {
			return code
		}
	}
}
