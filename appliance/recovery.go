package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// RecoveryInfo is a recovery as its front-end and the help desk see it. One of a name that isn't an account looks like any
// other.
type RecoveryInfo struct {
	ID       string
	State    account.RecoveryState
	Nonce    []byte
	Started  time.Time
	Ready    time.Time // when it can be completed
	Floor    time.Time // before which no evidence makes it ready
	Expires  time.Time // until when it can be completed
	Granted  time.Time // when a grant was first given; zero: not yet
	Ended    time.Time // zero while it runs
	Evidence []account.EvidenceKind
	Helps    []Help                // what was not given yet
	Phones   []account.PhoneOption // to which a code can be sent
	Entry    int64                 // of the act that was asked for; -1 for a read
}

// Help is a kind of evidence and how much it would shorten the wait, if the floor lets it.
type Help struct {
	Kind    account.EvidenceKind
	Shorter time.Duration
}

// StartedRecovery answers a start: Outcome is Done, Exists (one runs: nothing was changed) or TooSoon.
type StartedRecovery struct {
	Outcome  account.Outcome
	RetryAt  time.Time     // TooSoon only
	Recovery *RecoveryInfo // nil with TooSoon
	Entry    int64
}

// RecoveryProof is what speaks for whoever recovers, or against it: a code that was sent, a device's signature, or, with
// neither, what the front-end says.
type RecoveryProof struct {
	Kind      account.EvidenceKind
	Code      otp.Code // PhoneCodeEvidence
	Device    string   // DeviceEvidence
	Time      time.Time
	Signature []byte
}

// ProvedRecovery answers a proof: Outcome is Accepted, Wrong, Locked or Ended.
type ProvedRecovery struct {
	Verification
	Recovery RecoveryInfo
}

// ClaimedRecovery answers a claim: Outcome is Done, NotYet, NoEvidence or Ended.
type ClaimedRecovery struct {
	Outcome account.Outcome
	RetryAt time.Time // NotYet only
	Granted *Granted  // Done only
	Entry   int64
}

// StartRecovery starts a recovery and has everybody told of it. A second start changes nothing.
func (s *Service) StartRecovery(ctx context.Context, c Caller, idempotencyKey, name string) (StartedRecovery, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return StartedRecovery{}, err
	}
	id, err := s.newID()
	if err != nil {
		return StartedRecovery{}, err
	}
	nonce := make([]byte, account.NonceSize)
	if _, err := io.ReadFull(s.rand, nonce); err != nil {
		return StartedRecovery{}, fmt.Errorf("drawing a nonce: %w", err)
	}
	cmd.StartRecovery = &account.StartRecovery{ID: id, Nonce: nonce}
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return StartedRecovery{}, err
	}
	started := StartedRecovery{Outcome: result.Outcome, RetryAt: moment(result.RetryAt), Entry: result.Entry}
	if result.Outcome == account.TooSoon {
		return started, nil
	}
	if err := refusal(result.Outcome); err != nil {
		return StartedRecovery{}, err
	}
	info, err := s.recoveryAt(ctx, position, c, name, result.Credential, result.Entry)
	started.Recovery = &info
	return started, err
}

// Recovery reads the newest recovery of an account, linearizably; ErrNotFound when there was none.
func (s *Service) Recovery(ctx context.Context, c Caller, name string) (RecoveryInfo, error) {
	if err := s.engine.Sync(ctx); err != nil {
		return RecoveryInfo{}, engineError(err)
	}
	state, err := s.state(c.Tenant, name)
	if err != nil {
		return RecoveryInfo{}, err
	}
	if state == nil || state.Access.Recovery.ID == "" {
		return RecoveryInfo{}, ErrNotFound
	}
	return s.recoveryInfo(c.Tenant, state, -1)
}

// recoveryAt reads a recovery from a state that has the position.
func (s *Service) recoveryAt(ctx context.Context, position uint64, c Caller, name, id string, entry int64) (RecoveryInfo, error) {
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return RecoveryInfo{}, err
	}
	if state == nil || state.Access.Recovery.ID != id {
		return RecoveryInfo{}, ErrNotFound // the account was deleted, or another has started meanwhile
	}
	return s.recoveryInfo(c.Tenant, state, entry)
}

func (s *Service) recoveryInfo(tenant string, state *account.State, entry int64) (RecoveryInfo, error) {
	policy, err := s.policy(tenant)
	if err != nil {
		return RecoveryInfo{}, err
	}
	r := &state.Access.Recovery
	i := RecoveryInfo{
		ID: r.ID, State: r.State(max(state.Time, account.Time(s.now().UnixMilli()))), Nonce: r.Nonce, Started: moment(r.Started),
		Ready: moment(r.ReadyAt()), Floor: moment(r.Started + r.Terms.Floor), Expires: moment(r.Until()), Granted: moment(r.Granted),
		Ended: moment(r.Ended), Phones: state.RecoveryPhones(policy), Entry: entry,
	}
	if i.State == account.RecoveryExpired {
		i.Ended = i.Expires
	}
	given := map[account.EvidenceKind]bool{}
	for _, e := range r.Evidence {
		given[e.Kind] = true
		i.Evidence = append(i.Evidence, e.Kind)
	}
	for _, k := range account.EvidenceKinds {
		if !given[k] {
			i.Helps = append(i.Helps, Help{k, time.Duration(r.Terms.Shorten.Of(k)) * time.Millisecond})
		}
	}
	return i, nil
}

// SendRecoveryCode has a code sent to a phone with which its owner speaks for a recovery, or stops it. That it may not be now
// is an answer, not an error.
func (s *Service) SendRecoveryCode(ctx context.Context, c Caller, idempotencyKey, name, id string, r SendRequest) (Sending, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return Sending{}, err
	}
	cmd.RecoveryAct = &account.RecoveryAct{Recovery: id, Act: account.RecoverySend, Phone: r.Phone, Voice: r.Voice}
	return s.sending(ctx, cmd)
}

// GiveEvidence takes what speaks for whoever recovers.
func (s *Service) GiveEvidence(ctx context.Context, c Caller, idempotencyKey, name, id string, p RecoveryProof) (ProvedRecovery, error) {
	return s.proveRecovery(ctx, c, idempotencyKey, name, id, account.RecoveryEvidence, p)
}

// CancelRecovery takes the owner's no, which a device signed or a phone's code proves.
func (s *Service) CancelRecovery(ctx context.Context, c Caller, idempotencyKey, name, id string, p RecoveryProof) (ProvedRecovery, error) {
	return s.proveRecovery(ctx, c, idempotencyKey, name, id, account.RecoveryCancel, p)
}

func (s *Service) proveRecovery(
	ctx context.Context, c Caller, idempotencyKey, name, id string, act account.RecoveryActKind, p RecoveryProof,
) (ProvedRecovery, error) {
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return ProvedRecovery{}, err
	}
	macs := uint32(0)
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		q := &account.RecoveryAct{Recovery: id, Act: act, Kind: p.Kind}
		cmd.RecoveryAct = q
		switch p.Kind {
		case account.DeviceEvidence:
			q.Signed = &account.RecoverySigned{Device: p.Device, Time: account.Time(p.Time.UnixMilli()), Signature: p.Signature}
		case account.PhoneCodeEvidence:
			q.Attempt = &account.RecoveryAttempt{MACs: macs}
			if state == nil || state.Access.Recovery.ID != id || state.Answered(cmd.Request, cmd.Time) ||
				act == account.RecoveryEvidence && s.settled(state, cmd) {
				return nil
			}
			r := &state.Access.Recovery
			if q.Attempt.Code = state.LiveRecoveryCode(policy, cmd.Time); q.Attempt.Code == 0 {
				return nil
			}
			message := account.CodeMessage(cmd.Tenant, cmd.Account, id, account.PhoneChannel(r.Phone), q.Attempt.Code)
			code, err := s.pool.KeyedMAC(ctx, hsm.KeyCode, [][]byte{message})
			if err != nil {
				return moduleError("computing a code", err)
			}
			macs++
			q.Attempt.MACs, q.Attempt.Evaluated = macs, true
			q.Attempt.Matched = account.CodeOf(code[0]).Equal(p.Code)
		}
		return nil
	})
	if err != nil {
		return ProvedRecovery{}, err
	}
	if result.Outcome == account.Done {
		result.Outcome = account.Accepted
	}
	v, err := s.verification(c, result)
	if err != nil {
		return ProvedRecovery{}, err
	}
	v.Credential = ""
	proved := ProvedRecovery{Verification: v}
	proved.Recovery, err = s.recoveryAt(ctx, position, c, name, id, result.Entry)
	return proved, err
}

// WithdrawRecovery ends a recovery that nobody waits for any more.
func (s *Service) WithdrawRecovery(ctx context.Context, c Caller, idempotencyKey, name, id string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.RecoveryAct = &account.RecoveryAct{Recovery: id, Act: account.RecoveryWithdraw}
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// ClaimRecovery asks for the grant of a recovery that is ready. It may be asked for again until it was redeemed; only the
// newest counts.
func (s *Service) ClaimRecovery(ctx context.Context, c Caller, idempotencyKey, name, id string) (ClaimedRecovery, error) {
	if err := s.usable(); err != nil {
		return ClaimedRecovery{}, err
	}
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return ClaimedRecovery{}, err
	}
	random, err := s.newGrant()
	if err != nil {
		return ClaimedRecovery{}, err
	}
	cmd.RecoveryAct = &account.RecoveryAct{Recovery: id, Act: account.RecoveryClaim, Random: random}
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return ClaimedRecovery{}, err
	}
	claimed := ClaimedRecovery{Outcome: result.Outcome, RetryAt: moment(result.RetryAt), Entry: result.Entry}
	switch result.Outcome {
	case account.NotYet:
		if claimed.RetryAt.IsZero() { // of a request that is repeated, which remembers no times
			info, err := s.recoveryAt(ctx, position, c, name, id, result.Entry)
			if err != nil {
				return ClaimedRecovery{}, err
			}
			claimed.RetryAt = info.Ready
		}
		return claimed, nil
	case account.NoEvidence, account.Ended:
		return claimed, nil
	}
	if err := refusal(result.Outcome); err != nil {
		return ClaimedRecovery{}, err
	}
	granted, err := s.granted(ctx, position, c, name, account.GrantRecovery, result)
	claimed.Granted = &granted
	return claimed, err
}

// CompleteRecovery redeems the grant: the account is bound to a new device, and what it had of credentials and app passwords
// is dead.
func (s *Service) CompleteRecovery(
	ctx context.Context, c Caller, idempotencyKey, name, id string, token *hsm.Secret, r DeviceRequest,
) (EnrolledDevice, error) {
	if _, _, err := parseDeviceKey(r.PublicKey); err != nil {
		return EnrolledDevice{}, err
	}
	sum := sha256.Sum256(r.PublicKey)
	q := account.RedeemGrant{Purpose: account.GrantRecovery, Recovery: id, Key: binary.BigEndian.Uint64(sum[:])}
	result, position, err := s.redeem(ctx, c, idempotencyKey, name, q, token, func(cmd *account.Command) error {
		device, err := s.prepareDevice(ctx, c.Tenant, name, r)
		cmd.RedeemGrant.Device = &device
		return err
	})
	if err != nil {
		return EnrolledDevice{}, err
	}
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return EnrolledDevice{}, err
	}
	enrolled := state.Find(result.Credential)
	if enrolled == nil {
		return EnrolledDevice{}, ErrNotFound // removed again meanwhile
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return EnrolledDevice{}, err
	}
	return enrolledDevice(policy, c.Tenant, name, enrolled, result.Entry)
}
