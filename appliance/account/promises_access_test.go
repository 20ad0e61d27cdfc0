package account

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// recoveryPage is the recovery that was started last, as an onlooker knows it.
type recoveryPage struct {
	id, nonce                   string
	started, wait, floor, pause Time
	weights                     map[EvidenceKind]Time
	evidence                    map[EvidenceKind]bool
	last                        Time // when evidence was given last
	over                        bool
	next                        Time // none starts before
	phone                       string
	code                        uint32
	codeAt                      Time
}

// ready is when it may be granted.
func (r recoveryPage) ready() Time {
	wait := r.wait
	for kind := range r.evidence {
		wait -= r.weights[kind]
	}
	return r.started + max(wait, r.floor)
}

func (r recoveryPage) running(at Time) bool {
	return r.id != "" && !r.over && at < max(r.ready(), r.last)+14*day
}

// recoveryThen is what it must be after the deed.
func (x *deed) recoveryThen() recoveryPage {
	r := x.book.recovery
	if x.silent() {
		return r
	}
	end := func(cancelled bool) {
		if r.over, r.code = true, 0; cancelled {
			r.next = max(r.next, x.at+r.pause)
		}
	}
	seen := x.c.Verify != nil || x.c.Enter != nil || x.c.CheckBrowser != nil || x.c.CheckDevice != nil || x.c.VerifyTwoStep != nil && x.book.steps.on
	switch q := x.c.RecoveryAct; {
	case x.c.Create != nil && x.done():
		return recoveryPage{}
	case x.c.StartRecovery != nil && x.done():
		p := x.policy.Recovery
		or := func(policy uint8, otherwise Time) Time {
			if policy == 0 {
				return otherwise * day
			}
			return Time(policy) * day
		}
		return recoveryPage{
			id: x.c.StartRecovery.ID, nonce: string(x.c.StartRecovery.Nonce), started: x.at, next: x.at + day,
			wait: or(p.WaitDays, 14), floor: or(p.FloorDays, 3), pause: or(p.PauseDays, 7),
			weights: map[EvidenceKind]Time{
				PhoneCodeEvidence: Time(p.Shorten.PhoneCode) * hour, DeviceEvidence: Time(p.Shorten.Device) * hour,
				PasswordEvidence: Time(p.Shorten.Password) * hour, EmailEvidence: Time(p.Shorten.Email) * hour,
			},
		}
	case !r.running(x.at):
	case x.bindsAnew():
		end(false)
	case x.accepted() && seen, x.c.ResetPassword != nil && x.done() && x.c.ResetPassword.Device != "":
		end(true) // its owner was seen
	case q == nil || !x.done() && !x.accepted():
	case q.Act == RecoverySend:
		r.phone, r.code, r.codeAt = q.Phone, x.after.Channels.Made, x.at
	case q.Act == RecoveryCancel, q.Act == RecoveryWithdraw:
		end(q.Act == RecoveryCancel)
	case q.Act == RecoveryEvidence:
		if q.Attempt != nil {
			r.phone, r.code = "", 0
		}
		if !r.evidence[q.Kind] {
			r.evidence = maps.Clone(r.evidence)
			if r.evidence == nil {
				r.evidence = map[EvidenceKind]bool{}
			}
			r.evidence[q.Kind], r.last = true, x.at
		}
	}
	return r
}

func (x *deed) recovered() string {
	if x.after == nil {
		return ""
	}
	b := x.book.recovery
	q := x.c.RecoveryAct
	switch {
	case x.c.StartRecovery != nil && x.done():
		if !x.policy.Recovery.Allow || b.running(x.at) || x.at < b.next {
			return "one started that must not"
		}
	case q == nil || !x.done() && !x.accepted():
	case !b.running(x.at) && !(q.Act == RecoveryCancel && q.Signed != nil && x.r.Outcome == Done), q.Recovery != b.id:
		return "it doesn't run"
	case q.Act == RecoveryEvidence && q.Signed != nil && x.before.Find(q.Signed.Device).Added > b.started:
		return "a device speaks that came later"
	case q.Act == RecoveryEvidence && q.Attempt != nil && x.before.Phone(b.phone).Verified > b.started:
		return "a phone speaks that came later"
	case q.Act == RecoveryClaim && (len(b.evidence) == 0 || x.at < b.ready() || x.at < b.started+day || !x.policy.Recovery.Allow):
		return fmt.Sprintf("it is granted at %d: %+v", x.at, b)
	}
	r, then := x.after.Access.Recovery, x.recoveryThen()
	has := map[EvidenceKind]bool{}
	for _, e := range r.Evidence {
		has[e.Kind] = true
	}
	terms := r.Terms == Terms{Wait: then.wait, Floor: then.floor, Pause: then.pause, Shorten: r.Terms.Shorten}
	switch {
	case r.ID != then.id || r.Started != then.started || !terms || !maps.Equal(has, then.evidence) || x.after.Access.Next != then.next:
		return fmt.Sprintf("it is %+v, must be %+v", x.after.Access, then)
	case r.ID != "" && (r.End != InvalidRecoveryEnd) != then.over || !then.over && r.Code != then.code:
		return fmt.Sprintf("it has ended as %d with code %d, must be %+v", r.End, r.Code, then)
	case r.ID != "" && r.ReadyAt() != then.ready():
		return fmt.Sprintf("it is ready at %d, must be at %d", r.ReadyAt(), then.ready())
	}
	return ""
}

// grantPage is a grant that is there.
type grantPage struct {
	random, by string
	expires    Time
}

// grantsThen are the grants that must be there after the deed.
func (x *deed) grantsThen() map[GrantPurpose]grantPage {
	then := maps.Clone(x.book.grants)
	c := x.c
	if recovery := x.recoveryThen(); recovery.over || c.StartRecovery != nil && x.done() {
		delete(then, GrantRecovery)
	}
	switch {
	case c.RecoveryAct != nil && c.RecoveryAct.Act == RecoveryClaim && x.done():
		then[GrantRecovery] = grantPage{string(c.RecoveryAct.Random), x.book.recovery.id, x.at + 15*minute}
	case c.ResetPassword != nil && x.done():
		by := c.ResetPassword.Device
		if by == "" {
			by = x.before.SignIn(c.ResetPassword.SignIn).By
		}
		then[GrantReset] = grantPage{string(c.ResetPassword.Random), by, x.at + 15*minute}
	case c.RedeemGrant != nil && x.done():
		delete(then, GrantReset)
	}
	return then
}

func (x *deed) granted() string {
	if q := x.c.ResetPassword; q != nil && x.done() {
		at, verified := x.book.verified[q.SignIn]
		switch y := x.before.SignIn(q.SignIn); {
		case y == nil || y.Purpose != ForPasswordReset || x.book.grantedBy[q.SignIn]:
			return "there was one for it, or it is for something else"
		case q.Device == "" && (!x.policy.Reset.ByCode || !verified || x.at-at >= 15*minute):
			return "no code was right in it of late"
		case q.Device != "" && (y.Own != q.Device || y.End != InvalidEnd || x.at >= y.Expires || x.policy.Reset.LocalPresence && !q.Present):
			return "the device may not"
		}
	}
	if q := x.c.RedeemGrant; q != nil && x.done() {
		g, is := x.book.grants[q.Purpose]
		r := x.book.recovery
		phone, phones := trimmed(g.by, "phone/")
		device := strings.TrimPrefix(g.by, "device/")
		switch {
		case !is || g.random != string(q.Random) || !q.Matched:
			return fmt.Sprintf("it is none of the account's, or was used: %+v", g)
		case x.at >= g.expires:
			return "it is late"
		case q.Purpose == GrantRecovery && (!r.running(x.at) || q.Recovery != r.id || !x.policy.Recovery.Allow || len(x.after.Credentials) != 1):
			return fmt.Sprintf("it was for another recovery, or left what there was: %+v", r)
		case q.Purpose == GrantReset && phones && x.book.phones[phone] == "", q.Purpose == GrantReset && !phones && x.book.trusted[device].ID == "":
			return "who asked for it isn't trusted any more: " + g.by
		}
	}
	if x.after == nil {
		return ""
	}
	then := x.grantsThen()
	for _, g := range x.after.Access.Grants {
		if then[g.Purpose] != (grantPage{string(g.Random), g.By, g.Expires}) {
			return fmt.Sprintf("there is the grant %+v", g)
		}
	}
	if len(then) != len(x.after.Access.Grants) {
		return fmt.Sprintf("a grant is missing of %v", then)
	}
	return ""
}

// recover is a person who starts a recovery, or a stranger: gives evidence, waits, claims and redeems, in time or not, and
// perhaps twice; and perhaps somebody says no.
func (h *house) recover(rt *rapid.T, n name) {
	do := func(set func(x *hand)) Result {
		x := h.plain(n)
		x.rt = rt
		set(x)
		return h.deliver(x.c)
	}
	do(func(x *hand) { x.c.StartRecovery = &StartRecovery{ID: h.id("r"), Nonce: h.secret(NonceSize)} })
	if h.states[n] == nil {
		return
	}
	for _, act := range evenly([][]RecoveryActKind{
		{RecoverySend, RecoveryEvidence, RecoveryEvidence},
		{RecoveryEvidence, RecoveryEvidence},
		{RecoverySend, RecoveryEvidence, RecoveryCancel},
		{RecoveryEvidence},
		{RecoverySend, RecoveryEvidence},
		{},
	}).Draw(rt, "acts") {
		h.now += minute
		do(func(x *hand) { x.act(act) })
	}
	ready := h.books[n].recovery.ready()
	h.now = max(h.now, ready+evenly([]Time{-second, 0, second, second, day, 15 * day}).Draw(rt, "comes"))
	for range evenly([]int{1, 1, 2}).Draw(rt, "claims") {
		do(func(x *hand) { x.act(RecoveryClaim) })
	}
	h.now += evenly([]Time{second, second, second, 16 * minute}).Draw(rt, "redeems after")
	for range evenly([]int{1, 2}).Draw(rt, "times") {
		do(func(x *hand) { x.redeem(GrantRecovery) })
	}
}

// reset is a person who forgot the password, on a device of theirs or elsewhere.
func (h *house) reset(rt *rapid.T, n name) {
	x := h.plain(n)
	x.c.Begin = &Begin{SignIn: h.id("s"), Nonce: h.secret(NonceSize), Purpose: ForPasswordReset}
	signIn := x.c.Begin.SignIn
	devices := slices.DeleteFunc(slices.Clone(x.s.Credentials), func(k Credential) bool { return k.Kind != Device })
	if len(devices) == 0 {
		return
	}
	k := evenly(devices).Draw(rt, "device")
	own := evenly(times[:3]).Draw(rt, "on a device") > 1
	if own {
		x.c.Begin.Own = k.ID
	}
	if h.deliver(x.c).Outcome != Done {
		return
	}
	h.now += second
	y := h.states[n].SignIn(signIn)
	x = h.plain(n)
	q := &ResetPassword{SignIn: signIn, Random: h.secret(GrantSize)}
	if own {
		q.Device, q.Time, q.Present = k.ID, h.now, true
		q.Signature = x.signed(statement{n, signIn, string(y.Nonce), k.ID, "present", string(k.PublicKey)}, h.now)
	} else {
		x.c.Decide = &Decide{SignIn: signIn, Device: k.ID, Allow: true, Time: h.now}
		x.c.Decide.Signature = x.signed(statement{n, signIn, string(y.Nonce), k.ID, "allow", string(k.PublicKey)}, h.now)
		h.deliver(x.c)
		x = h.plain(n)
		x.c.Enter = &Enter{SignIn: signIn, Keys: x.s.Keys, Made: x.s.Channels.Made, Evaluated: true, Codes: x.s.SignIn(signIn).Codes, MACs: 4}
		h.deliver(x.c)
		h.now += evenly([]Time{second, second, 16 * minute}).Draw(rt, "asks after")
		x = h.plain(n)
	}
	x.c.ResetPassword = q
	h.deliver(x.c)
	if evenly(times[:5]).Draw(rt, "meanwhile") == 5 {
		x = h.plain(n)
		x.c.Remove = &Remove{Credential: k.ID}
		h.deliver(x.c)
	}
	h.now += evenly([]Time{second, second, 16 * minute}).Draw(rt, "redeems after")
	for range evenly([]int{1, 2}).Draw(rt, "times") {
		x = h.plain(n)
		x.rt = rt
		x.redeem(GrantReset)
		h.deliver(x.c)
	}
}
