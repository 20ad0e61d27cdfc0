package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/otp"
)

// twoStepOutput is 201 when it was made, 200 when it was there.
type twoStepOutput struct {
	Status int
	Body   wire.TwoStep
}

func (a *API) registerTwoStep(h huma.API) {
	huma.Register(h, operation("POST /v1/accounts/{account}/two-step", "enrol-two-step", "two-step", "Begin to turn two-step verification on",
		"Only for accounts that are not eligible for two factors: two-factor-eligible (409) otherwise. It is on once the code that is sent to the phone is verified. 200 when it was on before.",
		http.StatusCreated), a.enrolTwoStep)
	huma.Register(h, operation("POST /v1/accounts/{account}/two-step/import", "import-two-step", "two-step", "Take over two-step verification that was on elsewhere",
		"The tenant's policy has to allow it (allow_two_step_import). It has no recovery key then: have one made once the person has proved a code. 200, and nothing changes, when it was on before.",
		http.StatusCreated), a.importTwoStep)
	huma.Register(h, operation("GET /v1/accounts/{account}/two-step", "get-two-step", "two-step", "How an account stands to two-step verification", "Numbers are masked.", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*struct{ Body wire.TwoStep }, error) {
			info, err := a.service.TwoStep(ctx, exchangeOf(ctx).caller, in.Account)
			if err != nil {
				return nil, failed(ctx, err)
			}
			return &struct{ Body wire.TwoStep }{wireTwoStep(info)}, nil
		})
	huma.Register(h, operation("DELETE /v1/accounts/{account}/two-step", "end-two-step", "two-step", "Turn two-step verification off",
		"Within ten minutes of an accepted code or recovery key (step-up otherwise). A phone that waits for its code is dropped at any time.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			if err := a.service.EndTwoStep(ctx, e.caller, e.idempotencyKey, in.Account); err != nil {
				return nil, failed(ctx, err)
			}
			return nil, nil
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/two-step/codes", "send-two-step-code", "two-step", "Send a code of four digits",
		"It takes the place of the one before. That none may be sent now is an answer: 200 with its outcome. A name that is no account, and an account without two-step verification, are answered alike, and nothing is sent.",
		http.StatusOK), a.sendTwoStepCode)
	huma.Register(h, operation("POST /v1/accounts/{account}/two-step/verifications", "verify-two-step", "two-step", "Verify a code of four digits, or the recovery key",
		"A code is compared once: after a wrong one the account is locked for a minute, and longer each time, and another code has to be sent. A recovery key that is mistyped is a 422 problem and is not charged.",
		http.StatusOK), a.verifyTwoStep)
	huma.Register(h, operation("POST /v1/accounts/{account}/two-step/recovery-keys", "make-recovery-key", "two-step", "Make a recovery key",
		"In place of the one before, within ten minutes of an accepted code or recovery key (step-up otherwise). It is in this answer, once.", http.StatusCreated), a.makeRecoveryKey)
	huma.Register(h, operation("POST /v1/accounts/{account}/two-step/move", "move-to-two-factor", "two-step", "Move from two-step verification to two factors",
		"Turns the one off and the other on in one step, or does nothing: it needs what turning protection on needs, and a code or recovery key that was accepted within ten minutes.",
		http.StatusCreated),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
			Body wire.ProtectionRequest
		},
		) (*struct {
			Status int
			Body   wire.ProtectionAnswer
		}, error,
		) {
			return a.protectAccount(ctx, in.Account, in.Body, true)
		})
}

func (a *API) enrolTwoStep(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.TwoStepRequest
},
) (*twoStepOutput, error) {
	e, r := exchangeOf(ctx), in.Body
	if err := checkTexts("label", r.Label, "platform", r.Platform, "system_version", r.SystemVersion); err != nil {
		return nil, failed(ctx, err)
	}
	return twoStepOf(a.service.EnrolTwoStep(ctx, e.caller, e.idempotencyKey, in.Account, appliance.TwoStepRequest{
		Number: r.Number.Reveal(), Label: r.Label, Platform: r.Platform, SystemVersion: r.SystemVersion, SignIn: r.SignIn,
	}))(ctx)
}

func (a *API) importTwoStep(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.TwoStepImport
},
) (*twoStepOutput, error) {
	e := exchangeOf(ctx)
	phones := make([]appliance.TwoStepPhone, len(in.Body.Phones))
	for i, p := range in.Body.Phones {
		if err := checkTexts("label", p.Label); err != nil {
			return nil, failed(ctx, err)
		}
		phones[i] = appliance.TwoStepPhone{Number: p.Number.Reveal(), Label: p.Label}
	}
	return twoStepOf(a.service.ImportTwoStep(ctx, e.caller, e.idempotencyKey, in.Account, phones))(ctx)
}

func (a *API) sendTwoStepCode(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.TwoStepCodeRequest
},
) (*struct{ Body wire.TwoStepSending }, error) {
	e, r := exchangeOf(ctx), in.Body
	if r.Phone != "" && !validID(r.Phone) {
		return nil, failed(ctx, invalid("phone", idRule))
	}
	sent, err := a.service.SendTwoStepCode(ctx, e.caller, e.idempotencyKey, in.Account, appliance.SendRequest{Phone: r.Phone, Voice: r.Channel == "voice"})
	if err != nil {
		return nil, failed(ctx, err)
	}
	w := wireSending(e, sent.Sending)
	out := wire.TwoStepSending{Outcome: w.Outcome, RetryAt: w.RetryAt, Phone: sent.Phone, Entry: w.Entry, Phones: make([]wire.PhoneOption, len(sent.Phones))}
	for i, p := range sent.Phones {
		out.Phones[i] = wire.PhoneOption(p)
	}
	return &struct{ Body wire.TwoStepSending }{out}, nil
}

func (a *API) verifyTwoStep(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.TwoStepAttempt
},
) (*struct{ Body wire.TwoStepVerification }, error) {
	e, r := exchangeOf(ctx), in.Body
	var attempt appliance.TwoStepAttempt
	var err error
	switch {
	case r.Code.IsZero() == r.RecoveryKey.IsZero():
		return nil, failed(ctx, invalid("code", "or recovery_key is required, and not both"))
	case r.RecoveryKey.IsZero():
		if attempt.Code, err = otp.ParseShort(r.Code.Reveal()); err != nil {
			return nil, failed(ctx, invalid("code", "must be 4 digits"))
		}
	default:
		if attempt.Key, err = appliance.ParseRecoveryKey(r.RecoveryKey.Reveal()); err != nil {
			return nil, failed(ctx, invalid("recovery_key", "is not a recovery key: at least one of the 28 characters is wrong"))
		}
		defer attempt.Key.Destroy()
	}
	v, err := a.service.VerifyTwoStep(ctx, e.caller, e.idempotencyKey, in.Account, attempt)
	checked, err := a.verification(e, v, err)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.TwoStepVerification }{wire.TwoStepVerification{
		Outcome: checked.Outcome, RetryAt: checked.RetryAt, Assurance: checked.Assurance, Entry: checked.Entry, Replayed: checked.Replayed,
	}}, nil
}

func (a *API) makeRecoveryKey(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
},
) (*struct{ Body wire.NewRecoveryKey }, error) {
	e := exchangeOf(ctx)
	made, err := a.service.MakeRecoveryKey(ctx, e.caller, e.idempotencyKey, in.Account)
	if err != nil {
		return nil, failed(ctx, err)
	}
	answer := wire.NewRecoveryKey{Made: made.Made.UTC(), Entry: made.Entry}
	if made.Key.Secret != nil {
		grouped := made.Key.Grouped()
		answer.RecoveryKey = wire.NewSecret(string(grouped.Reveal()))
		grouped.Destroy()
		made.Key.Destroy()
	}
	return &struct{ Body wire.NewRecoveryKey }{answer}, nil
}

func twoStepOf(info appliance.TwoStepInfo, created bool, err error) func(context.Context) (*twoStepOutput, error) {
	return func(ctx context.Context) (*twoStepOutput, error) {
		if err != nil {
			return nil, failed(ctx, err)
		}
		out := &twoStepOutput{http.StatusOK, wireTwoStep(info)}
		if created {
			out.Status = http.StatusCreated
		}
		return out, nil
	}
}

func wireTwoStep(i appliance.TwoStepInfo) wire.TwoStep {
	w := wire.TwoStep{
		On: i.On, Since: i.Since.UTC(), Imported: i.Imported, Phones: make([]wire.Phone, len(i.Phones)),
		RecoveryKeyMade: i.RecoveryKey.UTC(), Proved: i.Proved.UTC(), Entry: max(i.Entry, 0),
	}
	for n, p := range i.Phones {
		w.Phones[n] = wirePhone(p)
	}
	return w
}
