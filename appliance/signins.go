package appliance

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"strongroom.internal/appliance/account"
)

// BeginRequest opens a sign-in.
type BeginRequest struct {
	Purpose account.Purpose
	Device  account.NewDevice // what is known of where somebody signs in
	// Own is the device of the account that is being signed in on, when it is one; empty otherwise.
	Own     string
	Address netip.Addr // of whoever signs in; the zero Addr: not known. It isn't kept, only the place is
}

// SignInInfo is a sign-in as its front-end sees it. One of a name that isn't an account looks like any other.
type SignInInfo struct {
	ID      string
	State   account.SignInState
	Nonce   []byte
	Purpose account.Purpose
	Begun   time.Time
	Expires time.Time
	Ended   time.Time // zero while it is open
	Device  account.NewDevice
	Place   account.Place
	Options account.Options
	Reason  account.DenyReason // Denied only
	Entry   int64              // of the act that was asked for; -1 for a read
}

// DecisionRequest is what a device signed.
type DecisionRequest struct {
	Device    string
	Allow     bool
	Reason    account.DenyReason // with Don't Allow
	Time      time.Time          // as the device signed it, to the millisecond
	Signature []byte
}

// Decided is what became of a decision. Code is there when it was Allow.
type Decided struct {
	SignIn SignInInfo
	Code   *SealedCode
	Entry  int64
}

// SendRequest asks for a code on a phone.
type SendRequest struct {
	Phone string
	Voice bool
}

// Sending answers it: Outcome is Done, TooSoon, TooMany or Ended.
type Sending struct {
	Outcome account.Outcome
	RetryAt time.Time // TooSoon only
	Entry   int64
}

// BeginSignIn opens a sign-in and has the account's devices told of it. Repeating the request with its Idempotency-Key
// gives the same sign-in.
func (s *Service) BeginSignIn(ctx context.Context, c Caller, idempotencyKey, name string, r BeginRequest) (SignInInfo, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return SignInInfo{}, err
	}
	id, err := s.newID()
	if err != nil {
		return SignInInfo{}, err
	}
	nonce := make([]byte, account.NonceSize)
	if _, err := io.ReadFull(s.rand, nonce); err != nil {
		return SignInInfo{}, fmt.Errorf("drawing a nonce: %w", err)
	}
	cmd.Begin = &account.Begin{SignIn: id, Nonce: nonce, Purpose: r.Purpose, Own: r.Own, Device: r.Device}
	if r.Address.IsValid() {
		cmd.Begin.Place = s.locate(r.Address)
	}
	state, result, err := s.done(ctx, cmd)
	if err != nil {
		return SignInInfo{}, err
	}
	return s.signInOf(c.Tenant, state, result.Credential, result.Entry)
}

// signInOf is a sign-in of an account, ErrNotFound if there is none, or no account any more.
func (s *Service) signInOf(tenant string, state *account.State, id string, entry int64) (SignInInfo, error) {
	x := state.SignIn(id)
	if x == nil {
		return SignInInfo{}, ErrNotFound
	}
	return s.signInInfo(tenant, state, x, entry)
}

func (s *Service) signInInfo(tenant string, state *account.State, x *account.SignIn, entry int64) (SignInInfo, error) {
	policy, err := s.policy(tenant)
	if err != nil {
		return SignInInfo{}, err
	}
	now := max(state.Time, account.Time(s.now().UnixMilli()))
	i := SignInInfo{
		ID: x.ID, State: x.State(now), Nonce: x.Nonce, Purpose: x.Purpose, Begun: moment(x.Begun), Expires: moment(x.Expires),
		Ended: moment(x.Ended), Device: x.Device, Place: x.Place, Options: state.Options(policy, x), Entry: entry,
		Reason: x.Reason,
	}
	if i.State == account.SignInExpired {
		i.Ended = i.Expires
	}
	return i, nil
}

// SignIn reads a sign-in, linearizably.
func (s *Service) SignIn(ctx context.Context, c Caller, name, id string) (SignInInfo, error) {
	if err := s.engine.Sync(ctx); err != nil {
		return SignInInfo{}, engineError(err)
	}
	return s.signInHere(c, name, id)
}

// AwaitSignIn reads a sign-in once it is no longer as it was, or when ctx ends, whichever is first.
func (s *Service) AwaitSignIn(ctx context.Context, c Caller, name, id string, was account.SignInState) (SignInInfo, error) {
	info, err := s.SignIn(ctx, c, name, id)
	for err == nil && info.State == was && info.Ended.IsZero() {
		rung := s.noticed.wait()
		if info, err = s.signInHere(c, name, id); err != nil || info.State != was {
			break
		}
		over := time.NewTimer(info.Expires.Sub(s.now()))
		select {
		case <-ctx.Done():
			over.Stop()
			return info, nil
		case <-rung:
			s.settle(ctx)
		case <-over.C:
		}
		over.Stop()
		info, err = s.signInHere(c, name, id)
	}
	return info, err
}

// signInHere reads a sign-in from this node's state, which may be behind.
func (s *Service) signInHere(c Caller, name, id string) (SignInInfo, error) {
	state, err := s.state(c.Tenant, name)
	if err != nil {
		return SignInInfo{}, err
	}
	return s.signInOf(c.Tenant, state, id, -1)
}

// SignIns lists the sign-ins of an account that are open, oldest first, linearizably. A name without a record has none.
func (s *Service) SignIns(ctx context.Context, c Caller, name string) (list []SignInInfo, err error) {
	if err := s.engine.Sync(ctx); err != nil {
		return nil, engineError(err)
	}
	state, err := s.state(c.Tenant, name)
	if err != nil || state == nil {
		return nil, err
	}
	for i := range state.SignIns {
		info, err := s.signInInfo(c.Tenant, state, &state.SignIns[i], -1)
		if err != nil {
			return nil, err
		}
		if info.Ended.IsZero() {
			list = append(list, info)
		}
	}
	return list, nil
}

// CancelSignIn ends a sign-in that nobody waits for any more.
func (s *Service) CancelSignIn(ctx context.Context, c Caller, idempotencyKey, name, id string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.Cancel = &account.Cancel{SignIn: id}
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// DecideSignIn takes a device's signed Allow or Don't Allow. Every node checks the signature when it applies it. After
// Allow the answer has the device's code, sealed to its key; the front-end carries it and can't read it.
func (s *Service) DecideSignIn(ctx context.Context, c Caller, idempotencyKey, name, id string, r DecisionRequest) (Decided, error) {
	if err := s.usable(); err != nil {
		return Decided{}, err
	}
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return Decided{}, err
	}
	cmd.Decide = &account.Decide{
		SignIn: id, Device: r.Device, Allow: r.Allow, Time: account.Time(r.Time.UnixMilli()), Signature: r.Signature,
		Reason: r.Reason,
	}
	state, result, err := s.done(ctx, cmd)
	if err != nil {
		return Decided{}, err
	}
	info, err := s.signInOf(c.Tenant, state, id, result.Entry)
	if err != nil {
		return Decided{}, err
	}
	d := Decided{SignIn: info, Entry: result.Entry}
	if r.Allow {
		if d.Code, err = s.sealedCode(ctx, c.Tenant, name, id, r.Device); err != nil {
			return Decided{}, err
		}
	}
	return d, nil
}

// FetchCode gives a device the code of a sign-in that it allowed, sealed to its key, again.
func (s *Service) FetchCode(ctx context.Context, c Caller, name, id string, r DecisionRequest) (SealedCode, error) {
	if err := s.usable(); err != nil {
		return SealedCode{}, err
	}
	cmd, err := s.command(c, "", name)
	if err != nil {
		return SealedCode{}, err
	}
	cmd.Fetch = &account.Fetch{SignIn: id, Device: r.Device, Time: account.Time(r.Time.UnixMilli()), Signature: r.Signature}
	_, result, err := s.done(ctx, cmd)
	if err != nil {
		return SealedCode{}, err
	}
	code, err := s.sealedCode(ctx, c.Tenant, name, id, r.Device)
	if err != nil {
		return SealedCode{}, err
	}
	if code == nil {
		return SealedCode{}, ErrEnded
	}
	code.Entry = result.Entry
	return *code, nil
}

// SendCode has a code sent to a phone. That it may not be now is an answer, not an error.
func (s *Service) SendCode(ctx context.Context, c Caller, idempotencyKey, name, id string, r SendRequest) (Sending, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return Sending{}, err
	}
	cmd.Send = &account.Send{SignIn: id, Phone: r.Phone, Voice: r.Voice}
	return s.sending(ctx, cmd)
}

func (s *Service) sending(ctx context.Context, cmd *account.Command) (Sending, error) {
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return Sending{}, err
	}
	switch result.Outcome {
	case account.Done, account.TooSoon, account.TooMany, account.Ended:
		return Sending{Outcome: result.Outcome, RetryAt: moment(result.RetryAt), Entry: result.Entry}, nil
	}
	return Sending{}, refusal(result.Outcome)
}
