package api

import (
	"context"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

var fakeSignIn = appliance.SignInInfo{
	ID: "s1", State: account.SignInBegun, Nonce: []byte("0123456789abcdef"), Purpose: account.ForDevice,
	Begun: time.Unix(1700000000, 0), Expires: time.Unix(1700000600, 0), Entry: 3,
	Place:   account.Place{Label: "Zürich", Latitude: 47_40, Longitude: 8_50, Accuracy: 20},
	Options: account.Options{Devices: true, Phones: []account.PhoneOption{{ID: "p1", Masked: "•••• •• 67"}}},
}

func (s *scripted) BeginSignIn(_ context.Context, c appliance.Caller, key, name string, r appliance.BeginRequest) (appliance.SignInInfo, error) {
	s.note("BeginSignIn", c, key, name)
	s.begun = r
	return fakeSignIn, s.err
}

func (s *scripted) SignIn(_ context.Context, c appliance.Caller, name, _ string) (appliance.SignInInfo, error) {
	s.note("SignIn", c, "", name)
	return fakeSignIn, s.err
}

func (s *scripted) AwaitSignIn(ctx context.Context, c appliance.Caller, name, _ string, _ account.SignInState) (appliance.SignInInfo, error) {
	s.note("AwaitSignIn", c, "", name)
	s.deadline, _ = ctx.Deadline()
	return fakeSignIn, s.err
}

func (s *scripted) SignIns(_ context.Context, c appliance.Caller, name string) ([]appliance.SignInInfo, error) {
	s.note("SignIns", c, "", name)
	return []appliance.SignInInfo{fakeSignIn}, s.err
}

func (s *scripted) CancelSignIn(_ context.Context, c appliance.Caller, key, name, _ string) error {
	s.note("CancelSignIn", c, key, name)
	return s.err
}

func (s *scripted) DecideSignIn(_ context.Context, c appliance.Caller, key, name, _ string, r appliance.DecisionRequest) (appliance.Decided, error) {
	s.note("DecideSignIn", c, key, name)
	s.decision = r
	return appliance.Decided{SignIn: fakeSignIn, Code: &appliance.SealedCode{SignIn: "s1", Device: r.Device, N: 1, Sealed: []byte{1}}, Entry: 4}, s.err
}

func (s *scripted) FetchCode(_ context.Context, c appliance.Caller, name, _ string, r appliance.DecisionRequest) (appliance.SealedCode, error) {
	s.note("FetchCode", c, "", name)
	s.decision = r
	return appliance.SealedCode{Device: r.Device}, s.err
}

func (s *scripted) SendCode(_ context.Context, c appliance.Caller, key, name, _ string, r appliance.SendRequest) (appliance.Sending, error) {
	s.note("SendCode", c, key, name)
	s.send = r
	return s.sending, s.err
}

func (s *scripted) VerifySignIn(_ context.Context, c appliance.Caller, key, name string, r appliance.EnterRequest) (appliance.Entered, error) {
	s.note("VerifySignIn", c, key, name)
	s.enter = r
	return appliance.Entered{Verification: s.answer}, s.err
}

func (s *scripted) VerifyCombined(_ context.Context, c appliance.Caller, key, name string, text *hsm.Secret) (appliance.Combined, error) {
	s.note("VerifyCombined", c, key, name)
	return appliance.Combined{Verification: s.answer, Remainder: len(text.Reveal()) - 6}, s.err
}

var fakePhone = appliance.PhoneInfo{ID: "p1", Masked: "•••• •• 67", Added: time.Unix(1700000000, 0)}

func (s *scripted) AddPhone(_ context.Context, c appliance.Caller, key, name string, r appliance.PhoneRequest) (appliance.PhoneInfo, error) {
	s.note("AddPhone", c, key, name)
	s.phone = r
	return fakePhone, s.err
}

func (s *scripted) Phones(_ context.Context, c appliance.Caller, name string) ([]appliance.PhoneInfo, error) {
	s.note("Phones", c, "", name)
	return []appliance.PhoneInfo{fakePhone}, s.err
}

func (s *scripted) ChangePhone(_ context.Context, c appliance.Caller, key, name, _ string, _ appliance.PhoneChange) (appliance.PhoneInfo, error) {
	s.note("ChangePhone", c, key, name)
	return fakePhone, s.err
}

func (s *scripted) RemovePhone(_ context.Context, c appliance.Caller, key, name, _, signIn string) error {
	s.note("RemovePhone", c, key, name)
	s.phone.SignIn = signIn
	return s.err
}

func (s *scripted) SendPhoneCode(_ context.Context, c appliance.Caller, key, name, _ string, voice bool) (appliance.Sending, error) {
	s.note("SendPhoneCode", c, key, name)
	s.send.Voice = voice
	return s.sending, s.err
}

func (s *scripted) VerifyPhone(_ context.Context, c appliance.Caller, key, name, _ string, code otp.Code) (appliance.Verification, error) {
	s.note("VerifyPhone", c, key, name)
	s.verify.Code = code
	return s.answer, s.err
}

func (s *scripted) Notices(ctx context.Context, c appliance.Caller, after *uint64, begun func(missed bool) error, fn func(appliance.NoticeEvent) error) error {
	s.note("Notices", c, "", "")
	s.after = after
	if s.until != nil {
		end, _ := ctx.Deadline()
		s.until <- end
	}
	if s.err != nil {
		return s.err
	}
	if err := begun(after != nil); err != nil {
		return err
	}
	for _, n := range s.notices {
		if err := fn(n); err != nil {
			return err
		}
	}
	if s.stay {
		<-ctx.Done()
	}
	return s.err
}

func (s *scripted) Webhooks(_ context.Context, c appliance.Caller, tenant string) ([]appliance.Webhook, error) {
	s.note("Webhooks", c, "", "")
	return []appliance.Webhook{{Destination: "frontend", URL: "https://push.example"}}, s.err
}

func (s *scripted) SetWebhook(_ context.Context, c appliance.Caller, tenant, to, url string, secret *hsm.Secret) (appliance.Webhook, error) {
	s.note("SetWebhook", c, "", "")
	s.tenant = tenant
	w := appliance.Webhook{Destination: to, URL: url, Entry: 9}
	if secret == nil {
		w.Secret = hsm.NewSecret([]byte("0123456789abcdef0123456789abcdef"))
	}
	return w, s.err
}

func (s *scripted) RemoveWebhook(_ context.Context, c appliance.Caller, tenant, _ string) error {
	s.note("RemoveWebhook", c, "", "")
	return s.err
}

func (s *scripted) Outboxes(_ context.Context, c appliance.Caller, tenant string) ([]appliance.Outbox, uint64, error) {
	s.note("Outboxes", c, "", "")
	return []appliance.Outbox{{Destination: "frontend", Waiting: 2, Oldest: time.Unix(1700000000, 0), Failure: "it answers 500"}}, 1, s.err
}
