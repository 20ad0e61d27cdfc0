package account

import (
	"fmt"

	"pgregory.net/rapid"

	"strongroom.internal/appliance/otp"
)

// plain begins a command of somebody who means well, at a node that is right.
func (h *house) plain(n name) *hand {
	s := h.states[n]
	if s == nil {
		s = &State{}
	}
	return &hand{house: h, name: n, s: s, c: &Command{
		Time: h.now, Tenant: n.tenant, Account: n.account, Actor: roles[0], Salt: h.secret(SaltSize), Node: "n1", Module: "SC-0001",
	}}
}

// furnish makes an account as it is after some time, or leaves the name without one.
func (h *house) furnish(rt *rapid.T, n name) {
	as := evenly(times[:5]).Draw(rt, "furnished")
	if as == 5 {
		return
	}
	do := func(set func(c *Command)) {
		x := h.plain(n)
		set(x.c)
		h.deliver(x.c)
		h.now += minute
	}
	do(func(c *Command) { c.Create = &Create{} })
	if as == 1 {
		return
	}
	var device string
	for range 2 {
		do(func(c *Command) {
			x := h.plain(n)
			x.rt = rt
			c.Enrol = &Enrol{Credential: x.device(), Door: SealedDoor, MACs: 1}
			device = c.Enrol.Credential.ID
		})
	}
	do(func(c *Command) { c.AddPhone = &AddPhone{Phone: Phone{ID: "p-" + device, Number: "+14155550100"}} })
	do(func(c *Command) { c.SendPhone = &SendPhone{Phone: "p-" + device} })
	if evenly(times[:2]).Draw(rt, "mistyped") == 2 {
		do(func(c *Command) {
			c.VerifyPhone = &VerifyPhone{Phone: "p-" + device, Code: h.states[n].Channels.Made, Evaluated: true, MACs: 1}
		})
	}
	do(func(c *Command) {
		c.VerifyPhone = &VerifyPhone{Phone: "p-" + device, Code: h.states[n].Channels.Made, Evaluated: true, Matched: true, MACs: 1}
	})
	mac := h.secret(MACSize)
	do(func(c *Command) {
		c.CreateAppPassword = &CreateAppPassword{Password: AppPassword{ID: "a-" + device, MAC: mac}, MACs: 1}
	})
	do(func(c *Command) { c.VerifyAppPassword = &VerifyAppPassword{MAC: mac, MACs: 1} })
	if as == 2 && evenly(times[:3]).Draw(rt, "older") > 1 {
		do(func(c *Command) {
			c.EnrolTwoStep = &EnrolTwoStep{Imported: true, Phones: []StepPhone{{ID: "t-" + device, Number: "+14155550120"}}}
		})
	}
	if as > 2 {
		do(func(c *Command) { c.Protect = &Protect{Own: device, Link: h.secret(LinkSize)} })
	}
}

// signIn is a person who signs in: begins, allows it on a device that fetches its code, types that or one of the settings,
// in time or not; and perhaps types it again.
func (h *house) signIn(rt *rapid.T, n name) (signIn string) {
	x := h.plain(n)
	x.c.Begin = &Begin{SignIn: h.id("s"), Nonce: h.secret(NonceSize), Purpose: ForBrowser}
	signIn = x.c.Begin.SignIn
	if len(x.s.Credentials) > 0 && evenly(times[:3]).Draw(rt, "on a device of theirs") == 3 {
		x.c.Begin.Own = evenly(x.s.Credentials).Draw(rt, "own").ID
	}
	h.deliver(x.c)
	if len(h.states[n].Credentials) == 0 {
		return signIn
	}
	h.now += second
	if phones := h.states[n].Phones; len(phones) > 0 && evenly(times[:2]).Draw(rt, "by text, too") == 2 {
		x = h.plain(n)
		x.c.Send = &Send{SignIn: signIn, Phone: evenly(phones).Draw(rt, "phone").ID}
		h.deliver(x.c)
	}
	x = h.plain(n)
	k := evenly(x.s.Credentials).Draw(rt, "device")
	y := x.s.SignIn(signIn)
	if k.Kind != Device || y == nil {
		return signIn
	}
	x.c.Decide = &Decide{SignIn: signIn, Device: k.ID, Allow: true, Time: h.now}
	x.c.Decide.Signature = x.signed(statement{n, signIn, string(y.Nonce), k.ID, "allow", string(k.PublicKey)}, h.now)
	h.deliver(x.c)
	x = h.plain(n)
	x.c.Fetch = &Fetch{SignIn: signIn, Device: k.ID, Time: h.now}
	x.c.Fetch.Signature = x.signed(statement{n, signIn, string(y.Nonce), k.ID, "fetch", string(k.PublicKey)}, h.now)
	h.deliver(x.c)
	h.now += evenly([]Time{second, second, 11 * minute}).Draw(rt, "typed after") // too late
	x = h.plain(n)
	x.c.Enter = &Enter{SignIn: signIn, Keys: x.s.Keys, Made: x.s.Channels.Made, Evaluated: true, MACs: 4}
	if evenly(times[:3]).Draw(rt, "after a password") == 3 {
		x.c.Enter.Combined, x.c.Enter.SignIn = true, ""
	}
	x.c.Enter.Codes = x.s.SignIn(signIn).Codes
	if evenly(times[:3]).Draw(rt, "of the settings") == 3 {
		from := evenly(x.s.Credentials).Draw(rt, "shown by")
		x.c.Enter.Matches = []Match{{from.ID, otp.StepAt(int64(h.now), max(from.Params.Period, 1)) + otp.Step(from.Drift)}}
	}
	for range rapid.IntRange(1, 2).Draw(rt, "times") {
		h.deliver(x.c)
	}
	return signIn
}

// guesses are the ways in which somebody tries who knows nothing.
func (h *house) guesses(n name) (ways []func() *Command) {
	add := func(set func(x *hand)) {
		ways = append(ways, func() *Command { x := h.plain(n); set(x); return x.c })
	}
	add(func(x *hand) { x.c.Verify = &Verify{Keys: x.s.Keys, Evaluated: true, MACs: 3} })
	add(func(x *hand) {
		e := &Enter{Combined: true, Keys: x.s.Keys, Made: x.s.Channels.Made, Evaluated: true, MACs: 3}
		e.Repeat = fmt.Appendf(nil, "%-16s", fmt.Sprint("secret-", h.serial%7))
		x.c.Enter = e
	})
	add(func(x *hand) { x.c.VerifyAppPassword = &VerifyAppPassword{MAC: h.secret(MACSize), MACs: 1} })
	if s := h.states[n]; s != nil && len(s.SignIns) > 0 {
		signIn := s.SignIns[len(s.SignIns)-1].ID
		add(func(x *hand) {
			x.c.Enter = &Enter{SignIn: signIn, Keys: x.s.Keys, Made: x.s.Channels.Made, Evaluated: true, MACs: 4}
		})
	}
	if s := h.states[n]; s != nil && len(s.Credentials) > 0 && !s.Phantom {
		id := s.Credentials[0].ID
		add(func(x *hand) { x.c.Resync = &Resync{Credential: id, Keys: x.s.Keys, Evaluated: true, MACs: 22} })
	}
	if s := h.states[n]; s != nil && s.TwoStep.Code != 0 {
		add(func(x *hand) { x.c.VerifyTwoStep = &VerifyTwoStep{Code: x.s.TwoStep.Code, Evaluated: true, MACs: 1} })
	}
	add(func(x *hand) { x.c.VerifyTwoStep = &VerifyTwoStep{Recovery: true, Key: h.secret(MACSize), MACs: 1} })
	if s := h.states[n]; s != nil && s.Access.Recovery.Code != 0 {
		add(func(x *hand) {
			x.c.RecoveryAct = &RecoveryAct{Recovery: x.s.Access.Recovery.ID, Act: RecoveryEvidence, Kind: PhoneCodeEvidence}
			x.c.RecoveryAct.Attempt = &RecoveryAttempt{Code: x.s.Access.Recovery.Code, Evaluated: true, MACs: 1}
		})
	}
	return ways
}
