package account

import (
	"maps"
	"slices"
	"strings"

	"strongroom.internal/appliance/otp"
)

// ledger is what an onlooker knows who has seen every command and answer, and never a state.
type ledger struct {
	entries    int64
	spent      map[string]bool      // numbers of codes that were accepted
	highest    map[string]otp.Step  // by seed: the last step that was accepted
	statements map[string]statement // by signature: what a device's key has signed
	pseudonyms map[string]string
	notices    map[string]string     // by id: the random bytes that it is of
	gone       map[name][]Credential // that were once trusted
	tokens     []token               // that browsers were given, oldest first
	keys       []string              // MACs of recovery keys that were made
	grants     []string              // random bytes of those that were given
}

func newLedger() ledger {
	return ledger{
		spent: map[string]bool{}, highest: map[string]otp.Step{}, statements: map[string]statement{},
		pseudonyms: map[string]string{}, notices: map[string]string{}, gone: map[name][]Credential{},
	}
}

// statement is what was signed, and by which key.
type statement struct {
	name                        name
	signIn, nonce, device, says string // of the sign-in, recovery or challenge; for what it says, see hand.signed
	key                         string // public
}

// book is the page of one account's life: from when its name was first heard to when it is deleted.
type book struct {
	trusted   map[string]Credential // by id
	phones    map[string]string     // verified ones: id and number
	passwords map[string]AppPassword
	ends      map[string]SignInState // by sign-in and nonce: how it ended, as it was first seen
	expires   map[string]Time
	verified  map[string]Time // by sign-in
	codes     map[uint32]string
	answers   map[RequestID]answer
	sent      []sending
	charge    uint32
	failures  uint32
	delays    int
	repeat    []byte // the last text that was refused after a password
	repeatAt  Time
	wrong     []byte // the last app password that was refused
	counted   uint32 // attempts that no entry has yet, and their MACs
	macs      uint32
	link      []byte
	linkAt    Time
	browsers  map[string]browserPage // by id
	trustedBy map[string]bool        // sign-ins by which a browser became trusted
	grantedBy map[string]bool        // sign-ins for which a reset was granted
	steps     stepPage
	recovery  recoveryPage
	grants    map[GrantPurpose]grantPage
}

type answer struct {
	operation, credential string
	outcome               Outcome
	entry                 int64
}

type sending struct {
	number string
	at     Time
}

func newBook() *book {
	return &book{
		trusted: map[string]Credential{}, phones: map[string]string{}, passwords: map[string]AppPassword{},
		ends: map[string]SignInState{}, expires: map[string]Time{}, verified: map[string]Time{}, codes: map[uint32]string{},
		answers: map[RequestID]answer{}, browsers: map[string]browserPage{}, trustedBy: map[string]bool{}, grantedBy: map[string]bool{},
		grants: map[GrantPurpose]grantPage{},
	}
}

// note writes the deed down.
func (h *house) note(x *deed) {
	l, b := &h.ledger, x.book
	l.entries += int64(len(x.d.Entries()))
	for _, n := range x.d.Notices {
		l.notices[x.life()+n.ID] = string(x.c.Salt)
	}
	if x.d.Entry != nil {
		l.pseudonyms[x.d.Entry.Account] = x.name.tenant + "/" + x.name.account
	}
	if x.after == nil {
		for _, k := range b.trusted {
			l.gone[x.name] = append(l.gone[x.name], k)
		}
		slices.SortFunc(l.gone[x.name], func(a, b Credential) int { return strings.Compare(string(a.Seed), string(b.Seed)) })
		h.books[x.name] = newBook()
		return
	}
	if x.silent() {
		return
	}
	if x.accepted() {
		id, step, channel, n := x.opened()
		if channel != "" {
			l.spent[x.code(channel, n)] = true
		} else if id != "" {
			l.highest[string(b.trusted[id].Seed)] = step
		}
	}
	added, removed := x.trust()
	l.note(x)
	b.note(x)
	for _, id := range removed {
		l.gone[x.name] = append(l.gone[x.name], b.trusted[id])
		delete(b.trusted, id)
	}
	for _, k := range added {
		b.trusted[k.ID] = k
	}
}

// note writes down what was given out.
func (l *ledger) note(x *deed) {
	switch c := x.c; {
	case c.TrustBrowser != nil && x.done(), c.CheckBrowser != nil && x.accepted():
		b := x.after.Browsers.List[slices.IndexFunc(x.after.Browsers.List, func(b Browser) bool { return b.ID == x.r.Credential })]
		l.tokens = append(l.tokens, token{x.name, string(b.Digest), b.ID, b.N})
	case c.MakeRecoveryKey != nil && x.done():
		l.keys = append(l.keys, string(c.MakeRecoveryKey.MAC))
	case c.RecoveryAct != nil && c.RecoveryAct.Act == RecoveryClaim && x.done():
		l.grants = append(l.grants, string(c.RecoveryAct.Random))
	case c.ResetPassword != nil && x.done():
		l.grants = append(l.grants, string(c.ResetPassword.Random))
	}
}

func (b *book) note(x *deed) {
	c, s := x.c, x.after
	charged, failed, reset := x.charge() // of the page as it was
	browsers, steps, recovery, grants := x.browsersThen(), x.stepsThen(), x.recoveryThen(), x.grantsThen()
	b.browsers, b.steps, b.recovery, b.grants = browsers, steps, recovery, grants
	if c.TrustBrowser != nil && x.done() {
		b.trustedBy[c.TrustBrowser.SignIn] = true
	}
	if c.ResetPassword != nil && x.done() {
		b.grantedBy[c.ResetPassword.SignIn] = true
	}
	if reset {
		b.charge, b.failures, b.delays = 0, 0, 0
	}
	b.charge, b.failures = b.charge+charged, b.failures+failed
	if s.RetryAt != 0 && (x.before == nil || s.RetryAt != x.before.RetryAt) {
		b.delays++
	}
	if charged > 0 && c.VerifyAppPassword != nil {
		b.wrong = c.VerifyAppPassword.MAC
	}
	if charged > 0 && c.Enter != nil && len(c.Enter.Repeat) > 0 {
		b.repeat, b.repeatAt = c.Enter.Repeat, x.at
	}
	switch {
	case x.d.Entry == nil:
		b.counted, b.macs = b.counted+1, b.macs+x.macs()
	case x.d.Next != nil:
		b.counted, b.macs = 0, 0
	}
	if x.d.recorded {
		b.answers[c.Request] = answer{c.operation(), x.r.Credential, x.r.Outcome, x.r.Entry}
	}
	switch {
	case c.VerifyPhone != nil && x.accepted():
		b.phones[c.VerifyPhone.Phone] = s.Phone(c.VerifyPhone.Phone).Number
	case c.EditPhone != nil && x.done() && c.EditPhone.Remove:
		delete(b.phones, c.EditPhone.Phone)
	case c.CreateAppPassword != nil && x.done():
		b.passwords[c.CreateAppPassword.Password.ID] = c.CreateAppPassword.Password
	case c.RevokeAppPassword != nil && x.done():
		if delete(b.passwords, c.RevokeAppPassword.ID); c.RevokeAppPassword.ID == "" {
			clear(b.passwords)
		}
	case x.sends() != "":
		b.sent = append(b.sent, sending{x.sends(), x.at})
	}
	if q := x.turnsOn(); q != nil {
		b.link, b.linkAt = q.Link, x.at
	}
	if x.revokesPasswords() {
		clear(b.passwords)
	}
	for i := range s.SignIns {
		y := &s.SignIns[i]
		if x.before.SignIn(y.ID) == nil {
			delete(b.ends, seen(y))
			delete(b.expires, seen(y))
		}
		if state := y.State(s.Time); state != SignInBegun && state != SignInAllowed {
			b.ends[seen(y)] = state
		}
		if b.expires[seen(y)] == 0 {
			b.expires[seen(y)] = y.Expires
		}
		for _, l := range y.Codes {
			b.codes[l.N] = y.ID + l.Channel
		}
	}
	if y := x.ended(Verified); y != nil && c.Enter != nil {
		b.verified[y.ID] = x.at
	}
	if q := c.ChangePassword; q != nil && q.Security && x.done() {
		maps.DeleteFunc(b.verified, func(id string, _ Time) bool { return id != q.SignIn })
	}
	if x.bindsAnew() {
		clear(b.verified)
	}
}
