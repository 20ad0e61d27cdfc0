package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

type (
	// SignInPath names a sign-in.
	SignInPath struct {
		SignIn string `path:"sign_in" maxLength:"64" example:"mfzgk5dfon2gs3th"`
	}
	signInOutput struct{ Body wire.SignIn }
)

const waitRoute = "GET /v1/accounts/{account}/sign-ins/{sign_in}"

// maxSignInWait is how long a sign-in may be waited for, in seconds.
const maxSignInWait = 20

func (a *API) registerSignIns(h huma.API) {
	huma.Register(h, operation("POST /v1/accounts/{account}/sign-ins", "begin-sign-in", "sign-ins", "Begin a sign-in",
		"The account's devices are told of it. An account that does not exist is answered like one that does. Repeating the request with its Idempotency-Key gives the same sign-in.",
		http.StatusCreated), a.beginSignIn)
	huma.Register(h, operation("GET /v1/accounts/{account}/sign-ins", "list-sign-ins", "sign-ins", "List the sign-ins that are open", "", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*struct{ Body wire.SignIns }, error) {
			list, err := a.service.SignIns(ctx, exchangeOf(ctx).caller, in.Account)
			if err != nil {
				return nil, failed(ctx, err)
			}
			out := &struct{ Body wire.SignIns }{wire.SignIns{SignIns: make([]wire.SignIn, len(list))}}
			for i, x := range list {
				out.Body.SignIns[i] = wireSignIn(x)
			}
			return out, nil
		})
	huma.Register(h, operation(waitRoute, "get-sign-in", "sign-ins", "Read a sign-in",
		"With wait, the answer comes when the sign-in is no longer in the state was, or after that many seconds.", http.StatusOK), a.getSignIn)
	huma.Register(h, operation("DELETE /v1/accounts/{account}/sign-ins/{sign_in}", "cancel-sign-in", "sign-ins", "Cancel a sign-in",
		"Its codes are dead when the answer comes.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			SignInPath
			IdempotencyKey
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			if err := a.service.CancelSignIn(ctx, e.caller, e.idempotencyKey, in.Account, in.SignIn); err != nil {
				return nil, failed(ctx, err)
			}
			return nil, nil
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/sign-ins/{sign_in}/decisions", "decide-sign-in", "sign-ins", "Allow or Don't Allow",
		"A device signs it with its key; no front-end can. Don't Allow ends the sign-in for good, whatever code is typed after. Allow is answered with the code, sealed to the device.",
		http.StatusOK), a.decideSignIn)
	huma.Register(h, operation("POST /v1/accounts/{account}/sign-ins/{sign_in}/codes", "send-code", "sign-ins", "Send a code to a phone",
		"By text message or by call. Only the newest code of a phone is right. That none may be sent now is an answer: 200 with its outcome.",
		http.StatusOK), a.sendCode)
	huma.Register(h, operation("POST /v1/accounts/{account}/sign-ins/{sign_in}/codes/{device}", "fetch-code", "sign-ins", "Have the code of a device again",
		"For a device that allowed the sign-in and signs for it.", http.StatusOK), a.fetchCode)
	huma.Register(h, operation("POST /v1/accounts/{account}/sign-ins/{sign_in}/verifications", "verify-sign-in", "sign-ins", "Enter a code for a sign-in",
		"The codes of all its channels are right, and those that devices show in their settings. The first right one spends the sign-in. With new_device that device becomes trusted in the same step. A wrong code is an answer: 200 with its outcome.",
		http.StatusOK), a.enter)
	huma.Register(h, operation("POST /v1/accounts/{account}/combined-verifications", "verify-combined", "sign-ins", "Verify a code that stands after a password",
		"For older software. Any code that is right now counts: of a sign-in that is open, or of a device's settings. The same text again within ten minutes of being refused is refused again and costs nothing.",
		http.StatusOK), a.verifyCombined)
}

func (a *API) beginSignIn(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.SignInRequest
},
) (*signInOutput, error) {
	e, r := exchangeOf(ctx), in.Body
	if err := checkTexts("device.kind", r.Device.Kind, "device.name", r.Device.Name, "device.model", r.Device.Model,
		"device.platform", r.Device.Platform, "device.system_version", r.Device.SystemVersion); err != nil {
		return nil, failed(ctx, err)
	}
	if r.Own != "" && !validID(r.Own) {
		return nil, failed(ctx, invalid("own", idRule))
	}
	request := appliance.BeginRequest{Purpose: account.ForDevice, Device: account.NewDevice(r.Device), Own: r.Own}
	if r.Purpose != "" {
		request.Purpose = account.ParsePurpose(r.Purpose)
	}
	if r.Address != "" {
		address, err := netip.ParseAddr(r.Address)
		if err != nil || address.Zone() != "" {
			return nil, failed(ctx, invalid("address", "must be an IP address"))
		}
		request.Address = address.Unmap()
	}
	x, err := a.service.BeginSignIn(ctx, e.caller, e.idempotencyKey, in.Account, request)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &signInOutput{wireSignIn(x)}, nil
}

func (a *API) getSignIn(ctx context.Context, in *struct {
	AccountPath
	SignInPath
	Wait int    `query:"wait" minimum:"0" maximum:"20" doc:"Seconds to wait for a change. Default 0."`
	Was  string `query:"was" enum:"begun,allowed" doc:"The state that is known. Default begun."`
},
) (*signInOutput, error) {
	c := exchangeOf(ctx).caller
	var x appliance.SignInInfo
	var err error
	if in.Wait == 0 {
		x, err = a.service.SignIn(ctx, c, in.Account, in.SignIn)
	} else {
		was := account.SignInBegun
		if in.Was == account.SignInAllowed.String() {
			was = account.SignInAllowed
		}
		wait, cancel := context.WithTimeout(ctx, time.Duration(in.Wait)*time.Second)
		defer cancel()
		x, err = a.service.AwaitSignIn(wait, c, in.Account, in.SignIn, was)
	}
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &signInOutput{wireSignIn(x)}, nil
}

func (a *API) decideSignIn(ctx context.Context, in *struct {
	AccountPath
	SignInPath
	IdempotencyKey
	Body wire.DecisionRequest
},
) (*struct{ Body wire.Decision }, error) {
	e, r := exchangeOf(ctx), in.Body
	if !validID(r.Device) {
		return nil, failed(ctx, invalid("device", idRule))
	}
	reason, ok := account.ParseDenyReason(r.Reason)
	if !ok || reason != account.NoReason && r.Decision == "allow" {
		return nil, failed(ctx, invalid("reason", "goes with deny, and is not_me or mistake"))
	}
	d, err := a.service.DecideSignIn(ctx, e.caller, e.idempotencyKey, in.Account, in.SignIn, appliance.DecisionRequest{
		Device: r.Device, Allow: r.Decision == "allow", Reason: reason, Time: time.UnixMilli(r.TimeMS), Signature: r.Signature,
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &struct{ Body wire.Decision }{wire.Decision{SignIn: wireSignIn(d.SignIn), Entry: d.Entry}}
	if d.Code != nil {
		code := wire.SealedCode(*d.Code)
		out.Body.Code = &code
	}
	return out, nil
}

func (a *API) fetchCode(ctx context.Context, in *struct {
	AccountPath
	SignInPath
	DevicePath
	Body wire.FetchCodeRequest
},
) (*struct{ Body wire.SealedCode }, error) {
	code, err := a.service.FetchCode(ctx, exchangeOf(ctx).caller, in.Account, in.SignIn, appliance.DecisionRequest{
		Device: in.Device, Time: time.UnixMilli(in.Body.TimeMS), Signature: in.Body.Signature,
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.SealedCode }{wire.SealedCode(code)}, nil
}

func (a *API) sendCode(ctx context.Context, in *struct {
	AccountPath
	SignInPath
	IdempotencyKey
	Body wire.SendCodeRequest
},
) (*struct{ Body wire.Sending }, error) {
	if !validID(in.Body.Phone) {
		return nil, failed(ctx, invalid("phone", idRule))
	}
	e := exchangeOf(ctx)
	sent, err := a.service.SendCode(ctx, e.caller, e.idempotencyKey, in.Account, in.SignIn,
		appliance.SendRequest{Phone: in.Body.Phone, Voice: in.Body.Channel == "voice"})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.Sending }{wireSending(e, sent)}, nil
}

func (a *API) enter(ctx context.Context, in *struct {
	AccountPath
	SignInPath
	IdempotencyKey
	Body wire.EnterRequest
},
) (*struct{ Body wire.Entered }, error) {
	e, r := exchangeOf(ctx), in.Body
	request := appliance.EnterRequest{SignIn: in.SignIn}
	if r.Code.IsZero() == (r.TextProof == nil) {
		return nil, failed(ctx, invalid("code", "or text_proof is required, and not both"))
	}
	if r.TextProof != nil {
		request.Proof = &appliance.TextProof{Phone: r.TextProof.Phone, Signature: r.TextProof.Signature}
	} else {
		code, err := parseCode("code", r.Code)
		if err != nil {
			return nil, failed(ctx, err)
		}
		request.Code = code
	}
	if d := r.NewDevice; d != nil {
		if err := checkTexts("new_device.name", d.Name, "new_device.model", d.Model, "new_device.serial", d.Serial,
			"new_device.platform", d.Platform, "new_device.system_version", d.SystemVersion); err != nil {
			return nil, failed(ctx, err)
		}
		device := applianceDevice(*d)
		request.Register = &device
	}
	v, err := a.service.VerifySignIn(ctx, e.caller, e.idempotencyKey, in.Account, request)
	if err != nil {
		return nil, failed(ctx, err)
	}
	checked, err := a.verification(e, v.Verification, nil)
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &struct{ Body wire.Entered }{wire.Entered{
		Outcome: checked.Outcome, RetryAt: checked.RetryAt, Assurance: checked.Assurance, Device: checked.Device, Entry: checked.Entry, Replayed: checked.Replayed,
	}}
	if v.Device != nil {
		enrolled := wireEnrolled(*v.Device)
		out.Body.NewDevice, out.Body.Device = &enrolled, ""
	}
	return out, nil
}

func (a *API) verifyCombined(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.CombinedRequest
},
) (*struct{ Body wire.Combined }, error) {
	e := exchangeOf(ctx)
	text := hsm.NewSecret([]byte(in.Body.Text.Reveal()))
	defer text.Destroy()
	v, err := a.service.VerifyCombined(ctx, e.caller, e.idempotencyKey, in.Account, text)
	if err != nil {
		return nil, failed(ctx, err)
	}
	checked, err := a.verification(e, v.Verification, nil)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.Combined }{wire.Combined{
		Outcome: checked.Outcome, RetryAt: checked.RetryAt, Remainder: v.Remainder, Assurance: checked.Assurance, Device: checked.Device, Entry: checked.Entry,
		Replayed: checked.Replayed,
	}}, nil
}

func wireSignIn(i appliance.SignInInfo) wire.SignIn {
	w := wire.SignIn{
		ID: i.ID, State: i.State.String(), CodeNeeded: i.Ended.IsZero(), Nonce: i.Nonce, Purpose: i.Purpose.String(),
		Begun: i.Begun.UTC(), Expires: i.Expires.UTC(), Ended: i.Ended.UTC(), Reason: i.Reason.String(), Device: wire.NewDevice(i.Device), Entry: max(i.Entry, 0),
		Channels: wire.Channels{Devices: i.Options.Devices, Phones: make([]wire.PhoneOption, len(i.Options.Phones))},
	}
	for n, p := range i.Options.Phones {
		w.Channels.Phones[n] = wire.PhoneOption(p)
	}
	if p := i.Place; p != (account.Place{}) {
		w.Place = &wire.Place{
			Label: p.Label, Latitude: float64(p.Latitude) / 100, Longitude: float64(p.Longitude) / 100,
			AccuracyKM: int(p.Accuracy), Approximate: true,
		}
	}
	return w
}

func wireSending(e *exchange, s appliance.Sending) wire.Sending {
	w := wire.Sending{Outcome: wire.Sent, RetryAt: s.RetryAt.UTC(), Entry: s.Entry}
	switch s.Outcome {
	case account.TooSoon:
		w.Outcome = wire.TooSoon
	case account.TooMany:
		w.Outcome = wire.Limit
	case account.Ended:
		w.Outcome = wire.Ended
	}
	e.outcome = w.Outcome
	return w
}
