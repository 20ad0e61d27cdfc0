package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/client"
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
	// What each node does by itself when it starts is on the log before anything else is.
	for _, operation := range []string{"install-keys", "create-prior-key"} {
		eventually(t, 20*time.Second, func(ctx context.Context) error {
			found, err := operator.SearchLog(ctx, client.LogQuery{Operation: operation})
			if err == nil && len(found.Entries) < r.count() {
				err = fmt.Errorf("%d nodes have their %s", len(found.Entries), operation)
			}
			return err
		})
	}
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
	web := "fe-" + strings.ToLower(rand.Text())
	credentials, err := r.rack.IssueClient(ctx, firmwaresim.Frontend, "acts", web)
	check(t, err)
	act("issue-certificate", "authority", domain+"/tenant/acts/frontend/"+web, "done")
	frontend, err := r.rack.Client(credentials)
	check(t, err)
	defer frontend.Close()
	refused(t, frontend.SetPolicy(ctx, "acts", wire.Policy{AllowReveal: true}))
	act("refuse-request", "", "PUT /v1/tenants/{tenant}/policy", "refused-by-policy")
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
	r.importSeed(t, name)
	act("import-seed", "*", "", "done")
	r.reveal(t, name)
	act("reveal-seed", "*", "", "done")
	phone := r.enrolDevice(t, 0, name)
	act("enrol-device", phone.id, "", "done")
	act("sign-device-certificate", "device-trust", phone.id, "done")
	refused(t, r.enrolOwn(t, name, phone.public))
	act("enrol-device", "*", "", "step-up-needed")
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
	for _, in := range []bool{true, false} {
		r.do(t, 0, http.MethodPut, "/v1/accounts/"+name+"/devices/"+phone.id+"/presence", wire.PresenceReport{SignedIn: in}, nil)
	}
	act("report-device-signed-in", "", phone.id, "done")
	act("report-device-signed-out", "", phone.id, "done")
	r.do(t, 2, http.MethodDelete, "/v1/accounts/"+name+"/devices/"+phone.id, nil, nil)
	act("remove-credential", phone.id, "", "done")
	holder := r.phone(t, name)
	b := r.trustBrowser(t, 0, name, holder, "")
	act("trust-browser", "pepper", b.id, "done")
	act("sign-browser-token", "device-trust", b.id, "done")
	r.opens(t, 1, name, b)
	act("verify-browser", "pepper", b.id, "accepted")
	r.do(t, 2, http.MethodPost, browsersPath(name, "sign-outs"), map[string]string{"browser": b.cookie}, nil)
	act("sign-out-browser", "pepper", "", "done")
	refused(t, r.revoke(t, name, "nobody"))
	act("revoke-browser", "", "nobody", "not-found")
	r.do(t, 0, http.MethodDelete, browsersPath(name), nil, nil)
	act("revoke-browsers", "", "", "done")
	r.trusts(t, 1, name, holder)
	act("verify-device", holder.signIn.Device, "", "accepted")
	for _, security := range []bool{false, true} {
		r.do(t, 2, http.MethodPost, "/v1/accounts/"+name+"/password-changes", wire.PasswordChange{Security: security, Device: holder.signIn.Device}, nil)
	}
	act("change-password", "", holder.signIn.Device, "done")
	act("change-password-for-security", "", holder.signIn.Device, "done")
	r.do(t, 0, http.MethodPost, "/v1/accounts/"+name+"/devices/"+holder.signIn.Device+"/sign-outs", nil, nil)
	act("sign-out-device", holder.signIn.Device, "", "done")
	r.do(t, 0, http.MethodDelete, "/v1/accounts/"+name, nil, nil)
	act("delete-account", "", "", "done")
	steps := r.actsOfTwoStep(t, act)
	r.accessActs(t, act)
	guess := r.guesser(t, true)
	act("create-account", "", "", "done")
	act("import-seed", "*", "", "done")
	for range 34 {
		r.verify(t, 0, guess.name, "000000", "")
	}
	act("verify", "*", "", "wrong")
	act("verify", "*", "", "locked")

	eventually(t, 10*time.Second, func(ctx context.Context) error { // a refusal doesn't wait for its entry
		found, err := operator.SearchLog(ctx, client.LogQuery{Operation: "refuse-request", Actor: domain + "/tenant/acts/frontend/" + web})
		if err == nil && len(found.Entries) == 0 {
			err = errors.New("the refusal has no entry")
		}
		return err
	})
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
		upkeep := e.Operation == "create-prior-key" // a node's own, once a day
		if !strings.HasPrefix(e.Actor, domain+"/") && !upkeep || e.Node == "" || e.Module == "" {
			t.Errorf("an act without its actor, node or module: %s", h.raw[e.Index])
		}
		if e.Key != "" && e.Outcome == "done" && e.KeyVersion == 0 {
			t.Errorf("a key without its version: %s", h.raw[e.Index])
		}
		for _, secret := range []string{code, later[0], base32.StdEncoding.EncodeToString(phone.seed.Reveal())[:16], name, guess.name, b.cookie, b.token, steps, "415555016"} {
			if strings.Contains(string(h.raw[e.Index]), secret) {
				t.Errorf("an entry has what none may have: %s", h.raw[e.Index])
			}
		}
	}
}

// enrolOwn is a front-end that adds a device of its own.
func (r *rig) enrolOwn(t *testing.T, account string, public []byte) error {
	t.Helper()
	_, err := r.call(t.Context(), 0, http.MethodPost, "/v1/accounts/"+account+"/devices", "", wire.DeviceRequest{PublicKey: public}, nil)
	return err
}

func (r *rig) revoke(t *testing.T, account, browser string) error {
	t.Helper()
	_, err := r.call(t.Context(), 0, http.MethodDelete, browsersPath(account, browser), "", nil, nil)
	return err
}

// actsOfTwoStep does what there is to do with two-step verification, and says what it did.
func (r *rig) actsOfTwoStep(t *testing.T, act func(operation, key, subject, outcome string)) (name string) {
	o := withOutside(t, r)
	name = r.steps(t, 0, "+14155550168")
	act("create-account", "", "", "done")
	act("set-policy", "", tenant, "done")
	act("import-two-step", "", "*", "refused-by-policy")
	act("import-two-step", "", "*", "done")
	if status := r.status(t, 1, http.MethodDelete, twoStepPath(name), nil); status != http.StatusForbidden {
		t.Errorf("turning it off without a proof is answered %d", status)
	}
	act("turn-off-two-step", "", "", "step-up-needed")
	code, _ := r.stepCode(t, o, 0, name, "")
	act("send-two-step-code", "", "*", "done")
	act("make-code", "code", "*", "done")
	if v := r.step(t, 1, name, code, ""); v.Outcome != wire.Accepted {
		t.Errorf("the code: %+v", v)
	}
	act("verify-two-step", "code", "*", "accepted")
	r.step(t, 2, name, code, "")
	act("verify-two-step", "code", "", "ended")
	key := r.recoveryKey(t, 0, name, "").RecoveryKey.Reveal()
	act("make-recovery-key", "pepper", "", "done")
	r.step(t, 1, name, key, "")
	act("verify-recovery-key", "pepper", "", "accepted")
	if status := r.status(t, 2, http.MethodPost, protectionPath(name), wire.ProtectionRequest{Device: "none"}); status != http.StatusConflict {
		t.Errorf("protection is answered %d", status)
	}
	act("turn-on-protection", "", "none", "two-step-on")
	r.do(t, 0, http.MethodDelete, twoStepPath(name), nil, nil)
	act("turn-off-two-step", "", "", "done")
	if status := r.status(t, 1, http.MethodPost, twoStepPath(name), map[string]string{"number": "+14155550168"}); status != http.StatusConflict {
		t.Errorf("turning it on anew is answered %d", status)
	}
	act("enrol-two-step", "", "*", "two-factor-eligible")
	r.step(t, 2, name, key, "")
	act("verify-recovery-key", "pepper", "", "wrong")
	return name
}

func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("it was not refused")
	}
}
