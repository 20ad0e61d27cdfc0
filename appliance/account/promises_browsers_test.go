package account

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"
)

// token is what a browser has.
type token struct {
	name       name
	digest, id string
	n          uint32
}

// browserPage is one browser's trust, as an onlooker knows it: whose, the number of the newest token, when that came, and
// when the trust ends.
type browserPage struct {
	digest                string
	n                     uint32
	moved, added, expires Time
}

// until is when the trust runs out under a policy, which may have become stricter.
func (b browserPage) until(p Policy) Time { return min(b.expires, b.added+days(p.BrowserDays)) }

func days(policy uint16) Time {
	if policy == 0 {
		return 30 * day
	}
	return Time(policy) * day
}

// browsersThen are the browsers that must be trusted after the deed.
func (x *deed) browsersThen() map[string]browserPage {
	then := maps.Clone(x.book.browsers)
	drop := func(gone func(id string, b browserPage) bool) { maps.DeleteFunc(then, gone) }
	switch c := x.c; {
	case x.silent():
	case c.TrustBrowser != nil && x.done():
		q := c.TrustBrowser.Browser
		drop(func(_ string, b browserPage) bool { return b.digest == string(q.Digest) || x.at >= b.until(x.policy) })
		page := browserPage{digest: string(q.Digest), added: x.at, expires: x.at + days(x.policy.BrowserDays)}
		for _, b := range x.after.Browsers.List {
			if b.ID == q.ID {
				page.n = b.N // where it begins is nobody's business
			}
		}
		then[q.ID] = page
	case c.CheckBrowser != nil && x.accepted():
		if b := then[c.CheckBrowser.ID]; b.n == c.CheckBrowser.N {
			b.n, b.moved = b.n+1, x.at
			then[c.CheckBrowser.ID] = b
		}
	case c.CheckBrowser != nil && (x.r.Outcome == Expired || x.r.Outcome == Reused):
		delete(then, c.CheckBrowser.ID)
	case c.EndTrust != nil && x.done() && c.EndTrust.Device == "":
		q := c.EndTrust
		drop(func(id string, b browserPage) bool {
			return id == q.Browser || q.Browser == "" && (len(q.Digest) == 0 || b.digest == string(q.Digest))
		})
	case c.ChangePassword != nil && x.done() && c.ChangePassword.Security, x.bindsAnew():
		clear(then)
	}
	return then
}

func (x *deed) mistrusted() string {
	if q := x.c.TrustBrowser; q != nil && x.done() {
		at, is := x.book.verified[q.SignIn]
		switch y := x.before.SignIn(q.SignIn); {
		case x.policy.NoBrowserTrust:
			return "policy trusts none"
		case !is || x.at-at >= 10*minute || y == nil || y.Purpose != ForBrowser:
			return "nobody proved a second factor in it of late"
		case x.book.trustedBy[q.SignIn]:
			return "its sign-in was used for another one"
		}
	}
	if q := x.c.CheckBrowser; q != nil && !x.silent() {
		b, is := x.book.browsers[q.ID]
		mine := is && b.digest == string(q.Digest) && q.Genuine
		newest := b.n == q.N || b.n == q.N+1 && x.at-b.moved < minute
		switch x.r.Outcome {
		case Accepted:
			if !mine || !newest || x.at >= b.until(x.policy) || x.policy.NoBrowserTrust {
				return fmt.Sprintf("token %d opens the browser %+v", q.N, b)
			}
		case Reused:
			if !mine || newest {
				return "a good token ends the trust"
			}
		case Expired:
			if !mine || x.at < b.until(x.policy) {
				return "it ended early"
			}
		}
	}
	if x.after == nil {
		return ""
	}
	then := x.browsersThen()
	for _, b := range x.after.Browsers.List {
		want, is := then[b.ID]
		if !is || want.digest != string(b.Digest) || want.n != b.N || want.expires != b.Expires || want.added != b.Added {
			return fmt.Sprintf("browser %+v was taken away, or nobody trusted it: %+v", b, want)
		}
		delete(then, b.ID)
	}
	if len(then) > 0 && len(x.after.Browsers.List) < 20 {
		return fmt.Sprintf("browsers are missing that nobody took away: %v", then)
	}
	return ""
}

// overrated: the closed list of what tells who somebody is.
func (x *deed) overrated() string {
	if !x.accepted() {
		return ""
	}
	want, mode := Assurance(0), x.before.Enrolment.Mode
	switch c := x.c; {
	case c.VerifyTwoStep != nil && mode == TwoStep:
		want = TwoStepLevel
	case c.Verify != nil || c.Enter != nil || c.CheckBrowser != nil || c.CheckDevice != nil:
		want = PasswordLevel
		if mode == TwoFactor {
			want = TwoFactorLevel
		}
	}
	if x.r.Assurance != want {
		return fmt.Sprintf("it is worth %v in mode %v, want %v", x.r.Assurance, mode, want)
	}
	return ""
}

func (x *deed) present() string {
	if x.after == nil || x.before == nil {
		return ""
	}
	for _, k := range x.after.Credentials {
		was := x.before.Find(k.ID)
		if was == nil || was.Presence.State == k.Presence.State {
			continue
		}
		q := x.c.Presence
		reported := q != nil && x.done() && q.Device == k.ID && (k.Presence.State == SignedIn) == q.SignedIn
		if y := x.ended(Verified); !reported && (y == nil || y.Own != k.ID || x.c.Enter == nil) && !x.bindsAnew() {
			return fmt.Sprintf("%s is %+v and was %+v", k.ID, k.Presence, was.Presence)
		}
	}
	if q := x.c.Presence; q != nil && x.r.Outcome == Done && x.d.Entry == nil && !x.r.Replayed {
		k := x.before.Find(q.Device)
		if (k.Presence.State == SignedIn) != q.SignedIn || k.Presence.State == PresenceUnknown || q.SignedIn && x.at-k.Presence.Seen >= hour {
			return "news has no entry"
		}
	}
	return ""
}

// browse is a person who trusts the browser that they sign in in, and comes back; and perhaps a thief with one of its tokens.
func (h *house) browse(rt *rapid.T, n name) {
	signIn := h.signIn(rt, n)
	x := h.hand(rt, n)
	x.c.Time = h.now
	where := x.browser()
	x.c.TrustBrowser = &TrustBrowser{Browser: Browser{ID: h.id("b"), Digest: where, Name: "Safari"}, SignIn: signIn, MACs: 1}
	if h.deliver(x.c).Outcome != Done {
		return
	}
	for _, wait := range []Time{second, second, 30 * second, 2 * minute} {
		h.now += evenly([]Time{wait, wait, wait, day, 31 * day}).Draw(rt, "comes back after")
		own := slices.DeleteFunc(slices.Clone(h.ledger.tokens), func(k token) bool { return k.name != n || k.digest != string(where) })
		k := own[max(0, len(own)-evenly([]int{1, 1, 1, 2, 3}).Draw(rt, "which token"))]
		x = h.hand(rt, n)
		x.c.Time = h.now
		switch evenly(times[:8]).Draw(rt, "meanwhile") {
		case 8:
			x.c.ChangePassword = &ChangePassword{Security: true}
			h.deliver(x.c)
			x = h.plain(n)
			fallthrough
		default:
			x.c.CheckBrowser = &CheckBrowser{ID: k.id, N: k.n, Digest: where, Genuine: true, MACs: 1}
		case 7: // a node that lies takes it from any browser
			x.c.CheckBrowser = &CheckBrowser{ID: k.id, N: k.n, Digest: x.browser(), Genuine: true, MACs: 1}
		}
		h.deliver(x.c)
	}
}
