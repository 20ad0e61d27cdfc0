package account

import "pgregory.net/rapid"

// stepKinds are of two-step verification.
var stepKinds = map[string]func(*hand) *Command{
	"EnrolTwoStep": func(h *hand) *Command {
		q := &EnrolTwoStep{Phones: []StepPhone{{ID: h.id("t"), Number: h.one("+14155550120", "+14155550121")}}, SignIn: h.signInID()}
		if q.Imported = h.in(2); q.Imported {
			q.Phones = append(q.Phones, StepPhone{ID: h.id("t"), Number: "+14155550122", Label: "Office"})
		}
		h.c.EnrolTwoStep = q
		return h.c
	},
	"SendTwoStep": func(h *hand) *Command {
		h.c.SendTwoStep = &SendTwoStep{Voice: h.in(3)}
		if list := h.s.TwoStep.Phones; len(list) > 0 && h.in(2) {
			h.c.SendTwoStep.Phone = list[len(list)-1].ID
		} else if h.in(6) {
			h.c.SendTwoStep.Phone = "nobody"
		}
		return h.c
	},
	"VerifyTwoStep": func(h *hand) *Command {
		q := &VerifyTwoStep{Recovery: h.in(3), MACs: 1}
		if q.Recovery {
			q.Key = h.recoveryKey()
		} else {
			q.Code, q.Matched = h.s.TwoStep.Code, !h.in(3) // or so says the node
			if h.in(5) {
				q.Code = uint32(rapid.IntRange(0, int(h.s.TwoStep.Made)+1).Draw(h.rt, "number"))
			}
			q.Evaluated = q.Code != 0 && !h.in(8)
			q.Matched = q.Matched && q.Evaluated
		}
		h.c.VerifyTwoStep = q
		return h.c
	},
	"MakeRecoveryKey": func(h *hand) *Command {
		h.c.MakeRecoveryKey = &MakeRecoveryKey{MAC: h.secret(MACSize), MACs: 1}
		if h.in(8) {
			h.c.MakeRecoveryKey = &MakeRecoveryKey{}
		}
		return h.c
	},
	"EndTwoStep": func(h *hand) *Command {
		h.c.EndTwoStep = &EndTwoStep{}
		return h.c
	},
}

// recoveryKey is the MAC of one that was typed: the newest, one that was once somebody's, a wrong one, or none at all.
func (h *hand) recoveryKey() []byte {
	switch n := evenly(times[:8]).Draw(h.rt, "recovery key"); {
	case n == 8:
		return nil
	case n > 5:
		return h.secret(MACSize)
	case n > 3 && len(h.ledger.keys) > 0:
		return []byte(evenly(h.ledger.keys).Draw(h.rt, "key"))
	case h.books[h.name].steps.key != "":
		return []byte(h.books[h.name].steps.key)
	}
	return pepper("secret-key")
}
