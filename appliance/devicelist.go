package appliance

import (
	"context"

	"strongroom.internal/appliance/account"
)

// DeviceChange is what a device says of itself anew. Empty members stay as they are.
type DeviceChange struct {
	Name          string
	SystemVersion string
}

// ChangeDevice notes a device's new name or system version. The answer has what the device needs to show codes, if it may
// now: one that was below its platform's minimum gets its seed when it is no longer.
func (s *Service) ChangeDevice(ctx context.Context, c Caller, idempotencyKey, name, device string, r DeviceChange) (EnrolledDevice, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return EnrolledDevice{}, err
	}
	cmd.UpdateDevice = &account.UpdateDevice{Device: device, Name: r.Name, SystemVersion: r.SystemVersion}
	state, result, err := s.done(ctx, cmd)
	if err != nil {
		return EnrolledDevice{}, err
	}
	k := state.Find(result.Credential)
	if k == nil {
		return EnrolledDevice{}, ErrNotFound // removed meanwhile
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return EnrolledDevice{}, err
	}
	return enrolledDevice(policy, c.Tenant, name, k, result.Entry)
}

// ReportPresence notes that a device is signed in, or was signed out, as its front-end says. It may be told with each of the
// device's requests: what is no news is seen before anything is committed, and of a device that stays signed in there is an
// entry an hour.
func (s *Service) ReportPresence(ctx context.Context, c Caller, idempotencyKey, name, device string, signedIn bool) (CredentialInfo, error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return CredentialInfo{}, err
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return CredentialInfo{}, err
	}
	k := state.Find(device)
	if k == nil || k.Kind != account.Device {
		return CredentialInfo{}, ErrNotFound // without an entry: a removed device may go on asking for weeks
	}
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return CredentialInfo{}, err
	}
	if !k.Presence.News(signedIn, max(state.Time, cmd.Time)) && !state.Answered(cmd.Request, cmd.Time) {
		return credentialInfo(policy, k), nil
	}
	cmd.Presence = &account.ReportPresence{Device: device, SignedIn: signedIn}
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return CredentialInfo{}, err
	}
	if err := refusal(result.Outcome); err != nil {
		return CredentialInfo{}, err
	}
	if state, err = s.stateAt(ctx, position, c.Tenant, name); err != nil {
		return CredentialInfo{}, err
	}
	if k = state.Find(device); k == nil {
		return CredentialInfo{}, ErrNotFound // removed meanwhile
	}
	return credentialInfo(policy, k), nil
}

// ReportDevice says that a device is lost, or that it was erased. Its trust and its codes are dead on every node when this
// returns; it stays in the list until it is removed.
func (s *Service) ReportDevice(ctx context.Context, c Caller, idempotencyKey, name, device string, erased bool) (CredentialInfo, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return CredentialInfo{}, err
	}
	cmd.Lose = &account.Lose{Device: device, Erased: erased}
	state, _, err := s.done(ctx, cmd)
	if err != nil {
		return CredentialInfo{}, err
	}
	if state != nil {
		for i := range state.Enrolment.Lost {
			if l := &state.Enrolment.Lost[i]; l.ID == device {
				return lostInfo(l), nil
			}
		}
	}
	return CredentialInfo{}, ErrNotFound // removed meanwhile
}

func lostInfo(l *account.LostDevice) CredentialInfo {
	i := CredentialInfo{
		ID: l.ID, Kind: account.Device, Params: deviceParams, Name: l.Name, Model: l.Model, Serial: l.Serial, Platform: l.Platform,
		SystemVersion: l.SystemVersion, Added: moment(l.Added), LastUsed: moment(l.LastUsed), State: "lost", Reported: moment(l.At),
	}
	if l.Erased {
		i.State = "erased"
	}
	return i
}
