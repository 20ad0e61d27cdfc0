package account

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"strongroom.internal/appliance/otp"
)

// deed is one command with what came of it: what promises are about.
type deed struct {
	house         *house
	name          name
	kind          string // the member of Command that is set
	c             *Command
	policy        Policy
	before, after *State
	book          *book // as it was before the deed
	at            Time  // the committed time
	d             Decision
	r             Result
	index         int64 // of the next log entry

	codec            error // the new state can't be read again
	touched, differs bool  // Apply wrote to an argument; gave another actor something else
}

// silent says that nothing was decided: it is answered from memory, evaluated again, or no news of a device's presence.
func (x *deed) silent() bool {
	return x.r.Outcome == Stale || x.r.Replayed || x.c.Presence != nil && x.r.Outcome == Done && x.d.Entry == nil
}

// accepted says that the command opened something.
func (x *deed) accepted() bool { return x.r.Outcome == Accepted && !x.r.Replayed }

// done says that it changed what it is for.
func (x *deed) done() bool { return x.r.Outcome == Done && !x.r.Replayed }

// attempt says that it tries a code or password.
func (x *deed) attempt() bool {
	c := x.c
	return c.Verify != nil || c.Resync != nil || c.Enter != nil || c.VerifyPhone != nil || c.VerifyAppPassword != nil ||
		c.VerifyTwoStep != nil || c.RecoveryAct != nil && c.RecoveryAct.Attempt != nil
}

// turnsOn is what turned protection on, by itself or with a phone's code.
func (x *deed) turnsOn() *Protect {
	switch c := x.c; {
	case c.Protect != nil && x.done():
		return c.Protect
	case c.VerifyPhone != nil && x.accepted():
		return c.VerifyPhone.Protect
	}
	return nil
}

// bindsAnew says that a recovery came to its good end.
func (x *deed) bindsAnew() bool {
	return x.c.RedeemGrant != nil && x.c.RedeemGrant.Purpose == GrantRecovery && x.done()
}

// saysNo says that a code is shown against a recovery, which is for nothing and heard in a locked account too.
func (x *deed) saysNo() bool { return x.c.RecoveryAct != nil && x.c.RecoveryAct.Act == RecoveryCancel }

// revokesPasswords says that all app passwords went, because the account's was changed.
func (x *deed) revokesPasswords() bool {
	return x.done() && (x.c.ChangePassword != nil || x.c.RedeemGrant != nil)
}

// trust is which credentials the command was to add and to take away, if it was answered so.
func (x *deed) trust() (added []Credential, removed []string) {
	c := x.c
	switch {
	case c.Enrol != nil && x.done():
		return []Credential{c.Enrol.Credential}, nil
	case c.Enter != nil && x.accepted() && c.Enter.Register:
		return []Credential{*c.Enter.Device}, nil
	case x.turnsOn() != nil && x.turnsOn().Register:
		return []Credential{*x.turnsOn().Device}, nil
	case c.Remove != nil && x.done():
		removed = []string{c.Remove.Credential}
	case c.Lose != nil && x.done():
		removed = []string{c.Lose.Device}
	case c.EndTrust != nil && x.done() && c.EndTrust.Device != "":
		removed = []string{c.EndTrust.Device}
	case c.ChangePassword != nil && x.done() && c.ChangePassword.Security:
		for id, k := range x.book.trusted {
			if k.Kind == Device && id != c.ChangePassword.Device {
				removed = append(removed, id)
			}
		}
	case x.bindsAnew():
		added, removed = []Credential{*c.RedeemGrant.Device}, slices.Collect(maps.Keys(x.book.trusted))
	}
	slices.Sort(removed)
	return added, slices.DeleteFunc(removed, func(id string) bool { return x.book.trusted[id].ID == "" }) // of the list of lost ones
}

// macs is what the command says that modules computed.
func (x *deed) macs() uint32 {
	if q := x.c.RecoveryAct; q != nil && q.Attempt != nil {
		return q.Attempt.MACs
	}
	v := reflect.ValueOf(*x.c).FieldByName(x.kind).Elem().FieldByName("MACs")
	if !v.IsValid() {
		return 0
	}
	return uint32(v.Uint())
}

// ended finds the sign-in that this deed ended so.
func (x *deed) ended(how End) *SignIn {
	if x.after == nil {
		return nil
	}
	for i := range x.after.SignIns {
		if y := &x.after.SignIns[i]; y.End == how {
			if was := x.before.SignIn(y.ID); was == nil || was.End != how {
				return y
			}
		}
	}
	return nil
}

// opened is the credential and step, or the channel and number, whose code was accepted.
func (x *deed) opened() (credential string, step otp.Step, channel string, n uint32) {
	by := x.r.Credential
	switch c := x.c; {
	case c.VerifyPhone != nil:
		return "", 0, PhoneChannel(c.VerifyPhone.Phone), c.VerifyPhone.Code
	case c.RecoveryAct != nil:
		return "", 0, PhoneChannel(x.before.Access.Recovery.Phone), c.RecoveryAct.Attempt.Code
	case c.VerifyTwoStep != nil && !c.VerifyTwoStep.Recovery:
		return "", 0, stepChannel + by, c.VerifyTwoStep.Code
	case c.Enter != nil:
		if y := x.ended(Verified); y != nil {
			by = y.By
			if strings.Contains(by, "/") {
				return "", 0, by, x.before.SignIn(y.ID).Code(by)
			}
		}
	case x.uncoded():
		return "", 0, "", 0
	}
	if k := x.after.Find(by); k != nil {
		return by, k.Watermark, "", 0
	}
	return by, -1, "", 0
}

// life is the account's, by its salt.
func (x *deed) life() string {
	if x.after == nil {
		return ""
	}
	return x.name.tenant + string(x.after.Salt)
}

// stepChannel begins the channels of two-step verification, whose codes have numbers of their own.
const stepChannel = "two-step/"

// code names a number's code for ever.
func (x *deed) code(channel string, n uint32) string {
	_, step := trimmed(channel, stepChannel)
	return fmt.Sprint(string(x.after.Salt), step, eight(uint64(n)))
}

// uncoded says that what is shown is no code, and opens as often as it is right: each such kind has a promise of its own.
func (x *deed) uncoded() bool {
	c := x.c
	return c.VerifyAppPassword != nil || c.CheckBrowser != nil || c.CheckDevice != nil || c.VerifyTwoStep != nil && c.VerifyTwoStep.Recovery
}

func seen(y *SignIn) string { return y.ID + "/" + string(y.Nonce) + eight(uint64(y.Begun)) }

// sends is the number to which a code is sent; empty: none is.
func (x *deed) sends() string {
	switch c := x.c; {
	case !x.done():
	case c.Send != nil:
		if x.before.Phantom {
			return "phantom"
		}
		return x.before.Phone(c.Send.Phone).Number
	case c.SendPhone != nil:
		return x.before.Phone(c.SendPhone.Phone).Number
	case c.RecoveryAct != nil && c.RecoveryAct.Act == RecoverySend:
		if x.before.Phantom {
			return "phantom"
		}
		return x.before.Phone(c.RecoveryAct.Phone).Number
	}
	return ""
}

// price is what an attempt costs that is compared with the credential, or with all of them.
func price(credentials []Credential, device string) (sum uint32) {
	all := device == "" || !slices.ContainsFunc(credentials, func(k Credential) bool { return k.ID == device })
	for _, k := range credentials {
		if all || k.ID == device {
			codes := uint32(3)
			if k.Params.Mode == otp.HOTP {
				codes = 6
			}
			for d := k.Params.Digits; d < 8; d++ {
				codes *= 10
			}
			sum += codes
		}
	}
	if len(credentials) == 0 {
		return 300 // a decoy's
	}
	return sum
}

// live is what the live codes of a sign-in, or of all, add to that.
func live(s *State, signIn string, at Time) (sum uint32) {
	if s == nil {
		return 0
	}
	for _, y := range s.SignIns {
		if y.End == InvalidEnd && at < y.Expires && (signIn == "" || y.ID == signIn) {
			sum += 100 * uint32(len(y.Codes))
		}
	}
	return sum
}

// charge is what the deed must have cost, and whether it ended a series of failures.
func (x *deed) charge() (units, failures uint32, reset bool) {
	var had []Credential
	if x.before != nil {
		had = x.before.Credentials
	}
	added, removed := x.trust()
	reset = x.accepted() && (x.c.Verify != nil || x.c.Enter != nil || x.c.Resync != nil || x.c.VerifyTwoStep != nil && x.book.steps.on) ||
		len(had) == 0 && len(added) > 0 || len(had) > 0 && len(had) == len(removed)
	refused := !x.silent() && slices.Contains([]Outcome{Wrong, Spent, Expired, OutOfScope, RefusedByPolicy}, x.r.Outcome)
	if !refused || x.d.Entry == nil {
		return 0, 0, reset
	}
	switch c := x.c; {
	case c.Verify != nil:
		return price(had, c.Verify.Device), 1, false
	case c.Resync != nil:
		return price(had, ""), 1, false
	case c.Enter != nil:
		return price(had, "") + live(x.before, c.Enter.SignIn, x.at), 1, false
	case c.VerifyPhone != nil, c.RecoveryAct != nil && c.RecoveryAct.Attempt != nil && !x.saysNo():
		return 100, 1, false
	case c.VerifyTwoStep != nil && c.VerifyTwoStep.Recovery:
		return 1, 0, false
	case c.VerifyTwoStep != nil:
		return 10_000, 1, false
	case c.VerifyAppPassword != nil && !bytes.Equal(c.VerifyAppPassword.MAC, x.book.wrong):
		return 1, 0, false
	}
	return 0, 0, false
}
