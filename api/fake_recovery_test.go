package api

import (
	"context"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

var fakeRecovery = appliance.RecoveryInfo{
	ID: "r1", State: account.RecoveryWaiting, Nonce: []byte("0123456789abcdef"), Started: time.Unix(1700000000, 0),
	Ready: time.Unix(1701209600, 0), Floor: time.Unix(1700259200, 0), Expires: time.Unix(1702419200, 0),
	Evidence: []account.EvidenceKind{account.EmailEvidence}, Helps: []appliance.Help{{Kind: account.PhoneCodeEvidence, Shorter: 96 * time.Hour}},
	Phones: []account.PhoneOption{{ID: "p1", Masked: "•••• •• 67"}}, Entry: 3,
}

// recoveryScript is what the scripted fake saw of recoveries, and answers.
type recoveryScript struct {
	proof   appliance.RecoveryProof
	reset   appliance.ResetRequest
	newer   appliance.DeviceRequest
	start   appliance.StartedRecovery
	claim   appliance.ClaimedRecovery
	granted string // the token that was shown
}

func fakeGrant() appliance.Granted {
	return appliance.Granted{Token: hsm.NewSecret([]byte("gr4nt")), Expires: time.Unix(1700000900, 0), Entry: 6}
}

func (s *scripted) StartRecovery(_ context.Context, c appliance.Caller, key, name string) (appliance.StartedRecovery, error) {
	s.note("StartRecovery", c, key, name)
	if s.recovery.start.Outcome == account.InvalidOutcome {
		return appliance.StartedRecovery{Outcome: account.Done, Recovery: &fakeRecovery, Entry: 3}, s.err
	}
	return s.recovery.start, s.err
}

func (s *scripted) Recovery(_ context.Context, c appliance.Caller, name string) (appliance.RecoveryInfo, error) {
	s.note("Recovery", c, "", name)
	return fakeRecovery, s.err
}

func (s *scripted) SendRecoveryCode(_ context.Context, c appliance.Caller, key, name, _ string, r appliance.SendRequest) (appliance.Sending, error) {
	s.note("SendRecoveryCode", c, key, name)
	s.send = r
	return s.sending, s.err
}

func (s *scripted) GiveEvidence(_ context.Context, c appliance.Caller, key, name, _ string, p appliance.RecoveryProof) (appliance.ProvedRecovery, error) {
	s.note("GiveEvidence", c, key, name)
	s.recovery.proof = p
	return appliance.ProvedRecovery{Verification: s.answer, Recovery: fakeRecovery}, s.err
}

func (s *scripted) CancelRecovery(_ context.Context, c appliance.Caller, key, name, _ string, p appliance.RecoveryProof) (appliance.ProvedRecovery, error) {
	s.note("CancelRecovery", c, key, name)
	s.recovery.proof = p
	return appliance.ProvedRecovery{Verification: s.answer, Recovery: fakeRecovery}, s.err
}

func (s *scripted) WithdrawRecovery(_ context.Context, c appliance.Caller, key, name, _ string) error {
	s.note("WithdrawRecovery", c, key, name)
	return s.err
}

func (s *scripted) ClaimRecovery(_ context.Context, c appliance.Caller, key, name, _ string) (appliance.ClaimedRecovery, error) {
	s.note("ClaimRecovery", c, key, name)
	if s.recovery.claim.Outcome == account.InvalidOutcome {
		g := fakeGrant()
		return appliance.ClaimedRecovery{Outcome: account.Done, Granted: &g, Entry: 6}, s.err
	}
	return s.recovery.claim, s.err
}

func (s *scripted) CompleteRecovery(_ context.Context, c appliance.Caller, key, name, _ string, token *hsm.Secret, r appliance.DeviceRequest) (appliance.EnrolledDevice, error) {
	s.note("CompleteRecovery", c, key, name)
	s.recovery.granted, s.recovery.newer = string(token.Reveal()), r
	return appliance.EnrolledDevice{CredentialInfo: s.info(name).Credentials[0]}, s.err
}

func (s *scripted) GrantReset(_ context.Context, c appliance.Caller, key, name string, r appliance.ResetRequest) (appliance.Granted, error) {
	s.note("GrantReset", c, key, name)
	s.recovery.reset = r
	return fakeGrant(), s.err
}

func (s *scripted) RedeemReset(_ context.Context, c appliance.Caller, key, name string, token *hsm.Secret) (appliance.Reset, error) {
	s.note("RedeemReset", c, key, name)
	s.recovery.granted = string(token.Reveal())
	return appliance.Reset{Device: "d1", Entry: 7}, s.err
}
