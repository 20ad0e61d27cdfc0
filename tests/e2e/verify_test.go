package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

// TestACodeOpensOnceAcrossEveryFailure is the second promise: oathtool's code is accepted once, and never again on any
// node, after the leader was killed, nor after all three came back from disk.
func TestACodeOpensOnceAcrossEveryFailure(t *testing.T) {
	r := power(t)
	name := r.account(t)
	seed := r.importSeed(t, name)
	// The code of the step to come is right for at least a minute from now.
	step := time.Now().Add(30 * time.Second)
	code := oathtool(t, seed, step)

	if got := r.verify(t, 0, name, code, ""); got.Outcome != "accepted" {
		t.Fatalf("oathtool's code: %+v, want accepted", got)
	}
	refusedBy := func(when string, nodes ...int) {
		t.Helper()
		for _, node := range nodes {
			want := "spent"
			if time.Now().Unix()/30 > step.Unix()/30+1 {
				want = "wrong" // a slow machine: the window has moved past the code
			}
			if got := r.verify(t, node, name, code, ""); got.Outcome != want {
				t.Errorf("%s, node %d: %+v, want %s", when, node, got, want)
			}
		}
	}
	refused := func(when string) {
		t.Helper()
		refusedBy(when, r.nodes()...)
	}
	refused("at once")
	leader := r.leader(t)
	r.kill(t, leader)
	r.newLeader(t, leader)
	refusedBy("after the leader was killed", (leader+1)%3, (leader+2)%3)
	r.powerOn(t, leader)
	r.ready(t)
	refused("after the leader came back")
	for node := range r.nodes() {
		r.kill(t, node)
	}
	for node := range r.nodes() {
		r.powerOn(t, node)
	}
	r.ready(t)
	refused("after all three came back from disk")
}

// TestS4_CodeFromTheDevicesSettings: each device has a seed of its own and shows codes by itself; oathtool says which. A clock
// that is off by a step either way is no matter, and by how much it was off is remembered.
func TestS4_CodeFromTheDevicesSettings(t *testing.T) {
	r := power(t)
	fast, slow := r.account(t), r.account(t)
	ahead, behind := r.enrolDevice(t, 0, fast), r.enrolDevice(t, 1, slow)
	const step = 30 * time.Second
	now := time.Now()
	for i, at := range []time.Time{now.Add(step), now.Add(2 * step)} { // the second is two steps ahead, and the first has said by how much
		if got := r.verify(t, i, fast, ahead.code(t, at), ""); got.Outcome != wire.Accepted || got.Device != ahead.id {
			t.Errorf("a code %v ahead: %+v", time.Until(at).Round(time.Second), got)
		}
	}
	for what, at := range map[string]time.Time{"an older code": now, "a code of another time": now.Add(20 * step)} {
		if got := r.verify(t, 2, fast, ahead.code(t, at), ""); got.Outcome != wire.Wrong && got.Outcome != wire.Spent {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if got := r.verify(t, 0, fast, behind.code(t, now), ""); got.Outcome != wire.Wrong {
		t.Errorf("another device's code: %+v", got)
	}
	eventually(t, 2*step, func(context.Context) error { // once more if a step ended meanwhile
		at := time.Now()
		got := r.verify(t, 2, slow, behind.code(t, at.Add(-step)), "")
		switch {
		case got.Outcome == wire.Accepted:
			return nil
		case time.Now().Unix()/30 == at.Unix()/30:
			t.Fatalf("a code of the step before: %+v", got)
		}
		return fmt.Errorf("%+v", got)
	})
}

// TestGuessesAtOnceCostWhatGuessesInARowCost is the other half of the second promise.
func TestGuessesAtOnceCostWhatGuessesInARowCost(t *testing.T) {
	r := power(t)
	const guesses = 200
	type tally struct{ Wrong, Locked int }
	guess := func(name, wrong string, each func(send func(node int))) tally {
		var mu sync.Mutex
		var got tally
		each(func(node int) {
			v := r.verify(t, node, name, wrong, "")
			mu.Lock()
			defer mu.Unlock()
			switch v.Outcome {
			case "wrong":
				got.Wrong++
			case "locked":
				got.Locked++
				if v.RetryAt.IsZero() {
					t.Error("locked without a time to come back at")
				}
			default:
				t.Errorf("a guess was answered %+v", v)
			}
		})
		return got
	}

	one, many := r.account(t), r.account(t)
	seedOne, seedMany := r.importSeed(t, one), r.importSeed(t, many)
	inARow := guess(one, wrongCode(t, seedOne), func(send func(int)) {
		for i := range guesses {
			send(i % r.count())
		}
	})
	atOnce := guess(many, wrongCode(t, seedMany), func(send func(int)) {
		var wg sync.WaitGroup
		for i := range guesses {
			wg.Go(func() { send(i % r.count()) })
		}
		wg.Wait()
	})
	if inARow != atOnce || inARow.Wrong+inARow.Locked != guesses {
		t.Errorf("in a row %+v, at once %+v: want the same", inARow, atOnce)
	}
	// 33 attempts over a window of three six-digit codes are the most that stay below 1 in 10,000.
	if inARow.Wrong != 33 {
		t.Errorf("%d guesses were heard before the lock, want 33", inARow.Wrong)
	}

	// The right code is refused as any other, and the answers can't be told apart.
	right := oathtool(t, seedMany, time.Now())
	a, b := r.verify(t, 0, many, right, ""), r.verify(t, 0, many, wrongCode(t, seedMany), "")
	a.Entry, b.Entry = 0, 0
	if a.Outcome != "locked" || a != b {
		t.Errorf("during lock-out the right code is answered %+v, a wrong one %+v", a, b)
	}
	for node := range r.nodes() {
		if got := r.verify(t, node, many, right, ""); got.Outcome != "locked" {
			t.Errorf("node %d: %+v, want locked on every node", node, got)
		}
	}
}

// TestAnUnknownAccountAnswersLikeAWrongCode: nobody learns from an answer whether an account exists.
func TestAnUnknownAccountAnswersLikeAWrongCode(t *testing.T) {
	r := power(t)
	name := r.account(t)
	wrong := wrongCode(t, r.importSeed(t, name))
	for i := range 40 {
		known, unknown := r.verify(t, i%r.count(), name, wrong, ""), r.verify(t, i%r.count(), "nobody-"+name, wrong, "")
		if known.Outcome != unknown.Outcome || known.RetryAt.IsZero() != unknown.RetryAt.IsZero() {
			t.Fatalf("attempt %d: an account answers %+v, none answers %+v", i+1, known, unknown)
		}
	}
}

// TestARepeatedRequestHasOneAnswer: the second time goes to another node, after a change of leaders.
func TestARepeatedRequestHasOneAnswer(t *testing.T) {
	r := power(t)
	name := r.account(t)
	seed := r.importSeed(t, name)
	code := oathtool(t, seed, time.Now())
	key := "key-of-" + name

	first := r.verify(t, 0, name, code, key)
	if first.Outcome != "accepted" {
		t.Fatalf("first: %+v", first)
	}
	leader := r.leader(t)
	r.kill(t, leader)
	next := r.newLeader(t, leader)
	for node := range r.nodes() {
		if node == leader {
			continue
		}
		again := r.verify(t, node, name, code, key)
		if again.Outcome != first.Outcome || again.Entry != first.Entry || !again.Replayed {
			t.Errorf("again at node %d, leader %d: %+v, want what was answered first: %+v", node, next, again, first)
		}
	}
	r.powerOn(t, leader)
	r.ready(t)

	// Another account can't be asked with the same key.
	other := r.account(t)
	r.importSeed(t, other)
	if v := r.verify(t, 0, other, "000000", key); v.Replayed {
		t.Errorf("another account got the first one's answer: %+v", v)
	}
}

// TestTheSameCodeOnAllNodesAtOnce is PEERS.md's first: one accept, whatever the race.
func TestTheSameCodeOnAllNodesAtOnce(t *testing.T) {
	r := power(t)
	for round := range 3 {
		name := r.account(t)
		code := oathtool(t, r.importSeed(t, name), time.Now())
		var mu sync.Mutex
		outcomes := map[string]int{}
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				v := r.verify(t, i%r.count(), name, code, "")
				mu.Lock()
				defer mu.Unlock()
				outcomes[v.Outcome]++
			})
		}
		wg.Wait()
		if outcomes["accepted"] != 1 || outcomes["spent"] != 11 {
			t.Errorf("round %d: %v, want one accepted and the rest spent", round, outcomes)
		}
	}
}

// TestARemovedCredentialIsDeadOnEveryNode is PEERS.md's last.
func TestARemovedCredentialIsDeadOnEveryNode(t *testing.T) {
	r := power(t)
	name := r.account(t)
	seed := r.importSeed(t, name)
	var list wire.Credentials
	r.do(t, 0, http.MethodGet, "/v1/accounts/"+name+"/authenticators", nil, &list)
	if len(list.Credentials) != 1 {
		t.Fatalf("the account has %+v, want one authenticator", list)
	}
	r.do(t, 1, http.MethodDelete, "/v1/accounts/"+name+"/authenticators/"+list.Credentials[0].ID, nil, nil)
	code := oathtool(t, seed, time.Now())
	for node := range r.nodes() {
		if got := r.verify(t, node, name, code, ""); got.Outcome != "wrong" {
			t.Errorf("node %d: %+v, want wrong", node, got)
		}
	}
}
