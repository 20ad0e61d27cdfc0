package appliance

import (
	"fmt"
	"testing"
	"time"

	"strongroom.internal/appliance/account"
)

func TestRefusalsAreCountedByClient(t *testing.T) {
	var r refusals
	at := time.UnixMilli(1_767_225_600_000)
	want := func(when string, want map[string]uint32) {
		t.Helper()
		due := r.due(at)
		if len(due) != len(want) {
			t.Errorf("%s: %+v are due, want %v", when, due, want)
		}
		for actor, n := range want {
			if due[actor].count != n {
				t.Errorf("%s: %+v of %s, want %d", when, due[actor], actor, n)
			}
		}
	}
	want("nobody was refused", nil)
	r.note("web", "GET /v1/cluster", account.RefusedByPolicy)
	r.note("", subjectJoin, account.NotFound)
	if due := r.due(at); due["web"].subject != "GET /v1/cluster" || due[""].outcome != account.NotFound || len(due) != 2 {
		t.Errorf("%+v are due", due)
	}
	for range 1000 {
		r.note("web", "POST /v1/clients", account.RefusedByPolicy)
	}
	at = at.Add(coalesceFor - 1)
	want("within ten minutes", nil)
	at = at.Add(1)
	due := r.due(at)
	if due["web"].count != 1000 || len(due) != 1 {
		t.Errorf("after ten minutes %+v are due", due)
	}
	r.note("web", "POST /v1/clients", account.RefusedByPolicy)
	r.putBack("web", due["web"]) // there was no leader
	want("after a failure", map[string]uint32{"web": 1001})
	at = at.Add(coalesceFor)
	want("nobody was refused again", nil)
	if len(r.byActor) != 0 {
		t.Errorf("%v are remembered for nothing", r.byActor)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	var r refusals
	for i := range 3 * refusedActors {
		r.note(fmt.Sprint(i), "GET /v1/cluster", account.RefusedByPolicy)
	}
	due, sum := r.due(time.UnixMilli(1)), uint32(0)
	for _, x := range due {
		sum += x.count
	}
	if len(due) != refusedActors+1 || sum != 3*refusedActors || due[subjectOthers].subject != subjectOthers {
		t.Errorf("%d clients with %d refusals, %+v", len(due), sum, due[subjectOthers])
	}
}

func TestARefusalsEntry(t *testing.T) {
	var machine Machine
	applied, err := machine.Apply(memory{}, append([]byte{estateCommand}, mustEncode(estate{
		Time: 1, Actor: "web", Node: "n1", Refuse: &refuse{Subject: "GET /v1/cluster", Outcome: account.RefusedByPolicy, Coalesced: 7},
	})...))
	if err != nil || len(applied.Entries) != 1 {
		t.Fatalf("%+v, %v", applied, err)
	}
	if e := applied.Entries[0]; e.Operation != "refuse-request" || e.Actor != "web" || e.Subject != "GET /v1/cluster" ||
		e.Outcome != "refused-by-policy" || e.Coalesced != 7 {
		t.Errorf("%+v", e)
	}
}
