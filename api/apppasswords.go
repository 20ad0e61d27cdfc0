package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

// AppPasswordPath names an app password.
type AppPasswordPath struct {
	ID string `path:"id" maxLength:"64" example:"mfzgk5dfon2gs3th"`
}

const verifyAppPasswordRoute = "POST /v1/accounts/{account}/app-passwords/verifications"

func (a *API) registerAppPasswords(h huma.API) {
	huma.Register(h, operation("POST /v1/accounts/{account}/app-passwords", "create-app-password", "app-passwords", "Make an app password",
		"For a program that can't ask for a code (policy: allow_app_passwords). It opens its service without a second factor: see first that the person has just shown one. The password is in this answer, once; repeating the request gives the rest without it. An account has at most 25.",
		http.StatusCreated), a.createAppPassword)
	huma.Register(h, operation("GET /v1/accounts/{account}/app-passwords", "list-app-passwords", "app-passwords", "List an account's app passwords", "", http.StatusOK),
		a.listAppPasswords)
	huma.Register(h, operation("DELETE /v1/accounts/{account}/app-passwords/{id}", "revoke-app-password", "app-passwords", "Revoke an app password",
		"It is dead on every node when the answer comes.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			AppPasswordPath
			IdempotencyKey
		},
		) (*empty, error) {
			return a.revokeAppPassword(ctx, in.Account, in.ID)
		})
	huma.Register(h, operation("DELETE /v1/accounts/{account}/app-passwords", "revoke-app-passwords", "app-passwords", "Revoke all app passwords of an account",
		"For when the account's password was changed. They are dead on every node when the answer comes; it is no error if there are none.",
		http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
		},
		) (*empty, error) {
			return a.revokeAppPassword(ctx, in.Account, "")
		})
	huma.Register(h, operation(verifyAppPasswordRoute, "verify-app-password", "app-passwords", "Verify an app password",
		"A wrong password is an answer: 200 with its outcome. An account that does not exist answers like one whose password is wrong. A text that can't be an app password (422) is not charged as an attempt.",
		http.StatusOK), a.verifyAppPassword)
}

func (a *API) createAppPassword(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.AppPasswordRequest
},
) (*struct{ Body wire.NewAppPassword }, error) {
	e, r := exchangeOf(ctx), in.Body
	if err := checkTexts("label", r.Label); err != nil {
		return nil, failed(ctx, err)
	}
	request := appliance.AppPasswordRequest{Label: r.Label, Service: r.Service, Expires: r.Expires}
	if r.Service != "" && !validID(r.Service) {
		return nil, failed(ctx, invalid("service", idRule))
	}
	if r.Network != "" {
		network, err := netip.ParsePrefix(r.Network)
		if err != nil {
			return nil, failed(ctx, invalid("network", "must be CIDR, such as 192.0.2.0/24"))
		}
		request.Network = network
	}
	made, err := a.service.CreateAppPassword(ctx, e.caller, e.idempotencyKey, in.Account, request)
	if err != nil {
		return nil, failed(ctx, err)
	}
	answer := wire.NewAppPassword{AppPassword: wireAppPassword(made.AppPasswordInfo), Entry: made.Entry}
	if made.Password.Secret != nil {
		grouped := made.Password.Grouped()
		answer.Password = wire.NewSecret(string(grouped.Reveal()))
		grouped.Destroy()
		made.Password.Destroy()
	}
	return &struct{ Body wire.NewAppPassword }{answer}, nil
}

func (a *API) listAppPasswords(ctx context.Context, in *AccountPath) (*struct{ Body wire.AppPasswords }, error) {
	list, err := a.service.AppPasswords(ctx, exchangeOf(ctx).caller, in.Account)
	if err != nil {
		return nil, failed(ctx, err)
	}
	answer := wire.AppPasswords{AppPasswords: make([]wire.AppPassword, len(list))}
	for i, k := range list {
		answer.AppPasswords[i] = wireAppPassword(k)
	}
	return &struct{ Body wire.AppPasswords }{answer}, nil
}

func (a *API) revokeAppPassword(ctx context.Context, account, id string) (*empty, error) {
	e := exchangeOf(ctx)
	if err := a.service.RevokeAppPassword(ctx, e.caller, e.idempotencyKey, account, id); err != nil {
		return nil, failed(ctx, err)
	}
	return nil, nil
}

func (a *API) verifyAppPassword(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.VerifyAppPasswordRequest
},
) (*struct {
	Body wire.AppPasswordVerification
}, error,
) {
	e, r := exchangeOf(ctx), in.Body
	attempt := appliance.AppPasswordAttempt{Service: r.Service}
	var err error
	if attempt.Password, err = appliance.ParseAppPassword(r.Password.Reveal()); err != nil {
		return nil, failed(ctx, invalid("password", "must be an app password: 16 letters, l and o not among them"))
	}
	defer attempt.Password.Destroy()
	if r.Service != "" && !validID(r.Service) {
		return nil, failed(ctx, invalid("service", idRule))
	}
	if r.SourceIP != "" {
		if attempt.Source, err = netip.ParseAddr(r.SourceIP); err != nil {
			return nil, failed(ctx, invalid("source_ip", "must be an IP address"))
		}
	}
	v, err := a.service.VerifyAppPassword(ctx, e.caller, e.idempotencyKey, in.Account, attempt)
	if err != nil {
		return nil, failed(ctx, err)
	}
	answer := wire.AppPasswordVerification{
		Outcome: outcomeName(v.Outcome), AppPassword: v.Credential, Entry: v.Entry, Replayed: v.Replayed,
	}
	switch answer.Outcome {
	case wire.Accepted, wire.Wrong, wire.Locked:
	default:
		return nil, failed(ctx, fmt.Errorf("the attempt's outcome %d has no name", v.Outcome))
	}
	e.outcome = answer.Outcome
	if !v.RetryAt.IsZero() {
		answer.RetryAt = v.RetryAt.UTC()
	}
	return &struct {
		Body wire.AppPasswordVerification
	}{answer}, nil
}

func wireAppPassword(k appliance.AppPasswordInfo) wire.AppPassword {
	w := wire.AppPassword{
		ID: k.ID, Label: k.Label, Service: k.Service, Expires: k.Expires.UTC(), Added: k.Added.UTC(), LastUsed: k.LastUsed.UTC(),
	}
	if k.Network.IsValid() {
		w.Network = k.Network.String()
	}
	if k.LastFrom.IsValid() {
		w.LastFrom = k.LastFrom.String()
	}
	return w
}
