package account

import (
	"fmt"
	"slices"

	"strongroom.internal/appliance/otp"
)

func (x *deed) twice() string {
	if !x.accepted() {
		return ""
	}
	id, step, channel, n := x.opened()
	if channel != "" {
		if x.house.ledger.spent[x.code(channel, n)] {
			return fmt.Sprintf("code %d of %s was accepted before", n, channel)
		}
		return ""
	}
	if id == "" {
		if x.uncoded() {
			return ""
		}
		return "it was accepted for nothing: teach deed.opened what opened it"
	}
	if highest, is := x.house.ledger.highest[string(x.book.trusted[id].Seed)]; is && step <= highest {
		return fmt.Sprintf("step %d of %s, of which %d was accepted before", step, id, highest)
	}
	return ""
}

func (x *deed) unheard() string {
	if !x.accepted() || x.uncoded() {
		return ""
	}
	if id, step, channel, n := x.opened(); channel != "" {
		return x.notLive(channel, n)
	} else if k := x.before.Find(id); k == nil || x.book.trusted[id].ID == "" {
		return id + " isn't trusted"
	} else {
		return x.outOfWindow(k, step)
	}
}

func (x *deed) notLive(channel string, n uint32) string {
	if q := x.c.VerifyPhone; q != nil {
		k := x.before.Phone(q.Phone)
		if k == nil || k.Code != n || !q.Matched || !q.Evaluated || x.at-k.CodeAt >= 10*minute || x.book.phones[q.Phone] != "" {
			return "the phone's code isn't live"
		}
		return ""
	}
	if q := x.c.VerifyTwoStep; q != nil {
		if b := x.book.steps; b.live != n || x.at >= b.until || !q.Matched || !q.Evaluated || !b.on && !b.pending || x.c.Time < x.before.Time-5*second {
			return fmt.Sprintf("code %d of two-step verification isn't live: %+v", n, b)
		}
		return ""
	}
	if q := x.c.RecoveryAct; q != nil {
		b := x.book.recovery
		if b.code != n || x.at-b.codeAt >= 10*minute || !q.Attempt.Matched || !q.Attempt.Evaluated || x.book.phones[b.phone] == "" || x.c.Time < x.before.Time-5*second {
			return fmt.Sprintf("code %d of the recovery isn't live: %+v", n, b)
		}
		return ""
	}
	e, y := x.c.Enter, x.before.SignIn(x.ended(Verified).ID)
	switch {
	case !slices.Contains(e.Codes, LiveCode{channel, n}) || n == 0 || x.book.codes[n] != y.ID+channel:
		return fmt.Sprintf("number %d of %s isn't live, or didn't match", n, channel)
	case e.SignIn != "" && e.SignIn != y.ID || y.End != InvalidEnd || x.at >= y.Expires:
		return "the sign-in is another, or over"
	case !e.Evaluated || e.Made != x.before.Channels.Made || e.Keys != x.before.Keys || x.c.Time < x.before.Time-5*second:
		return "it was evaluated on another state"
	case channel == "device/"+y.Own:
		return "the device vouched for itself"
	}
	return ""
}

func (x *deed) outOfWindow(k *Credential, step otp.Step) string {
	var matches []Match
	var device string
	var keys uint64
	evaluated, first, reach := false, step, otp.Step(0)
	switch c := x.c; {
	case c.Verify != nil:
		matches, device, keys, evaluated = c.Verify.Matches, c.Verify.Device, c.Verify.Keys, c.Verify.Evaluated
	case c.Enter != nil:
		matches, keys, evaluated = c.Enter.Matches, c.Enter.Keys, c.Enter.Evaluated
		if y := x.before.SignIn(c.Enter.SignIn); !c.Enter.Combined && (y == nil || y.Own == k.ID || y.End != InvalidEnd || x.at >= y.Expires) {
			return k.ID + " may not open this sign-in"
		}
	case c.Resync != nil:
		first, reach, keys, evaluated = step-1, 9, c.Resync.Keys, c.Resync.Evaluated
		if slices.Contains(c.Resync.Matches, first) {
			matches = []Match{{c.Resync.Credential, step}}
		}
	}
	t := otp.Step(int64(x.c.Time) / 1000 / max(int64(k.Params.Period), 1))
	in := first >= t-1-reach && first <= t+1+reach
	switch {
	case k.Params.Mode == otp.HOTP && reach > 0:
		in = first >= k.Counter && first < k.Counter+100
	case k.Params.Mode == otp.HOTP:
		in = first >= k.Counter && first <= k.Counter+5
	case reach == 0:
		in = first >= t+otp.Step(k.Drift)-1 && first <= t+otp.Step(k.Drift)+1
	}
	switch {
	case !slices.Contains(matches, Match{k.ID, step}) || device != "" && device != k.ID:
		return fmt.Sprintf("nothing matched %s at step %d", k.ID, step)
	case !in:
		return fmt.Sprintf("step %d of %+v is out of its window at %d", step, *k, t)
	case !evaluated || keys != x.before.Keys || x.c.Time < x.before.Time-5*second:
		return "it was evaluated on another state"
	}
	return ""
}

func (x *deed) unsigned() string {
	if x.after == nil {
		return ""
	}
	stated := func(y *SignIn, device, says string, signature []byte) string {
		if says != "fetch" && y.Own == device {
			return device + " decided its own sign-in"
		}
		return x.stated(y.ID, y.Nonce, device, says, signature)
	}
	for i := range x.after.SignIns {
		y, q := &x.after.SignIns[i], x.c.Decide
		was := x.before.SignIn(y.ID)
		for _, l := range y.Codes {
			device, is := trimmed(l.Channel, "device/")
			if !is || was != nil && was.Code(l.Channel) == l.N {
				continue
			}
			if q == nil || !q.Allow || q.SignIn != y.ID || q.Device != device {
				return "nobody allowed the code of " + device
			}
			if wrong := stated(y, device, "allow", q.Signature); wrong != "" {
				return wrong
			}
		}
		if y.End == Denied && (was == nil || was.End != Denied) {
			if q == nil || q.Allow || q.SignIn != y.ID || q.Device != y.By {
				return "nobody denied " + y.ID
			}
			if wrong := stated(y, q.Device, "deny", q.Signature); wrong != "" {
				return wrong
			}
		}
	}
	if q := x.c.Fetch; q != nil && x.done() {
		y := x.before.SignIn(q.SignIn)
		if y.Code("device/"+q.Device) == 0 || y.End != InvalidEnd || x.at >= y.Expires {
			return "there is no code to fetch"
		}
		return stated(y, q.Device, "fetch", q.Signature)
	}
	switch c := x.c; {
	case c.CheckDevice != nil && x.accepted():
		q := c.CheckDevice
		return x.stated("", q.Challenge, q.Device, "here", q.Signature)
	case c.RecoveryAct != nil && c.RecoveryAct.Signed != nil && x.done():
		q, r := c.RecoveryAct.Signed, x.book.recovery
		return x.stated(r.id, []byte(r.nonce), q.Device, map[bool]string{true: "cancel", false: "confirm"}[c.RecoveryAct.Act == RecoveryCancel], q.Signature)
	case c.ResetPassword != nil && c.ResetPassword.Device != "" && x.done():
		q := c.ResetPassword
		y := x.before.SignIn(q.SignIn)
		return x.stated(y.ID, y.Nonce, q.Device, map[bool]string{true: "present", false: "absent"}[q.Present], q.Signature)
	}
	return ""
}

// stated says what is wrong with a signature: it must be of the key of a device that is trusted, of just this.
func (x *deed) stated(signIn string, nonce []byte, device, says string, signature []byte) string {
	s := x.house.ledger.statements[string(signature)]
	want := statement{x.name, signIn, string(nonce), device, says, string(x.book.trusted[device].PublicKey)}
	if s != want || want.key == "" {
		return fmt.Sprintf("%s of %s: %+v was signed", says, device, s)
	}
	return ""
}

func (x *deed) reopened() string {
	if x.after == nil {
		return ""
	}
	for i := range x.after.SignIns {
		y := &x.after.SignIns[i]
		state := y.State(x.after.Time)
		if x.before.SignIn(y.ID) == nil {
			if x.c.Begin == nil || !x.done() || x.c.Begin.SignIn != y.ID || state != SignInBegun {
				return y.ID + " was begun by nobody"
			}
			continue
		}
		if was, is := x.book.ends[seen(y)]; is && was != state {
			return fmt.Sprintf("%s was %v and is %v", y.ID, was, state)
		}
		if e := x.book.expires[seen(y)]; e != 0 && e != y.Expires || y.Expires > y.Begun+10*minute {
			return y.ID + " ends later than it was to"
		}
	}
	if y := x.ended(Verified); y != nil {
		q := x.c.ResetPassword
		reset := q != nil && x.done() && q.Device != "" && q.Device == y.Own && q.Device == y.By
		if was := x.before.SignIn(y.ID); !reset && (!x.accepted() || x.c.Enter == nil) || was == nil || was.End != InvalidEnd || x.at >= was.Expires {
			return y.ID + " was verified by what is no right code, or after its end"
		}
	}
	if y := x.ended(Cancelled); y != nil && (!x.revokesPasswords() && (x.c.Cancel == nil || x.c.Cancel.SignIn != y.ID)) {
		return y.ID + " was cancelled by nobody"
	}
	return ""
}
