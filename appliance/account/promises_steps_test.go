package account

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// stepPage is an account's two-step verification, as an onlooker knows it.
type stepPage struct {
	on, pending bool
	proved      Time // when a code or the key was last right
	made, live  uint32
	until       Time
	sent        []Time
	key         string // its MAC; empty: there is none
}

// stepsThen is what it must be after the deed.
func (x *deed) stepsThen() stepPage {
	p := x.book.steps
	if x.silent() {
		return p
	}
	off := stepPage{made: p.made, sent: p.sent}
	switch c := x.c; {
	case c.Create != nil && x.done(), c.EndTwoStep != nil && x.done(), x.turnsOn() != nil, x.bindsAnew():
		return off
	case c.EnrolTwoStep != nil && x.done():
		off.on, off.pending = c.EnrolTwoStep.Imported, !c.EnrolTwoStep.Imported
		return off
	case c.SendTwoStep != nil && x.done():
		p.made++
		p.live, p.until, p.sent = p.made, x.at+10*minute, append(slices.Clip(p.sent), x.at)
	case c.VerifyTwoStep != nil && x.accepted():
		p.on, p.pending, p.proved, p.live = true, false, x.at, 0
	case c.VerifyTwoStep != nil && !c.VerifyTwoStep.Recovery && x.r.Outcome == Wrong:
		p.live = 0
	case c.MakeRecoveryKey != nil && x.done():
		p.key = string(c.MakeRecoveryKey.MAC)
	}
	return p
}

func (x *deed) missteps() string {
	if x.after == nil {
		return ""
	}
	b := x.book.steps
	fresh := b.on && b.proved > 0 && x.at-b.proved < 10*minute
	switch c := x.c; {
	case x.silent():
	case c.EnrolTwoStep != nil && x.done():
		q, e := c.EnrolTwoStep, x.before.Enrolment
		switch {
		case e.Mode != Unprotected:
			return fmt.Sprintf("it comes to an account in mode %v", e.Mode)
		case q.Imported && !x.policy.AllowTwoStepImport:
			return "policy imports none"
		case !q.Imported && (e.Class == "" || !slices.Contains(x.policy.Excluded, e.Class)):
			return "two factors would have been eligible"
		}
	case c.SendTwoStep != nil && x.done():
		cooled := Time(30 * second)
		if x.policy.CooldownSeconds != 0 {
			cooled = Time(x.policy.CooldownSeconds) * second
		}
		recent := 0
		for _, at := range b.sent {
			if x.at-at < hour {
				recent++
			}
			if x.at-at < cooled {
				return "a code was sent a moment ago"
			}
		}
		if recent >= 5 || x.book.charge > 40_000 {
			return fmt.Sprintf("%d codes within an hour, and %d units are charged", recent, x.book.charge)
		}
	case c.VerifyTwoStep != nil && c.VerifyTwoStep.Recovery && x.accepted():
		if b.key == "" || b.key != string(c.VerifyTwoStep.Key) || !b.on {
			return "the recovery key is none of the account's"
		}
	case c.VerifyTwoStep != nil && !c.VerifyTwoStep.Recovery && (x.accepted() || x.r.Outcome == Wrong):
		if b.live == 0 || b.live != c.VerifyTwoStep.Code {
			return fmt.Sprintf("code %d is compared, and %d is live", c.VerifyTwoStep.Code, b.live)
		}
	case c.MakeRecoveryKey != nil && x.done() && !fresh, c.EndTwoStep != nil && x.done() && !fresh && !b.pending:
		return "nobody proved it of late"
	case x.turnsOn() != nil && (x.turnsOn().Move != b.on || b.on && !fresh):
		return "it was moved by nobody who proved it of late"
	}
	t, then := x.after.TwoStep, x.stepsThen()
	switch {
	case (x.after.Enrolment.Mode == TwoStep) != then.on || (len(t.Phones) > 0) != (then.on || then.pending):
		return fmt.Sprintf("the account is in mode %v, of %+v", x.after.Enrolment.Mode, then)
	case t.Code != then.live || t.Made != then.made || t.Code != 0 && t.Until != then.until:
		return fmt.Sprintf("its code is %d of %d, of %+v", t.Code, t.Made, then)
	case string(t.Key) != then.key || t.Proved != then.proved:
		return fmt.Sprintf("its key or proof is another than in %+v", then)
	}
	return ""
}

// twoSteps is a person with the older scheme: gets a code, types it rightly or not, perhaps twice; then makes a recovery
// key, uses it, and perhaps turns it all off or moves.
func (h *house) twoSteps(rt *rapid.T, n name) {
	do := func(set func(c *Command)) Result {
		x := h.plain(n)
		set(x.c)
		return h.deliver(x.c)
	}
	if s := h.states[n]; s == nil || s.Enrolment.Mode != TwoStep {
		do(func(c *Command) {
			c.EnrolTwoStep = &EnrolTwoStep{Imported: true, Phones: []StepPhone{{ID: h.id("t"), Number: "+14155550121"}}}
		})
	}
	h.now += minute
	if do(func(c *Command) { c.SendTwoStep = &SendTwoStep{} }).Outcome != Done {
		return
	}
	h.now += evenly([]Time{second, second, second, second, second, 11 * minute}).Draw(rt, "typed after")
	right := !(evenly(times[:4]).Draw(rt, "mistyped") == 4)
	code := h.states[n].TwoStep.Code
	for range evenly([]int{1, 1, 2}).Draw(rt, "times") {
		do(func(c *Command) {
			c.VerifyTwoStep = &VerifyTwoStep{Code: code, Evaluated: true, Matched: right, MACs: 1}
		})
	}
	do(func(c *Command) { c.MakeRecoveryKey = &MakeRecoveryKey{MAC: h.secret(MACSize), MACs: 1} })
	h.now += evenly([]Time{second, second, second, second, 11 * minute}).Draw(rt, "goes on after")
	switch evenly(times[:4]).Draw(rt, "goes on") {
	case 1, 3:
		do(func(c *Command) { c.EndTwoStep = &EndTwoStep{} })
	case 2:
		if s := h.states[n]; len(s.Credentials) > 0 {
			do(func(c *Command) { c.Protect = &Protect{Own: s.Credentials[0].ID, Link: h.secret(LinkSize), Move: true} })
		}
	default:
		if key := h.books[n].steps.key; key != "" {
			do(func(c *Command) { c.VerifyTwoStep = &VerifyTwoStep{Recovery: true, Key: []byte(key), MACs: 1} })
		}
	}
}
