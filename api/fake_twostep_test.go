package api

import (
	"context"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

// fakeTwoStep is what a test says of two-step verification, and what it was asked.
type fakeTwoStep struct {
	on      bool
	request appliance.TwoStepRequest
	phones  []appliance.TwoStepPhone
	send    appliance.SendRequest
	code    string
	key     string // that was typed
	made    appliance.NewRecoveryKey
}

func (s *scripted) twoStepInfo() appliance.TwoStepInfo {
	return appliance.TwoStepInfo{
		On: s.twoStep.on, Since: time.Unix(1700000000, 0), Imported: true, Entry: 5,
		Phones: []appliance.PhoneInfo{{ID: "t1", Masked: "•••• •• 61", Added: time.Unix(1700000000, 0)}},
	}
}

func (s *scripted) EnrolTwoStep(_ context.Context, c appliance.Caller, key, name string, r appliance.TwoStepRequest) (appliance.TwoStepInfo, bool, error) {
	s.note("EnrolTwoStep", c, key, name)
	s.twoStep.request = r
	return s.twoStepInfo(), !s.twoStep.on, s.err
}

func (s *scripted) ImportTwoStep(_ context.Context, c appliance.Caller, key, name string, phones []appliance.TwoStepPhone) (appliance.TwoStepInfo, bool, error) {
	s.note("ImportTwoStep", c, key, name)
	s.twoStep.phones = phones
	return s.twoStepInfo(), !s.twoStep.on, s.err
}

func (s *scripted) TwoStep(_ context.Context, c appliance.Caller, name string) (appliance.TwoStepInfo, error) {
	s.note("TwoStep", c, "", name)
	info := s.twoStepInfo()
	info.Entry = -1
	return info, s.err
}

func (s *scripted) EndTwoStep(_ context.Context, c appliance.Caller, key, name string) error {
	s.note("EndTwoStep", c, key, name)
	return s.err
}

func (s *scripted) SendTwoStepCode(_ context.Context, c appliance.Caller, key, name string, r appliance.SendRequest) (appliance.TwoStepSending, error) {
	s.note("SendTwoStepCode", c, key, name)
	s.twoStep.send = r
	return appliance.TwoStepSending{Sending: s.sending, Phone: "t1", Phones: []account.PhoneOption{{ID: "t1", Masked: "•••• •• 61"}}}, s.err
}

func (s *scripted) VerifyTwoStep(_ context.Context, c appliance.Caller, key, name string, r appliance.TwoStepAttempt) (appliance.Verification, error) {
	s.note("VerifyTwoStep", c, key, name)
	s.twoStep.code, s.twoStep.key = r.Code.Reveal(), ""
	if r.Key.Secret != nil {
		s.twoStep.key = string(r.Key.Reveal())
	}
	return s.answer, s.err
}

func (s *scripted) MakeRecoveryKey(_ context.Context, c appliance.Caller, key, name string) (appliance.NewRecoveryKey, error) {
	s.note("MakeRecoveryKey", c, key, name)
	return s.twoStep.made, s.err
}
