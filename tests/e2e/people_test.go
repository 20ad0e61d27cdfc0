package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	kit "strongroom.internal/api/device"
	"strongroom.internal/api/wire"
)

// receiver is what stands behind a webhook: it checks every signature and keeps what came, in order.
type receiver struct {
	server *httptest.Server
	mu     sync.Mutex // guards what follows
	secret []byte
	got    []received
	// refuse is asked about each notice; true: it is answered 503 and not kept.
	refuse func(account string) bool
	change chan struct{} // closed when something came
	faults []string
}

type received struct {
	id     string
	notice wire.Notice
	data   wire.NoticeData
	job    wire.CodeJob
}

func newReceiver() *receiver {
	r := &receiver{change: make(chan struct{})}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	return r
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	id, at := q.Header.Get("Webhook-Id"), q.Header.Get("Webhook-Timestamp")
	h := hmac.New(sha256.New, r.secret)
	fmt.Fprintf(h, "%s.%s.%s", id, at, body)
	if err != nil || q.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)) {
		r.faults = append(r.faults, "a notice has the signature "+q.Header.Get("Webhook-Signature"))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	got := received{id: id}
	for _, into := range []any{&got.notice, &struct{ Data any }{&got.data}, &struct{ Data any }{&got.job}} {
		if err := json.Unmarshal(body, into); err != nil {
			r.faults = append(r.faults, err.Error())
		}
	}
	if r.refuse != nil && r.refuse(got.data.Account) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.got = append(r.got, got)
	close(r.change)
	r.change = make(chan struct{})
}

// refusing sets what is refused.
func (r *receiver) refusing(f func(account string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = f
}

// of lists what came for an account, each notice once, in the order in which it came first.
func (r *receiver) of(account string) (list []received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, g := range r.got {
		if g.data.Account == account && !seen[g.id] {
			seen[g.id] = true
			list = append(list, g)
		}
	}
	return list
}

// await returns the first that fits.
func (r *receiver) await(t *testing.T, account string, fits func(received) bool) received {
	t.Helper()
	ctx := deadline(t, 30*time.Second)
	for {
		r.mu.Lock()
		change, faults := r.change, r.faults
		r.mu.Unlock()
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		list := r.of(account)
		for _, g := range list {
			if fits(g) {
				return g
			}
		}
		select {
		case <-change:
		case <-ctx.Done():
			t.Fatalf("the notice does not come; those that came: %+v", list)
		}
	}
}

func (r *receiver) awaitType(t *testing.T, account, kind string) received {
	t.Helper()
	return r.await(t, account, func(g received) bool { return g.notice.Type == kind })
}

// outside is what people have outside of the appliance: a push service and a telephone company.
type outside struct{ frontend, gateway *receiver }

var sharedOutside struct {
	sync.Once
	outside
	err error
}

// withOutside connects the tenant to its push service and gateway.
func withOutside(t *testing.T, r *rig) outside {
	t.Helper()
	sharedOutside.Do(func() {
		sharedOutside.frontend, sharedOutside.gateway = newReceiver(), newReceiver()
		operator, err := httpClient(r.rack.Operator())
		if err != nil {
			sharedOutside.err = err
			return
		}
		for destination, to := range map[string]*receiver{"frontend": sharedOutside.frontend, "gateway": sharedOutside.gateway} {
			var set struct{ Secret string }
			if err := r.as(operator, 0, http.MethodPut, "/v1/tenants/"+tenant+"/webhooks/"+destination,
				map[string]string{"url": to.server.URL + "/hook/secret-path"}, &set); err != nil {
				sharedOutside.err = err
				return
			}
			to.mu.Lock()
			to.secret, sharedOutside.err = base64.StdEncoding.DecodeString(strings.TrimPrefix(set.Secret, "whsec_"))
			to.mu.Unlock()
		}
		var policy map[string]any
		if err := r.as(operator, 0, http.MethodGet, "/v1/tenants/"+tenant+"/policy", nil, &policy); err != nil {
			sharedOutside.err = err
			return
		}
		policy["code_domain"], policy["send_cooldown_seconds"] = "example.com", 1
		if err := r.as(operator, 0, http.MethodPut, "/v1/tenants/"+tenant+"/policy", policy, nil); err != nil {
			sharedOutside.err = err
		}
	})
	check(t, sharedOutside.err)
	return sharedOutside.outside
}

// as sends a request with a client of one's own.
func (r *rig) as(client *http.Client, node int, method, path string, body, out any) error {
	other := &rig{rack: r.rack, clients: make([]*http.Client, r.count())}
	other.clients[node] = client
	_, err := other.call(context.Background(), node, method, path, "", body, out)
	return err
}

// phone is a trusted phone in somebody's hand.
type phone struct {
	key    *kit.Key
	seed   *kit.Seed
	signIn kit.SignIn // Tenant, Account and Device; ID and Nonce are filled in for each
}

// hold makes a phone of an enrolment.
func hold(t *testing.T, key *kit.Key, enrolled wire.EnrolledDevice) phone {
	t.Helper()
	seed, err := key.OpenSeed(kit.Binding(enrolled.Binding), enrolled.Envelope.Ephemeral, enrolled.Envelope.Wrapped)
	check(t, err)
	return phone{key, seed, kit.SignIn{
		Tenant: enrolled.Binding.Tenant, Account: enrolled.Binding.Account, Device: enrolled.Binding.Credential,
	}}
}

func (r *rig) phone(t *testing.T, account string) phone {
	t.Helper()
	key, err := kit.NewKey()
	check(t, err)
	var enrolled wire.EnrolledDevice
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+account+"/devices", wire.DeviceRequest{PublicKey: key.Public(), Name: "phone"}, &enrolled)
	return hold(t, key, enrolled)
}

// about is what the phone knows of a sign-in.
func (p phone) about(s wire.SignIn) kit.SignIn {
	x := p.signIn
	x.ID, x.Nonce = s.ID, s.Nonce
	return x
}

// decision is a signed Allow or Don't Allow.
func (p phone) decision(t *testing.T, s wire.SignIn, allow bool) wire.DecisionRequest {
	t.Helper()
	d, err := p.key.Decide(p.about(s), allow, time.Now())
	check(t, err)
	r := wire.DecisionRequest{Device: p.signIn.Device, Decision: "deny", TimeMS: d.TimeMS, Signature: d.Signature}
	if allow {
		r.Decision = "allow"
	}
	return r
}

// read opens a code that was pushed to the phone.
func (p phone) read(t *testing.T, s wire.SignIn, c *wire.SealedCode) string {
	t.Helper()
	if c == nil {
		t.Fatal("no code came with Allow")
	}
	code, err := p.key.OpenCode(p.about(s), c.N, c.Sealed)
	check(t, err)
	return code
}

func signInPath(account string, s wire.SignIn, rest ...string) string {
	return "/v1/accounts/" + account + "/sign-ins/" + strings.Join(append([]string{s.ID}, rest...), "/")
}

func (r *rig) begin(t *testing.T, node int, account string) (s wire.SignIn) {
	t.Helper()
	r.do(t, node, http.MethodPost, "/v1/accounts/"+account+"/sign-ins", wire.SignInRequest{
		Device: wire.NewDevice{Kind: "computer", Model: "Mac", Platform: "macOS", SystemVersion: "15.1"}, Address: "203.0.113.7",
	}, &s)
	return s
}

func (r *rig) decide(t *testing.T, node int, account string, s wire.SignIn, q wire.DecisionRequest) (d wire.Decision) {
	t.Helper()
	r.do(t, node, http.MethodPost, signInPath(account, s, "decisions"), q, &d)
	return d
}

// enter types a code.
func (r *rig) enter(t *testing.T, node int, account string, s wire.SignIn, code string) (e wire.Entered) {
	t.Helper()
	r.do(t, node, http.MethodPost, signInPath(account, s, "verifications"), map[string]string{"code": code}, &e)
	return e
}

// status is that of a request that may fail.
func (r *rig) status(t *testing.T, node int, method, path string, body any) int {
	t.Helper()
	status, err := r.call(t.Context(), node, method, path, "", body, nil)
	if err != nil && status == 0 {
		t.Fatal(err)
	}
	return status
}

// number draws one of the numbers that are kept for stories (+1 415 555 01xx).
func number() string {
	var b [1]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("+141555501%02d", b[0]%100)
}

// trustPhone adds a phone and verifies it by the code that the gateway was to send.
func (r *rig) trustPhone(t *testing.T, o outside, account, to string) wire.Phone {
	t.Helper()
	var p wire.Phone
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+account+"/phones", map[string]string{"number": to, "label": "mine"}, &p)
	path := "/v1/accounts/" + account + "/phones/" + p.ID
	r.do(t, 1, http.MethodPost, path+"/codes", wire.SendPhoneCodeRequest{Channel: "text"}, nil)
	got := o.gateway.await(t, account, func(g received) bool { return g.job.Phone == p.ID })
	var v wire.PhoneVerification
	r.do(t, 2, http.MethodPost, path+"/verifications", map[string]string{"code": codeOf(t, got.job)}, &v)
	if v.Outcome != wire.Accepted {
		t.Fatalf("verifying a phone: %+v", v)
	}
	return p
}

// codeOf reads the code of a message or a call.
func codeOf(t *testing.T, job wire.CodeJob) string {
	t.Helper()
	text := strings.ReplaceAll(job.Digits, " ", "") + job.Text
	code := regexp.MustCompile(`^[0-9]{6}`).FindString(text)
	if code == "" {
		t.Fatalf("no code in %+v", job)
	}
	return code
}

// otherThan is a code that is none of those.
func otherThan(codes ...string) string {
	for n := 0; ; n++ {
		code := fmt.Sprintf("%06d", n*104729%1_000_000)
		taken := false
		for _, c := range codes {
			taken = taken || c == code
		}
		if !taken {
			return code
		}
	}
}

// writePlaces puts a database of places where the nodes look for it.
func writePlaces(path string) error {
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	_, n, err := net.ParseCIDR("203.0.113.0/24")
	if err != nil {
		return err
	}
	names := func(s string) mmdbtype.Map { return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(s)}} }
	if err := w.Insert(n, mmdbtype.Map{
		"city": names("Zürich"), "country": names("Switzerland"),
		"location": mmdbtype.Map{
			"latitude": mmdbtype.Float64(47.3769), "longitude": mmdbtype.Float64(8.5417), "accuracy_radius": mmdbtype.Uint16(20),
		},
	}); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := w.WriteTo(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
