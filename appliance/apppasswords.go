package appliance

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// AppPasswordRequest makes an app password. What isn't given doesn't bound its use.
type AppPasswordRequest struct {
	Label   string       // what its owner calls the application
	Service string       // the only service that it opens, by the front-end's id
	Network netip.Prefix // the only network that it is heard from
	Expires time.Time    // in the future
}

// AppPasswordInfo is an app password without the password, which nobody has any more.
type AppPasswordInfo struct {
	ID       string
	Label    string
	Service  string       // empty: any
	Network  netip.Prefix // invalid: any
	Expires  time.Time    // zero: never
	Added    time.Time
	LastUsed time.Time  // zero: never
	LastFrom netip.Addr // invalid: the front-end never said
}

// NewAppPassword is the answer. Password is shown this once and can't be had again, not even with the same
// Idempotency-Key: it is zero then.
type NewAppPassword struct {
	AppPasswordInfo
	Password AppPassword
	Entry    int64
}

// AppPasswordAttempt is one attempt with an app password.
type AppPasswordAttempt struct {
	Password AppPassword
	Service  string     // that is being opened; empty: not said
	Source   netip.Addr // of the application; invalid: not said
}

// CreateAppPassword draws an app password and keeps its MAC under the pepper. That the person has just shown a second factor
// is for the front-end to see to. Errors: ErrNotFound, ErrPolicy, ErrTooMany, ErrConflict.
func (s *Service) CreateAppPassword(
	ctx context.Context, c Caller, idempotencyKey, name string, r AppPasswordRequest,
) (NewAppPassword, error) {
	if err := s.usable(); err != nil {
		return NewAppPassword{}, err
	}
	record, err := s.appPasswordRecord(r)
	if err != nil {
		return NewAppPassword{}, err
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return NewAppPassword{}, err
	}
	create := &account.CreateAppPassword{Password: record}
	var password AppPassword
	// With the policy closed there is no password, and the core's refusal is what the log keeps of the attempt.
	if policy.AllowAppPasswords {
		if password, err = newAppPassword(s.rand); err != nil {
			return NewAppPassword{}, err
		}
		if create.Password.MAC, err = s.pepper(ctx, password.message(c.Tenant, name)); err != nil {
			password.Destroy()
			return NewAppPassword{}, err
		}
		create.MACs = 1
	}
	kept, entry, err := s.keepAppPassword(ctx, c, idempotencyKey, name, create)
	if err != nil || kept.ID != record.ID { // of a repeated request: what was shown once is not shown again
		password.Destroy()
		password = AppPassword{}
	}
	if err != nil {
		return NewAppPassword{}, err
	}
	return NewAppPassword{AppPasswordInfo: appPasswordInfo(kept), Password: password, Entry: entry}, nil
}

// keepAppPassword commits an app password. It returns the one that counts: with a repeated request that is the first one's.
func (s *Service) keepAppPassword(
	ctx context.Context, c Caller, idempotencyKey, name string, create *account.CreateAppPassword,
) (*account.AppPassword, int64, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return nil, 0, err
	}
	cmd.CreateAppPassword = create
	state, result, err := s.done(ctx, cmd)
	if err != nil {
		return nil, 0, err
	}
	kept := state.AppPassword(result.Credential)
	if kept == nil {
		return nil, 0, ErrNotFound // revoked again meanwhile
	}
	return kept, result.Entry, nil
}

// appPasswordRecord is what is kept of a request, with an id and without the MAC.
func (s *Service) appPasswordRecord(r AppPasswordRequest) (account.AppPassword, error) {
	id, err := s.newID()
	if err != nil {
		return account.AppPassword{}, err
	}
	record := account.AppPassword{ID: id, Label: r.Label, Service: r.Service}
	if r.Network != (netip.Prefix{}) {
		if !r.Network.IsValid() || r.Network.Addr().Is4In6() {
			return record, &InvalidError{Field: "network", Reason: "must be CIDR, IPv4 not mapped into IPv6"}
		}
		record.Network = r.Network.Masked().String()
	}
	if !r.Expires.IsZero() {
		record.Expires = account.Time(r.Expires.UnixMilli())
		if !r.Expires.After(s.now()) || record.Expires > account.MaxTime {
			return record, &InvalidError{Field: "expires", Reason: "must be in the future and before the year 10000"}
		}
	}
	return record, nil
}

// pepper MACs a message that holds a password, and wipes it.
func (s *Service) pepper(ctx context.Context, message []byte) ([]byte, error) {
	macs, err := s.pool.KeyedMAC(ctx, hsm.KeyPepper, [][]byte{message})
	if err != nil {
		// A call that was given up on may still be reading the message: it is left to the garbage collector then.
		if !errors.Is(err, hsm.ErrBusy) {
			clear(message)
		}
		return nil, moduleError("computing a MAC under the pepper", err)
	}
	clear(message)
	return macs[0], nil
}

// AppPasswords lists an account's app passwords, linearizably.
func (s *Service) AppPasswords(ctx context.Context, c Caller, name string) ([]AppPasswordInfo, error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return nil, err
	}
	list := make([]AppPasswordInfo, len(state.AppPasswords.List))
	for i := range list {
		list[i] = appPasswordInfo(&state.AppPasswords.List[i])
	}
	return list, nil
}

// RevokeAppPassword ends an app password, or, with an empty id, all of the account's: it is dead on every node when this
// returns. All is for when the account's password was changed.
func (s *Service) RevokeAppPassword(ctx context.Context, c Caller, idempotencyKey, name, id string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.RevokeAppPassword = &account.RevokeAppPassword{ID: id}
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// VerifyAppPassword judges one attempt. Outcome is Accepted, Wrong or Locked; why a right password is Wrong (another
// service or network, too late, policy) only the log has. One MAC is computed whoever is asked for, and none for an account
// that is locked.
func (s *Service) VerifyAppPassword(
	ctx context.Context, c Caller, idempotencyKey, name string, r AppPasswordAttempt,
) (Verification, error) {
	verify := &account.VerifyAppPassword{Service: r.Service}
	if r.Source.IsValid() {
		verify.Source = r.Source.Unmap().WithZone("").String()
	}
	result, err := s.charged(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) (err error) {
		cmd.VerifyAppPassword = verify
		if len(verify.MAC) > 0 || s.settled(state, cmd) { // the MAC is the same on every state
			return nil
		}
		if verify.MAC, err = s.pepper(ctx, r.Password.message(c.Tenant, name)); err == nil {
			verify.MACs = 1
		}
		return err
	})
	if err != nil {
		return Verification{}, err
	}
	v := Verification{Outcome: result.Outcome, Entry: result.Entry, Replayed: result.Replayed}
	switch result.Outcome {
	case account.Accepted:
		v.Credential = result.Credential
	case account.Wrong, account.OutOfScope, account.Expired, account.RefusedByPolicy:
		v.Outcome = account.Wrong
	case account.Locked:
		v.RetryAt = moment(result.RetryAt)
	default:
		return Verification{}, refusal(result.Outcome)
	}
	return v, nil
}

func appPasswordInfo(k *account.AppPassword) AppPasswordInfo {
	i := AppPasswordInfo{
		ID: k.ID, Label: k.Label, Service: k.Service,
		Expires: moment(k.Expires), Added: moment(k.Added), LastUsed: moment(k.LastUsed),
	}
	// The core has checked both; an empty one gives the zero value.
	i.Network, _ = netip.ParsePrefix(k.Network)
	i.LastFrom, _ = netip.ParseAddr(k.LastFrom)
	return i
}
