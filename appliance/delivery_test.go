package appliance_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// hook is what stands behind a webhook.
type hook struct {
	*httptest.Server
	secret []byte
	mu     sync.Mutex      // guards what follows
	refuse map[string]bool // by account, or by account and type
	got    []posted
	wrong  []string
}

type posted struct {
	id, kind, account, body string
}

func newHook(t *testing.T) *hook {
	h := &hook{secret: []byte("a secret of thirty-two bytes, ok"), refuse: map[string]bool{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	id, at := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, h.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	if r.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		h.wrong = append(h.wrong, "a signature")
	}
	var n struct {
		Type string
		Data struct{ Account string }
	}
	if json.Unmarshal(body, &n) != nil {
		h.wrong = append(h.wrong, "a body")
	}
	if h.refuse[n.Data.Account] || h.refuse[n.Data.Account+" "+n.Type] {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h.got = append(h.got, posted{id, n.Type, n.Data.Account, string(body)})
}

func (h *hook) set(account string, refuse bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse[account] = refuse
}

func (h *hook) kinds(t *testing.T, account string) (kinds []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.wrong) > 0 {
		t.Errorf("posted with wrong: %v", h.wrong)
	}
	for _, p := range h.got {
		if p.account == account {
			kinds = append(kinds, p.kind)
		}
	}
	return kinds
}

// connect has a tenant's notices posted to a new hook.
func connect(t *testing.T, n *node, c appliance.Caller, destination string) *hook {
	t.Helper()
	h := newHook(t)
	w, err := n.SetWebhook(t.Context(), operator, c.Tenant, destination, h.URL+"/a/secret/path", hsm.NewSecret(slices.Clone(h.secret)))
	if err != nil || w.Secret != nil {
		t.Fatalf("%+v, %v", w, err)
	}
	return h
}

// TestNoticesArriveInOrder, whatever is refused meanwhile, and one account doesn't hold up another.
func TestNoticesArriveInOrder(t *testing.T) {
	n, c := newNode(t), tenant(t)
	h := connect(t, n, c, "frontend")
	for _, name := range []string{"alice", "bob"} {
		if _, _, err := n.PutAccount(t.Context(), c, "", name, ""); err != nil {
			t.Fatal(err)
		}
	}
	h.set("alice sign-in.begun", true) // what comes after it would be taken
	for _, name := range []string{"alice", "bob"} {
		for range 3 {
			s, err := n.BeginSignIn(t.Context(), c, "", name, appliance.BeginRequest{Purpose: account.ForDevice})
			if err != nil {
				t.Fatal(err)
			}
			if err := n.CancelSignIn(t.Context(), c, "", name, s.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := slices.Repeat([]string{"sign-in.begun", "sign-in.cancelled"}, 3)
	arrives := func(name string) {
		t.Helper()
		eventually(t, func() error {
			if got := h.kinds(t, name); len(got) < len(want) {
				return fmt.Errorf("of %s there came %v", name, got)
			}
			return nil
		})
		if got := h.kinds(t, name); !slices.Equal(got, want) {
			t.Errorf("of %s there came %v", name, got)
		}
	}
	arrives("bob")
	eventually(t, func() error {
		list, _, err := n.Outboxes(t.Context(), operator, c.Tenant)
		if err != nil || list[0].Waiting != 6 || list[0].Oldest.IsZero() || !strings.HasSuffix(list[0].Failure, "it answers 500") {
			return fmt.Errorf("the outbox is %+v, %w", list, err)
		}
		if strings.Contains(list[0].Failure, "secret") {
			t.Errorf("a URL's path is shown: %s", list[0].Failure)
		}
		return nil
	})
	if got := h.kinds(t, "alice"); got != nil {
		t.Errorf("what comes after what was refused was posted: %v", got)
	}
	h.set("alice sign-in.begun", false)
	arrives("alice")
	eventually(t, func() error {
		if list, lost, err := n.Outboxes(t.Context(), operator, c.Tenant); err != nil || list[0].Waiting != 0 || lost != 0 {
			return fmt.Errorf("the outbox is %+v, %w", list, err)
		}
		return nil
	})
}

// TestATenantsHookThatHangsHoldsUpNobodyElse, and is tried with one notice at a time once it failed.
func TestATenantsHookThatHangsHoldsUpNobodyElse(t *testing.T) {
	n, first, second := newNode(t), tenant(t), tenant(t)
	if second.Tenant < first.Tenant { // whose turn is first
		first, second = second, first
	}
	var together, late, most atomic.Int32
	open := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-open:
			if now := together.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer together.Add(-1)
			late.Add(1)
		default:
			<-open
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(hanging.Close)
	release := sync.OnceFunc(func() { close(open) })
	t.Cleanup(release)
	if _, err := n.SetWebhook(t.Context(), operator, first.Tenant, "frontend", hanging.URL, nil); err != nil {
		t.Fatal(err)
	}
	h := connect(t, n, second, "frontend")
	begin := func(c appliance.Caller, name string) {
		t.Helper()
		if _, _, err := n.PutAccount(t.Context(), c, "", name, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := n.BeginSignIn(t.Context(), c, "", name, appliance.BeginRequest{Purpose: account.ForDevice}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 48 {
		begin(first, fmt.Sprintf("person-%d", i))
	}
	begin(second, "alice")
	eventually(t, func() error {
		if got := h.kinds(t, "alice"); len(got) == 0 {
			return fmt.Errorf("there came %v", got)
		}
		return nil
	})
	release()
	eventually(t, func() error {
		if got := late.Load(); got < 5 {
			return fmt.Errorf("it was tried %d times", got)
		}
		return nil
	})
	if got := most.Load(); got != 1 {
		t.Errorf("what takes nothing is posted to for %d accounts at once", got)
	}
}

// TestACodeThatIsOverIsNotSent: it was dropped, not posted late.
func TestACodeThatIsOverIsNotSent(t *testing.T) {
	n, c := newNode(t), tenant(t)
	h := connect(t, n, c, "gateway")
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, appliance.Policy{SignInPolicy: account.SignInPolicy{CooldownSeconds: 1}}); err != nil {
		t.Fatal(err)
	}
	h.set("alice", true)
	phone, err := n.AddPhone(t.Context(), c, "", "alice", appliance.PhoneRequest{Number: "+14155550101"})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for sent < 2 { // the second kills the first
		s, err := n.SendPhoneCode(t.Context(), c, "", "alice", phone.ID, sent == 1)
		if err != nil {
			t.Fatal(err)
		}
		if s.Outcome == account.Done {
			sent++
			continue
		}
		wait := time.Until(s.RetryAt)
		if s.Outcome != account.TooSoon || wait > 5*time.Second {
			t.Fatalf("sending a code: %+v, to wait for %v", s, wait)
		}
		time.Sleep(wait) // as a person is told to
	}
	h.set("alice", false)
	eventually(t, func() error {
		if list, _, err := n.Outboxes(t.Context(), operator, c.Tenant); err != nil || list[1].Waiting != 0 {
			return fmt.Errorf("the outbox is %+v, %w", list, err)
		}
		return nil
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.got) != 1 || !strings.Contains(h.got[0].body, `"channel":"voice"`) {
		t.Errorf("posted: %+v", h.got)
	}
}

func TestWebhooksAreChecked(t *testing.T) {
	n, c := newNode(t), tenant(t)
	for _, bad := range []string{"", "http://push.example", "ftp://push.example", "https://user:pw@push.example", "https://", "https://a/#x", "http://10.0.0.1/", "https://" + strings.Repeat("a", 600)} {
		if _, err := n.SetWebhook(t.Context(), operator, c.Tenant, "frontend", bad, nil); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := n.SetWebhook(t.Context(), operator, c.Tenant, "frontend", "https://push.example", hsm.NewSecret([]byte("short"))); err == nil {
		t.Error("a short secret is taken")
	}
	if _, err := n.SetWebhook(t.Context(), operator, c.Tenant, "nowhere", "https://push.example", nil); err == nil {
		t.Error("an unknown destination is taken")
	}
	w, err := n.SetWebhook(t.Context(), operator, c.Tenant, "frontend", "https://push.example", nil)
	if err != nil || w.Secret == nil || len(w.Secret.Reveal()) != 32 {
		t.Fatalf("%+v, %v", w, err)
	}
	list, err := n.Webhooks(t.Context(), operator, c.Tenant)
	if err != nil || len(list) != 1 || list[0].Secret != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

// deaf is an engine that loses some of what a leader says of deliveries, as one that dies after a post does.
type deaf struct {
	cluster.Engine
	lost atomic.Int32 // how many are yet to be lost
}

func (d *deaf) Propose(ctx context.Context, command []byte) (cluster.Result, error) {
	if command[0] == 'n' && d.lost.Add(-1) >= 0 {
		return cluster.Result{}, cluster.ErrNoEffect
	}
	return d.Engine.Propose(ctx, command)
}

// TestWhatWasPostedAndNotSaidIsPostedAgain: under the same id, and before what comes after it.
func TestWhatWasPostedAndNotSaidIsPostedAgain(t *testing.T) {
	d := &deaf{}
	n, c := newNodeOver(t, func(e cluster.Engine) cluster.Engine { d.Engine = e; return d }), tenant(t)
	h := connect(t, n, c, "frontend")
	if _, _, err := n.PutAccount(t.Context(), c, "", "alice", ""); err != nil {
		t.Fatal(err)
	}
	d.lost.Store(2)
	s, err := n.BeginSignIn(t.Context(), c, "", "alice", appliance.BeginRequest{Purpose: account.ForDevice})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if got := h.kinds(t, "alice"); len(got) < 3 {
			return fmt.Errorf("there came %v", got)
		}
		return nil
	})
	if err := n.CancelSignIn(t.Context(), c, "", "alice", s.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		list, _, err := n.Outboxes(t.Context(), operator, c.Tenant)
		if err != nil || list[0].Waiting != 0 {
			return fmt.Errorf("the outbox is %+v, %w", list, err)
		}
		return nil
	})
	if got := h.kinds(t, "alice"); !slices.Equal(got, []string{"sign-in.begun", "sign-in.begun", "sign-in.begun", "sign-in.cancelled"}) {
		t.Errorf("there came %v", got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.got[0].id != h.got[2].id || h.got[0].id == h.got[3].id || !strings.HasPrefix(h.got[0].id, "msg_") {
		t.Errorf("the ids are %v", h.got)
	}
}
