package account

// StartRecovery starts a recovery. A name without a record gets one, so that it answers as an account does.
type StartRecovery struct {
	ID    string `cbor:"1,keyasint"`
	Nonce []byte `cbor:"2,keyasint"` // 16 random bytes
}

// RecoveryAct is one act on a recovery that runs.
type RecoveryAct struct {
	Recovery string           `cbor:"1,keyasint"`
	Act      RecoveryActKind  `cbor:"2,keyasint"`
	Kind     EvidenceKind     `cbor:"3,keyasint,omitempty"` // that is given, or by which it is cancelled
	Phone    string           `cbor:"4,keyasint,omitempty"` // to which a code is sent
	Voice    bool             `cbor:"5,keyasint,omitempty"`
	Signed   *RecoverySigned  `cbor:"6,keyasint,omitempty"` // DeviceEvidence
	Attempt  *RecoveryAttempt `cbor:"7,keyasint,omitempty"` // PhoneCodeEvidence
	Random   []byte           `cbor:"8,keyasint,omitempty"` // 16 bytes of a grant: RecoveryClaim
}

// RecoverySigned is what a device signed: see RecoveryMessage.
type RecoverySigned struct {
	Device    string `cbor:"1,keyasint"`
	Time      Time   `cbor:"2,keyasint"` // of the device's clock, as it signed it; nothing is decided by it
	Signature []byte `cbor:"3,keyasint"`
}

// RecoveryAttempt is one attempt with the code that was sent. As evidence it is charged like any other.
type RecoveryAttempt struct {
	Code      uint32 `cbor:"1,keyasint"` // Recovery.Code that was evaluated
	Evaluated bool   `cbor:"2,keyasint"`
	Matched   bool   `cbor:"3,keyasint,omitempty"`
	MACs      uint32 `cbor:"4,keyasint"`
}

// RecoveryActKind is what is done with a recovery. None of them can hurry it: the list is what there is.
type RecoveryActKind uint8

// Acts.
const (
	InvalidRecoveryAct RecoveryActKind = iota
	RecoverySend                       // a code to a phone
	RecoveryEvidence
	RecoveryCancel   // by the owner, who proves that with a device or a phone
	RecoveryWithdraw // by the front-end
	RecoveryClaim    // a grant is asked for, once it is ready
)

const recoveryDomain = "strongroom/recovery/v1"

// RecoveryMessage is what a device signs about a recovery: the domain string, tenant, account, recovery, nonce, device,
// "confirm" or "cancel", and the time in Unix milliseconds as eight bytes, as DecisionMessage has them.
func RecoveryMessage(tenant, account string, r *Recovery, q *RecoverySigned, cancel bool) []byte {
	decision := "confirm"
	if cancel {
		decision = "cancel"
	}
	return appendParts(nil, recoveryDomain, tenant, account, r.ID, string(r.Nonce), q.Device, decision, eight(uint64(q.Time)))
}

func (q *StartRecovery) validate(v *validation) {
	v.text("recovery", q.ID, 1, MaxID)
	v.check(len(q.Nonce) == NonceSize, "nonce", "must have 16 bytes")
}

func (q *RecoveryAct) validate(v *validation) {
	v.text("recovery", q.Recovery, 1, MaxID)
	v.check(q.Act > InvalidRecoveryAct && q.Act <= RecoveryClaim, "act", "not known")
	proves := q.Act == RecoveryEvidence || q.Act == RecoveryCancel
	v.check(proves == (q.Kind != InvalidEvidence) && int(q.Kind) < len(evidenceNames), "evidence", "not known, or not asked for")
	v.check(q.Act != RecoveryCancel || q.Kind == PhoneCodeEvidence || q.Kind == DeviceEvidence, "evidence", "is none of the owner's")
	v.check((q.Act == RecoverySend) == (q.Phone != ""), "phone", "goes with a code that is sent")
	v.check(!q.Voice || q.Act == RecoverySend, "voice", "goes with a code that is sent")
	v.text("phone", q.Phone, 0, MaxID)
	v.check((q.Kind == DeviceEvidence) == (q.Signed != nil), "signature", "goes with a device")
	v.check((q.Kind == PhoneCodeEvidence) == (q.Attempt != nil), "attempt", "goes with a code")
	v.check(q.Act == RecoveryClaim && len(q.Random) == GrantSize || q.Act != RecoveryClaim && len(q.Random) == 0, "grant", "must have 16 bytes, of a grant")
	if q.Signed != nil {
		(&Decide{SignIn: q.Recovery, Device: q.Signed.Device, Time: q.Signed.Time, Signature: q.Signed.Signature}).validate(v)
	}
}

func startRecovery(p Policy, s *State, c *Command) Decision {
	q := c.StartRecovery
	a := act{outcome: RefusedByPolicy, subject: q.ID}
	if !p.Recovery.Allow {
		return unchanged(s, c, a)
	}
	if len(c.Salt) != SaltSize {
		return stale
	}
	if s == nil {
		s = &State{Version: version, Phantom: true, Salt: c.Salt}
	}
	n := next(s, c)
	switch old := &s.Access.Recovery; {
	case old.Running(n.Time):
		a.outcome, a.subject, a.credential = Exists, old.ID, old.ID // neither begun again nor shorter
		return changed(n, c, a)
	case old.ID == q.ID:
		a.outcome = Conflict
		return changed(n, c, a)
	case n.Time < s.Access.Next:
		a.outcome, a.retryAt = TooSoon, s.Access.Next
		return changed(n, c, a)
	case p.NoticesFull:
		a.outcome = Full
		return changed(n, c, a)
	}
	n.Access.Recovery = Recovery{ID: q.ID, Nonce: q.Nonce, Started: n.Time, Terms: p.Recovery.terms()}
	n.Access.Next = n.Time + RecoveryGap
	n.revoke(GrantRecovery)
	a.outcome, a.credential = Done, q.ID
	d := changed(n, c, a)
	if d.Entry != nil {
		d.Entry.Detail = n.Access.Recovery.describe()
	}
	d.tellOfRecovery(c, s, NoticeRecoveryStarted, s.deciders(&SignIn{}))
	return d
}

func recoveryAct(p Policy, s *State, c *Command) Decision {
	q := c.RecoveryAct
	a := act{outcome: NotFound, subject: q.Recovery, macs: c.macs()} // whatever has become of it since a module computed
	if a.macs > 0 {
		a.named = CodeKey
	}
	if s == nil || s.Access.Recovery.ID != q.Recovery {
		return unchanged(s, c, a)
	}
	if q.Attempt != nil && q.Act == RecoveryEvidence {
		if retryAt, is := s.LockedAt(c.Time); is {
			a.outcome, a.retryAt = Locked, retryAt
			return locked(s, c, a)
		}
	}
	n := next(s, c)
	r := &s.Access.Recovery
	if !r.Running(n.Time) {
		a.outcome = Ended
		if q.Signed != nil && q.Act == RecoveryCancel && r.End == RecoveryEndCancelled && r.By == q.Signed.Device {
			_, a.outcome = s.recoverySigned(c, true)
		}
		return changed(n, c, a)
	}
	switch q.Act {
	case RecoverySend:
		return sendRecoveryCode(p, s, c, a)
	case RecoveryWithdraw:
		a.outcome = Done
		n.endRecovery(RecoveryEndWithdrawn, "")
		d := changed(n, c, a)
		d.tellOfRecovery(c, s, NoticeRecoveryCancelled, s.deciders(&SignIn{}))
		return d
	case RecoveryClaim:
		return claimRecovery(p, s, c, a)
	}
	by := ""
	switch q.Kind {
	case DeviceEvidence:
		if a.key, a.outcome = s.recoverySigned(c, q.Act == RecoveryCancel); a.outcome != Done {
			return changed(n, c, a)
		}
		if q.Act == RecoveryEvidence && a.key.Added > r.Started {
			a.outcome = NotEligible // whoever could enrol it since has no need to prove anything with it
			return changed(n, c, a)
		}
		by = a.key.ID
	case PhoneCodeEvidence:
		live := s.LiveRecoveryCode(p, n.Time)
		switch {
		case live == 0:
			a.outcome = Ended // nothing was compared: nothing is charged
			return changed(n, c, a)
		case !q.Attempt.Evaluated || q.Attempt.Code != live || c.Time < s.Time-MaxLag:
			return stale
		case !q.Attempt.Matched || s.Phantom:
			if q.Act == RecoveryEvidence {
				n.fail(unit[CodeDigits], n.Time)
			} else {
				n.Access.Recovery.Tries++
			}
			a.outcome = Wrong
			return changed(n, c, a)
		case q.Act == RecoveryEvidence && s.Phone(r.Phone).Verified > r.Started:
			a.outcome = NotEligible // as with a device
			return changed(n, c, a)
		}
		by = r.Phone
		n.Access.Recovery.dropCode()
		a.outcome = Accepted
	default:
		a.outcome = Done // a front-end says so
	}
	if q.Act == RecoveryCancel {
		n.endRecovery(RecoveryEndCancelled, by)
		d := changed(n, c, a)
		d.tellOfRecovery(c, s, NoticeRecoveryCancelled, s.deciders(&SignIn{}))
		return d
	}
	before := r.ReadyAt()
	if !r.has(q.Kind) {
		n.Access.Recovery.Evidence = append(append([]Evidence(nil), r.Evidence...), Evidence{Kind: q.Kind, At: n.Time, By: by})
	}
	d := changed(n, c, a)
	if d.Entry != nil {
		d.Entry.Detail = q.Kind.String() + ", " + n.Access.Recovery.describe()
	}
	if ready := n.Access.Recovery.ReadyAt(); ready != before && !s.Phantom {
		d.notify(c, recoveryNotice(NoticeRecoveryShortened, s, &n.Access.Recovery, s.deciders(&SignIn{})))
	}
	return d
}

// recoverySigned checks a device's signature about the account's recovery.
func (s *State) recoverySigned(c *Command, cancel bool) (*Credential, Outcome) {
	q := c.RecoveryAct.Signed
	k := s.Find(q.Device)
	if k == nil || k.Kind != Device {
		return nil, NotFound
	}
	if !k.signedBy(RecoveryMessage(c.Tenant, c.Account, &s.Access.Recovery, q, cancel), q.Signature) {
		return k, BadSignature
	}
	return k, Done
}

// sendRecoveryCode sends a code with which a phone's owner speaks for a recovery, or against it. A name that isn't an
// account counts as an account does, and nothing is sent.
func sendRecoveryCode(p Policy, s *State, c *Command, a act) Decision {
	q := c.RecoveryAct
	n := next(s, c)
	phone := s.phoneOrPhantom(q.Phone)
	if phone == nil || phone.Verified == 0 {
		a.outcome = NotFound
		return changed(n, c, a)
	}
	switch {
	case !p.Gateway:
		a.outcome = RefusedByPolicy
		return changed(n, c, a)
	case p.NoticesFull:
		a.outcome = Full
		return changed(n, c, a)
	}
	if retryAt, ok := n.note(p, phone.Number); !ok {
		a.outcome, a.retryAt = TooSoon, retryAt
		return changed(next(s, c), c, a)
	}
	n.Channels.Made++
	r := &n.Access.Recovery
	r.Phone, r.Code, r.CodeAt, r.Tries = phone.ID, n.Channels.Made, n.Time, 0
	a.outcome = Done
	d := changed(n, c, a)
	d.also(opMakeCode, CodeKey, phone.ID)
	if !s.Phantom {
		d.notify(c, Notice{
			Kind: NoticeSend, Phone: phone.ID, Number: phone.Number, Voice: q.Voice, N: r.Code, Expires: n.Time + p.signInLife(),
			Recovery: r.ID,
		})
	}
	return d
}

// claimRecovery gives the grant of a recovery that is ready. It may be asked for again, until it was redeemed: whoever has
// waited for days must not wait again because an answer was lost.
func claimRecovery(p Policy, s *State, c *Command, a act) Decision {
	q := c.RecoveryAct
	n := next(s, c)
	r := &n.Access.Recovery
	switch {
	case !p.Recovery.Allow:
		a.outcome = RefusedByPolicy
	case n.Time < r.ReadyAt():
		a.outcome, a.retryAt = NotYet, r.ReadyAt()
	case len(r.Evidence) == 0:
		a.outcome = NoEvidence
	case s.Phantom:
		a.outcome = NotFound // there is nothing that could be given back
	case p.NoticesFull:
		a.outcome = Full
	default:
		a.outcome = Done
		first := r.Granted == 0
		if first {
			r.Granted = n.Time
		}
		a.credential = n.give(GrantRecovery, r.ID, q.Random)
		d := changed(n, c, a)
		d.also(opMakeGrant, PepperKey, r.ID)
		if first {
			d.tellOfRecovery(c, n, NoticeRecoveryGranted, s.deciders(&SignIn{}))
		}
		return d
	}
	return changed(n, c, a)
}

// endRecovery ends it. After its owner's no, none starts for a while: prompts that come until somebody gives up are known
// from others. s is the new state.
func (s *State) endRecovery(how RecoveryEnd, by string) {
	r := &s.Access.Recovery
	r.End, r.Ended, r.By = how, s.Time, by
	r.dropCode()
	if how == RecoveryEndCancelled {
		s.Access.Next = max(s.Access.Next, s.Time+r.Terms.Pause)
	}
	s.revoke(GrantRecovery)
}

func (r *Recovery) dropCode() { r.Phone, r.Code, r.CodeAt, r.Tries = "", 0, 0, 0 }

// ownerSeen cancels the recovery that runs, if one does, because its owner was seen signing in. d is a decision with a new
// state.
func (d *Decision) ownerSeen(c *Command, by string) {
	n := d.Next
	if n == nil || d.Entry == nil || n.Phantom || !n.Access.Recovery.Running(n.Time) {
		return
	}
	n.endRecovery(RecoveryEndCancelled, by)
	d.also(opCancelRecovery, "", n.Access.Recovery.ID)
	e := d.Also[len(d.Also)-1]
	e.KeyVersion, e.MACs, e.Outcome, e.Detail = 0, 0, Done.String(), "by a sign-in"
	d.tellOfRecovery(c, n, NoticeRecoveryCancelled, n.deciders(&SignIn{}))
}

// tellOfRecovery tells all devices and all phones: devices by the front-end, phones by the gateway. s says which phones
// there are.
func (d *Decision) tellOfRecovery(c *Command, s *State, k NoticeKind, devices []string) {
	if s.Phantom {
		return
	}
	r := &s.Access.Recovery
	if d.Next != nil {
		r = &d.Next.Access.Recovery
	}
	d.notify(c, recoveryNotice(k, s, r, devices))
	for i := range s.Phones {
		if phone := &s.Phones[i]; phone.Verified != 0 {
			d.notify(c, Notice{
				Kind: NoticeTell, About: k, Phone: phone.ID, Number: phone.Number, Recovery: r.ID, Ready: r.ReadyAt(), Expires: r.Until(),
			})
		}
	}
}

func recoveryNotice(k NoticeKind, s *State, r *Recovery, devices []string) Notice {
	notice := Notice{Kind: k, Recovery: r.ID, Nonce: r.Nonce, Ready: r.ReadyAt(), Credential: r.By, Devices: devices}
	for i := range s.Phones {
		if s.Phones[i].Verified != 0 {
			notice.Phones = append(notice.Phones, s.Phones[i].ID)
		}
	}
	return notice
}

// Names in log entries. They are signed: never change one.
const (
	opStartRecovery    = "start-recovery"
	opRecoveryCode     = "send-recovery-code"
	opRecoveryEvidence = "give-recovery-evidence"
	opCancelRecovery   = "cancel-recovery"
	opWithdrawRecovery = "withdraw-recovery"
	opGrantRecovery    = "grant-recovery"
	opRedeemRecovery   = "redeem-recovery"
	opReset            = "grant-password-reset"
	opRedeemReset      = "redeem-password-reset"
	opMakeGrant        = "make-grant"
)

// accessOperation is the name of a command about recoveries and grants.
func (c *Command) accessOperation() string {
	switch {
	case c.StartRecovery != nil:
		return opStartRecovery
	case c.RecoveryAct != nil:
		switch c.RecoveryAct.Act {
		case RecoverySend:
			return opRecoveryCode
		case RecoveryEvidence:
			return opRecoveryEvidence
		case RecoveryCancel:
			return opCancelRecovery
		case RecoveryWithdraw:
			return opWithdrawRecovery
		}
		return opGrantRecovery
	case c.ResetPassword != nil:
		return opReset
	case c.RedeemGrant != nil && c.RedeemGrant.Purpose == GrantRecovery:
		return opRedeemRecovery
	case c.RedeemGrant != nil:
		return opRedeemReset
	}
	return ""
}

// Operations as requests are remembered by: 34 to 38 are this file's.
const (
	requestStartRecovery uint8 = iota + 34
	requestRecoveryAct
	requestResetPassword
	requestRedeemGrant
)

func (c *Command) accessFingerprint() (operation uint8, fingerprint uint64) {
	switch {
	case c.StartRecovery != nil:
		return requestStartRecovery, 0
	case c.RecoveryAct != nil:
		q := c.RecoveryAct
		device := ""
		if q.Signed != nil {
			device = q.Signed.Device
		}
		return requestRecoveryAct, digest(q.Recovery, c.operation(), q.Kind.String(), q.Phone, device)
	case c.ResetPassword != nil:
		return requestResetPassword, digest(c.ResetPassword.SignIn, c.ResetPassword.Device)
	case c.RedeemGrant != nil:
		q := c.RedeemGrant
		return requestRedeemGrant, digest(q.Purpose.String(), q.Recovery, eight(q.Token), eight(q.Key))
	}
	return 0, 0
}

// accessCommand decides the commands of this slice; false: it is none of them.
func accessCommand(p Policy, s *State, c *Command) (Decision, bool) {
	switch {
	case c.StartRecovery != nil:
		return startRecovery(p, s, c), true
	case c.RecoveryAct != nil:
		return recoveryAct(p, s, c), true
	case c.ResetPassword != nil:
		return resetPassword(p, s, c), true
	case c.RedeemGrant != nil && s != nil && !s.Phantom:
		return redeemGrant(p, s, c), true
	case c.RedeemGrant != nil: // as an account of which no grant was given
		return unchanged(s, c, act{outcome: Wrong, subject: c.RedeemGrant.Recovery, macs: c.macs()}), true
	}
	return Decision{}, false
}

func (c *Command) validateAccess(v *validation) {
	switch {
	case c.StartRecovery != nil:
		c.StartRecovery.validate(v)
	case c.RecoveryAct != nil:
		c.RecoveryAct.validate(v)
	case c.ResetPassword != nil:
		c.ResetPassword.validate(v)
	case c.RedeemGrant != nil:
		c.RedeemGrant.validate(v)
	}
}
