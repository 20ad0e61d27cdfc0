package account

import "slices"

// browserKinds are of trust in browsers and devices.
var browserKinds = map[string]func(*hand) *Command{
	"TrustBrowser": func(h *hand) *Command {
		b := Browser{ID: h.id("b"), Digest: h.browser(), Name: "Safari"}
		if list := h.s.Browsers.List; len(list) > 0 && h.in(6) {
			b.ID = list[0].ID
		}
		h.c.TrustBrowser = &TrustBrowser{Browser: b, SignIn: h.signInID(), MACs: 1}
		return h.c
	},
	"CheckBrowser": func(h *hand) *Command {
		k := h.token()
		q := &CheckBrowser{ID: k.id, N: k.n, Digest: []byte(k.digest), MACs: 1}
		if h.in(6) {
			q.Digest = h.browser() // stolen, and shown in another one
		}
		q.Genuine = k.name == h.name && k.digest == string(q.Digest)
		switch {
		case h.in(8):
			q.Genuine = !q.Genuine // a node that lies
		case h.in(8):
			q.N, q.Genuine = q.N+1, false // made up
		}
		h.c.CheckBrowser = q
		return h.c
	},
	"EndTrust": func(h *hand) *Command {
		q := &EndTrust{}
		switch evenly(times[:6]).Draw(h.rt, "trust in") {
		case 6: // all browsers
		case 5:
			q.Device = h.credential()
		case 4:
			q.Digest, q.MACs = h.browser(), 1
		default:
			q.Browser = h.token().id
		}
		h.c.EndTrust = q
		return h.c
	},
	"CheckDevice": func(h *hand) *Command {
		q := &CheckDevice{Device: h.credential(), Challenge: h.secret(MinChallenge), Time: h.now}
		q.Signature = h.signed(h.about("", string(q.Challenge), q.Device, "here"), q.Time)
		h.c.CheckDevice = q
		return h.c
	},
	"ChangePassword": func(h *hand) *Command {
		q := &ChangePassword{Security: h.in(2), SignIn: h.signInID()}
		if !h.in(3) {
			q.Device = h.credential()
		}
		h.c.ChangePassword = q
		return h.c
	},
	"Presence": func(h *hand) *Command {
		h.c.Presence = &ReportPresence{Device: h.credential(), SignedIn: !h.in(3)}
		return h.c
	},
}

// browser is the MAC of one of the person's browsers. Two accounts have none in common: it is over the account too.
func (h *hand) browser() []byte { return h.browserOf(h.one("safari", "firefox", "lynx")) }

func (h *hand) browserOf(browser string) []byte {
	return pepper(browser + " " + h.name.tenant + " " + h.name.account)
}

// token draws one that was once given out: to this account's browsers, mostly, and the newest.
func (h *hand) token() token {
	all := h.ledger.tokens
	own := slices.DeleteFunc(slices.Clone(all), func(k token) bool { return k.name != h.name })
	switch {
	case len(own) > 0 && h.in(2):
		return own[len(own)-1]
	case len(own) > 0 && !h.in(4):
		return evenly(own).Draw(h.rt, "own token")
	case len(all) > 0:
		return evenly(all).Draw(h.rt, "token")
	}
	return token{name: h.name, digest: string(h.browser()), id: "nobody", n: 1}
}
