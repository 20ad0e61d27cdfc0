package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestAPulledTokenIsNoticedAndHeals: the node whose token is gone says so within two seconds, the others serve, and
// putting it back is all that is needed.
func TestAPulledTokenIsNoticedAndHeals(t *testing.T) {
	r := power(t)
	name := r.account(t)
	phone := r.enrolDevice(t, 0, name)
	node := (r.leader(t) + 1) % r.count()
	chassis := r.rack.Chassis[node]

	// A connection that is open gets an answer; a new one fails in its handshake, since the node's own key is away too.
	if got := r.verify(t, node, name, "000000", ""); got.Outcome != "wrong" {
		t.Errorf("before the token is pulled: %+v, want wrong", got)
	}
	check(t, chassis.PullToken())
	pulled := time.Now()
	check(t, chassis.AwaitNotReady(deadline(t, 10*time.Second)))
	if took := time.Since(pulled); took > 2*time.Second {
		t.Errorf("the node said so after %v, want 2 s at most", took)
	}
	status, err := r.once(t.Context(), node, http.MethodPost, "/v1/accounts/"+name+"/verifications", "",
		map[string]string{"code": "000000"}, nil)
	if status != http.StatusServiceUnavailable || err == nil {
		t.Errorf("the node without a token answers %d, %v; want 503: nothing was done", status, err)
	}
	want := "accepted" // by the first; the next one's code may be of the same step
	for other := range r.nodes() {
		if other == node {
			continue
		}
		at := time.Now().Add(time.Duration(other) * 30 * time.Second / 2)
		if got := r.verify(t, other, name, phone.code(t, at), ""); got.Outcome != "accepted" && got.Outcome != want {
			t.Errorf("node %d: %+v while another's token is gone, want %s", other, got, want)
		}
		want = "spent"
	}
	check(t, chassis.InsertToken())
	check(t, chassis.AwaitReady(deadline(t, 20*time.Second)))
	if got := r.verify(t, node, name, "000000", ""); got.Outcome != "wrong" {
		t.Errorf("after the token came back: %+v, want wrong", got)
	}
}

// TestTheLeadersTokenIsPulled: followers compute in their own modules, so the cluster serves though its leader can't.
func TestTheLeadersTokenIsPulled(t *testing.T) {
	r := power(t)
	name := r.account(t)
	phone := r.enrolDevice(t, 0, name)
	leader := r.leader(t)
	chassis := r.rack.Chassis[leader]
	check(t, chassis.PullToken())
	check(t, chassis.AwaitNotReady(deadline(t, 10*time.Second)))
	if got := r.verify(t, (leader+1)%r.count(), name, phone.code(t, time.Now()), ""); got.Outcome != "accepted" {
		t.Errorf("%+v, want accepted", got)
	}
	check(t, chassis.InsertToken())
	check(t, chassis.AwaitReady(deadline(t, 20*time.Second)))
}
