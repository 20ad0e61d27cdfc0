package account

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

func (x *deed) undead() string {
	s := x.after
	if s == nil {
		return ""
	}
	added, removed := x.trust()
	want := map[string]string{}
	for id, k := range x.book.trusted {
		want[id] = string(k.Seed) + string(k.PublicKey)
	}
	for _, id := range removed {
		delete(want, id)
	}
	for _, k := range added {
		want[k.ID] = string(k.Seed) + string(k.PublicKey)
	}
	for _, k := range s.Credentials {
		if want[k.ID] != string(k.Seed)+string(k.PublicKey) {
			return "credential " + k.ID + " was taken away, or nobody added it: see deed.trust"
		}
		delete(want, k.ID)
	}
	if len(want) > 0 {
		return fmt.Sprintf("credentials are missing that nobody took away: see deed.trust: %q", want)
	}
	for _, p := range s.Phones {
		if p.Verified != 0 && x.book.phones[p.ID] != p.Number && !(x.accepted() && x.c.VerifyPhone != nil && x.c.VerifyPhone.Phone == p.ID) {
			return "nobody verified phone " + p.ID
		}
	}
	for id := range x.book.phones {
		if s.Phone(id) == nil && !(x.done() && x.c.EditPhone != nil && x.c.EditPhone.Remove && x.c.EditPhone.Phone == id) {
			return "nobody removed phone " + id
		}
	}
	if len(x.book.phones) > 0 && s.VerifiedPhones() == 0 {
		return "the last phone is gone"
	}
	for _, k := range s.AppPasswords.List {
		created := x.done() && x.c.CreateAppPassword != nil && x.c.CreateAppPassword.Password.ID == k.ID
		revoked := x.revokesPasswords() || x.done() && x.c.RevokeAppPassword != nil && (x.c.RevokeAppPassword.ID == "" || x.c.RevokeAppPassword.ID == k.ID)
		if !created && !bytes.Equal(x.book.passwords[k.ID].MAC, k.MAC) || revoked {
			return "app password " + k.ID + " was revoked, or nobody made it"
		}
	}
	for _, y := range s.SignIns {
		for _, l := range y.Codes {
			id, device := trimmed(l.Channel, "device/")
			phone, _ := trimmed(l.Channel, "phone/")
			if device && (s.Find(id) == nil || id == y.Own) || !device && !s.Phantom && (s.Phone(phone) == nil || s.Phone(phone).Verified == 0) {
				return l.Channel + " has a code and isn't trusted"
			}
			if whose := x.book.codes[l.N]; whose != "" && whose != y.ID+l.Channel || l.N > s.Channels.Made {
				return fmt.Sprintf("number %d is of %s and of %s", l.N, whose, y.ID+l.Channel)
			}
		}
	}
	return ""
}

func (x *deed) unprotected() string {
	s := x.after
	if s == nil {
		return ""
	}
	var was Enrolment
	if x.before != nil {
		was = x.before.Enrolment
	}
	is, verified := s.Enrolment, 0
	for _, p := range s.Phones {
		if p.Verified != 0 {
			verified++
		}
	}
	switch q := x.c.Unprotect; {
	case is.Mode == TwoFactor && verified == 0:
		return "without a phone"
	case was.Mode == is.Mode:
		if x.turnsOn() == nil && (!bytes.Equal(was.Link, is.Link) || was.Until != is.Until) {
			return "the link has changed"
		}
	case is.Mode == TwoFactor:
		if x.turnsOn() == nil && !(was.Mode == Pending && x.c.VerifyPhone != nil && x.accepted()) {
			return "nobody turned it on"
		}
	case was.Mode == Pending:
		return "an account that is born protected got out of it"
	case was.Mode == TwoFactor:
		if q == nil || !x.done() || !q.Matched || len(x.book.link) == 0 || !bytes.Equal(q.Link, x.book.link) || was.Born ||
			x.policy.NoWayBack || x.at >= x.book.linkAt+14*day {
			return "it was turned off"
		}
	}
	return ""
}

func (x *deed) overheard() string {
	ids := map[string]bool{}
	for _, n := range x.d.Notices {
		if ids[n.ID] {
			return "two notices of one act have one id"
		}
		ids[n.ID] = true
		if salt, is := x.house.ledger.notices[x.life()+n.ID]; is && salt != string(x.c.Salt) { // the same command again is the same notice
			return "two notices have one id"
		}
		switch who := x.after.Phone(n.Phone); {
		case !n.Kind.Gateway():
		case n.Kind != NoticeSend:
			if who = x.before.Phone(n.Phone); who == nil || who.Number != n.Number || who.Verified == 0 || n.N != 0 {
				return fmt.Sprintf("a message goes to %s, of %+v", n.Number, who)
			}
		case n.TwoStep:
			if t := x.after.TwoStep; !slices.ContainsFunc(t.Phones, func(p StepPhone) bool { return p.ID == n.Phone && p.Number == n.Number }) || n.N == 0 || n.N != t.Code {
				return fmt.Sprintf("a code of two-step verification goes to %s, of %+v", n.Number, t)
			}
		default:
			if who == nil || who.Number != n.Number || n.N == 0 || n.N != x.after.Channels.Made || n.SignIn+n.Recovery != "" && who.Verified == 0 {
				return fmt.Sprintf("a code goes to %s, of %+v", n.Number, who)
			}
		}
		for _, id := range n.Devices {
			k := x.before.Find(id)
			if k == nil {
				k = x.after.Find(id)
			}
			y := x.after.SignIn(n.SignIn)
			if k == nil || k.Kind != Device || y != nil && y.Own == id || n.Kind == NoticeDeviceLost && n.Credential == id ||
				len(x.policy.Platforms) > 0 && k.Platform == "watchOS" && n.Recovery == "" {
				return fmt.Sprintf("%s is told of %v", id, n.Kind)
			}
		}
	}
	return ""
}

func (x *deed) flooded() string {
	number := x.sends()
	if number == "" {
		return ""
	}
	all, same, cooled := 1, 1, Time(30*second)
	if x.policy.CooldownSeconds != 0 {
		cooled = Time(x.policy.CooldownSeconds) * second
	}
	for _, s := range x.book.sent {
		if x.at-s.at < hour {
			if all++; s.number == number {
				same++
			}
		}
		if s.number == number && x.at-s.at < cooled {
			return "the last one was sent a moment ago"
		}
	}
	if all > 10 || same > 5 {
		return fmt.Sprintf("%d within an hour, %d to this number", all, same)
	}
	if q := x.c.Send; q != nil && x.after.SignIn(q.SignIn).Sends > 5 {
		return "too many for one sign-in"
	}
	return ""
}

func (x *deed) outOfScope() string {
	q := x.c.VerifyAppPassword
	if len(x.after.appPasswords()) > 25 {
		return "there are too many"
	}
	if q == nil || !x.accepted() {
		return ""
	}
	k, is := x.book.passwords[x.r.Credential]
	switch {
	case !is || !bytes.Equal(k.MAC, q.MAC):
		return "it is none of the account's"
	case !x.policy.AllowAppPasswords:
		return "policy allows none"
	case k.Expires != 0 && x.at >= k.Expires:
		return "it is dead"
	case k.Service != "" && k.Service != q.Service, k.Network != "" && !strings.HasPrefix(q.Source, "192.0.2."):
		return "it is of another service or network"
	}
	return ""
}

func (s *State) appPasswords() []AppPassword {
	if s == nil {
		return nil
	}
	return s.AppPasswords.List
}

func (x *deed) unproved() string {
	signIn, guarded := "", false
	switch c := x.c; {
	case !x.done():
		return ""
	case c.AddPhone != nil:
		signIn, guarded = c.AddPhone.SignIn, c.AddPhone.Guarded && x.before.Enrolment.Mode == TwoFactor
	case c.EditPhone != nil:
		signIn, guarded = c.EditPhone.SignIn, c.EditPhone.Guarded && x.before.Enrolment.Mode == TwoFactor
	case c.EnrolTwoStep != nil && !c.EnrolTwoStep.Imported:
		signIn = c.EnrolTwoStep.SignIn
	case c.Enrol != nil:
		signIn, guarded = c.Enrol.SignIn, c.Enrol.Guarded
	default:
		return ""
	}
	owned := x.before.Enrolment.Mode == TwoFactor
	for _, k := range x.book.trusted {
		owned = owned || k.Kind == Device
	}
	within := Time(x.policy.StepUpMinutes) * minute
	switch guarded = guarded && owned && !x.policy.OpenEnrolment; {
	case guarded && within == 0:
		within = 10 * minute
	case !guarded && (x.c.Enrol != nil || within == 0 || len(x.book.trusted)+len(x.book.phones) == 0):
		return ""
	}
	if at, is := x.book.verified[signIn]; !is || x.at-at >= within {
		return "there was none of late"
	}
	return ""
}
