package account

import (
	"bytes"
	"fmt"
	"slices"
)

// promise is one thing that holds after every command. broken says what is wrong, and is empty if nothing is.
type promise struct {
	says, from string
	broken     func(*deed) string
}

// promises are all that TestPromises looks at. Numbers are of the five promises, rows of the list; what else is
// named is a part of DESIGN.md of this package.
var promises = []promise{
	{"a state has one encoding, and every state can be read again", "Invariants", (*deed).unreadable},
	{"Apply is a function, writes to no argument, and knows no roles", "Invariants; A4", (*deed).impure},
	{"no tenant, and no account, has a part in another's", "S1", (*deed).mixed},
	{"a code opens once, in any life of the account", "promise 2", (*deed).twice},
	{"what is heard is in its window, live and evaluated on this state", "Invariants", (*deed).unheard},
	{"only a device's signature allows, denies, fetches and speaks for it", "Sign-ins: decisions; Trust", (*deed).unsigned},
	{"a sign-in that ended stays so, and ends in time", "Sign-ins: states", (*deed).reopened},
	{"what was taken away is dead, and nothing comes by itself", "S8, P31; promise 1", (*deed).undead},
	{"N guesses cost N, over all kinds together", "promise 2", (*deed).undercharged},
	{"what is free of delay stays within the budget, then delays double", "The guess budget", (*deed).overdrawn},
	{"a locked account hears nothing, and tells nothing", "What a locked account refuses", (*deed).listening},
	{"a request repeated has one effect and one answer", "Requests", (*deed).repeated},
	{"no result without its record, and each key use is in it", "promise 3", (*deed).unrecorded},
	{"nobody can hurry a wait", "A4", (*deed).hurried},
	{"two_factor ends by the link within 14 days only, and has a phone", "Protection", (*deed).unprotected},
	{"the log says nothing of a person", "The log", (*deed).indiscreet},
	{"only trusted devices that show codes are told", "Notices", (*deed).overheard},
	{"codes are sent as often as policy says at most", "Phones", (*deed).flooded},
	{"an app password opens what it was made for, while it is there", "App passwords", (*deed).outOfScope},
	{"phones change after a second factor where policy asks for it", "Phones: StepUpMinutes", (*deed).unproved},
	{"a browser is trusted from a proof to its end, by its newest token", "Trust", (*deed).mistrusted},
	{"two-step verification begins, is proved and ends by its doors", "Two-step verification", (*deed).missteps},
	{"an answer is worth what was proved, and two steps aren't two factors", "Two-step verification: worth", (*deed).overrated},
	{"a recovery comes on its date, to who waited for it", "Getting an account back; A4", (*deed).recovered},
	{"a grant is redeemed once, in time, for what it was given", "Getting an account back: grants", (*deed).granted},
	{"a device is signed in by a sign-in or a report", "Presence", (*deed).present},
	{"a name without an account has nothing", "Names that aren't accounts", (*deed).haunted},
}

func (x *deed) unreadable() string {
	if x.codec != nil {
		return x.codec.Error() // decoders compare with what is encoded again
	}
	return ""
}

func (x *deed) impure() string {
	switch {
	case x.touched:
		return "an argument is not what it was"
	case x.differs:
		return "the same command of another actor is decided otherwise"
	}
	return ""
}

func (x *deed) mixed() string {
	n := names[int(x.index)%len(names)] // one at a time: encoding is most of what this test takes
	if s := x.house.states[n]; n != x.name && s != nil && !bytes.Equal(EncodeState(s), x.house.encoded[n]) {
		return fmt.Sprintf("%v was changed", n)
	}
	salt := x.c.Salt
	if x.before != nil {
		salt = x.before.Salt
	}
	for _, e := range x.d.Entries() {
		whose := x.house.ledger.pseudonyms[e.Account]
		switch {
		case e.Tenant != x.name.tenant || e.Account != Pseudonym(salt, x.name.tenant, x.name.account):
			return fmt.Sprintf("the entry is %s's of %s", e.Account, e.Tenant)
		case whose != "" && whose != x.name.tenant+"/"+x.name.account:
			return "the entry has the pseudonym of " + whose
		case e.Actor != x.c.Actor || e.Node != x.c.Node || e.Module != x.c.Module:
			return fmt.Sprintf("the entry is of %s, %s, %s", e.Actor, e.Node, e.Module)
		}
	}
	for _, n := range x.d.Notices {
		if n.Account != x.name.account {
			return "a notice is about " + n.Account
		}
	}
	return ""
}

func (x *deed) haunted() string {
	if x.before != nil && !x.before.Phantom || x.c.Create != nil {
		return ""
	}
	pretended := slices.Contains([]string{"Begin", "Send", "Cancel", "SendTwoStep", "StartRecovery", "RecoveryAct"}, x.kind)
	switch s := x.after; {
	case x.accepted() || x.done() && !pretended || len(x.d.Notices) > 0:
		return "something was done"
	case s != nil && (!s.Phantom || len(s.Credentials)+len(s.Phones)+len(s.AppPasswords.List)+len(s.Enrolment.Lost)+len(s.Browsers.List)+len(s.TwoStep.Phones)+len(s.Access.Grants) > 0 || s.Enrolment.Mode != Unprotected):
		return "it has come to be"
	}
	return ""
}
