package e2e

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"strongroom.internal/api/client"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
)

// TestAnErasedAccountCannotBeLinked: the account is deleted, and what the log says of it stays, each entry with its proof.
// Its name, and the salt that would link name and entries, are in no file of any node some seconds later: not in the state's
// tables, nor Raft's log, nor the key-usage log and its index, nor what the nodes said.
func TestAnErasedAccountCannotBeLinked(t *testing.T) {
	r := power(t)
	name, other := r.account(t), r.account(t)
	r.importSeed(t, name)
	phone := r.enrolDevice(t, 0, name)
	for node := range r.nodes() {
		r.verify(t, node, name, phone.code(t, time.Now()), "of-"+name+string(rune('0'+node)))
		r.verify(t, node, other, "000000", "")
	}
	// The salt is had from a node's disk, where it is while the account lives.
	follower := (r.leader(t) + 1) % r.count()
	chassis := r.rack.Chassis[follower]
	check(t, chassis.PowerOff())
	var salt []byte
	withState(t, chassis, func(db *pebble.DB) {
		change(t, db, "s/a/"+tenant+"\x00"+name, func(record []byte) []byte {
			state, err := account.DecodeState(record)
			check(t, err)
			salt = state.Salt
			return record
		})
	})
	// A table may have the beginning of a key only once for all that share it: the end is looked for.
	needles := map[string][]byte{"the salt": salt, "the name": []byte(name[len(name)-9:])}
	alive := strings.Join(traces(t, chassis.Dir(), needles), "\n")
	for what := range needles {
		for _, file := range []string{".sst", ".wal"} {
			if !slices.ContainsFunc(strings.Split(alive, "\n"), func(line string) bool {
				return strings.HasPrefix(line, what) && strings.HasSuffix(line, file)
			}) {
				t.Errorf("%s is in no %s file while the account lives: the test does not see what it looks for\n%s", what, file, alive)
			}
		}
	}
	r.back(t, follower)

	pseudonym := account.Pseudonym(salt, tenant, name)
	r.do(t, 1, http.MethodDelete, "/v1/accounts/"+name, nil, nil)
	deleted := time.Now()
	h := r.same(t)
	policy := r.policy(t, h.tree)
	var guesses []string // of the keys that were made of the account's name
	for node := range r.nodes() {
		id := audit.RequestID(r.actor(), "of-"+name+string(rune('0'+node)))
		guesses = append(guesses, hex.EncodeToString(id[:]))
	}
	operations := map[string]int{}
	for _, e := range h.entries {
		if e.Account != pseudonym {
			continue
		}
		operations[e.Operation]++
		proof, err := r.at(t, int(e.Index)%r.count()).LogProof(deadline(t, 10*time.Second), e.Index)
		check(t, err)
		proved, err := audit.VerifyReceipt(policy, proof)
		if err != nil || *proved.Entry != *e {
			t.Errorf("entry %d of the erased account: %+v, %v", e.Index, proved, err)
		}
		if slices.Contains(guesses, e.Request) {
			t.Errorf("an entry's request can be guessed by who knows the account's name: %s", h.raw[e.Index])
		}
		if strings.Contains(string(h.raw[e.Index]), name) || strings.Contains(string(h.raw[e.Index]), hex.EncodeToString(salt)) {
			t.Errorf("an entry says whose it is: %s", h.raw[e.Index])
		}
	}
	if operations["verify"] != r.count() || operations["enrol-device"] != 1 || operations["delete-account"] != 1 {
		t.Errorf("the log has of the erased account %v", operations)
	}
	if page, err := r.auditor(t).SearchLog(deadline(t, 10*time.Second), client.LogQuery{Tenant: tenant, Account: name}); err == nil && len(page.Entries) > 0 {
		t.Errorf("a search for the erased account's name finds %d entries", len(page.Entries))
	}

	for node, chassis := range r.rack.Chassis {
		var left []string
		for end := deleted.Add(time.Minute); ; {
			if left = traces(t, chassis.Dir(), needles); len(left) == 0 || time.Now().After(end) {
				break
			}
			time.Sleep(200 * time.Millisecond) // a poll's pause
		}
		if len(left) > 0 {
			t.Errorf("node %d, a minute after the account was erased:\n%s", node, strings.Join(left, "\n"))
		}
		t.Logf("node %d has nothing left after %v", node, time.Since(deleted).Round(time.Second/10))
	}
	if got := r.verify(t, follower, other, "000000", ""); got.Outcome != "wrong" {
		t.Errorf("another account: %+v", got)
	}
}
