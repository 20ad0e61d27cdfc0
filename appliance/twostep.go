package appliance

import (
	"context"
	"crypto/hmac"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// TwoStepInfo is how an account stands to two-step verification, the older scheme.
type TwoStepInfo struct {
	On          bool
	Since       time.Time
	Imported    bool        // it was on elsewhere before
	Phones      []PhoneInfo // while it is off, one that is pending
	RecoveryKey time.Time   // when the recovery key was made; zero: there is none
	Proved      time.Time   // when a code or the recovery key was last right
	Entry       int64       // of the act that was asked for; -1 for a read
}

// TwoStepRequest turns it on where two factors are not eligible.
type TwoStepRequest struct {
	Number, Label           string
	Platform, SystemVersion string // of the best device that the person has; empty: not known
	SignIn                  string // verified of late, where the tenant's policy asks for it
}

// TwoStepPhone is a phone that was verified elsewhere.
type TwoStepPhone struct{ Number, Label string }

// TwoStepSending answers a request for a code. Phones are those that may be chosen, and Phone is the one it goes to. A
// name that isn't an account is answered like any other.
type TwoStepSending struct {
	Sending
	Phone  string
	Phones []account.PhoneOption
}

// TwoStepAttempt is one attempt: with the code that was sent, or with the recovery key.
type TwoStepAttempt struct {
	Code otp.Code // of four digits, unless there is a Key
	Key  RecoveryKey
}

// NewRecoveryKey is the answer. Key is shown this once and can't be had again, not even with the same Idempotency-Key: it
// is zero then.
type NewRecoveryKey struct {
	Key   RecoveryKey
	Made  time.Time
	Entry int64
}

// EnrolTwoStep begins to turn two-step verification on: it is on once the code that is sent to the phone is right. It is
// for accounts that are not eligible for two factors; ErrTwoFactorFirst otherwise.
func (s *Service) EnrolTwoStep(ctx context.Context, c Caller, idempotencyKey, name string, r TwoStepRequest) (TwoStepInfo, bool, error) {
	return s.enrolTwoStep(ctx, c, idempotencyKey, name, []TwoStepPhone{{r.Number, r.Label}}, account.EnrolTwoStep{
		Platform: r.Platform, SystemVersion: r.SystemVersion, SignIn: r.SignIn,
	})
}

// ImportTwoStep takes over two-step verification that was on elsewhere, if the tenant's policy allows that. The phones
// count as verified. An account that has it is left as it is: created is false then.
func (s *Service) ImportTwoStep(
	ctx context.Context, c Caller, idempotencyKey, name string, phones []TwoStepPhone,
) (info TwoStepInfo, created bool, err error) {
	return s.enrolTwoStep(ctx, c, idempotencyKey, name, phones, account.EnrolTwoStep{Imported: true})
}

func (s *Service) enrolTwoStep(
	ctx context.Context, c Caller, idempotencyKey, name string, phones []TwoStepPhone, q account.EnrolTwoStep,
) (info TwoStepInfo, created bool, err error) {
	for _, p := range phones {
		if err := checkNumber(p.Number); err != nil {
			return TwoStepInfo{}, false, err
		}
		id, err := s.newID()
		if err != nil {
			return TwoStepInfo{}, false, err
		}
		q.Phones = append(q.Phones, account.StepPhone{ID: id, Number: p.Number, Label: p.Label})
	}
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return TwoStepInfo{}, false, err
	}
	cmd.EnrolTwoStep = &q
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return TwoStepInfo{}, false, err
	}
	if err := refusal(result.Outcome); err != nil {
		return TwoStepInfo{}, false, err
	}
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return TwoStepInfo{}, false, err
	}
	if state == nil {
		return TwoStepInfo{}, false, ErrNotFound // deleted meanwhile
	}
	return twoStepInfo(state, result.Entry), result.Outcome == account.Done, nil
}

func twoStepInfo(state *account.State, entry int64) TwoStepInfo {
	t := &state.TwoStep
	i := TwoStepInfo{
		On: state.Enrolment.Mode == account.TwoStep, Since: moment(t.Since), Imported: t.Imported,
		Phones: make([]PhoneInfo, len(t.Phones)), RecoveryKey: moment(t.KeyAt), Proved: moment(t.Proved), Entry: entry,
	}
	for n := range t.Phones {
		p := &t.Phones[n]
		i.Phones[n] = PhoneInfo{ID: p.ID, Masked: p.Masked(), Label: p.Label, Added: moment(p.Added), Verified: moment(p.Verified)}
	}
	return i
}

// TwoStep says how an account stands, linearizably.
func (s *Service) TwoStep(ctx context.Context, c Caller, name string) (TwoStepInfo, error) {
	state, err := s.current(ctx, c.Tenant, name)
	if err != nil {
		return TwoStepInfo{}, err
	}
	return twoStepInfo(state, -1), nil
}

// EndTwoStep turns two-step verification off, within ten minutes of a proof; or drops a phone that is pending.
func (s *Service) EndTwoStep(ctx context.Context, c Caller, idempotencyKey, name string) error {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return err
	}
	cmd.EndTwoStep = &account.EndTwoStep{}
	result, _, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// SendTwoStepCode has a code of four digits sent to a phone, or, with an empty Phone, to the first. That it may not be now
// is an answer, not an error.
func (s *Service) SendTwoStepCode(ctx context.Context, c Caller, idempotencyKey, name string, r SendRequest) (TwoStepSending, error) {
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return TwoStepSending{}, err
	}
	cmd.SendTwoStep = &account.SendTwoStep{Phone: r.Phone, Voice: r.Voice}
	result, position, err := s.proposeAccount(ctx, cmd)
	if err != nil {
		return TwoStepSending{}, err
	}
	answer := TwoStepSending{
		Sending: Sending{Outcome: result.Outcome, RetryAt: moment(result.RetryAt), Entry: result.Entry}, Phone: result.Credential,
	}
	switch result.Outcome {
	case account.Done, account.TooSoon, account.TooMany:
	default:
		return TwoStepSending{}, refusal(result.Outcome)
	}
	state, err := s.stateAt(ctx, position, c.Tenant, name)
	if err != nil {
		return TwoStepSending{}, err
	}
	if state != nil { // it may have been deleted meanwhile
		answer.Phones = state.StepPhones()
	}
	return answer, nil
}

// VerifyTwoStep judges one attempt. A recovery key costs one MAC, whoever is asked for; a code costs one where one is
// live, and one is live for whoever had one sent, be it an account or not.
func (s *Service) VerifyTwoStep(ctx context.Context, c Caller, idempotencyKey, name string, r TwoStepAttempt) (Verification, error) {
	recovery := r.Key.Secret != nil
	var key []byte
	v, err := s.attempt(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) (err error) {
		q := &account.VerifyTwoStep{MACs: attemptMACs(cmd), Recovery: recovery}
		cmd.VerifyTwoStep = q
		if recovery {
			if key == nil && !s.settled(state, cmd) {
				if key, err = s.pepper(ctx, r.Key.message(c.Tenant, name)); err != nil {
					return err
				}
				q.MACs++
			}
			q.Key = key // the same on every state
			return nil
		}
		n, phone := state.LiveStepCode(cmd.Time)
		if q.Code = n; n == 0 || s.settled(state, cmd) {
			return nil
		}
		q.Evaluated = true
		macs, err := s.pool.KeyedMAC(ctx, hsm.KeyCode, [][]byte{account.StepMessage(cmd.Tenant, cmd.Account, phone, n)})
		if err != nil {
			return moduleError("computing a code", err)
		}
		q.MACs++
		q.Matched = account.StepCodeOf(macs[0]).Equal(r.Code)
		return nil
	})
	v.Credential = ""
	return v, err
}

// MakeRecoveryKey draws a recovery key and keeps its MAC under the pepper, in place of the one before. It asks for a proof
// within the last ten minutes: ErrStepUp.
func (s *Service) MakeRecoveryKey(ctx context.Context, c Caller, idempotencyKey, name string) (NewRecoveryKey, error) {
	key, err := newRecoveryKey(s.rand)
	if err != nil {
		return NewRecoveryKey{}, err
	}
	q := &account.MakeRecoveryKey{}
	result, position, err := s.attemptResult(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) (err error) {
		cmd.MakeRecoveryKey = q
		if len(q.MAC) > 0 || state == nil || state.Answered(cmd.Request, cmd.Time) || state.RecoveryKeyable(cmd.Time) != account.Done {
			return nil
		}
		if q.MAC, err = s.pepper(ctx, key.message(c.Tenant, name)); err == nil {
			q.MACs = 1
		}
		return err
	})
	if err == nil {
		err = refusal(result.Outcome)
	}
	var state *account.State
	if err == nil {
		state, err = s.stateAt(ctx, position, c.Tenant, name)
	}
	if err == nil && (state == nil || len(state.TwoStep.Key) == 0) {
		err = ErrNotFound // turned off meanwhile
	}
	if err != nil {
		key.Destroy()
		return NewRecoveryKey{}, err
	}
	made := NewRecoveryKey{Key: key, Made: moment(state.TwoStep.KeyAt), Entry: result.Entry}
	if !hmac.Equal(state.TwoStep.Key, q.MAC) { // of a repeated request: what was shown once is not shown again
		key.Destroy()
		made.Key = RecoveryKey{}
	}
	return made, nil
}
