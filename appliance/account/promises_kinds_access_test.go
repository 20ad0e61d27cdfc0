package account

import "pgregory.net/rapid"

// accessKinds are of recoveries, password resets and their grants.
var accessKinds = map[string]func(*hand) *Command{
	"StartRecovery": func(h *hand) *Command {
		q := &StartRecovery{ID: h.id("r"), Nonce: h.secret(NonceSize)}
		if id := h.s.Access.Recovery.ID; id != "" && h.in(6) {
			q.ID = id
		}
		h.c.StartRecovery = q
		return h.c
	},
	"RecoveryAct": func(h *hand) *Command {
		h.act(evenly([]RecoveryActKind{
			RecoverySend, RecoverySend, RecoveryEvidence, RecoveryEvidence, RecoveryEvidence, RecoveryCancel, RecoveryWithdraw,
			RecoveryClaim, RecoveryClaim,
		}).Draw(h.rt, "act"))
		return h.c
	},
	"ResetPassword": func(h *hand) *Command {
		q := &ResetPassword{SignIn: h.signInID(), Random: h.secret(GrantSize)}
		y := h.s.SignIn(q.SignIn)
		if h.in(3) {
			h.c.ResetPassword = q
			return h.c
		}
		if q.Device = h.credential(); y != nil && y.Own != "" && !h.in(4) {
			q.Device = y.Own
		}
		q.Time, q.Present = h.now, !h.in(3)
		q.Signature = h.signed(h.statement(q.SignIn, q.Device, map[bool]string{true: "present", false: "absent"}[q.Present]), q.Time)
		h.c.ResetPassword = q
		return h.c
	},
	"RedeemGrant": func(h *hand) *Command {
		h.redeem(evenly([]GrantPurpose{GrantReset, GrantRecovery}).Draw(h.rt, "purpose"))
		return h.c
	},
}

// act is one act on the recovery that was started last, or on another that is none of this account's.
func (h *hand) act(act RecoveryActKind) {
	r := &h.s.Access.Recovery
	q := &RecoveryAct{Recovery: r.ID, Act: act}
	if h.c.RecoveryAct = q; r.ID == "" || h.in(10) {
		q.Recovery = "nobody"
	}
	switch act {
	case RecoverySend:
		q.Phone, q.Voice = h.phone(false), h.in(3)
		return
	case RecoveryClaim:
		q.Random = h.secret(GrantSize)
		return
	case RecoveryWithdraw:
		return
	}
	kinds := EvidenceKinds[:]
	if act == RecoveryCancel {
		kinds = kinds[:2]
	}
	switch q.Kind = evenly(kinds).Draw(h.rt, "evidence"); q.Kind {
	case DeviceEvidence:
		s := &RecoverySigned{Device: h.credential(), Time: h.now}
		s.Signature = h.signed(h.about(r.ID, string(r.Nonce), s.Device, map[bool]string{true: "cancel", false: "confirm"}[act == RecoveryCancel]), s.Time)
		q.Signed = s
	case PhoneCodeEvidence:
		q.Attempt = &RecoveryAttempt{Code: r.Code, Matched: !h.in(3), MACs: 1}
		if h.in(5) {
			q.Attempt.Code = uint32(rapid.IntRange(0, int(h.s.Channels.Made)+1).Draw(h.rt, "number"))
		}
		q.Attempt.Evaluated = q.Attempt.Code != 0
	}
}

// redeem uses a grant: the one that is there, one that there was, or one of another account's; by a node that says that its
// token is right, truly or not.
func (h *hand) redeem(p GrantPurpose) {
	q := &RedeemGrant{Purpose: p, Token: uint64(h.serial)}
	for _, g := range h.s.Access.Grants {
		if g.Purpose == p {
			q.Random = g.Random
		}
	}
	if len(h.ledger.grants) > 0 && (len(q.Random) == 0 || h.in(4)) {
		q.Random = []byte(evenly(h.ledger.grants).Draw(h.rt, "grant"))
	}
	if len(q.Random) > 0 {
		q.Matched, q.MACs = !h.in(3), 1
	}
	if p == GrantRecovery {
		if q.Recovery = h.s.Access.Recovery.ID; q.Recovery == "" || h.in(8) {
			q.Recovery = "nobody"
		}
		if q.Matched && !h.in(8) {
			k := h.device()
			q.Device = &k
		}
	}
	h.c.RedeemGrant = q
}
