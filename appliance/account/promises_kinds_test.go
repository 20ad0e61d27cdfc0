package account

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"sync"

	"pgregory.net/rapid"

	"strongroom.internal/appliance/otp"
)

// hand makes one command for one account: of somebody who means well, or not, at a node that is right, slow or lies.
type hand struct {
	*house
	rt   *rapid.T
	name name
	s    *State // of the account, as a node saw it; never nil
	c    *Command
}

// hand begins a command. Three of ten nodes' clocks are behind.
func (h *house) hand(rt *rapid.T, n name) *hand {
	lag := evenly([]Time{0, 0, 0, 0, 0, 0, 0, second, 4 * second, 6 * second, hour}).Draw(rt, "lag")
	s := h.states[n]
	if s == nil {
		s = &State{}
	}
	return &hand{house: h, rt: rt, name: n, s: s, c: &Command{
		Time: h.now - lag, Tenant: n.tenant, Account: n.account, Actor: evenly(roles).Draw(rt, "actor"),
		Salt: h.secret(SaltSize), Node: "n1", Module: "SC-0001",
	}}
}

// repeat gives some commands a request id, at times one that was used: by this actor or by another, who then shares it.
func (h *house) repeat(rt *rapid.T, c *Command) {
	switch n := evenly(times[:]).Draw(rt, "request"); {
	case n == 10 && len(h.requests) > 0:
		c.Request = evenly(h.requests[max(0, len(h.requests)-5):]).Draw(rt, "request id")
	case n > 7:
		sum := sha256.Sum256(h.secret(16))
		c.Request = RequestID(sum[:16])
		h.requests = append(h.requests, c.Request)
	}
}

// secretPrefix begins all that the model makes in the place of what is random or must not be told.
const secretPrefix = "secret-"

func (h *house) secret(size int) []byte {
	h.serial++
	return fmt.Appendf(nil, "%-*s", size, fmt.Sprintf("%s%09d", secretPrefix, h.serial))
}

func (h *house) id(kind string) string {
	h.serial++
	return fmt.Sprint(kind, h.serial)
}

func (h *hand) one(of ...string) string { return evenly(of).Draw(h.rt, "one of") }

// in says yes once in n times.
func (h *hand) in(n int) bool { return evenly(times[:n]).Draw(h.rt, "in") == n }

var times = [...]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}

// evenly draws one of them, each about as often as another. rapid.SampledFrom prefers the first: with so many to choose
// from, the last kinds of command would hardly meet. It shrinks to the first.
func evenly[T any](of []T) *rapid.Generator[T] {
	return rapid.Map(rapid.Uint64(), func(n uint64) T { return of[n*0x9e3779b97f4a7c15>>32%uint64(len(of))] })
}

// generators are those of every kind: see accountKinds.
var generators = together(accountKinds, browserKinds, stepKinds, accessKinds)

func together(all ...map[string]func(*hand) *Command) map[string]func(*hand) *Command {
	one := map[string]func(*hand) *Command{}
	for _, kinds := range all {
		maps.Copy(one, kinds)
	}
	return one
}

// weights are how often a kind is drawn; others: 3.
var weights = map[string]int{
	"Create": 2, "Delete": 1, "Verify": 6, "Enter": 10, "Decide": 8, "Begin": 7, "Fetch": 4, "Send": 5, "VerifyPhone": 5, "Remove": 2,
	"CheckBrowser": 5, "SendTwoStep": 4, "VerifyTwoStep": 5, "RecoveryAct": 6, "RedeemGrant": 4, "EndTwoStep": 2, "EndTrust": 2, "ChangePassword": 2,
}

// accountKinds make one command of a kind: by the name of Command's member. What is drawn is what anybody could send, and
// any node propose, right or wrong.
var accountKinds = map[string]func(*hand) *Command{
	"Create": func(h *hand) *Command {
		h.c.Create = &Create{Class: h.one("", "", "child")}
		return h.c
	},
	"Delete": func(h *hand) *Command {
		h.c.Delete = &Delete{}
		return h.c
	},
	"Enrol": func(h *hand) *Command {
		k, door := h.device(), SealedDoor
		if h.in(3) {
			door = evenly([]Door{ImportedDoor, RevealedDoor}).Draw(h.rt, "door")
			k.Kind, k.PublicKey, k.Certificate = Authenticator, nil, nil
			if k.Params = evenly([]otp.Params{totp6, totp8, hotp6}).Draw(h.rt, "params"); k.Params == hotp6 {
				k.Counter = 40
			}
			if !h.policies[h.name.tenant].open(door) {
				k.Seed = nil
			}
		}
		h.c.Enrol = &Enrol{Door: door, Credential: k, MACs: 1, SignIn: h.signInID(), Guarded: h.in(2)}
		return h.c
	},
	"Remove": func(h *hand) *Command {
		h.c.Remove = &Remove{Credential: h.credential()}
		return h.c
	},
	"Verify": func(h *hand) *Command {
		v := &Verify{Keys: h.s.Keys, Evaluated: !h.in(8), MACs: 3}
		if h.in(5) {
			v.Device = h.credential()
		}
		v.Matches = h.typed(v.Device)
		if !v.Evaluated {
			v.MACs = 0
		}
		h.c.Verify = v
		return h.c
	},
	"Resync": func(h *hand) *Command {
		r := &Resync{Keys: h.s.Keys, Credential: h.credential(), Evaluated: true, MACs: 22}
		for range rapid.IntRange(0, 2).Draw(h.rt, "matches") {
			r.Matches = append(r.Matches, h.step(h.s.Find(r.Credential), 12))
		}
		h.c.Resync = r
		return h.c
	},
	"Begin": func(h *hand) *Command {
		b := &Begin{SignIn: h.id("s"), Nonce: h.secret(NonceSize), Device: NewDevice{Model: "Mac"}}
		b.Purpose = evenly([]Purpose{ForDevice, ForBrowser, ForPasswordReset}).Draw(h.rt, "purpose")
		if h.in(8) {
			b.SignIn = h.signInID()
		}
		if h.in(4) {
			b.Own = h.credential()
		}
		h.c.Begin = b
		return h.c
	},
	"Decide": func(h *hand) *Command {
		h.c.Decide = &Decide{SignIn: h.signInID(), Device: h.credential(), Allow: !h.in(4), Time: h.now}
		h.decide()
		return h.c
	},
	"Fetch": func(h *hand) *Command {
		h.c.Fetch = &Fetch{SignIn: h.signInID(), Device: h.credential(), Time: h.now}
		for _, l := range h.s.Live("", h.c.Time) {
			if id, is := trimmed(l.Channel, "device/"); is && !h.in(4) {
				h.c.Fetch.SignIn, h.c.Fetch.Device = l.SignIn, id
			}
		}
		h.fetch()
		return h.c
	},
	"Send": func(h *hand) *Command {
		h.c.Send = &Send{SignIn: h.signInID(), Phone: h.phone(false), Voice: h.in(3)}
		return h.c
	},
	"Enter": func(h *hand) *Command {
		e := &Enter{Keys: h.s.Keys, Made: h.s.Channels.Made, Evaluated: true, MACs: 4}
		if e.Combined = h.in(3); e.Combined {
			e.Repeat = h.secret(RepeatSize)
			if h.in(2) {
				e.Repeat = []byte("secret-same-text")
			}
		} else {
			e.SignIn = h.signInID()
		}
		e.Matches, e.Codes = h.typedInSignIn()
		if e.Register = !e.Combined && h.in(4); e.Register && !h.in(3) {
			k := h.device()
			e.Device = &k
		}
		h.c.Enter = e
		return h.c
	},
	"Cancel": func(h *hand) *Command {
		h.c.Cancel = &Cancel{SignIn: h.signInID()}
		return h.c
	},
	"AddPhone": func(h *hand) *Command {
		h.c.AddPhone = &AddPhone{Phone: Phone{ID: h.id("p"), Number: h.one("+14155550100", "+14155550101", "+14155550102")}, SignIn: h.signInID()}
		h.c.AddPhone.Guarded = h.in(2)
		return h.c
	},
	"EditPhone": func(h *hand) *Command {
		h.c.EditPhone = &EditPhone{Phone: h.phone(false), Remove: h.in(2), Label: "Home", Position: uint8(h.serial % 3), SignIn: h.signInID()}
		h.c.EditPhone.Guarded = h.in(2)
		return h.c
	},
	"SendPhone": func(h *hand) *Command {
		h.c.SendPhone = &SendPhone{Phone: h.phone(true)}
		return h.c
	},
	"VerifyPhone": func(h *hand) *Command {
		q := &VerifyPhone{Phone: h.phone(true), Matched: !h.in(3), MACs: 1}
		q.Code = h.s.LivePhoneCode(h.policies[h.name.tenant], q.Phone, h.c.Time)
		if h.in(5) {
			q.Code = uint32(rapid.IntRange(0, int(h.s.Channels.Made)+1).Draw(h.rt, "number"))
		}
		q.Evaluated = q.Code != 0
		if h.in(3) {
			q.Protect = h.protect()
		}
		h.c.VerifyPhone = q
		return h.c
	},
	"CreateAppPassword": func(h *hand) *Command {
		k := AppPassword{ID: h.id("a"), MAC: h.secret(MACSize), Service: h.one("", "imap"), Network: h.one("", "192.0.2.0/24")}
		if h.in(4) {
			k.Expires = h.now + hour
		}
		h.c.CreateAppPassword = &CreateAppPassword{Password: k, MACs: 1}
		return h.c
	},
	"RevokeAppPassword": func(h *hand) *Command {
		h.c.RevokeAppPassword = &RevokeAppPassword{ID: h.appPassword()}
		return h.c
	},
	"VerifyAppPassword": func(h *hand) *Command {
		q := &VerifyAppPassword{MAC: h.secret(MACSize), Service: h.one("", "imap", "smtp"), Source: h.one("", "192.0.2.7", "198.51.100.1"), MACs: 1}
		if k := h.books[h.name].passwords[h.appPassword()]; len(k.MAC) > 0 {
			q.MAC = k.MAC
		} else if h.in(2) {
			q.MAC = pepper("secret-guess")
		}
		h.c.VerifyAppPassword = q
		return h.c
	},
	"Protect": func(h *hand) *Command {
		h.c.Protect = h.protect()
		return h.c
	},
	"Unprotect": func(h *hand) *Command {
		q := &Unprotect{Link: h.s.Enrolment.Link, MACs: 1}
		if h.in(4) {
			q.Link = h.secret(LinkSize) // of another account, or of before
		}
		q.Matched = len(q.Link) > 0 && !h.in(3)
		h.c.Unprotect = q
		return h.c
	},
	"Lose": func(h *hand) *Command {
		h.c.Lose = &Lose{Device: h.credential(), Erased: h.in(2)}
		return h.c
	},
	"UpdateDevice": func(h *hand) *Command {
		h.c.UpdateDevice = &UpdateDevice{Device: h.credential(), Name: "Watch", SystemVersion: h.one("", "11.2")}
		return h.c
	},
	"Classify": func(h *hand) *Command {
		h.c.Classify = &Classify{Class: h.one("", "", "child", "staff")}
		return h.c
	},
}

// protect asks for protection by two factors, at times as a move from two-step verification.
func (h *hand) protect() *Protect {
	q := &Protect{Link: h.secret(LinkSize), SignIn: h.signInID(), Checked: h.in(2), Guarded: h.in(2)}
	if q.Register = h.in(3); q.Register {
		k := h.device()
		q.Device, q.Platform, q.SystemVersion = &k, k.Platform, k.SystemVersion
		if h.in(4) {
			q.Device = nil
		}
	} else {
		q.Own = h.credential()
	}
	if h.in(2) {
		q.Prior, q.PriorDay = []byte("secret-questions"), DayOf(h.c.Time)
	}
	if q.Move = h.s.Enrolment.Mode == TwoStep; h.in(4) {
		q.Move = !q.Move
	}
	return q
}

// deviceKeys are the keys of all devices: few, because one phone may be enrolled in several accounts, and again.
var deviceKeys = sync.OnceValue(func() map[string]*ecdsa.PrivateKey {
	keys := map[string]*ecdsa.PrivateKey{}
	for range 5 {
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		keys[string(must(x509.MarshalPKIXPublicKey(&key.PublicKey)))] = key
	}
	return keys
})

var devicePublics = sync.OnceValue(func() (publics []string) {
	for public := range deviceKeys() {
		publics = append(publics, public)
	}
	slices.Sort(publics)
	return publics
})
