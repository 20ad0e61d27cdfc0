package account

import "testing"

func (w *world) recover(id string) *Command {
	c := w.command()
	c.StartRecovery = &StartRecovery{ID: id, Nonce: goldenNonce}
	return c
}

// act is an act on the newest recovery.
func (w *world) act(act RecoveryActKind, kind EvidenceKind) *Command {
	c := w.command()
	c.RecoveryAct = &RecoveryAct{Recovery: "none", Act: act, Kind: kind}
	if w.state != nil && w.state.Access.Recovery.ID != "" {
		c.RecoveryAct.Recovery = w.state.Access.Recovery.ID
	}
	return c
}

// says is what a front-end says for whoever recovers.
func (w *world) says(kind EvidenceKind) *Command { return w.act(RecoveryEvidence, kind) }

// signed is what a device says of a recovery.
func (w *world) signed(act RecoveryActKind, device string) *Command {
	c := w.act(act, DeviceEvidence)
	q := &RecoverySigned{Device: device, Time: w.now, Signature: []byte("none")}
	if w.state != nil && w.keys[device] != nil {
		q.Signature = w.sign(device, RecoveryMessage("acme", "ann", &w.state.Access.Recovery, q, act == RecoveryCancel))
	}
	c.RecoveryAct.Signed = q
	return c
}

func (w *world) recoverySend(phone string) *Command {
	c := w.act(RecoverySend, InvalidEvidence)
	c.RecoveryAct.Phone = phone
	return c
}

// recoveryCode evaluates an attempt with the code that was sent.
func (w *world) recoveryCode(act RecoveryActKind, right bool) *Command {
	c := w.act(act, PhoneCodeEvidence)
	q := &RecoveryAttempt{Matched: right, MACs: 1}
	if w.state != nil {
		q.Code = w.state.LiveRecoveryCode(w.policy, w.now)
	}
	q.Evaluated = q.Code != 0
	if !q.Evaluated {
		q.MACs, q.Matched = 0, false
	}
	c.RecoveryAct.Attempt = q
	return c
}

func (w *world) claim() *Command {
	c := w.act(RecoveryClaim, InvalidEvidence)
	c.RecoveryAct.Random = c.Salt
	return c
}

// redeem uses a grant; right says whether the token was its.
func (w *world) redeem(p GrantPurpose, right bool) *Command {
	c := w.command()
	c.RedeemGrant = &RedeemGrant{Purpose: p}
	if g := w.state.Grant(p, w.now); g != nil {
		c.RedeemGrant.Random, c.RedeemGrant.Matched, c.RedeemGrant.MACs = g.Random, right, 1
	}
	return c
}

// rebind uses a recovery's grant with a new device.
func (w *world) rebind(device string, right bool) *Command {
	c := w.redeem(GrantRecovery, right)
	c.RedeemGrant.Recovery = w.state.Access.Recovery.ID
	if c.RedeemGrant.Recovery == "" {
		c.RedeemGrant.Recovery = "none"
	}
	if c.RedeemGrant.Matched {
		c.RedeemGrant.Device = &w.device(device).Enrol.Credential
	}
	return c
}

// beginReset opens a sign-in for a password reset on a device of the account, or, for the empty one, elsewhere.
func (w *world) beginReset(id, own string) *Command {
	c := w.begin(id)
	c.Begin.Purpose, c.Begin.Own = ForPasswordReset, own
	return c
}

// reset asks for a password reset; without a device, by a code.
func (w *world) reset(signIn, device string, present bool) *Command {
	c := w.command()
	c.ResetPassword = &ResetPassword{SignIn: signIn, Random: c.Salt}
	if q := c.ResetPassword; device != "" {
		q.Device, q.Present, q.Time, q.Signature = device, present, w.now, []byte("none")
		if x := w.state.SignIn(signIn); x != nil && w.keys[device] != nil {
			q.Signature = w.sign(device, ResetMessage("acme", "ann", x, q))
		}
	}
	return c
}

var recoverable = RecoveryPolicy{
	Allow: true, WaitDays: 14, FloorDays: 3, PauseDays: 7, Shorten: Weights{PhoneCode: 96, Device: 120, Password: 24, Email: 240},
}

// recovering is an account of which a recovery has started.
func recovering(t testing.TB, devices ...string) *world {
	t.Helper()
	w := holder(t, devices...)
	w.policy.Recovery = recoverable
	w.phone("p1", "+14155550101")
	w.phone("p2", "+14155550102")
	w.want(Done, w.recover("r1"))
	return w
}

func (w *world) recovery(want RecoveryState) {
	w.t.Helper()
	if got := w.state.Access.Recovery.State(max(w.now, w.state.Time)); got != want {
		w.t.Fatalf("the recovery is %v, want %v: %+v", got, want, w.state.Access.Recovery)
	}
}

// told lists the notices of a kind since there were n.
func (w *world) told(since int, k NoticeKind) (list []Notice) {
	for _, x := range w.notices[since:] {
		if x.Kind == k {
			list = append(list, x)
		}
	}
	return list
}
