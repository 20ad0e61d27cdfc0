package e2e

import (
	"net/http"
	"slices"
	"testing"

	"strongroom.internal/api/wire"
)

// TestEveryAnswerHasItsEntry: whatever was answered while leaders were killed is in the log, once, as it was answered; and
// the log is one, on all nodes, under a checkpoint that the nodes' keys have signed.
func TestEveryAnswerHasItsEntry(t *testing.T) {
	r := powerToWreck(t)
	var guests []guest
	for range 8 {
		guests = append(guests, r.counter(t))
	}
	for range 4 {
		guests = append(guests, r.owner(t), r.guesser(t, false))
	}
	guests = append(guests, r.guesser(t, true))
	crowd := guests[0] // three at a time
	crowd.code = func(string) string { return "000000" }
	load := r.busyWith(t, append(guests, crowd, crowd)...)
	for range 3 {
		load.await(t, 150)
		leader := r.leader(t)
		r.kill(t, leader)
		r.powerOn(t, leader)
		r.ready(t)
	}
	for !slices.ContainsFunc(load.all, func(a answered) bool { return a.Outcome == wire.Locked }) {
		load.await(t, 10)
	}
	answers := load.end(t)
	for _, g := range guests { // the account's next entry says how many attempts were refused and not written down
		r.do(t, 0, http.MethodPut, "/v1/accounts/"+g.name, nil, nil)
		r.do(t, 0, http.MethodDelete, "/v1/accounts/"+g.name, nil, nil)
	}

	outcomes, repeated := map[string]int{}, 0
	for _, a := range answers {
		outcomes[a.Outcome]++
		if a.sent > 1 {
			repeated++
		}
	}
	t.Logf("%d answers, %d of them asked for more than once: %v", len(answers), repeated, outcomes)
	for _, o := range []string{wire.Accepted, wire.Wrong, wire.Spent, wire.Locked} {
		if outcomes[o] == 0 {
			t.Errorf("the load had no answer %q", o)
		}
	}
	if repeated == 0 {
		t.Error("no request met a killed leader")
	}
	r.same(t).account(t, r.actor(), answers)
}
