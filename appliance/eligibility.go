package appliance

import (
	"context"

	"strongroom.internal/appliance/account"
)

// EligibilityRequest asks whether a device, an account, or both may have protection. Empty parts are not asked about; an
// account alone is judged with the devices that it has.
type EligibilityRequest struct {
	Platform, Version string
	Account           string
}

// Eligibility answers it. Eligible is true when nothing that was asked about is in the way.
type Eligibility struct {
	Eligible bool
	Reasons  []string // why not: see package account
	Codes    bool     // such a device is given codes and notices
	Minimum  string   // version of that platform; empty: none, or no platform was given
	Account  *ProtectionInfo
}

// Eligibility says whether a device and an account are eligible for protection, and why not. It reads linearizably.
func (s *Service) Eligibility(ctx context.Context, c Caller, r EligibilityRequest) (Eligibility, error) {
	if err := s.engine.Sync(ctx); err != nil {
		return Eligibility{}, engineError(err)
	}
	policy, err := s.policy(c.Tenant)
	if err != nil {
		return Eligibility{}, err
	}
	answer := Eligibility{Reasons: []string{}}
	if r.Platform != "" {
		var reason string
		if reason, answer.Codes, answer.Minimum = policy.Judge(r.Platform, r.Version); reason != "" {
			answer.Reasons = append(answer.Reasons, reason)
		}
	}
	if r.Account != "" {
		state, err := s.state(c.Tenant, r.Account)
		if err != nil {
			return Eligibility{}, err
		}
		if state == nil || state.Phantom {
			return Eligibility{}, ErrNotFound
		}
		info := protectionInfo(policy, state, account.Time(s.now().UnixMilli()))
		answer.Account = &info
		answer.Reasons = append(answer.Reasons, policy.AccountReasons(state)...)
		if r.Platform == "" {
			eligible := false
			for i := range state.Credentials {
				k := &state.Credentials[i]
				if k.Kind == account.Device && policy.Eligible(k.Platform, k.SystemVersion) {
					eligible, answer.Codes = true, answer.Codes || policy.ShowsCodes(k)
				}
			}
			if !eligible {
				answer.Reasons = append(answer.Reasons, account.ReasonDevice)
			}
		}
	}
	answer.Eligible = len(answer.Reasons) == 0
	return answer, nil
}
