package appliance

import (
	"context"
	"fmt"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// maxEvaluations bounds how often an attempt is computed anew because the account changed meanwhile.
const maxEvaluations = 5

// Verify judges one attempt. The module computes the codes, the engine commits what matched, the core decides, and only
// then is there an answer. A wrong code is an answer, not an error.
func (s *Service) Verify(ctx context.Context, c Caller, idempotencyKey, name string, r VerifyRequest) (Verification, error) {
	v, err := s.attempt(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		verify := &account.Verify{Device: r.Device, MACs: attemptMACs(cmd)}
		cmd.Resync, cmd.Verify = nil, verify
		if state != nil {
			verify.Keys = state.Keys
			if s.settled(state, cmd) {
				return nil
			}
		}
		verify.Evaluated = true
		var candidates []account.Candidate
		if state != nil {
			candidates = state.Candidates(r.Device, cmd.Time)
		}
		if len(candidates) == 0 {
			macs, err := s.decoys.evaluate(ctx, s.pool, state == nil, cmd)
			verify.MACs += macs
			return err
		}
		macs, err := s.evaluate(ctx, cmd, candidates)
		if err != nil {
			return err
		}
		for i, candidate := range candidates {
			verify.MACs += uint32(len(macs[i]))
			for _, n := range r.Code.Matches(macs[i], candidate.Credential.Params.Digits) {
				verify.Matches = append(verify.Matches, account.Match{
					Credential: candidate.Credential.ID, Step: candidate.Steps[n],
				})
			}
		}
		return nil
	})
	if err != nil || !r.Receipt || !s.mayShow(c.Tenant, v.Outcome.String()) {
		return v, err
	}
	// The attempt is decided and on the log: a receipt that doesn't come in time must not hide what was decided.
	wait, cancel := context.WithTimeout(ctx, receiptTimeout)
	defer cancel()
	if v.Receipt, err = s.LogReceipt(wait, v.Entry); err != nil {
		s.log.Warn("a receipt did not come in time", "entry", v.Entry, "error", err)
	}
	return v, nil
}

// mayShow says whether a tenant's front-ends may see an entry with this outcome. An entry says spent and expired where
// their answer says wrong; so those whose policy doesn't tell see none of the three, or its absence would tell.
func (s *Service) mayShow(tenant, outcome string) bool {
	switch outcome {
	case account.Wrong.String(), account.Spent.String(), account.Expired.String():
		policy, err := s.policy(tenant)
		return err == nil && policy.TellSpent
	}
	return true
}

// receiptTimeout bounds how long a verification waits for its receipt. A checkpoint takes a tenth of a second when all is
// well.
const receiptTimeout = 3 * time.Second

// Resynchronise finds two consecutive codes in a wider window and moves the credential's counter or drift there
// (RFC 4226, Section 7.4).
func (s *Service) Resynchronise(
	ctx context.Context, c Caller, idempotencyKey, name string, r ResyncRequest,
) (Verification, error) {
	return s.attempt(ctx, c, idempotencyKey, name, func(state *account.State, cmd *account.Command) error {
		resync := &account.Resync{Credential: r.Credential, MACs: attemptMACs(cmd)}
		cmd.Verify, cmd.Resync = nil, resync
		if state != nil {
			resync.Keys = state.Keys
			if s.settled(state, cmd) {
				return nil
			}
		}
		resync.Evaluated = true
		credential := state.Find(r.Credential)
		if credential == nil {
			return nil // the core says NotFound
		}
		candidate := account.Candidate{Credential: credential, Steps: account.ResyncWindow(credential, cmd.Time)}
		macs, err := s.evaluate(ctx, cmd, []account.Candidate{candidate})
		if err != nil {
			return err
		}
		resync.MACs += uint32(len(macs[0]))
		resync.Matches = consecutive(r, macs[0], candidate)
		return nil
	})
}

// consecutive lists the steps of the window at which the first code, and at the step after, the second code stand.
func consecutive(r ResyncRequest, macs [][]byte, candidate account.Candidate) (steps []otp.Step) {
	digits := candidate.Credential.Params.Digits
	second := make(map[int]bool)
	for _, n := range r.Second.Matches(macs, digits) {
		second[n] = true
	}
	for _, n := range r.First.Matches(macs, digits) {
		if second[n+1] {
			steps = append(steps, candidate.Steps[n])
		}
	}
	return steps
}

// attempt runs one charged command and says what a front-end may know of its decision.
func (s *Service) attempt(
	ctx context.Context, c Caller, idempotencyKey, name string,
	evaluate func(*account.State, *account.Command) error,
) (Verification, error) {
	result, err := s.charged(ctx, c, idempotencyKey, name, evaluate)
	if err != nil {
		return Verification{}, err
	}
	return s.verification(c, result)
}

// charged is attemptResult, for those who need not know at which position it stands.
func (s *Service) charged(
	ctx context.Context, c Caller, idempotencyKey, name string,
	evaluate func(*account.State, *account.Command) error,
) (account.Result, error) {
	result, _, err := s.attemptResult(ctx, c, idempotencyKey, name, evaluate)
	return result, err
}

// attemptResult is attempt, for those who need more of the result and the position at which it stands.
func (s *Service) attemptResult(
	ctx context.Context, c Caller, idempotencyKey, name string,
	evaluate func(*account.State, *account.Command) error,
) (result account.Result, position uint64, err error) {
	if err := s.usable(); err != nil {
		return result, 0, err
	}
	leave, err := s.gate.enter(ctx, c.Tenant, name)
	if err != nil {
		return result, 0, err
	}
	defer leave()
	cmd, err := s.command(c, idempotencyKey, name)
	if err != nil {
		return result, 0, err
	}
	for range maxEvaluations {
		state, err := s.stateAt(ctx, position, c.Tenant, name)
		if err != nil {
			return result, 0, err
		}
		cmd.Time = account.Time(s.now().UnixMilli())
		if err := evaluate(state, cmd); err != nil {
			return result, 0, err
		}
		result, position, err = s.proposeAccount(ctx, cmd)
		if err != nil {
			return result, 0, err
		}
		if result.Outcome != account.Stale {
			return result, position, nil
		}
	}
	return result, 0, refusal(account.Stale)
}

// settled says that no module need be asked: the account is locked, or the request was answered before.
func (s *Service) settled(state *account.State, cmd *account.Command) bool {
	if state.Answered(cmd.Request, cmd.Time) {
		return true
	}
	_, locked := state.LockedAt(cmd.Time)
	return locked
}

// attemptMACs is what was computed for this attempt before, in evaluations that turned out stale: the log counts it.
func attemptMACs(cmd *account.Command) uint32 {
	switch {
	case cmd.Verify != nil:
		return cmd.Verify.MACs
	case cmd.Resync != nil:
		return cmd.Resync.MACs
	case cmd.Enter != nil:
		return cmd.Enter.MACs
	case cmd.VerifyPhone != nil:
		return cmd.VerifyPhone.MACs
	case cmd.VerifyTwoStep != nil:
		return cmd.VerifyTwoStep.MACs
	}
	return 0
}

// evaluate has the module compute the MACs of every candidate's window.
func (s *Service) evaluate(
	ctx context.Context, cmd *account.Command, candidates []account.Candidate,
) ([][][]byte, error) {
	evaluations := make([]hsm.Evaluation, len(candidates))
	for i, candidate := range candidates {
		sealed, err := unsealable(candidate.Credential)
		if err != nil {
			return nil, err
		}
		evaluations[i] = hsm.Evaluation{
			Binding: binding(cmd.Tenant, cmd.Account, candidate.Credential),
			Seed:    sealed, Messages: counters(candidate.Steps),
		}
	}
	macs, err := s.pool.MAC(ctx, evaluations)
	if err != nil {
		return nil, moduleError("computing codes", err)
	}
	return macs, nil
}

func counters(steps []otp.Step) [][]byte {
	messages := make([][]byte, len(steps))
	for i, step := range steps {
		c := otp.Counter(step)
		messages[i] = c[:]
	}
	return messages
}

func binding(tenant, name string, c *account.Credential) hsm.Binding {
	return hsm.Binding{Tenant: tenant, Account: name, Credential: c.ID, Version: c.SeedVersion}
}

func unsealable(c *account.Credential) (sealed hsm.SealedSeed, err error) {
	if err := decode(c.Seed, &sealed); err != nil {
		return sealed, fmt.Errorf("decoding the seed of credential %s: %w", c.ID, err)
	}
	return sealed, nil
}

// verification is what a front-end may know of a decision.
func (s *Service) verification(c Caller, r account.Result) (Verification, error) {
	v := Verification{Outcome: r.Outcome, Assurance: r.Assurance, Entry: r.Entry, Replayed: r.Replayed}
	switch r.Outcome {
	case account.Accepted:
		v.Credential = r.Credential
	case account.Wrong:
	case account.Ended:
	case account.Locked:
		if r.RetryAt != 0 {
			v.RetryAt = time.UnixMilli(int64(r.RetryAt)).UTC()
		}
	case account.Spent, account.Expired:
		policy, err := s.policy(c.Tenant)
		if err != nil {
			return Verification{}, err
		}
		// A guesser must not learn that a code was right.
		if !policy.TellSpent {
			v.Outcome = account.Wrong
		}
	default:
		return Verification{}, refusal(r.Outcome)
	}
	return v, nil
}
