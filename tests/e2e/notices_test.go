package e2e

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

// TestS2_NoNoticeIsLostWithItsLeader: it dies between the commit and the post, and after the post and before it is said
// that the notice was taken. What comes, comes at least once and in order.
func TestS2_NoNoticeIsLostWithItsLeader(t *testing.T) {
	r := power(t)
	o := withOutside(t, r)
	account, p := r.person(t)
	o.frontend.awaitType(t, account, wire.NoticeDeviceAdded)
	var refused atomic.Int32
	o.frontend.refusing(func(a string) bool {
		if a == account {
			refused.Add(1)
		}
		return a == account
	})
	defer o.frontend.refusing(nil)
	s := r.begin(t, 0, account)
	r.decide(t, 1, account, s, p.decision(t, s, true))
	r.decide(t, 2, account, s, p.decision(t, s, false))
	ctx := deadline(t, 20*time.Second)
	for refused.Load() == 0 {
		if ctx.Err() != nil {
			t.Fatal("the leader does not try")
		}
		time.Sleep(10 * time.Millisecond) // until the first try: nothing else can be waited for
	}
	stuck := r.outbox(t)
	if stuck.Waiting < 3 || stuck.Oldest.IsZero() {
		t.Errorf("what is stuck can't be seen: %+v", stuck)
	}
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	o.frontend.refusing(nil)
	o.frontend.awaitType(t, account, wire.NoticeDenied)
	var kinds []string
	for _, g := range o.frontend.of(account) {
		kinds = append(kinds, g.notice.Type)
	}
	want := []string{wire.NoticeDeviceAdded, wire.NoticeBegun, wire.NoticeAllowed, wire.NoticeDenied}
	if !slices.Equal(kinds, want) {
		t.Errorf("in order %v, want %v", kinds, want)
	}
	r.powerOn(t, leader)
	r.ready(t)
}

// outbox is how the front-end's notices stand.
func (r *rig) outbox(t *testing.T) wire.OutboxDestination {
	t.Helper()
	operator, err := httpClient(r.rack.Operator())
	check(t, err)
	var o wire.Outbox
	check(t, r.as(operator, 0, http.MethodGet, "/v1/tenants/"+tenant+"/notices", nil, &o))
	i := slices.IndexFunc(o.Destinations, func(d wire.OutboxDestination) bool { return d.Destination == "frontend" })
	if i < 0 {
		t.Fatalf("the outbox is %+v", o)
	}
	return o.Destinations[i]
}

// TestS2_TheStreamResumesOnAnotherNode with what came in between, and is the tenant's alone.
func TestS2_TheStreamResumesOnAnotherNode(t *testing.T) {
	r := power(t)
	withOutside(t, r)
	account, p := r.person(t)
	first := r.stream(t, 0, "")
	s := r.begin(t, 1, account)
	begun := first.await(t, account, wire.NoticeBegun)
	first.end()
	r.decide(t, 2, account, s, p.decision(t, s, true))
	second := r.stream(t, 1, begun)
	second.await(t, account, wire.NoticeAllowed)
	r.decide(t, 0, account, s, p.decision(t, s, false))
	second.await(t, account, wire.NoticeDenied)
	second.end()
}

// events is an open stream.
type events struct {
	lines *bufio.Scanner
	end   func()
	seen  []string // data of the events that were read
}

func (r *rig) stream(t *testing.T, node int, after string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+r.rack.Chassis[node].APIAddr()+"/v1/notices/stream", nil)
	check(t, err)
	if after != "" {
		q.Header.Set("Last-Event-ID", after)
	}
	answer, err := r.clients[node].Do(q)
	check(t, err)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream is answered %d %v", answer.StatusCode, answer.Header)
	}
	e := &events{lines: bufio.NewScanner(answer.Body), end: func() { cancel(); _ = answer.Body.Close() }}
	for e.lines.Scan() && e.lines.Text() != "" { // the first block says that it has begun
		continue
	}
	return e
}

// await reads up to an account's event and returns its id.
func (e *events) await(t *testing.T, account, kind string) string {
	t.Helper()
	id, name := "", ""
	for e.lines.Scan() {
		field, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			e.seen = append(e.seen, value)
			if name == kind && strings.Contains(value, `"`+account+`"`) {
				return id
			}
			if strings.Contains(value, "+1415555") {
				t.Errorf("a phone number is in the stream: %s", value)
			}
		}
	}
	t.Fatalf("the stream ended before %s: %v", kind, e.lines.Err())
	return ""
}

// TestS1_WaitingForADecision ends when there is one, on whichever node.
func TestS1_WaitingForADecision(t *testing.T) {
	r := power(t)
	account, p := r.person(t)
	s := r.begin(t, 0, account)
	waited := make(chan wire.SignIn, 1)
	go func() {
		var x wire.SignIn
		if _, err := r.call(context.Background(), 1, http.MethodGet, signInPath(account, s)+"?wait=15", "", nil, &x); err != nil {
			t.Error(err)
		}
		waited <- x
	}()
	began := time.Now()
	r.decide(t, 2, account, s, p.decision(t, s, true))
	if x := <-waited; x.State != "allowed" || time.Since(began) > 10*time.Second {
		t.Errorf("after %v: %+v", time.Since(began), x)
	}
}
