package account

import (
	"bytes"
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

// silent says that nothing was decided: it is answered from memory, or evaluated again.
func (x *deed) silent() bool { return x.r.Outcome == Stale || x.r.Replayed }

// accepted says that the command opened something.
func (x *deed) accepted() bool { return x.r.Outcome == Accepted && !x.r.Replayed }

// done says that it changed what it is for.
func (x *deed) done() bool { return x.r.Outcome == Done && !x.r.Replayed }

// attempt says that it tries a code or password.
func (x *deed) attempt() bool {
	c := x.c
	return c.Verify != nil || c.Resync != nil || c.Enter != nil || c.VerifyPhone != nil || c.VerifyAppPassword != nil
}

// trust is which credentials the command was to add and to take away, if it was answered so.
func (x *deed) trust() (added []Credential, removed string) {
	c := x.c
	switch {
	case c.Enrol != nil && x.done():
		return []Credential{c.Enrol.Credential}, ""
	case c.Enter != nil && x.accepted() && c.Enter.Register:
		return []Credential{*c.Enter.Device}, ""
	case c.Protect != nil && x.done() && c.Protect.Register:
		return []Credential{*c.Protect.Device}, ""
	case c.Remove != nil && x.done():
		return nil, c.Remove.Credential
	case c.Lose != nil && x.done():
		return nil, c.Lose.Device
	}
	return nil, ""
}

// macs is what the command says that modules computed.
func (x *deed) macs() uint32 {
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
		return "", 0, PhoneChannel(by), c.VerifyPhone.Code
	case c.Enter != nil:
		if y := x.ended(Verified); y != nil {
			by = y.By
			if strings.Contains(by, "/") {
				return "", 0, by, x.before.SignIn(y.ID).Code(by)
			}
		}
	case c.VerifyAppPassword != nil:
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

// code names a number's code for ever.
func (x *deed) code(n uint32) string { return string(x.after.Salt) + eight(uint64(n)) }

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
	_, was := x.book.trusted[removed]
	reset = x.accepted() && (x.c.Verify != nil || x.c.Enter != nil || x.c.Resync != nil) ||
		len(had) == 0 && len(added) > 0 || len(had) == 1 && was
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
	case c.VerifyPhone != nil:
		return 100, 1, false
	case c.VerifyAppPassword != nil && !bytes.Equal(c.VerifyAppPassword.MAC, x.book.wrong):
		return 1, 0, false
	}
	return 0, 0, false
}
