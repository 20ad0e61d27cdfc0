package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/hsm"
)

// BrowserPath names a browser's trust.
type BrowserPath struct {
	Browser string `path:"browser" maxLength:"64" example:"mfzgk5dfon2gs3th"`
}

func (a *API) registerTrust(h huma.API) {
	huma.Register(h, operation("POST /v1/accounts/{account}/browsers", "trust-browser", "trust", "Trust a browser",
		"Right behind a sign-in that was verified in it, if its owner chooses to. Later sign-ins in it that show the token need no code, for 30 days unless policy says otherwise (browser_days, no_browser_trust). Without a fresh sign-in it is a step-up problem, also for an account that does not exist. Repeating the request with its Idempotency-Key gives a token again.",
		http.StatusCreated), a.trustBrowser)
	huma.Register(h, operation("GET /v1/accounts/{account}/browsers", "list-browsers", "trust", "List the browsers that are trusted", "", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*struct{ Body wire.Browsers }, error) {
			list, err := a.service.Browsers(ctx, exchangeOf(ctx).caller, in.Account)
			if err != nil {
				return nil, failed(ctx, err)
			}
			out := &struct{ Body wire.Browsers }{wire.Browsers{Browsers: make([]wire.Browser, len(list))}}
			for i, b := range list {
				out.Body.Browsers[i] = wireBrowser(b)
			}
			return out, nil
		})
	huma.Register(h, operation("DELETE /v1/accounts/{account}/browsers", "revoke-browsers", "trust", "End trust in all browsers",
		"No node trusts one when the answer comes; it is no error if there are none.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			return ended(ctx, a.service.RevokeBrowser(ctx, e.caller, e.idempotencyKey, in.Account, ""))
		})
	huma.Register(h, operation("DELETE /v1/accounts/{account}/browsers/{browser}", "revoke-browser", "trust", "End trust in a browser",
		"No node trusts it when the answer comes.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			BrowserPath
			IdempotencyKey
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			return ended(ctx, a.service.RevokeBrowser(ctx, e.caller, e.idempotencyKey, in.Account, in.Browser))
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/browsers/verifications", "verify-browser", "trust", "Ask whether a browser is trusted",
		"Each time that it is, it gets another token. One that was replaced and is shown again is in two places: that ends the browser's trust, and the account's devices are told. An account that does not exist is answered like one that doesn't trust the browser.",
		http.StatusOK), a.verifyBrowser)
	huma.Register(h, operation("POST /v1/accounts/{account}/browsers/sign-outs", "sign-out-browser", "trust", "Sign out of a browser completely",
		"It needs a code again when the answer comes; it is no error if it was not trusted.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
			Body wire.SignOutBrowserRequest
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			return ended(ctx, a.service.SignOutBrowser(ctx, e.caller, e.idempotencyKey, in.Account, in.Body.Browser.Reveal()))
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/devices/{device}/verifications", "verify-device", "trust", "Ask whether a device is trusted",
		"By a signature of its key over a challenge: one that is trusted needs no code. Devices that were removed, lost, erased or signed out are not, nor another account's.",
		http.StatusOK), a.verifyDevice)
	huma.Register(h, operation("POST /v1/accounts/{account}/devices/{device}/sign-outs", "sign-out-device", "trust", "Sign out of a device completely",
		"Its trust and its codes are dead on every node when the answer comes, and it isn't listed any more.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			DevicePath
			IdempotencyKey
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			return ended(ctx, a.service.SignOutDevice(ctx, e.caller, e.idempotencyKey, in.Account, in.Device))
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/password-changes", "change-password", "trust", "Say that the account's password was changed",
		"App passwords are revoked, and sign-ins that are open are cancelled. With security every browser and every device but the one at hand loses its trust, on every node when the answer comes: they need a code again, from the device at hand, a phone or an authenticator app.",
		http.StatusNoContent), a.changePassword)
}

func ended(ctx context.Context, err error) (*empty, error) {
	if err != nil {
		return nil, failed(ctx, err)
	}
	return nil, nil
}

func (a *API) trustBrowser(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.TrustBrowserRequest
},
) (*struct{ Body wire.TrustedBrowser }, error) {
	e, r := exchangeOf(ctx), in.Body
	if err := checkTexts("name", r.Name); err != nil {
		return nil, failed(ctx, err)
	}
	if !validID(r.SignIn) {
		return nil, failed(ctx, invalid("sign_in", idRule))
	}
	b, err := a.service.TrustBrowser(ctx, e.caller, e.idempotencyKey, in.Account, appliance.BrowserRequest{
		SignIn: r.SignIn, Browser: r.Browser.Reveal(), Name: r.Name,
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.TrustedBrowser }{wire.TrustedBrowser{Browser: wireBrowser(b.BrowserInfo), Token: taken(b.Token), Entry: b.Entry}}, nil
}

// taken moves a secret onto the wire.
func taken(s *hsm.Secret) wire.Secret {
	if s == nil {
		return wire.Secret{}
	}
	defer s.Destroy()
	return wire.NewSecret(string(s.Reveal()))
}

func (a *API) verifyBrowser(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.VerifyBrowserRequest
},
) (*struct{ Body wire.BrowserVerification }, error) {
	e := exchangeOf(ctx)
	token := hsm.NewSecret([]byte(in.Body.Token.Reveal()))
	defer token.Destroy()
	t, err := a.service.CheckBrowser(ctx, e.caller, e.idempotencyKey, in.Account, appliance.BrowserCheck{Browser: in.Body.Browser.Reveal(), Token: token})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.BrowserVerification }{wire.BrowserVerification{
		Outcome: trustName(e, t.Trusted), Browser: t.ID, Token: taken(t.Token), Expires: t.Expires.UTC(), Assurance: assuranceName(t.Assurance),
		Entry: t.Entry, Replayed: t.Replayed,
	}}, nil
}

func (a *API) verifyDevice(ctx context.Context, in *struct {
	AccountPath
	DevicePath
	IdempotencyKey
	Body wire.VerifyDeviceRequest
},
) (*struct{ Body wire.DeviceVerification }, error) {
	e := exchangeOf(ctx)
	t, err := a.service.CheckDevice(ctx, e.caller, e.idempotencyKey, in.Account, appliance.DeviceProof{
		Device: in.Device, Challenge: in.Body.Challenge, Time: time.UnixMilli(in.Body.TimeMS), Signature: in.Body.Signature,
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.DeviceVerification }{wire.DeviceVerification{
		Outcome: trustName(e, t.Trusted), Assurance: assuranceName(t.Assurance), Entry: t.Entry, Replayed: t.Replayed,
	}}, nil
}

func trustName(e *exchange, trusted bool) string {
	e.outcome = wire.Untrusted
	if trusted {
		e.outcome = wire.Trusted
	}
	return e.outcome
}

func (a *API) changePassword(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.PasswordChange
},
) (*empty, error) {
	e, r := exchangeOf(ctx), in.Body
	for field, id := range map[string]string{"device": r.Device, "sign_in": r.SignIn} {
		if id != "" && !validID(id) {
			return nil, failed(ctx, invalid(field, idRule))
		}
	}
	return ended(ctx, a.service.ChangePassword(ctx, e.caller, e.idempotencyKey, in.Account, appliance.PasswordChange(r)))
}

func wireBrowser(b appliance.BrowserInfo) wire.Browser {
	return wire.Browser{ID: b.ID, Name: b.Name, Added: b.Added.UTC(), LastUsed: b.LastUsed.UTC(), Expires: b.Expires.UTC()}
}
