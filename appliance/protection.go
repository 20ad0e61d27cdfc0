package appliance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// ProtectionInfo is how an account stands to protection by two factors.
type ProtectionInfo struct {
	Mode      account.ProtectionMode
	Assurance account.Assurance
	Since     time.Time // TwoFactor and TwoStep only
	Born      bool      // by the tenant's policy, when the account was made
	UndoUntil time.Time // when the link stops working; zero: nothing turns it off
	Missing   []string  // before it can be turned on, or is complete: "phone"
	Class     string
}

// ProtectRequest turns protection on: on a device of the account, or on a new one.
type ProtectRequest struct {
	Own      string
	Register *DeviceRequest
	SignIn   string // verified of late, where the tenant's policy asks for it
	Checked  bool   // the front-end asked its own questions before
	// Move turns two-step verification off in the same step, within ten minutes of a proof of it.
	Move bool
	// Settings are what the front-end wants back should protection be turned off: at most account.MaxSettings bytes; nil: none.
	Settings *hsm.Secret
}

// Protected answers it. Device is there when one was registered, Link when there is a way back. Outcome is Done, or Exists
// when protection was on before; then there is neither.
type Protected struct {
	ProtectionInfo
	Outcome account.Outcome
	Device  *EnrolledDevice
	Link    *Link
	Entry   int64
}

// Link is what a person needs to change their mind.
type Link struct {
	Token   *hsm.Secret // 32 characters
	Expires time.Time
}

// Unprotected answers the link's use. Lost says what is given up with protection.
type Unprotected struct {
	ProtectionInfo
	Lost  []string
	Entry int64
	// Settings are the earlier settings; nil when none were kept.
	Settings *hsm.Secret
}

// lostCapabilities are what an account no longer has when protection is off. They are on the wire.
var lostCapabilities = []string{
	"two_factor_assurance", // what asks for that level refuses the account
	"code_required",        // nothing holds a front-end any more to ask for a code
	"permanence",           // protection that nobody can turn off
}

// Protect turns protection on. Its device becomes trusted in the same step, or nothing is done. Repeating the request with
// its Idempotency-Key gives the same answer again.
func (s *Service) Protect(ctx context.Context, c Caller, idempotencyKey, name string, r ProtectRequest) (Protected, error) {
	q, err := s.protecting(r)
	if err != nil {
		return Protected{}, err
	}
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		try := q
		cmd.Protect = &try
		if state == nil || state.Phantom || state.Answered(cmd.Request, cmd.Time) {
			return nil
		}
		if err := s.sealSettings(cmd, &try, r); err != nil {
			return err
		}
		return s.prepareProtected(ctx, state, cmd, &try, r)
	})
	if err != nil {
		return Protected{}, err
	}
	if err := refusal(result.Outcome); err != nil {
		return Protected{}, err
	}
	return s.protected(ctx, c, name, r, result, position)
}

// protecting is what a command says of a request, before anything is made for it.
func (s *Service) protecting(r ProtectRequest) (account.Protect, error) {
	link := make([]byte, account.LinkSize)
	if _, err := io.ReadFull(s.rand, link); err != nil {
		return account.Protect{}, fmt.Errorf("drawing a link: %w", err)
	}
	q := account.Protect{Own: r.Own, Register: r.Register != nil, Link: link, SignIn: r.SignIn, Checked: r.Checked, Move: r.Move, Guarded: true}
	if d := r.Register; d != nil {
		if _, _, err := parseDeviceKey(d.PublicKey); err != nil {
			return account.Protect{}, err
		}
		sum := sha256.Sum256(d.PublicKey)
		q.Key, q.Platform, q.SystemVersion = binary.BigEndian.Uint64(sum[:]), d.Platform, d.SystemVersion
	}
	if r.Settings != nil && (len(r.Settings.Reveal()) == 0 || len(r.Settings.Reveal()) > account.MaxSettings) {
		return account.Protect{}, &InvalidError{Field: "earlier_settings", Reason: "must be 1 to 16384 bytes"}
	}
	return q, nil
}

// sealSettings seals what the front-end wants back, if anything.
func (s *Service) sealSettings(cmd *account.Command, try *account.Protect, r ProtectRequest) (err error) {
	if r.Settings == nil {
		return nil
	}
	try.PriorDay = account.DayOf(cmd.Time)
	try.Prior, err = s.sealPrior(try.PriorDay, cmd.Tenant, cmd.Account, r.Settings)
	return err
}

// prepareProtected makes the new device, if one is to be registered and nothing is in the way of it.
func (s *Service) prepareProtected(
	ctx context.Context, state *account.State, cmd *account.Command, try *account.Protect, r ProtectRequest,
) error {
	if r.Register == nil {
		return nil
	}
	policy, err := s.policy(cmd.Tenant)
	if err != nil || state.Protectable(policy, try, cmd.Time) != account.Done {
		return err
	}
	device, err := s.prepareDevice(ctx, cmd.Tenant, cmd.Account, *r.Register)
	try.Device = &device
	return err
}

// protected answers a decision that turned protection on, or found it on.
func (s *Service) protected(
	ctx context.Context, c Caller, name string, r ProtectRequest, result account.Result, position uint64,
) (Protected, error) {
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return Protected{}, err
	}
	if state == nil {
		return Protected{}, ErrNotFound // deleted again meanwhile
	}
	p := Protected{Outcome: result.Outcome, Entry: result.Entry}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return Protected{}, err
	}
	now := account.Time(s.now().UnixMilli())
	p.ProtectionInfo = protectionInfo(policy, state, now)
	if result.Outcome == account.Exists {
		return p, nil
	}
	if p.Link, err = s.link(ctx, policy, c.Tenant, name, state, now); err != nil {
		return Protected{}, err
	}
	if r.Register == nil {
		return p, nil
	}
	k := state.Find(result.Credential)
	if k == nil {
		return Protected{}, ErrNotFound // removed again meanwhile
	}
	device, err := enrolledDevice(policy, c.Tenant, name, k, result.Entry)
	if err != nil {
		return Protected{}, err
	}
	p.Device = &device
	return p, nil
}

// link makes the token of the way back; nil when there is none.
func (s *Service) link(ctx context.Context, p Policy, tenant, name string, state *account.State, now account.Time) (*Link, error) {
	until := state.WayBackUntil(p, now)
	if until == 0 {
		return nil, nil
	}
	token, err := s.linkToken(ctx, tenant, name, state.Enrolment.Link)
	if err != nil {
		return nil, err
	}
	return &Link{Token: token, Expires: moment(until)}, nil
}

func (s *Service) linkToken(ctx context.Context, tenant, name string, link []byte) (*hsm.Secret, error) {
	macs, err := s.pool.KeyedMAC(ctx, hsm.KeyPepper, [][]byte{account.LinkMessage(tenant, name, link)})
	if err != nil {
		return nil, moduleError("making a link", err)
	}
	return hsm.NewSecret([]byte(idEncoding.EncodeToString(macs[0][:account.LinkTokenSize]))), nil
}

// linkOf is the token of a notice that protection is on; empty when it would no longer work.
func (s *Service) linkOf(ctx context.Context, tenant string, n account.Notice) (string, error) {
	if len(n.Link) == 0 {
		return "", nil
	}
	state, err := s.state(tenant, n.Account)
	if err != nil || state == nil || !bytes.Equal(state.Enrolment.Link, n.Link) {
		return "", err
	}
	policy, err := s.policy(tenant)
	if err != nil || state.WayBackUntil(policy, account.Time(s.now().UnixMilli())) == 0 {
		return "", err
	}
	token, err := s.linkToken(ctx, tenant, n.Account, n.Link)
	if err != nil {
		return "", err
	}
	return string(token.Reveal()), nil
}

// Unprotect turns protection off by the link's token, within two weeks. After that, for accounts that were born
// protected, and where policy forbids it, nothing does.
func (s *Service) Unprotect(ctx context.Context, c Caller, idempotencyKey, name string, token *hsm.Secret) (Unprotected, error) {
	sum := sha256.Sum256(token.Reveal())
	digest := binary.BigEndian.Uint64(sum[:])
	var settings *hsm.Secret
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) (err error) {
		q := &account.Unprotect{Token: digest}
		if cmd.Unprotect != nil {
			q.MACs = cmd.Unprotect.MACs
		}
		cmd.Unprotect = q
		if state != nil && state.Answered(cmd.Request, cmd.Time) {
			// If it is the same request, and it was heard, its answer has the settings again; else they are not looked at.
			settings, err = s.openPrior(ctx, c.Tenant, name, state)
			return err
		}
		if state == nil || len(state.Enrolment.Link) == 0 {
			return nil
		}
		right, err := s.linkToken(ctx, c.Tenant, name, state.Enrolment.Link)
		if err != nil {
			return err
		}
		defer right.Destroy()
		q.MACs++
		q.Link = state.Enrolment.Link
		q.Matched = subtle.ConstantTimeCompare(right.Reveal(), token.Reveal()) == 1
		policy, err := s.policy(c.Tenant)
		if err != nil {
			return err
		}
		if q.Matched && state.WayBackUntil(policy, cmd.Time) != 0 {
			// Before protection is off: a node that can't open them leaves it to one that can.
			settings, err = s.openPrior(ctx, c.Tenant, name, state)
		}
		return err
	})
	if err != nil {
		return Unprotected{}, err
	}
	if result.Outcome == account.Wrong {
		return Unprotected{}, ErrLink
	}
	if err := refusal(result.Outcome); err != nil {
		return Unprotected{}, err
	}
	info, err := s.protectionAt(ctx, position, c, name)
	return Unprotected{ProtectionInfo: info, Lost: lostCapabilities, Entry: result.Entry, Settings: settings}, err
}

// Protection says how an account stands, linearizably.
func (s *Service) Protection(ctx context.Context, c Caller, name string) (ProtectionInfo, error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return ProtectionInfo{}, err
	}
	policy, err := s.policy(c.Tenant)
	return protectionInfo(policy, state, account.Time(s.now().UnixMilli())), err
}

func (s *Service) protectionAt(ctx context.Context, position uint64, c Caller, name string) (ProtectionInfo, error) {
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return ProtectionInfo{}, err
	}
	return s.protectionOf(c, state)
}

func (s *Service) protectionOf(c Caller, state *account.State) (ProtectionInfo, error) {
	if state == nil {
		return ProtectionInfo{}, ErrNotFound // deleted meanwhile
	}
	policy, err := s.policy(c.Tenant)
	return protectionInfo(policy, state, account.Time(s.now().UnixMilli())), err
}

func protectionInfo(p Policy, state *account.State, now account.Time) ProtectionInfo {
	e := &state.Enrolment
	i := ProtectionInfo{
		Mode: e.Mode, Assurance: state.Assurance(), Since: moment(e.Since), Born: e.Born, Class: e.Class, Missing: []string{},
		UndoUntil: moment(state.WayBackUntil(p, now)),
	}
	if e.Mode == account.TwoStep {
		i.Since = moment(state.TwoStep.Since)
	}
	if state.VerifiedPhones() == 0 {
		i.Missing = append(i.Missing, "phone")
	}
	return i
}

// SetClass says which class of accounts one is of; empty: none.
func (s *Service) SetClass(ctx context.Context, c Caller, idempotencyKey, name, class string) (ProtectionInfo, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return ProtectionInfo{}, err
	}
	cmd.Classify = &account.Classify{Class: class}
	state, _, err := s.done(ctx, cmd)
	if err != nil {
		return ProtectionInfo{}, err
	}
	return s.protectionOf(c, state)
}
