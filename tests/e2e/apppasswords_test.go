package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	firmwaresim "strongroom.internal/firmware-sim"
)

// appPassword is what its owner sees of one, this once.
type appPassword struct {
	AppPassword wire.AppPassword `json:"app_password"`
	Password    string
	Entry       int64
}

func (r *rig) newAppPassword(t *testing.T, node int, account, key string, request map[string]any) (p appPassword) {
	t.Helper()
	if _, err := r.call(t.Context(), node, http.MethodPost, "/v1/accounts/"+account+"/app-passwords", key, request, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// tryAppPassword asks one node. Anything but an answer fails the test.
func (r *rig) tryAppPassword(t *testing.T, node int, account, password, key string, more ...string) (v wire.AppPasswordVerification) {
	t.Helper()
	body := map[string]string{"password": password}
	for i := 0; i < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	_, err := r.call(t.Context(), node, http.MethodPost, "/v1/accounts/"+account+"/app-passwords/verifications", key, body, &v)
	if err != nil {
		t.Errorf("node %d: %v", node, err)
	}
	return v
}

func (r *rig) appPasswords(t *testing.T, node int, account string) []wire.AppPassword {
	t.Helper()
	var list wire.AppPasswords
	r.do(t, node, http.MethodGet, "/v1/accounts/"+account+"/app-passwords", nil, &list)
	return list.AppPasswords
}

// TestA1_AppPasswords is FEATURES.md's row A1: shown once as four groups of four letters, heard on every node and after the
// leader was killed, listed, bound to a service and a network, and dead on every node once revoked, one or all. No password
// is in an entry, nor in anything that a node keeps or logs.
func TestA1_AppPasswords(t *testing.T) {
	r := power(t)
	name := r.account(t)
	device := r.enrolDevice(t, 0, name)
	mail := r.newAppPassword(t, 0, name, "mail-of-"+name, map[string]any{"label": "Mail", "service": "imap", "network": "192.0.2.0/24"})
	groups := strings.Split(mail.Password, "-")
	if len(groups) != 4 || len(mail.Password) != 19 {
		t.Fatalf("it is shown as %d groups, %d characters", len(groups), len(mail.Password))
	}
	calendar := r.newAppPassword(t, 1, name, "", map[string]any{"label": "Calendar"})
	phone := r.newAppPassword(t, 2, name, "", map[string]any{"label": "Phone"})
	if again := r.newAppPassword(t, 1, name, "mail-of-"+name, map[string]any{
		"label": "Mail", "service": "imap", "network": "192.0.2.0/24",
	}); again.AppPassword.ID != mail.AppPassword.ID || again.Entry != mail.Entry || again.Password != "" {
		t.Errorf("the same request at another node: %+v, want the same without the password", again.AppPassword)
	}

	at := []string{"service", "imap", "source_ip", "192.0.2.7"}
	typed := strings.ToUpper(strings.ReplaceAll(mail.Password, "-", " "))
	for node := range r.nodes() {
		if v := r.tryAppPassword(t, node, name, typed, "", at...); v.Outcome != wire.Accepted || v.AppPassword != mail.AppPassword.ID {
			t.Errorf("node %d: %+v, want accepted", node, v)
		}
		for _, elsewhere := range [][]string{{}, {"service", "smtp", "source_ip", "192.0.2.7"}, {"service", "imap", "source_ip", "198.51.100.7"}} {
			if v := r.tryAppPassword(t, node, name, mail.Password, "", elsewhere...); v.Outcome != wire.Wrong || v.AppPassword != "" {
				t.Errorf("node %d, at %v: %+v, want wrong", node, elsewhere, v)
			}
		}
	}
	list := r.appPasswords(t, 1, name)
	if len(list) != 3 || list[0].Label != "Mail" || list[0].LastFrom != "192.0.2.7" || list[0].LastUsed.IsZero() || !list[1].LastUsed.IsZero() {
		t.Errorf("the list is %+v", list)
	}

	// A program that is told the truth goes on through a change of leaders, and one answer stays one answer.
	first := r.tryAppPassword(t, 0, name, mail.Password, "asked-of-"+name, at...)
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	for node := range r.nodes() {
		if node == leader {
			continue
		}
		if v := r.tryAppPassword(t, node, name, calendar.Password, ""); v.Outcome != wire.Accepted {
			t.Errorf("after the leader was killed, node %d: %+v, want accepted", node, v)
		}
		again := r.tryAppPassword(t, node, name, mail.Password, "asked-of-"+name, at...)
		if again.Outcome != first.Outcome || again.Entry != first.Entry || !again.Replayed {
			t.Errorf("after the leader was killed, node %d: %+v, want what was answered first: %+v", node, again, first)
		}
	}
	// Revoked while a node is down: it comes back and knows.
	r.do(t, (leader+1)%3, http.MethodDelete, "/v1/accounts/"+name+"/app-passwords/"+mail.AppPassword.ID, nil, nil)
	r.powerOn(t, leader)
	r.ready(t)
	for node := range r.nodes() {
		if v := r.tryAppPassword(t, node, name, mail.Password, "", at...); v.Outcome != wire.Wrong {
			t.Errorf("revoked, node %d: %+v, want wrong", node, v)
		}
		if v := r.tryAppPassword(t, node, name, calendar.Password, ""); v.Outcome != wire.Accepted {
			t.Errorf("one that wasn't, node %d: %+v, want accepted", node, v)
		}
	}
	r.do(t, 0, http.MethodDelete, "/v1/accounts/"+name+"/app-passwords", nil, nil) // the account's password was changed
	for node := range r.nodes() {
		for _, p := range []appPassword{calendar, phone} {
			if v := r.tryAppPassword(t, node, name, p.Password, ""); v.Outcome != wire.Wrong {
				t.Errorf("all revoked, node %d: %+v, want wrong", node, v)
			}
		}
		if list := r.appPasswords(t, node, name); len(list) != 0 {
			t.Errorf("all revoked, node %d lists %+v", node, list)
		}
	}
	// None of it stands in the way of a code.
	if v := r.verify(t, 0, name, device.code(t, time.Now()), ""); v.Outcome != wire.Accepted {
		t.Errorf("the device's code: %+v, want accepted", v)
	}
	r.neverWritten(t, mail, calendar, phone)
}

// neverWritten looks for passwords in the log's entries and in all that the nodes keep on disk, logs included.
func (r *rig) neverWritten(t *testing.T, passwords ...appPassword) {
	t.Helper()
	needles := map[string][]byte{}
	for i, p := range passwords {
		letters := strings.ReplaceAll(p.Password, "-", "")
		for _, shape := range []string{p.Password, letters, strings.ToUpper(letters), strings.ReplaceAll(p.Password, "-", " ")} {
			needles[fmt.Sprintf("app password %d, %d characters, upper case %v", i, len(shape), shape == strings.ToUpper(shape))] = []byte(shape)
		}
	}
	entries, err := r.rack.RunAs(deadline(t, time.Minute), r.rack.Operator(), "", "log", "entries",
		"--from", fmt.Sprint(passwords[0].Entry), "--count", "512")
	check(t, err)
	for what := range search([]byte(entries), needles) {
		t.Errorf("%s is in the log", what)
	}
	for _, p := range passwords {
		for _, part := range []string{
			`"operation":"create-app-password","key":"pepper","subject":"` + p.AppPassword.ID + `","key_version":1,"macs":1,"outcome":"done"`,
			`"operation":"verify-app-password","key":"pepper","subject":"`,
			`"operation":"revoke-app-password","key":"pepper","subject":"`,
			`"outcome":"out-of-scope"`,
			p.AppPassword.ID,
		} {
			if !strings.Contains(entries, part) {
				t.Errorf("no entry has %s", part)
			}
		}
	}
	for _, chassis := range r.rack.Chassis {
		searchTree(t, chassis.Dir(), needles)
	}
}

// TestA1_AppPasswordsAfterAPulledToken: the pepper is in the module again when the node says that it is ready, and while it
// isn't, nothing is charged.
func TestA1_AppPasswordsAfterAPulledToken(t *testing.T) {
	r := power(t)
	name := r.account(t)
	mail := r.newAppPassword(t, 0, name, "", map[string]any{"label": "Mail"})
	node := (r.leader(t) + 1) % r.count()
	if v := r.tryAppPassword(t, node, name, mail.Password, ""); v.Outcome != wire.Accepted { // and a connection is open
		t.Errorf("before the token is pulled: %+v, want accepted", v)
	}
	chassis := r.rack.Chassis[node]
	check(t, chassis.PullToken())
	check(t, chassis.AwaitNotReady(deadline(t, 10*time.Second)))
	status, err := r.once(t.Context(), node, http.MethodPost, "/v1/accounts/"+name+"/app-passwords/verifications", "",
		map[string]string{"password": mail.Password}, nil)
	if status != http.StatusServiceUnavailable {
		t.Errorf("the node without a token answers %d, %v; want 503: nothing was done", status, err)
	}
	check(t, chassis.InsertToken())
	check(t, chassis.AwaitReady(deadline(t, 20*time.Second)))
	if v := r.tryAppPassword(t, node, name, mail.Password, ""); v.Outcome != wire.Accepted {
		t.Errorf("after the token came back: %+v, want accepted", v)
	}
}

// TestA1_AppPasswordsAtMost25: asked for at once on all nodes, there are 25 and no more.
func TestA1_AppPasswordsAtMost25(t *testing.T) {
	r := power(t)
	name := r.account(t)
	var mu sync.Mutex
	answers := map[int]int{}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			status, _ := r.call(t.Context(), i%r.count(), http.MethodPost, "/v1/accounts/"+name+"/app-passwords", "",
				map[string]string{"label": fmt.Sprint("app ", i)}, nil)
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
		})
	}
	wg.Wait()
	if answers[http.StatusCreated] != 25 || answers[http.StatusConflict] != 15 {
		t.Errorf("answers by status: %v, want 25 made and 15 refused", answers)
	}
	if list := r.appPasswords(t, 0, name); len(list) != 25 {
		t.Errorf("there are %d", len(list))
	}
}

// TestA1_AppPasswordsTellNothing: an account that isn't there answers like a wrong password, another tenant's front-end
// reaches nothing, and a locked account hears no app password.
func TestA1_AppPasswordsTellNothing(t *testing.T) {
	r := power(t)
	name := r.account(t)
	seed := r.importSeed(t, name)
	mail := r.newAppPassword(t, 0, name, "", map[string]any{"label": "Mail"})
	for node := range r.nodes() {
		known := r.tryAppPassword(t, node, name, "aaaa-aaaa-aaaa-aaaa", "")
		unknown := r.tryAppPassword(t, node, "nobody-"+name, "aaaa-aaaa-aaaa-aaaa", "")
		known.Entry, unknown.Entry = 0, 0
		if known != unknown || known.Outcome != wire.Wrong {
			t.Errorf("node %d: an account answers %+v, none answers %+v", node, known, unknown)
		}
	}

	ctx := deadline(t, time.Minute)
	credentials, err := r.rack.IssueClient(ctx, firmwaresim.Frontend, "other", "fe-of-other")
	check(t, err)
	stranger, err := httpClient(credentials)
	check(t, err)
	path := "https://" + r.rack.Chassis[0].APIAddr() + "/v1/accounts/" + name + "/app-passwords"
	for _, ask := range []strangersRequest{
		{http.MethodGet, path, "", http.StatusNotFound},
		{http.MethodDelete, path, "", http.StatusNotFound},
		{http.MethodDelete, path + "/" + mail.AppPassword.ID, "", http.StatusNotFound},
		{http.MethodPost, path, `{"label":"Mine"}`, http.StatusNotFound},
		{http.MethodPost, path + "/verifications", `{"password":"` + mail.Password + `"}`, http.StatusOK},
	} {
		status, body := ask.send(ctx, t, stranger)
		var v wire.AppPasswordVerification
		if status == http.StatusOK {
			check(t, json.Unmarshal([]byte(body), &v))
		}
		if status != ask.status || status == http.StatusOK && v.Outcome != wire.Wrong {
			t.Errorf("another tenant's %s: %d %s, want %d", ask.method, status, body, ask.status)
		}
	}

	if v := r.tryAppPassword(t, 1, name, mail.Password, ""); v.Outcome != wire.Accepted {
		t.Fatalf("the right one: %+v", v)
	}
	wrong := wrongCode(t, seed)
	for guesses := 1; ; guesses++ {
		// A mail program that signs in meanwhile gives whoever guesses codes nothing.
		v := r.verify(t, guesses%r.count(), name, wrong, "")
		if v.Outcome == wire.Locked {
			if guesses != 34 {
				t.Errorf("guess %d is the first to be refused, want the 34th", guesses)
			}
			break
		}
		if p := r.tryAppPassword(t, guesses%r.count(), name, mail.Password, ""); guesses < 33 && p.Outcome != wire.Accepted || guesses > 40 {
			t.Fatalf("after %d guesses the mail program is answered %+v", guesses, p)
		}
	}
	right, other := r.tryAppPassword(t, 0, name, mail.Password, ""), r.tryAppPassword(t, 0, name, "bbbb-bbbb-bbbb-bbbb", "")
	right.Entry, other.Entry = 0, 0
	if right.Outcome != wire.Locked || right != other {
		t.Errorf("locked: the right one is answered %+v, a wrong one %+v", right, other)
	}
}

// strangersRequest is what another tenant's front-end tries, and the status that it ought to get.
type strangersRequest struct {
	method, path, body string
	status             int
}

func (s strangersRequest) send(ctx context.Context, t *testing.T, c *http.Client) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, s.method, s.path, strings.NewReader(s.body))
	check(t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.Do(request)
	check(t, err)
	defer func() { _ = answer.Body.Close() }()
	read, err := io.ReadAll(answer.Body)
	check(t, err)
	return answer.StatusCode, string(read)
}
