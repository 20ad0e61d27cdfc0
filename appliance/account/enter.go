package account

import (
	"bytes"
	"crypto/sha256"

	"strongroom.internal/appliance/otp"
)

// Enter is one attempt with a code for a sign-in, or, with Combined, for whichever is open. The candidates are the
// sign-in's live codes and the account's credentials. The code itself is not here.
type Enter struct {
	SignIn   string `cbor:"1,keyasint,omitempty"`
	Combined bool   `cbor:"2,keyasint,omitempty"` // the code stood after a password
	Keys     uint64 `cbor:"3,keyasint"`           // as in Verify
	Made     uint32 `cbor:"4,keyasint,omitempty"` // Channels.Made of the state that was evaluated
	// Evaluated is false when the node saw that no module need be asked. If one must be after all, the outcome is Stale.
	Evaluated bool       `cbor:"5,keyasint"`
	Matches   []Match    `cbor:"6,keyasint,omitempty"`
	Codes     []LiveCode `cbor:"7,keyasint,omitempty"` // of the live codes, those that were equal
	MACs      uint32     `cbor:"8,keyasint"`
	// Repeat is a MAC under the pepper of all that was typed; Combined only.
	Repeat []byte `cbor:"9,keyasint,omitempty"`
	// Register asks for the new device to become trusted. Its seed and certificate are made only once a code is seen to
	// be right: Device is nil until then.
	Register bool        `cbor:"10,keyasint,omitempty"`
	Device   *Credential `cbor:"11,keyasint,omitempty"`
	// Proof says that the code wasn't typed: a device proved with its key that it had received it.
	Proof bool `cbor:"12,keyasint,omitempty"`
	// Own is the digest of the new device's public key; of the request, for its memory.
	Own uint64 `cbor:"13,keyasint,omitempty"`
}

func (e *Enter) validate(v *validation) {
	v.check(e.Combined == (e.SignIn == ""), "sign-in", "goes without combined, and combined without it")
	v.text("sign-in", e.SignIn, 0, MaxID)
	v.check(len(e.Matches) <= MaxMatches, "matches", "too many")
	for i := range e.Matches {
		v.text("match", e.Matches[i].Credential, 1, MaxID)
	}
	v.check(len(e.Codes) <= MaxLive, "codes", "too many")
	for i := range e.Codes {
		v.text("channel", e.Codes[i].Channel, 1, MaxChannel)
	}
	v.check(len(e.Repeat) == 0 || len(e.Repeat) == RepeatSize && e.Combined, "repeat", "must have 16 bytes")
	v.check(!e.Register || !e.Combined, "register", "goes with a sign-in")
	if e.Device != nil {
		v.check(e.Register, "device", "was not asked for")
		(&Enrol{Credential: *e.Device, Door: SealedDoor}).validate(v)
	}
}

// enter decides one attempt. The order of the questions is verify's; what is new stands between them: has the sign-in
// ended, and was the very same text refused a moment ago?
func enter(p Policy, s *State, c *Command) Decision {
	e := c.Enter
	a := act{subject: e.SignIn, macs: e.MACs}
	if s == nil {
		if !e.Combined {
			a.outcome = Ended
			return unchanged(nil, c, a)
		}
		if len(c.Salt) != SaltSize {
			return stale
		}
		s = &State{Version: version, Phantom: true, Salt: c.Salt}
	}
	if retryAt, is := s.LockedAt(c.Time); is {
		a.outcome, a.retryAt, a.key = Locked, retryAt, s.first("")
		return locked(s, c, a)
	}
	n := next(s, c)
	at := s.signIn(e.SignIn)
	switch {
	case !e.Combined && (at < 0 || !s.SignIns[at].Open(n.Time)):
		a.outcome = Ended // nothing was compared, or what was is of no use: nothing is charged
		return changed(n, c, a)
	case e.Combined && s.Repeated(e.Repeat, n.Time):
		return again(s, c)
	case !e.Evaluated || e.Keys != s.Keys || e.Made != s.Channels.Made || c.Time < s.Time-MaxLag:
		return stale
	case e.Register && !s.roomFor(p, deviceCost):
		a.outcome = TooMany
		return changed(n, c, a)
	}
	outcome := Wrong
	for _, m := range e.Matches {
		i := s.match("", m, c.Time)
		if i < 0 || s.Phantom || at >= 0 && s.SignIns[at].Own == m.Credential {
			continue
		}
		if m.Step <= s.Credentials[i].Watermark {
			outcome = Spent
			continue
		}
		n.accept(i, m.Step, c.Time)
		a.credential, a.key = m.Credential, &n.Credentials[i]
		return accepted(p, s, n, c, a, at, m.Credential)
	}
	for _, m := range e.Codes {
		i := s.liveCode(e.SignIn, m, n.Time)
		if i < 0 || s.Phantom {
			continue
		}
		n.Attempts = Attempts{}
		a.credential, a.named, a.subject = m.Channel, CodeKey, s.SignIns[i].ID
		return accepted(p, s, n, c, a, i, m.Channel)
	}
	n.fail(s.cost("")+s.live(e.SignIn, n.Time)*unit[CodeDigits], n.Time)
	repeat := e.Combined && len(e.Repeat) > 0
	if repeat {
		n.Channels.Repeat, n.Channels.RepeatAt = e.Repeat, n.Time
	}
	a.outcome, a.key = outcome, s.first("")
	d := changed(n, c, a)
	d.repeat = repeat
	return d
}

// liveCode finds the open sign-in of which a code is live: the named one, or any.
func (s *State) liveCode(signIn string, m LiveCode, now Time) int {
	for i := range s.SignIns {
		x := &s.SignIns[i]
		if x.Open(now) && (signIn == "" || x.ID == signIn) && m.N != 0 && x.Code(m.Channel) == m.N {
			return i
		}
	}
	return -1
}

// Repeated says whether a text is the one that was refused a moment ago, by its MAC.
func (s *State) Repeated(repeat []byte, now Time) bool {
	c := &s.Channels
	return len(repeat) > 0 && bytes.Equal(repeat, c.Repeat) && max(now, s.Time)-c.RepeatAt < RepeatFor
}

// roomFor says whether the account may have one more credential that costs an attempt so much.
func (s *State) roomFor(p Policy, cost uint32) bool {
	sum := cost + s.live("", s.Time)*unit[CodeDigits]
	if len(s.Credentials) > 0 {
		sum += s.cost("")
	}
	return len(s.Credentials) < p.maxCredentials() && sum <= Budget
}

// deviceCost is what a device of six digits adds to the cost of an attempt.
const deviceCost = (2*skew + 1) * 100

// accepted ends the sign-in at i of the new state, if there is one, and registers the new device in the same step.
func accepted(p Policy, s, n *State, c *Command, a act, i int, by string) Decision {
	e := c.Enter
	a.outcome = Accepted
	var notices []Notice
	if i >= 0 {
		x := n.end(i, Verified, by)
		if x.Purpose == ForDevice {
			n.attend(x.Own, SignedIn)
		}
		notice := noticeOf(NoticeVerified, x)
		notice.Devices, notice.Credential = n.deciders(x), by
		notices = append(notices, notice)
	}
	if !e.Register {
		d := changed(n, c, a)
		d.notify(c, notices...)
		return d
	}
	if e.Device == nil {
		return stale // the node had not seen that the code is right
	}
	inner := *c
	inner.Enter, inner.Enrol, inner.Request = nil, &Enrol{Credential: *e.Device, Door: SealedDoor, MACs: 1}, RequestID{}
	before := n.Refused
	enrolled := enrol(p, n, &inner)
	if enrolled.Result.Outcome != Done {
		a.outcome, a.key, a.credential = enrolled.Result.Outcome, nil, ""
		return changed(next(s, c), c, a)
	}
	a.credential = e.Device.ID
	enrolled.Next.attend(e.Device.ID, SignedIn)
	d := changed(enrolled.Next, c, a)
	// What was counted before belongs to the act's first entry.
	d.Entry.Coalesced, enrolled.Entry.Coalesced = before.Count, 0
	d.Entry.MACs += before.MACs
	enrolled.Entry.MACs -= before.MACs
	d.Also = enrolled.Entries()
	d.notify(c, notices...)
	d.Notices = append(d.Notices, enrolled.Notices...)
	return d
}

// Live lists the live codes that an attempt is compared with, of a sign-in or, for the empty id, of all that are open.
func (s *State) Live(signIn string, now Time) (live []SignInCode) {
	if s == nil {
		return nil
	}
	now = max(now, s.Time)
	for i := range s.SignIns {
		x := &s.SignIns[i]
		if x.Open(now) && (signIn == "" || x.ID == signIn) {
			for _, l := range x.Codes {
				live = append(live, SignInCode{x.ID, l})
			}
		}
	}
	return live
}

// SignInCode is a live code and whose it is.
type SignInCode struct {
	SignIn string
	LiveCode
}

// Acceptable says whether a match would be accepted now: not one that is spent.
func (s *State) Acceptable(m Match, own string) bool {
	k := s.Find(m.Credential)
	return k != nil && m.Step > k.Watermark && m.Credential != own
}

// CodeDigits is the length of the codes that are pushed and sent.
const CodeDigits = 6

// CodeMessage is what the code key MACs to make a code: code = truncate(HMAC(code key, message)), RFC 4226, Section 5.3. It
// is the domain string and SHA-256 over tenant, account, sign-in, channel and the number as eight bytes, high byte first,
// each after its length in four bytes: all messages have one length, because modules want that of those that they MAC
// together. The sign-in is empty for the code that verifies a phone.
func CodeMessage(tenant, account, signIn, channel string, n uint32) []byte {
	sum := sha256.Sum256(appendParts(nil, tenant, account, signIn, channel, eight(uint64(n))))
	return append([]byte(codeDomain), sum[:]...)
}

const codeDomain = "strongroom/code/v1"

// CodeOf is the code of the code key's MAC over a CodeMessage.
func CodeOf(mac []byte) otp.Code { return otp.Truncate(mac, CodeDigits) }
