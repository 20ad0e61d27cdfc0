package account

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"strongroom.internal/appliance/otp"
)

// start is the moment at which tests begin: 2026-01-01, at the beginning of a step of 30 and of 60 s.
const start Time = 1767225600000

const (
	second Time = 1000
	minute      = 60 * second
	hour        = 60 * minute
)

var (
	totp6 = otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30}
	totp8 = otp.Params{Mode: otp.TOTP, Hash: otp.SHA256, Digits: 8, Period: 60}
	hotp6 = otp.Params{Mode: otp.HOTP, Hash: otp.SHA1, Digits: 6}
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is one account in an engine: a state, a log and a clock. Every command goes through both codecs, is applied twice
// and must leave its arguments alone.
type world struct {
	t         fataler
	policy    Policy
	state     *State
	entries   []string // encoded, in order
	notices   []Notice
	keys      map[string]*ecdsa.PrivateKey // of devices that were enrolled with one
	coalesced uint32                       // attempts that wait for an entry to be counted in
	now       Time
	salts     uint64
}

func newWorld(t fataler) *world {
	return &world{
		t: t, now: start, policy: Policy{AllowImport: true, AllowReveal: true, Gateway: true}, keys: map[string]*ecdsa.PrivateKey{},
	}
}

// command starts a command at the world's time.
func (w *world) command() *Command {
	w.salts++
	salt := make([]byte, SaltSize)
	binary.BigEndian.PutUint64(salt, w.salts*0x9e3779b97f4a7c15)
	return &Command{
		Time: w.now, Tenant: "acme", Account: "ann", Actor: "spiffe://strongroom.example/frontend/acme/web", Salt: salt,
		Node: "n1", Module: "SC-0001",
	}
}

func (w *world) apply(c *Command) Result {
	w.t.Helper()
	encoded := EncodeCommand(c)
	decoded, err := DecodeCommand(encoded)
	if err != nil {
		w.t.Fatalf("a command that was encoded is refused: %v", err)
	}
	var before []byte
	if w.state != nil {
		before = EncodeState(w.state)
	}
	first, second := Apply(w.policy, w.state, decoded), Apply(w.policy, w.state, decoded)
	if w.state != nil && !bytes.Equal(before, EncodeState(w.state)) {
		w.t.Fatalf("Apply changed the state that it was given")
	}
	if !bytes.Equal(encoded, EncodeCommand(decoded)) {
		w.t.Fatalf("Apply changed the command that it was given")
	}
	index := int64(len(w.entries))
	var encodings [2][]byte
	for i, d := range []*Decision{&first, &second} {
		d.SetEntry(index)
		encodings[i] = fmt.Appendf(nil, "%+v %v %+v ", d.Result, d.Erase, d.Notices)
		if d.Entry != nil {
			encodings[i] = d.Entry.AppendJSON(encodings[i])
		}
		if d.Next != nil {
			encodings[i] = append(encodings[i], EncodeState(d.Next)...)
		}
	}
	if !bytes.Equal(encodings[0], encodings[1]) {
		w.t.Fatalf("the same command on the same state gave\n%q\n%q", encodings[0], encodings[1])
	}
	used := decoded.Verify != nil && decoded.Verify.MACs > 0 || decoded.Resync != nil && decoded.Resync.MACs > 0 ||
		decoded.Enter != nil && decoded.Enter.MACs > 0 || decoded.VerifyPhone != nil && decoded.VerifyPhone.MACs > 0 ||
		decoded.VerifyTwoStep != nil && decoded.VerifyTwoStep.MACs > 0 ||
		decoded.RecoveryAct != nil && decoded.RecoveryAct.Attempt != nil && decoded.RecoveryAct.Attempt.MACs > 0
	switch silent := first.Result.Outcome == Stale || first.Result.Replayed || decoded.Presence != nil && first.Entry == nil; {
	case first.Result.Outcome == Locked && first.Entry == nil:
		w.coalesced++
		known := first.Result.Entry >= 0 && first.Result.Entry < index
		if used || first.Next == nil || known && !strings.Contains(w.entries[first.Result.Entry], `"outcome":"locked"`) {
			w.t.Fatalf("%v was coalesced", first.Result)
		}
	case first.Result.Outcome == Wrong && first.Entry == nil && !silent:
		w.coalesced++
		if !decoded.Enter.Combined || first.Next == nil || !strings.Contains(w.entries[first.Result.Entry], `"operation":"verify-combined"`) {
			w.t.Fatalf("%v was coalesced", first.Result)
		}
	case silent && (first.Entry != nil || first.Next != nil || first.Erase || len(first.Notices) > 0):
		w.t.Fatalf("%v has an effect", first.Result)
	case !silent && (first.Entry == nil || first.Entry.Outcome != first.Result.Outcome.String() || first.Result.Entry != index):
		w.t.Fatalf("%v has the entry %+v", first.Result, first.Entry)
	}
	if e := first.Entry; e != nil && (first.Next != nil || first.Erase) {
		if e.Coalesced != w.coalesced {
			w.t.Fatalf("%d attempts were coalesced, the entry says %d", w.coalesced, e.Coalesced)
		}
		w.coalesced = 0
	} else if e != nil && e.Coalesced != 0 {
		w.t.Fatalf("an entry that changes nothing has %d coalesced attempts", e.Coalesced)
	}
	for _, e := range first.Entries() {
		w.entries = append(w.entries, string(e.AppendJSON(nil)))
	}
	w.notices = append(w.notices, first.Notices...)
	if first.Erase {
		w.state = nil
	} else if first.Next != nil {
		w.state, err = DecodeState(EncodeState(first.Next))
		if err != nil {
			w.t.Fatalf("a state that was made is refused: %v", err)
		}
	}
	return first.Result
}

// want applies a command and checks its outcome.
func (w *world) want(o Outcome, c *Command) Result {
	w.t.Helper()
	r := w.apply(c)
	if r.Outcome != o {
		w.t.Fatalf("outcome %v, want %v; the account's attempts: %+v", r.Outcome, o, w.attempts())
	}
	return r
}

func (w *world) attempts() Attempts {
	if w.state == nil {
		return Attempts{}
	}
	return w.state.Attempts
}

func (w *world) create() *Command {
	c := w.command()
	c.Create = &Create{}
	return c
}

func (w *world) enrol(id string, p otp.Params) *Command {
	c := w.command()
	c.Enrol = &Enrol{Door: SealedDoor, MACs: 1, Credential: Credential{
		ID: id, Kind: Device, Params: p, Seed: []byte("sealed " + id), SeedVersion: 1, KeyVersion: 3,
		PublicKey: []byte("key of " + id), Name: "Ann's " + id,
	}}
	return c
}

func (w *world) remove(id string) *Command {
	c := w.command()
	c.Remove = &Remove{Credential: id}
	return c
}

// verify evaluates an attempt against the world's state now: matches are what equalled the code.
func (w *world) verify(matches ...Match) *Command {
	c := w.command()
	c.Verify = &Verify{Evaluated: true, Matches: matches, MACs: 3}
	if w.state != nil {
		c.Verify.Keys = w.state.Keys
	}
	return c
}

func (w *world) resync(id string, steps ...otp.Step) *Command {
	c := w.command()
	c.Resync = &Resync{Keys: w.state.Keys, Credential: id, Evaluated: true, Matches: steps, MACs: 22}
	return c
}

// step is the step of the world's time for 30 s.
func (w *world) step() otp.Step { return otp.StepAt(int64(w.now), 30) }

// current is the match of the code that a good clock shows now.
func (w *world) current(id string) Match { return Match{Credential: id, Step: w.step()} }

// ann makes an account with devices of six digits.
func ann(t testing.TB, devices ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.want(Done, w.create())
	for _, d := range devices {
		w.want(Done, w.enrol(d, totp6))
	}
	return w
}

func requestID(n byte) (id RequestID) {
	id[0], id[15] = n, n
	return id
}
