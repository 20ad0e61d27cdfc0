package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

type verificationOutput struct{ Body wire.Verification }

func (a *API) registerVerifications(h huma.API) {
	huma.Register(h, operation(verifyRoute, "verify", "verifications", "Verify a code",
		"A wrong code is an answer: 200 with its outcome. An account that does not exist answers like one whose code is wrong. A code that can't be one (422) is not charged as an attempt.",
		http.StatusOK),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
			Body wire.VerifyRequest
		},
		) (*verificationOutput, error) {
			return output(a.verify(ctx, in.Account, in.Body))(ctx)
		})
	if !a.plain {
		a.handle(verifyRoute, http.HandlerFunc(a.serveVerify))
	}

	huma.Register(h, operation("POST /v1/accounts/{account}/authenticators/{authenticator}/resynchronisations", "resynchronise",
		"verifications", "Find an authenticator again by two consecutive codes",
		"For counters and clocks that ran away (RFC 4226, Section 7.4). It is charged like attempts over its wider window.",
		http.StatusOK),
		func(ctx context.Context, in *struct {
			AccountPath
			AuthenticatorPath
			IdempotencyKey
			Body wire.ResyncRequest
		},
		) (*verificationOutput, error) {
			return output(a.resynchronise(ctx, in.Account, in.Authenticator, in.Body))(ctx)
		})
}

// output adapts an answer and its error to huma.
func output(v wire.Verification, err error) func(context.Context) (*verificationOutput, error) {
	return func(ctx context.Context) (*verificationOutput, error) {
		if err != nil {
			return nil, failed(ctx, err)
		}
		return &verificationOutput{v}, nil
	}
}

// verify is the whole of the verification route but for its encoding.
func (a *API) verify(ctx context.Context, account string, r wire.VerifyRequest) (wire.Verification, error) {
	code, err := parseCode("code", r.Code)
	if err != nil {
		return wire.Verification{}, err
	}
	if r.Device != "" && !validID(r.Device) {
		return wire.Verification{}, invalid("device", idRule)
	}
	e := exchangeOf(ctx)
	v, err := a.service.Verify(ctx, e.caller, e.idempotencyKey, account, appliance.VerifyRequest{
		Code: code, Device: r.Device, Receipt: r.Receipt,
	})
	return a.verification(e, v, err)
}

func (a *API) resynchronise(ctx context.Context, account, credential string, r wire.ResyncRequest) (wire.Verification, error) {
	first, err := parseCode("first", r.First)
	if err != nil {
		return wire.Verification{}, err
	}
	second, err := parseCode("second", r.Second)
	if err != nil {
		return wire.Verification{}, err
	}
	e := exchangeOf(ctx)
	v, err := a.service.Resynchronise(ctx, e.caller, e.idempotencyKey, account,
		appliance.ResyncRequest{Credential: credential, First: first, Second: second})
	return a.verification(e, v, err)
}

func (a *API) verification(e *exchange, v appliance.Verification, err error) (wire.Verification, error) {
	if err != nil {
		return wire.Verification{}, err
	}
	name := outcomeName(v.Outcome)
	if name == "" {
		return wire.Verification{}, fmt.Errorf("the attempt's outcome %d has no name", v.Outcome)
	}
	e.outcome = name
	w := wire.Verification{Outcome: name, Assurance: assuranceName(v.Assurance), Device: v.Credential, Entry: v.Entry, Replayed: v.Replayed, Receipt: string(v.Receipt)}
	if !v.RetryAt.IsZero() {
		w.RetryAt = v.RetryAt.UTC()
	}
	return w, nil
}
