package e2e

import (
	"crypto/rand"
	"encoding/base32"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/audit"
	firmwaresim "strongroom.internal/firmware-sim"
)

// TestEveryActHasAnEntry: uses of seeds and of the cluster's keys, acts on keys, members, operators, clients and policy, and
// refusals of them. What an entry says is in the key that it names, and the subject.
func TestEveryActHasAnEntry(t *testing.T) {
	r := power(t)
	operator, err := r.rack.Client(r.rack.Operator())
	check(t, err)
	defer operator.Close()
	ctx := deadline(t, time.Minute)
	before, err := operator.LogHead(ctx)
	check(t, err)

	domain := "spiffe://" + r.rack.TrustDomain()
	var want []audit.Entry
	act := func(operation, key, subject, outcome string) {
		want = append(want, audit.Entry{Operation: operation, Key: key, Subject: subject, Outcome: outcome})
	}

	// The cluster's birth and its members, as they are at the log's beginning.
	act("found-cluster", "", "*", "done")
	for _, key := range []string{"wrapping", "binding", "device-trust", "authority", "code", "pepper"} {
		act("create-key", key, "", "done")
	}
	for _, c := range r.rack.Chassis {
		act("create-node-key", "identity", c.ID(), "done")
		act("create-node-key", "log", c.ID(), "done")
		act("issue-certificate", "authority", domain+"/node/"+c.ID(), "done")
		act("install-keys", "wrapping", c.ID(), "done")
	}
	for _, c := range r.rack.Chassis[1:] {
		act("admit-node", "wrapping", c.ID(), "done")
		act("join-node", "", c.ID(), "done")
	}
	born := len(want)

	// Operators' acts, and refusals.
	check(t, operator.SetPolicy(ctx, "acts", wire.Policy{}))
	act("set-policy", "", "acts", "done")
	client := "fe-" + strings.ToLower(rand.Text())
	_, err = r.rack.IssueClient(ctx, firmwaresim.Frontend, "acts", client)
	check(t, err)
	act("issue-certificate", "authority", domain+"/tenant/acts/frontend/"+client, "done")
	_, err = operator.CreateJoinToken(ctx, time.Minute)
	check(t, err)
	act("create-join-token", "", "", "done")
	refused(t, operator.RemoveNode(ctx, "nobody"))
	act("remove-node", "", "nobody", "not-found")
	retention, err := operator.LogRetention(ctx)
	check(t, err)
	check(t, operator.SetLogRetention(ctx, retention))
	act("set-log-retention", "", "", "done")
	witnesses, err := operator.LogWitnesses(ctx)
	check(t, err)
	check(t, operator.SetLogWitnesses(ctx, witnesses))
	act("set-log-witnesses", "", "", "done")
	_, signed := r.signed(t, operator)
	check(t, operator.RecordLogArchive(ctx, wire.LogArchive{Tree: signed.Tree(), Size: signed.Size, Root: signed.Root[:], Where: "here"}))
	act("record-archive", "", signed.Tree(), "done")
	refused(t, operator.PruneLog(ctx, wire.LogPruning{Tree: signed.Tree(), Position: 1}))
	act("prune-log", "", signed.Tree(), "refused-by-policy")

	// A front-end's.
	name := r.account(t)
	act("create-account", "", "", "done")
	phone := r.enrolDevice(t, 0, name)
	act("enrol-device", phone.id, "", "done")
	act("sign-device-certificate", "device-trust", phone.id, "done")
	r.importSeed(t, name)
	act("import-seed", "*", "", "done")
	r.reveal(t, name)
	act("reveal-seed", "*", "", "done")
	_, err = r.call(ctx, 0, http.MethodPost, "/v1/accounts/nobody-"+name+"/devices", "", wire.DeviceRequest{PublicKey: phone.public}, nil)
	refused(t, err)
	act("enrol-device", "", "", "not-found")
	code := phone.code(t, time.Now())
	for _, outcome := range []string{"accepted", "spent"} {
		if got := r.verify(t, 0, name, code, ""); got.Outcome != outcome {
			t.Errorf("%+v, want %s", got, outcome)
		}
		act("verify", phone.id, "", outcome)
	}
	later := []string{phone.code(t, time.Now().Add(2*time.Minute)), phone.code(t, time.Now().Add(150*time.Second))}
	r.do(t, 1, http.MethodPost, "/v1/accounts/"+name+"/authenticators/"+phone.id+"/resynchronisations",
		map[string]string{"first": later[0], "second": later[1]}, nil)
	act("resynchronise", phone.id, "", "accepted")
	r.do(t, 2, http.MethodDelete, "/v1/accounts/"+name+"/devices/"+phone.id, nil, nil)
	act("remove-credential", phone.id, "", "done")
	r.do(t, 0, http.MethodDelete, "/v1/accounts/"+name, nil, nil)
	act("delete-account", "", "", "done")
	r.accessActs(t, act)
	guess := r.guesser(t, true)
	act("create-account", "", "", "done")
	act("import-seed", "*", "", "done")
	for range 34 {
		r.verify(t, 0, guess.name, "000000", "")
	}
	act("verify", "*", "", "wrong")
	act("verify", "*", "", "locked")

	after, err := operator.LogHead(ctx)
	check(t, err)
	h := r.history(t, 0, after.Size)
	for i, w := range want {
		from := before.Size
		if i < born {
			from = 0
		}
		if !slices.ContainsFunc(h.entries[from:], func(e *audit.Entry) bool {
			like := func(want, got string) bool { return want == got || want == "*" && got != "" }
			return e.Operation == w.Operation && like(w.Key, e.Key) && like(w.Subject, e.Subject) && e.Outcome == w.Outcome
		}) {
			t.Errorf("no entry from %d on is like %s %s %s %s", from, w.Operation, w.Key, w.Subject, w.Outcome)
		}
	}
	for _, e := range h.entries[before.Size:] {
		if !strings.HasPrefix(e.Actor, domain+"/") || e.Node == "" || e.Module == "" {
			t.Errorf("an act without its actor, node or module: %s", h.raw[e.Index])
		}
		if e.Key != "" && e.Outcome == "done" && e.KeyVersion == 0 {
			t.Errorf("a key without its version: %s", h.raw[e.Index])
		}
		for _, secret := range []string{code, later[0], base32.StdEncoding.EncodeToString(phone.seed.Reveal())[:16], name, guess.name} {
			if strings.Contains(string(h.raw[e.Index]), secret) {
				t.Errorf("an entry has what none may have: %s", h.raw[e.Index])
			}
		}
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("it was not refused")
	}
}
