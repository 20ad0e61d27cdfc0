package account

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
)

// Phone is a number to which codes may be sent once it is verified.
type Phone struct {
	ID     string `cbor:"1,keyasint"`
	Number string `cbor:"2,keyasint"` // E.164, with its plus sign; in no log entry
	Label  string `cbor:"3,keyasint,omitempty"`
	Added  Time   `cbor:"4,keyasint"`
	// Verified is when a code that was sent to it was typed; 0 while it is pending.
	Verified Time `cbor:"5,keyasint,omitempty"`
	// Code is the number of the code that would verify it, and CodeAt when it was made; 0: none. Pending phones only.
	Code   uint32 `cbor:"6,keyasint,omitempty"`
	CodeAt Time   `cbor:"7,keyasint,omitempty"`
}

func (p *Phone) validate(v *validation) {
	v.text("phone", p.ID, 1, MaxID)
	v.check(validE164(p.Number), "number", "must be E.164")
	v.text("label", p.Label, 0, MaxText)
}

// validE164 is a plus sign and 7 to 15 digits, of which the first isn't 0 (ITU-T E.164, Section 6). Whether the number
// can exist is the edge's to say.
func validE164(s string) bool {
	if len(s) < 8 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Masked is the number as it may be shown to somebody who has yet to prove who they are: its last two digits. It says
// nothing of its length or country.
func (p *Phone) Masked() string { return mask(p.Number[len(p.Number)-2:]) }

func mask(last string) string { return "•••• •• " + last }

// Phone finds a phone; nil when there is none of that id. The result must not be written to.
func (s *State) Phone(id string) *Phone {
	if i := s.phone(id); i >= 0 {
		return &s.Phones[i]
	}
	return nil
}

func (s *State) phone(id string) int {
	if s == nil {
		return -1
	}
	return slices.IndexFunc(s.Phones, func(p Phone) bool { return p.ID == id })
}

// VerifiedPhones counts the phones that codes may be sent to.
func (s *State) VerifiedPhones() (n int) {
	for i := range s.Phones {
		if s.Phones[i].Verified != 0 {
			n++
		}
	}
	return n
}

// phoneOrPhantom finds a phone, or what stands for one where there is no account.
func (s *State) phoneOrPhantom(id string) *Phone {
	if !s.Phantom {
		return s.Phone(id)
	}
	if phantom, _ := s.phantomPhone(); phantom != id {
		return nil
	}
	return &Phone{ID: id, Number: "phantom", Verified: s.Time}
}

// phantomPhone is the phone that a name pretends to have that isn't an account. It comes from the salt, so that it stays
// the same and nobody can tell it from a real one by trying names.
func (s *State) phantomPhone() (id, masked string) {
	sum := sha256.Sum256(appendParts(nil, "strongroom/phantom-phone/v1", string(s.Salt)))
	last := []byte{'0' + sum[10]%10, '0' + sum[11]%10}
	return idEncoding.EncodeToString(sum[:10]), mask(string(last))
}

// idEncoding is how ids of accounts' things are written: 80 bits make 16 characters.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// AddPhone adds a number, pending until a code that is sent to it is typed. A number that the account has is left as it
// is: Outcome Exists, with its id.
type AddPhone struct {
	Phone   Phone  `cbor:"1,keyasint"` // ID, Number and Label
	SignIn  string `cbor:"2,keyasint,omitempty"`
	Guarded bool   `cbor:"34,keyasint,omitempty"` // as in Enrol, for an account that is protected
}

// EditPhone changes a phone, or removes it; never the last that is verified.
type EditPhone struct {
	Phone  string `cbor:"1,keyasint"`
	Remove bool   `cbor:"2,keyasint,omitempty"`
	Label  string `cbor:"3,keyasint,omitempty"`
	// Position is where it is to stand among the phones, from 0; a position past the end is the last.
	Position uint8  `cbor:"4,keyasint,omitempty"`
	SignIn   string `cbor:"5,keyasint,omitempty"`  // verified of late, where it is asked for
	Guarded  bool   `cbor:"34,keyasint,omitempty"` // as in AddPhone; to remove one
}

// SendPhone has a code sent to a pending phone.
type SendPhone struct {
	Phone string `cbor:"1,keyasint"`
	Voice bool   `cbor:"2,keyasint,omitempty"`
}

// VerifyPhone is one attempt with the code that was sent to a pending phone. It is charged like any other.
type VerifyPhone struct {
	Phone     string `cbor:"1,keyasint"`
	Code      uint32 `cbor:"2,keyasint"` // Phone.Code that was evaluated
	Evaluated bool   `cbor:"3,keyasint"`
	Matched   bool   `cbor:"4,keyasint,omitempty"`
	MACs      uint32 `cbor:"5,keyasint"`
	// Protect has protection turned on in the same step; or nothing is done, should something be in the way of it.
	Protect *Protect `cbor:"6,keyasint,omitempty"`
}

func (e *EditPhone) validate(v *validation) {
	v.text("phone", e.Phone, 1, MaxID)
	v.text("label", e.Label, 0, MaxText)
	v.text("sign-in", e.SignIn, 0, MaxID)
}

func addPhone(p Policy, s *State, c *Command) Decision {
	q := c.AddPhone
	n := next(s, c)
	a := act{subject: q.Phone.ID}
	for i := range s.Phones {
		if s.Phones[i].Number == q.Phone.Number {
			a.outcome, a.subject, a.credential = Exists, s.Phones[i].ID, s.Phones[i].ID
			return changed(n, c, a)
		}
	}
	switch {
	case s.phone(q.Phone.ID) >= 0:
		a.outcome = Conflict
	case s.stepUp(p, q.SignIn, n.Time), q.Guarded && s.guardsPhones(p, q.SignIn, n.Time):
		a.outcome = StepUp
	case len(s.Phones) >= MaxPhones:
		a.outcome = TooMany
	default:
		phone := Phone{ID: q.Phone.ID, Number: q.Phone.Number, Label: q.Phone.Label, Added: n.Time}
		n.Phones = append(slices.Clip(s.Phones), phone)
		a.outcome, a.credential = Done, phone.ID
	}
	return changed(n, c, a)
}

// stepUp says that a change needs a second factor that was proved of late, and that there is none. An account that has
// nothing to prove it with needs none.
func (s *State) stepUp(p Policy, signIn string, now Time) bool {
	if p.StepUpMinutes == 0 || len(s.Credentials) == 0 && s.VerifiedPhones() == 0 {
		return false
	}
	return !s.Fresh(signIn, Time(p.StepUpMinutes)*60*1000, now)
}

// guardsPhones says that a protected account's phones can't be changed without a second factor that was proved of late,
// whatever policy says: a phone of one's own would bring the code that adds a device of one's own.
func (s *State) guardsPhones(p Policy, signIn string, now Time) bool {
	return s.Enrolment.Mode == TwoFactor && s.guards(p, signIn, now)
}

func editPhone(p Policy, s *State, c *Command) Decision {
	q := c.EditPhone
	n := next(s, c)
	a := act{outcome: NotFound, subject: q.Phone}
	i := s.phone(q.Phone)
	if i < 0 {
		return changed(n, c, a)
	}
	phone := s.Phones[i]
	switch {
	case s.stepUp(p, q.SignIn, n.Time), q.Guarded && s.guardsPhones(p, q.SignIn, n.Time):
		a.outcome = StepUp
		return changed(n, c, a)
	case q.Remove && phone.Verified != 0 && s.VerifiedPhones() == 1:
		a.outcome = LastPhone
		return changed(n, c, a)
	}
	n.Phones = slices.Delete(slices.Clone(s.Phones), i, i+1)
	a.outcome, a.credential = Done, phone.ID
	if !q.Remove {
		phone.Label = q.Label
		n.Phones = slices.Insert(n.Phones, min(int(q.Position), len(n.Phones)), phone)
		return changed(n, c, a)
	}
	if len(n.Phones) == 0 {
		n.Phones = nil
	}
	n.silence(PhoneChannel(phone.ID))
	d := changed(n, c, a)
	if phone.Verified != 0 {
		d.notify(c, Notice{Kind: NoticePhoneRemoved, Phone: phone.ID, Masked: phone.Masked(), Devices: s.deciders(&SignIn{})})
		d.notify(c, s.messages(p, &phone, n.Time)...)
	}
	return d
}

// messages are those to all verified phones of an account from which one is removed, that one too: whoever removes an
// owner's number to keep them from being told must not succeed by that. None are sent where policy doesn't want them, or
// while so many messages wait that they would push out codes: the removal itself is never refused for that.
func (s *State) messages(p Policy, removed *Phone, now Time) (list []Notice) {
	if !p.TellPhones || !p.Gateway || p.NoticesFull {
		return nil
	}
	for i := range s.Phones {
		if x := &s.Phones[i]; x.Verified != 0 {
			m := Notice{Kind: NoticeTell, About: NoticePhoneRemoved, Phone: x.ID, Number: x.Number, Expires: now + TellFor}
			if x.ID != removed.ID {
				m.Masked = removed.Masked()
			}
			list = append(list, m)
		}
	}
	return list
}

func sendPhone(p Policy, s *State, c *Command) Decision {
	q := c.SendPhone
	n := next(s, c)
	a := act{outcome: NotFound, subject: q.Phone}
	i := s.phone(q.Phone)
	switch {
	case i < 0:
		return changed(n, c, a)
	case s.Phones[i].Verified != 0:
		a.outcome = Exists
		return changed(n, c, a)
	case !p.Gateway:
		a.outcome = RefusedByPolicy
		return changed(n, c, a)
	case p.NoticesFull:
		a.outcome = Full
		return changed(n, c, a)
	}
	if retryAt, ok := n.note(p, s.Phones[i].Number); !ok {
		a.outcome, a.retryAt = TooSoon, retryAt
		return changed(next(s, c), c, a)
	}
	n.Phones = slices.Clone(s.Phones)
	phone := &n.Phones[i]
	n.Channels.Made++
	phone.Code, phone.CodeAt = n.Channels.Made, n.Time
	a.outcome = Done
	d := changed(n, c, a)
	d.also(opMakeCode, CodeKey, phone.ID)
	d.notify(c, Notice{
		Kind: NoticeSend, Phone: phone.ID, Number: phone.Number, Voice: q.Voice, N: phone.Code,
		Expires: n.Time + p.signInLife(),
	})
	return d
}

// LivePhoneCode is the number of the code that would verify a pending phone now; 0: none would.
func (s *State) LivePhoneCode(p Policy, id string, now Time) uint32 {
	phone := s.Phone(id)
	if phone == nil || s.Phantom || phone.Verified != 0 || phone.Code == 0 || max(now, s.Time)-phone.CodeAt >= p.signInLife() {
		return 0
	}
	return phone.Code
}

// verifyPhone decides an attempt. A right code ends no series of failures: it proves that somebody has that phone, which
// may be the very one who guesses.
func verifyPhone(p Policy, s *State, c *Command) Decision {
	q := c.VerifyPhone
	a := act{subject: q.Phone, macs: q.MACs, named: CodeKey}
	if retryAt, is := s.LockedAt(c.Time); is {
		a.outcome, a.retryAt = Locked, retryAt
		return locked(s, c, a)
	}
	n := next(s, c)
	i := s.phone(q.Phone)
	code := s.LivePhoneCode(p, q.Phone, n.Time)
	switch {
	case i < 0:
		a.outcome = NotFound
		return changed(n, c, a)
	case s.Phones[i].Verified != 0:
		a.outcome = Exists
		return changed(n, c, a)
	case code == 0:
		a.outcome = Ended // nothing was compared: nothing is charged
		return changed(n, c, a)
	}
	if q.Protect != nil { // before the code is looked at: what is in the way says nothing about it
		if a.outcome = n.verified(i).Protectable(p, q.Protect, c.Time); a.outcome == Exists {
			a.outcome = AlreadyOn
		}
		if a.outcome != Done {
			return changed(n, c, a)
		}
	}
	switch {
	case !q.Evaluated || q.Code != code || c.Time < s.Time-MaxLag:
		return stale
	case !q.Matched:
		n.fail(unit[CodeDigits], n.Time)
		a.outcome = Wrong
		return changed(n, c, a)
	}
	n = n.verified(i)
	phone := &n.Phones[i]
	added := Notice{Kind: NoticePhoneAdded, Phone: phone.ID, Masked: phone.Masked(), Devices: s.deciders(&SignIn{})}
	a.outcome, a.credential = Accepted, phone.ID
	if q.Protect != nil {
		return verifiedAndOn(p, s, n, c, a, added)
	}
	d := changed(n, c, a)
	d.complete(c, n)
	d.notify(c, added)
	return d
}

// verified is the new state with its pending phone at i verified.
func (s *State) verified(i int) *State {
	n := *s
	n.Phones = slices.Clone(s.Phones)
	p := &n.Phones[i]
	p.Verified, p.Code, p.CodeAt = s.Time, 0, 0
	return &n
}

// VerifiedWith is the account as it would be with a pending phone verified at a moment: for asking what would be in the way
// of protection then. The account itself, when there is no such phone.
func (s *State) VerifiedWith(id string, at Time) *State {
	i := s.phone(id)
	if i < 0 {
		return s
	}
	n := *s
	n.Time = max(s.Time, at)
	return n.verified(i)
}

// verifiedAndOn turns protection on with the phone that was just verified. n is the new state, which has it.
func verifiedAndOn(p Policy, s, n *State, c *Command, a act, added Notice) Decision {
	on := turnOn(p, n, c, c.VerifyPhone.Protect)
	switch on.outcome {
	case Stale:
		return stale
	case Done:
	default:
		a.outcome, a.credential = on.outcome, ""
		return changed(next(s, c), c, a)
	}
	a.credential = on.device
	d := changed(on.next, c, a)
	d.also(opProtect, "", on.device)
	e := d.Also[len(d.Also)-1]
	e.KeyVersion, e.MACs, e.Outcome, e.Detail = 0, 0, Done.String(), on.detail()
	d.notify(c, added)
	on.add(&d, c)
	return d
}
