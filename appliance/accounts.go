package appliance

import (
	"context"
	"encoding/base32"
	"fmt"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// PutAccount makes sure that an account exists; created is false when it did, and then its class stays what it was.
func (s *Service) PutAccount(
	ctx context.Context, c Caller, idempotencyKey, name, class string,
) (info AccountInfo, created bool, err error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return AccountInfo{}, false, err
	}
	cmd.Create = &account.Create{Class: class}
	state, result, err := s.done(ctx, cmd)
	if err != nil {
		return AccountInfo{}, false, err
	}
	if state == nil {
		return AccountInfo{}, false, ErrNotFound // deleted again meanwhile
	}
	policy, err := s.policy(c.Tenant)
	return accountInfo(policy, state, name, account.Time(s.now().UnixMilli())), result.Outcome == account.Done, err
}

// Account reads an account, linearizably.
func (s *Service) Account(ctx context.Context, c Caller, name string) (AccountInfo, error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return AccountInfo{}, err
	}
	policy, err := s.policy(c.Tenant)
	return accountInfo(policy, state, name, account.Time(s.now().UnixMilli())), err
}

// DeleteAccount removes an account and the salt that links its log entries to it.
func (s *Service) DeleteAccount(ctx context.Context, c Caller, idempotencyKey, name string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.Delete = &account.Delete{}
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// RemoveCredential ends a device or an authenticator: its codes are dead on every node when this returns.
func (s *Service) RemoveCredential(ctx context.Context, c Caller, idempotencyKey, name, credential string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.Remove = &account.Remove{Credential: credential}
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// Policy reads a tenant's policy, linearizably; a tenant without one has the zero policy.
func (s *Service) Policy(ctx context.Context, _ Caller, tenant string) (Policy, error) {
	if err := s.engine.Sync(ctx); err != nil {
		return Policy{}, engineError(err)
	}
	return s.policy(tenant)
}

// SetPolicy replaces a tenant's policy.
func (s *Service) SetPolicy(ctx context.Context, c Caller, tenant string, p Policy) error {
	if err := p.Validate(); err != nil {
		return &InvalidError{Field: "policy", Reason: err.Error()}
	}
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, SetPolicy: &setPolicy{Tenant: tenant, Policy: p}})
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

func (s *Service) policy(tenant string) (p Policy, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		p, err = readPolicy(r, tenant)
		return err
	})
	if err != nil {
		return Policy{}, fmt.Errorf("reading the policy of %q: %w", tenant, err)
	}
	return p, nil
}

func accountInfo(p Policy, state *account.State, name string, now account.Time) AccountInfo {
	info := AccountInfo{
		Account: name, Created: moment(state.Created), Failures: int(state.Failures),
		Credentials: make([]CredentialInfo, len(state.Credentials)), Protection: protectionInfo(p, state, now),
	}
	if retryAt, locked := state.LockedAt(now); locked {
		info.Locked, info.RetryAt = true, moment(retryAt)
	}
	for i := range state.Credentials {
		info.Credentials[i] = credentialInfo(p, &state.Credentials[i])
	}
	for i := range state.Enrolment.Lost {
		info.Lost = append(info.Lost, lostInfo(&state.Enrolment.Lost[i]))
	}
	return info
}

func credentialInfo(p Policy, c *account.Credential) CredentialInfo {
	return CredentialInfo{
		ID: c.ID, Kind: c.Kind, Params: c.Params, Name: c.Name, Model: c.Model, Serial: c.Serial, Platform: c.Platform,
		SystemVersion: c.SystemVersion, Added: moment(c.Added), LastUsed: moment(c.LastUsed), Certificate: c.Certificate,
		Trusted: c.Kind == account.Device, ShowsCodes: p.ShowsCodes(c), Presence: c.Presence.State, Since: moment(c.Presence.Since),
		LastSeen: moment(max(c.Presence.Seen, c.LastUsed)),
	}
}

// moment is the zero time for 0.
func moment(t account.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}
