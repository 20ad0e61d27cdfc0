package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

type (
	// PhonePath names a phone.
	PhonePath struct {
		Phone string `path:"phone" maxLength:"64" example:"mfzgk5dfon2gs3th"`
	}
	phoneOutput struct{ Body wire.Phone }
)

func (a *API) registerPhones(h huma.API) {
	huma.Register(h, operation("POST /v1/accounts/{account}/phones", "add-phone", "phones", "Add a phone",
		"It is pending until a code that is sent to it is typed. A number that the account has is left as it is.", http.StatusCreated),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
			Body wire.PhoneRequest
		},
		) (*phoneOutput, error) {
			if err := checkTexts("label", in.Body.Label); err != nil {
				return nil, failed(ctx, err)
			}
			e := exchangeOf(ctx)
			return phoneOf(a.service.AddPhone(ctx, e.caller, e.idempotencyKey, in.Account, appliance.PhoneRequest{
				Number: in.Body.Number.Reveal(), Label: in.Body.Label, SignIn: in.Body.SignIn,
			}))(ctx)
		})
	huma.Register(h, operation("GET /v1/accounts/{account}/phones", "list-phones", "phones", "List an account's phones", "Numbers are masked.", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*struct{ Body wire.Phones }, error) {
			list, err := a.service.Phones(ctx, exchangeOf(ctx).caller, in.Account)
			if err != nil {
				return nil, failed(ctx, err)
			}
			out := &struct{ Body wire.Phones }{wire.Phones{Phones: make([]wire.Phone, len(list))}}
			for i, p := range list {
				out.Body.Phones[i] = wirePhone(p)
			}
			return out, nil
		})
	huma.Register(h, operation("PUT /v1/accounts/{account}/phones/{phone}", "change-phone", "phones", "Change a phone's label and place in the list", "", http.StatusOK),
		func(ctx context.Context, in *struct {
			AccountPath
			PhonePath
			IdempotencyKey
			Body wire.PhoneChange
		},
		) (*phoneOutput, error) {
			if err := checkTexts("label", in.Body.Label); err != nil {
				return nil, failed(ctx, err)
			}
			e := exchangeOf(ctx)
			return phoneOf(a.service.ChangePhone(ctx, e.caller, e.idempotencyKey, in.Account, in.Phone, appliance.PhoneChange(in.Body)))(ctx)
		})
	huma.Register(h, operation("DELETE /v1/accounts/{account}/phones/{phone}", "remove-phone", "phones", "Remove a phone",
		"The last verified phone can't be removed. Codes that were sent to it are dead when the answer comes.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			PhonePath
			IdempotencyKey
			SignIn string `query:"sign_in" maxLength:"64" doc:"A sign-in that was verified of late, where the tenant's policy asks for one, or the account is protected."`
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			if err := a.service.RemovePhone(ctx, e.caller, e.idempotencyKey, in.Account, in.Phone, in.SignIn); err != nil {
				return nil, failed(ctx, err)
			}
			return nil, nil
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/phones/{phone}/codes", "send-phone-code", "phones", "Send the code that verifies a phone",
		"That none may be sent now is an answer: 200 with its outcome.", http.StatusOK),
		func(ctx context.Context, in *struct {
			AccountPath
			PhonePath
			IdempotencyKey
			Body wire.SendPhoneCodeRequest
		},
		) (*struct{ Body wire.Sending }, error) {
			e := exchangeOf(ctx)
			sent, err := a.service.SendPhoneCode(ctx, e.caller, e.idempotencyKey, in.Account, in.Phone, in.Body.Channel == "voice")
			if err != nil {
				return nil, failed(ctx, err)
			}
			return &struct{ Body wire.Sending }{wireSending(e, sent)}, nil
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/phones/{phone}/verifications", "verify-phone", "phones", "Verify a phone by its code",
		"A wrong code is an answer, and charged like any other attempt. With protection, it is turned on in the same step, or neither is done.", http.StatusOK), a.verifyPhone)
}

func (a *API) verifyPhone(ctx context.Context, in *struct {
	AccountPath
	PhonePath
	IdempotencyKey
	Body wire.VerifyPhoneRequest
},
) (*struct{ Body wire.PhoneVerification }, error) {
	code, err := parseCode("code", in.Body.Code)
	if err != nil {
		return nil, failed(ctx, err)
	}
	e := exchangeOf(ctx)
	var v appliance.Verification
	var on *appliance.Protected
	if in.Body.Protection == nil {
		v, err = a.service.VerifyPhone(ctx, e.caller, e.idempotencyKey, in.Account, in.Phone, code)
	} else {
		var request appliance.ProtectRequest
		if request, err = protectRequest("protection.", *in.Body.Protection); err != nil {
			return nil, failed(ctx, err)
		}
		if request.Settings != nil {
			defer request.Settings.Destroy()
		}
		v, on, err = a.service.VerifyPhoneAndProtect(ctx, e.caller, e.idempotencyKey, in.Account, in.Phone, code, request)
	}
	checked, err := a.verification(e, v, err)
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &struct{ Body wire.PhoneVerification }{wire.PhoneVerification{
		Outcome: checked.Outcome, RetryAt: checked.RetryAt, Entry: checked.Entry, Replayed: checked.Replayed,
	}}
	if on != nil {
		answer := protectionAnswer(*on)
		out.Body.Protection = &answer
	}
	return out, nil
}

func phoneOf(p appliance.PhoneInfo, err error) func(context.Context) (*phoneOutput, error) {
	return func(ctx context.Context) (*phoneOutput, error) {
		if err != nil {
			return nil, failed(ctx, err)
		}
		return &phoneOutput{wirePhone(p)}, nil
	}
}

func wirePhone(p appliance.PhoneInfo) wire.Phone {
	return wire.Phone{ID: p.ID, Masked: p.Masked, Label: p.Label, Added: p.Added.UTC(), Verified: p.Verified.UTC()}
}
