package account

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// name is what an account is called, and whose it is.
type name struct{ tenant, account string }

// names are the accounts of the model. The same person has one with each tenant: what is done for one must do nothing to
// the other.
var names = []name{{"acme", "person-ann"}, {"umbra", "person-ann"}, {"acme", "person-bob"}, {"umbra", "person-eve"}}

// roles are everybody who has a certificate. The core must answer all of them alike: api's access table alone says who may
// ask for what.
var roles = []string{
	"spiffe://test/tenant/acme/frontend/web", "spiffe://test/tenant/umbra/frontend/web", "spiffe://test/tenant/acme/helpdesk/desk",
	"spiffe://test/operator/olga", "spiffe://test/auditor/ada", "spiffe://test/node/n2",
}

// house is the accounts in one engine, and all who reach for them: their owners, who guess, who have a stolen device, who
// replay, and nodes that are slow or lie.
type house struct {
	t        *rapid.T
	now      Time
	serial   int // of all that is made at random elsewhere
	policies map[string]Policy
	states   map[name]*State
	encoded  map[name][]byte // of states, as they were made
	books    map[name]*book
	ledger   ledger
	requests []RequestID
	late     []*Command // evaluated, and not delivered yet
	past     []*Command // delivered
	tally    map[string]int
}

func newHouse(t *rapid.T, tally map[string]int) *house {
	h := &house{
		t: t, now: start, policies: map[string]Policy{}, states: map[name]*State{}, encoded: map[name][]byte{},
		books: map[name]*book{}, ledger: newLedger(), tally: tally,
	}
	for _, n := range names {
		h.policies[n.tenant] = policies[0]
		h.books[n] = newBook()
	}
	return h
}

// policies are what a tenant may change to at any moment.
var policies = []Policy{
	{
		AllowImport: true, AllowReveal: true, AllowAppPasswords: true, Gateway: true, AllowTwoStepImport: true,
		Recovery: RecoveryPolicy{Allow: true}, Reset: ResetPolicy{ByCode: true},
	},
	{
		AllowImport: true, AllowAppPasswords: true, Gateway: true, SignInPolicy: SignInPolicy{CooldownSeconds: 1, StepUpMinutes: 5, TellPhones: true},
		Recovery:      RecoveryPolicy{Allow: true, WaitDays: 3, FloorDays: 1, PauseDays: 1, Shorten: Weights{PhoneCode: 24, Device: 47, Password: 1, Email: 240}},
		BrowserPolicy: BrowserPolicy{BrowserDays: 1}, Reset: ResetPolicy{LocalPresence: true},
	},
	{
		AllowReveal: true, Gateway: true, MaxCredentials: 3, Recovery: RecoveryPolicy{Allow: true, WaitDays: 90, FloorDays: 90},
		EnrolmentPolicy: EnrolmentPolicy{BornProtected: true, Platforms: []Platform{{Name: "watchOS", NoCodes: true}}, Excluded: []string{"child"}},
	},
	{AllowAppPasswords: true, Gateway: true, NoticesFull: true, BrowserPolicy: BrowserPolicy{NoBrowserTrust: true}, EnrolmentPolicy: EnrolmentPolicy{NoWayBack: true}},
	{},
}

// policyOdds are how often each of policies is drawn.
var policyOdds = []int{0, 0, 0, 1, 1, 1, 2, 2, 3, 4}

// deliver applies a command as an engine does, and looks at every promise.
func (h *house) deliver(c *Command) Result {
	x := &deed{house: h, name: name{c.Tenant, c.Account}, policy: h.policies[c.Tenant], index: h.ledger.entries}
	x.before, x.book = h.states[x.name], h.books[x.name]
	encoded := EncodeCommand(c)
	if x.c, x.codec = DecodeCommand(encoded); x.codec != nil {
		h.t.Fatalf("a command that was encoded is refused: %v", x.codec)
	}
	x.kind = kindOf(c)
	x.at = now(x.before, c)
	x.d = Apply(x.policy, x.before, x.c)
	another := *x.c
	another.Actor = roles[(slices.Index(roles, c.Actor)+1)%len(roles)]
	again := Apply(x.policy, x.before, &another)
	x.touched = !bytes.Equal(encoded, EncodeCommand(x.c)) || x.before != nil && !bytes.Equal(h.encoded[x.name], EncodeState(x.before)) ||
		!slices.ContainsFunc(policies, func(p Policy) bool { return reflect.DeepEqual(p, x.policy) })
	x.d.SetEntry(x.index)
	again.SetEntry(x.index)
	made := h.encoded[x.name]
	x.r, x.after = x.d.Result, x.before
	if x.d.Next != nil {
		made = EncodeState(x.d.Next)
		x.after, x.codec = DecodeState(made)
	}
	if x.d.Erase {
		made, x.after = nil, nil
	}
	x.differs = !bytes.Equal(anonymous(&x.d), anonymous(&again)) ||
		again.Next == nil != (x.d.Next == nil) || again.Next != nil && !bytes.Equal(made, EncodeState(again.Next))
	if x.codec == nil {
		h.tally[x.kind+" "+x.r.Outcome.String()]++
	}
	for _, p := range promises {
		if wrong := p.broken(x); wrong != "" {
			said, _ := json.Marshal(reflect.ValueOf(*x.c).FieldByName(x.kind).Interface())
			h.t.Fatalf("%s (%s): %s\n%v at %d, by %s: %s %s\nis answered %+v", p.says, p.from, wrong, x.name, c.Time, c.Actor, x.kind, said, x.r)
		}
	}
	h.note(x)
	h.states[x.name], h.encoded[x.name] = x.after, made
	h.past = append(h.past, c)
	return x.r
}

// redeliver delivers a command that was made earlier. One that a decoder refuses isn't; nor one that brings a seed back
// which was removed, or takes it to another account. The module binds a sealed seed to its account and credential, and makes
// a new one for each enrolment: only who owns a node can propose an old blob again, within the account that it was of.
func (h *house) redeliver(c *Command) {
	var k Credential
	switch {
	case c.Enrol != nil:
		k = c.Enrol.Credential
	case c.Enter != nil && c.Enter.Device != nil:
		k = *c.Enter.Device
	case c.Protect != nil && c.Protect.Device != nil:
		k = *c.Protect.Device
	case c.VerifyPhone != nil && c.VerifyPhone.Protect != nil && c.VerifyPhone.Protect.Device != nil:
		k = *c.VerifyPhone.Protect.Device
	case c.RedeemGrant != nil && c.RedeemGrant.Device != nil:
		k = *c.RedeemGrant.Device
	}
	for _, n := range names {
		gone := h.ledger.gone[n]
		if slices.ContainsFunc(gone, func(g Credential) bool { return len(k.Seed) > 0 && string(g.Seed) == string(k.Seed) }) {
			return
		}
		for id := range h.books[n].trusted {
			if n != (name{c.Tenant, c.Account}) && string(h.books[n].trusted[id].Seed) == string(k.Seed) {
				return
			}
		}
	}
	if c.Validate() == nil {
		again := *c
		if h.states[name{c.Tenant, c.Account}] == nil {
			again.Salt = h.secret(SaltSize) // no two lives have one
		}
		h.deliver(&again)
	}
}

// anonymous is all that a decision says but for the new state, and for who asked.
func anonymous(d *Decision) []byte {
	b := fmt.Appendf(nil, "%+v %v %v %+v ", d.Result, d.Erase, d.Keeps, d.Notices)
	for _, e := range d.Entries() {
		x := *e
		x.Actor = ""
		b = x.AppendJSON(b)
	}
	return b
}

// commandKinds are the names of Command's pointers: one for each kind of command.
func commandKinds() (kinds []string) {
	for f := range reflect.TypeFor[Command]().Fields() {
		if f.Type.Kind() == reflect.Pointer {
			kinds = append(kinds, f.Name)
		}
	}
	return kinds
}

func kindOf(c *Command) string {
	v := reflect.ValueOf(*c)
	for _, kind := range commandKindNames {
		if !v.FieldByName(kind).IsNil() {
			return kind
		}
	}
	return ""
}

var commandKindNames = commandKinds()

// TestPromises drives four accounts of two tenants with commands of all kinds, by all roles, on time and late, once and
// again, evaluated by nodes that are right, slow or lie; after each it asks whether every promise of promises_list_test.go
// still holds. A kind of command without a generator fails: add one to generators.
func TestPromises(t *testing.T) {
	var drawn []string // each kind as often as it is to be drawn
	for _, kind := range commandKindNames {
		if generators[kind] == nil {
			t.Errorf("Command.%s has no generator: add one to generators in promises_kinds_test.go", kind)
			continue
		}
		often := 3
		if n, is := weights[kind]; is {
			often = n
		}
		drawn = append(drawn, slices.Repeat([]string{kind}, often)...)
	}
	if t.Failed() {
		return
	}
	tally := map[string]int{} // of all runs: what was tried, and how it was answered
	run := func(rt *rapid.T) {
		h := newHouse(rt, tally)
		make := func(rt *rapid.T, kind string, n name) *Command {
			c := generators[kind](h.hand(rt, n))
			if kindOf(c) != kind {
				rt.Fatalf("the generator of %s makes %q", kind, kindOf(c))
			}
			h.repeat(rt, c)
			return c
		}
		act := func(rt *rapid.T) {
			n := evenly(names).Draw(rt, "account")
			for range evenly(times[:]).Draw(rt, "acts") {
				h.deliver(make(rt, evenly(drawn).Draw(rt, "kind"), n))
			}
		}
		whose := func(rt *rapid.T) name { return evenly(names).Draw(rt, "account") }
		for _, n := range names {
			h.policies[n.tenant] = policies[0]
			h.furnish(rt, n)
			h.policies[n.tenant] = policies[evenly(policyOdds[:8]).Draw(rt, "policy")]
		}
		rt.Repeat(map[string]func(*rapid.T){
			"tick": func(rt *rapid.T) {
				h.now += evenly([]Time{1, second, second, 30 * second, 30 * second, minute, minute, 10 * minute, hour, day, 14*day - hour}).Draw(rt, "time")
			},
			"policy": func(rt *rapid.T) {
				n := whose(rt)
				h.policies[n.tenant] = policies[evenly(policyOdds).Draw(rt, "policy")]
			},
			"act":      act,
			"and then": act,
			"evaluate": func(rt *rapid.T) {
				h.late = append(h.late, make(rt, evenly(drawn).Draw(rt, "kind"), whose(rt)))
			},
			"deliver": func(rt *rapid.T) {
				if len(h.late) > 0 {
					h.redeliver(evenly(h.late).Draw(rt, "late"))
				}
			},
			"replay": func(rt *rapid.T) { // as it is, or at a later time; to its account, or to another
				if len(h.past) == 0 {
					return
				}
				c := *h.past[len(h.past)-1-rapid.IntRange(0, min(len(h.past)-1, 20)).Draw(rt, "past")]
				if rapid.Bool().Draw(rt, "later") {
					c.Time = h.now
				}
				if evenly(times[:4]).Draw(rt, "elsewhere") == 4 {
					n := whose(rt)
					c.Tenant, c.Account = n.tenant, n.account
				}
				h.redeliver(&c)
			},
			"two steps":       func(rt *rapid.T) { h.twoSteps(rt, whose(rt)) },
			"recover":         func(rt *rapid.T) { h.recover(rt, whose(rt)) },
			"trust a browser": func(rt *rapid.T) { h.browse(rt, whose(rt)) },
			"reset":           func(rt *rapid.T) { h.reset(rt, whose(rt)) },
			"sign in":         func(rt *rapid.T) { h.signIn(rt, whose(rt)) },
			"guess": func(rt *rapid.T) {
				n := whose(rt)
				guesses := h.guesses(n)
				for range evenly([]int{1, 2, 5, 10, 40}).Draw(rt, "guesses") {
					h.deliver(evenly(guesses).Draw(rt, "guess")())
				}
			},
			"wait and guess": func(rt *rapid.T) { // each delay lets one attempt through
				n := whose(rt)
				for range rapid.IntRange(1, 3).Draw(rt, "guesses") {
					if s := h.states[n]; s != nil {
						h.now = max(h.now, s.RetryAt)
					}
					h.deliver(evenly(h.guesses(n)).Draw(rt, "guess")())
				}
			},
		})
	}
	deeds, missing := 0, []string(nil)
	for range 5 { // what is rare may not come up at once
		rapid.Check(t, run)
		if deeds, missing = reached(tally); t.Failed() || deeds < 5000 || len(missing) == 0 {
			break // with fewer nothing can be said
		}
	}
	if deeds >= 5000 && len(missing) > 0 {
		t.Errorf("of %d commands, nothing came of these: the model doesn't reach what is promised of them: %v", deeds, missing)
	}
	t.Logf("%d commands: %v", deeds, tally)
}

// reached counts the commands, and says what none of them came to.
func reached(tally map[string]int) (deeds int, missing []string) {
	for _, n := range tally {
		deeds += n
	}
	for _, kind := range commandKindNames {
		if tally[kind+" done"]+tally[kind+" accepted"] == 0 {
			missing = append(missing, kind)
		}
	}
	for _, answer := range []string{
		"Verify wrong", "Verify stale", "Verify locked", "Enter wrong", "Enter ended", "Resync wrong", "VerifyPhone wrong",
		"VerifyAppPassword wrong", "Decide bad-signature", "EditPhone last-phone", "Unprotect permanent",
		"CheckBrowser wrong", "CheckBrowser token-reused", "CheckBrowser expired", "CheckDevice bad-signature", "VerifyTwoStep wrong",
		"VerifyTwoStep locked", "VerifyTwoStep ended", "RecoveryAct not-yet", "RecoveryAct wrong", "RecoveryAct accepted",
		"RecoveryAct bad-signature", "RedeemGrant wrong", "RedeemGrant stale", "StartRecovery too-soon", "StartRecovery exists",
	} {
		if tally[answer] == 0 {
			missing = append(missing, answer)
		}
	}
	return deeds, missing
}
