package api

import (
	"context"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

var fakeBrowser = appliance.BrowserInfo{ID: "b1", Name: "Safari", Added: time.Unix(1700000000, 0), Expires: time.Unix(1702592000, 0)}

func (s *scripted) TrustBrowser(_ context.Context, c appliance.Caller, key, name string, r appliance.BrowserRequest) (appliance.TrustedBrowser, error) {
	s.note("TrustBrowser", c, key, name)
	s.browser = r
	return appliance.TrustedBrowser{BrowserInfo: fakeBrowser, Token: hsm.NewSecret([]byte("t0ken")), Entry: 5}, s.err
}

func (s *scripted) CheckBrowser(_ context.Context, c appliance.Caller, key, name string, r appliance.BrowserCheck) (appliance.BrowserTrust, error) {
	s.note("CheckBrowser", c, key, name)
	s.browser.Browser, s.shown = r.Browser, string(r.Token.Reveal())
	if !s.trust {
		return appliance.BrowserTrust{Entry: 6}, s.err
	}
	return appliance.BrowserTrust{
		Trusted: true, ID: "b1", Token: hsm.NewSecret([]byte("n3xt")), Expires: fakeBrowser.Expires, Assurance: account.TwoFactorLevel, Entry: 6,
	}, s.err
}

func (s *scripted) Browsers(_ context.Context, c appliance.Caller, name string) ([]appliance.BrowserInfo, error) {
	s.note("Browsers", c, "", name)
	return []appliance.BrowserInfo{fakeBrowser}, s.err
}

func (s *scripted) RevokeBrowser(_ context.Context, c appliance.Caller, key, name, id string) error {
	s.note("RevokeBrowser", c, key, name)
	s.revoked = id
	return s.err
}

func (s *scripted) SignOutBrowser(_ context.Context, c appliance.Caller, key, name, browser string) error {
	s.note("SignOutBrowser", c, key, name)
	s.signedOut = browser
	return s.err
}

func (s *scripted) CheckDevice(_ context.Context, c appliance.Caller, key, name string, p appliance.DeviceProof) (appliance.DeviceTrust, error) {
	s.note("CheckDevice", c, key, name)
	s.proof = p
	t := appliance.DeviceTrust{Trusted: s.trust, Entry: 7}
	if s.trust {
		t.Assurance = account.PasswordLevel
	}
	return t, s.err
}

func (s *scripted) SignOutDevice(_ context.Context, c appliance.Caller, key, name, device string) error {
	s.note("SignOutDevice", c, key, name)
	s.signedOut = device
	return s.err
}

func (s *scripted) ChangePassword(_ context.Context, c appliance.Caller, key, name string, r appliance.PasswordChange) error {
	s.note("ChangePassword", c, key, name)
	s.password = r
	return s.err
}
