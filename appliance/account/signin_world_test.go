package account

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
)

// device enrols a device that can sign.
func (w *world) device(id string) *Command {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	w.keys[id] = key
	c := w.enrol(id, totp6)
	c.Enrol.Credential.PublicKey = public
	return c
}

func (w *world) begin(id string) *Command {
	c := w.command()
	c.Begin = &Begin{SignIn: id, Nonce: []byte(fmt.Sprintf("%-16.16s", "nonce of "+id)), Purpose: ForDevice, Device: NewDevice{Model: "Mac"}}
	return c
}

func (w *world) cancel(id string) *Command {
	c := w.command()
	c.Cancel = &Cancel{SignIn: id}
	return c
}

func (w *world) sign(device string, message []byte) []byte {
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, w.keys[device], sum[:])
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return signature
}

func (w *world) decide(signIn, device string, allow bool) *Command {
	c := w.command()
	c.Decide = &Decide{SignIn: signIn, Device: device, Allow: allow, Time: w.now, Signature: []byte("none")}
	if x := w.state.SignIn(signIn); x != nil && w.keys[device] != nil {
		c.Decide.Signature = w.sign(device, DecisionMessage("acme", "ann", x, c.Decide))
	}
	return c
}

// deny is a Don't Allow with a reason.
func (w *world) deny(signIn, device string, r DenyReason) *Command {
	c := w.decide(signIn, device, false)
	c.Decide.Reason = r
	c.Decide.Signature = w.sign(device, DecisionMessage("acme", "ann", w.state.SignIn(signIn), c.Decide))
	return c
}

func (w *world) fetch(signIn, device string) *Command {
	c := w.command()
	c.Fetch = &Fetch{SignIn: signIn, Device: device, Time: w.now, Signature: []byte("none")}
	if x := w.state.SignIn(signIn); x != nil && w.keys[device] != nil {
		c.Fetch.Signature = w.sign(device, FetchMessage("acme", "ann", x, c.Fetch))
	}
	return c
}

func (w *world) send(signIn, phone string) *Command {
	c := w.command()
	c.Send = &Send{SignIn: signIn, Phone: phone}
	return c
}

// enter evaluates an attempt on a sign-in now: codes are the live ones that equalled what was typed.
func (w *world) enter(signIn string, codes ...LiveCode) *Command {
	c := w.command()
	c.Enter = &Enter{SignIn: signIn, Combined: signIn == "", Evaluated: true, Codes: codes, MACs: 4}
	if w.state != nil {
		c.Enter.Keys, c.Enter.Made = w.state.Keys, w.state.Channels.Made
	}
	return c
}

// live is the live code of a channel.
func (w *world) live(signIn, channel string) LiveCode {
	w.t.Helper()
	x := w.state.SignIn(signIn)
	if x == nil || x.Code(channel) == 0 {
		w.t.Fatalf("%s has no code in sign-in %s", channel, signIn)
	}
	return LiveCode{channel, x.Code(channel)}
}

func (w *world) is(signIn string, want SignInState) {
	w.t.Helper()
	x := w.state.SignIn(signIn)
	if x == nil || x.State(w.now) != want {
		w.t.Fatalf("sign-in %+v, want %v", x, want)
	}
}

func (w *world) addPhone(id, number string) *Command {
	c := w.command()
	c.AddPhone = &AddPhone{Phone: Phone{ID: id, Number: number, Label: "of " + id}}
	return c
}

func (w *world) named(c *Command, label string) *Command {
	c.AddPhone.Phone.Label = label
	return c
}

func (w *world) sendPhone(id string) *Command {
	c := w.command()
	c.SendPhone = &SendPhone{Phone: id}
	return c
}

func (w *world) verifyPhone(id string, matched bool) *Command {
	c := w.command()
	c.VerifyPhone = &VerifyPhone{Phone: id, Matched: matched, MACs: 1, Code: w.state.LivePhoneCode(w.policy, id, w.now)}
	c.VerifyPhone.Evaluated = c.VerifyPhone.Code != 0
	return c
}

func (w *world) removePhone(id string) *Command {
	c := w.command()
	c.EditPhone = &EditPhone{Phone: id, Remove: true}
	return c
}

// phone adds a phone and verifies it.
func (w *world) phone(id, number string) {
	w.t.Helper()
	w.want(Done, w.addPhone(id, number))
	w.now += minute
	w.want(Done, w.sendPhone(id))
	w.want(Accepted, w.verifyPhone(id, true))
	w.now += minute
}

// last is the newest notice.
func (w *world) last() Notice {
	w.t.Helper()
	if len(w.notices) == 0 {
		w.t.Fatalf("there is no notice")
	}
	return w.notices[len(w.notices)-1]
}

// holder is an account whose devices can sign.
func holder(t testing.TB, devices ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.want(Done, w.create())
	for _, d := range devices {
		w.want(Done, w.device(d))
	}
	return w
}

// logged says whether the last entries hold all of the texts, in one of them.
func (w *world) logged(texts ...string) bool {
	for _, e := range w.entries[max(0, len(w.entries)-4):] {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(e, text)
		}
		if all {
			return true
		}
	}
	return false
}
