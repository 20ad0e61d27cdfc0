package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// RecoveryPath names a recovery.
type RecoveryPath struct {
	Recovery string `path:"recovery" maxLength:"64" example:"mfzgk5dfon2gs3th"`
}

const recoveries = "/v1/accounts/{account}/recoveries"

func (a *API) registerRecoveries(h huma.API) {
	huma.Register(h, operation("POST "+recoveries, "start-recovery", "recoveries", "Start a recovery",
		"For somebody who has no device and no phone at hand (policy: recovery). It waits for days; every device and phone is told. Evidence shortens the wait, never below its floor, and no call hurries it. One that runs is neither begun again nor shortened. An account that does not exist is answered like one that does. 201 when it was started.",
		http.StatusCreated), a.startRecovery)
	huma.Register(h, operation("GET "+recoveries, "list-recoveries", "recoveries", "Read the newest recovery of an account",
		"With its state in a sentence, for the person or for the help desk, which can't do more than read it.", http.StatusOK), a.listRecoveries)
	huma.Register(h, operation("DELETE "+recoveries+"/{recovery}", "withdraw-recovery", "recoveries", "Withdraw a recovery",
		"Because nobody waits for it any more. Another may be started a day after it was.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			RecoveryPath
			IdempotencyKey
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			if err := a.service.WithdrawRecovery(ctx, e.caller, e.idempotencyKey, in.Account, in.Recovery); err != nil {
				return nil, failed(ctx, err)
			}
			return nil, nil
		})
	huma.Register(h, operation("POST "+recoveries+"/{recovery}/codes", "send-recovery-code", "recoveries", "Send a code to a phone for a recovery",
		"Whoever has it can speak for the recovery with it, or stop it. That none may be sent now is an answer: 200 with its outcome.",
		http.StatusOK), a.sendRecoveryCode)
	huma.Register(h, operation("POST "+recoveries+"/{recovery}/evidence", "give-evidence", "recoveries", "Give evidence for a recovery",
		"Each kind counts once. A wrong code is an answer, and charged like any other attempt.", http.StatusOK), a.giveEvidence)
	huma.Register(h, operation("POST "+recoveries+"/{recovery}/cancellations", "cancel-recovery", "recoveries", "Cancel a recovery, as the account's owner",
		"By a device's signature or a phone's code, at any time before it is completed. A sign-in that is verified cancels it as well. None can be started for some days after that.",
		http.StatusOK), a.cancelRecovery)
	huma.Register(h, operation("POST "+recoveries+"/{recovery}/claims", "claim-recovery", "recoveries", "Ask for the grant of a recovery that is ready",
		"That it isn't ready is an answer: 200 with its outcome. When the first grant is given, every device and phone is told.", http.StatusOK), a.claimRecovery)
	huma.Register(h, operation("POST "+recoveries+"/{recovery}/completions", "complete-recovery", "recoveries", "Redeem the grant and bind the account anew",
		"Its devices, authenticators and app passwords are dead in the step in which the new device becomes trusted; its phones stay. Set the new password now.",
		http.StatusCreated), a.completeRecovery)
	huma.Register(h, operation("POST /v1/accounts/{account}/password-resets", "grant-password-reset", "recoveries", "Ask for a grant to reset the password",
		"A trusted device signs for it, in a sign-in that was begun for password-reset on that device: the other devices are told of it, and may say Don't Allow first. Repeating the request gives the same grant.",
		http.StatusCreated), a.grantReset)
	huma.Register(h, operation("POST /v1/accounts/{account}/password-resets/redemptions", "redeem-password-reset", "recoveries", "Redeem the grant of a password reset",
		"Once, when the new password is set. The account's app passwords are dead when the answer comes.", http.StatusOK), a.redeemReset)
}

func (a *API) startRecovery(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
},
) (*struct {
	Status int
	Body   wire.RecoveryStart
}, error,
) {
	e := exchangeOf(ctx)
	s, err := a.service.StartRecovery(ctx, e.caller, e.idempotencyKey, in.Account)
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &struct {
		Status int
		Body   wire.RecoveryStart
	}{http.StatusOK, wire.RecoveryStart{RetryAt: s.RetryAt.UTC(), Entry: s.Entry}}
	switch s.Outcome {
	case account.Done:
		out.Status, out.Body.Outcome = http.StatusCreated, wire.Started
	case account.Exists:
		out.Body.Outcome = wire.Running
	case account.TooSoon:
		out.Body.Outcome = wire.TooSoon
	default:
		return nil, failed(ctx, fmt.Errorf("the start's outcome %d has no name", s.Outcome))
	}
	e.outcome = out.Body.Outcome
	if s.Recovery != nil {
		r := wireRecovery(*s.Recovery)
		out.Body.Recovery = &r
	}
	return out, nil
}

func (a *API) listRecoveries(ctx context.Context, in *AccountPath) (*struct{ Body wire.Recoveries }, error) {
	r, err := a.service.Recovery(ctx, exchangeOf(ctx).caller, in.Account)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.Recoveries }{wire.Recoveries{Recoveries: []wire.Recovery{wireRecovery(r)}}}, nil
}

func (a *API) sendRecoveryCode(ctx context.Context, in *struct {
	AccountPath
	RecoveryPath
	IdempotencyKey
	Body wire.SendCodeRequest
},
) (*struct{ Body wire.Sending }, error) {
	if !validID(in.Body.Phone) {
		return nil, failed(ctx, invalid("phone", idRule))
	}
	e := exchangeOf(ctx)
	sent, err := a.service.SendRecoveryCode(ctx, e.caller, e.idempotencyKey, in.Account, in.Recovery,
		appliance.SendRequest{Phone: in.Body.Phone, Voice: in.Body.Channel == "voice"})
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.Sending }{wireSending(e, sent)}, nil
}

func (a *API) giveEvidence(ctx context.Context, in *struct {
	AccountPath
	RecoveryPath
	IdempotencyKey
	Body wire.EvidenceRequest
},
) (*struct{ Body wire.RecoveryProof }, error) {
	r := in.Body
	proof, err := recoveryProof(account.ParseEvidence(r.Kind), r.Code, r.Device, r.TimeMS, r.Signature)
	if err != nil {
		return nil, failed(ctx, err)
	}
	e := exchangeOf(ctx)
	p, err := a.service.GiveEvidence(ctx, e.caller, e.idempotencyKey, in.Account, in.Recovery, proof)
	return a.proved(ctx, p, err)
}

func (a *API) cancelRecovery(ctx context.Context, in *struct {
	AccountPath
	RecoveryPath
	IdempotencyKey
	Body wire.CancellationRequest
},
) (*struct{ Body wire.RecoveryProof }, error) {
	r := in.Body
	kind := account.DeviceEvidence
	if r.Device == "" {
		kind = account.PhoneCodeEvidence
	}
	proof, err := recoveryProof(kind, r.Code, r.Device, r.TimeMS, r.Signature)
	if err != nil {
		return nil, failed(ctx, err)
	}
	e := exchangeOf(ctx)
	p, err := a.service.CancelRecovery(ctx, e.caller, e.idempotencyKey, in.Account, in.Recovery, proof)
	return a.proved(ctx, p, err)
}

// recoveryProof takes what goes with the kind, and nothing else.
func recoveryProof(kind account.EvidenceKind, code wire.Secret, device string, timeMS int64, signature []byte) (appliance.RecoveryProof, error) {
	p := appliance.RecoveryProof{Kind: kind}
	if (kind == account.PhoneCodeEvidence) == code.IsZero() {
		return p, invalid("code", "goes with the code of a phone, and with nothing else")
	}
	if (kind == account.DeviceEvidence) == (device == "") {
		return p, invalid("device", "goes with a device's signature, and with nothing else")
	}
	switch kind {
	case account.PhoneCodeEvidence:
		var err error
		p.Code, err = parseCode("code", code)
		return p, err
	case account.DeviceEvidence:
		if err := checkSigned(device, timeMS, signature); err != nil {
			return p, err
		}
		p.Device, p.Time, p.Signature = device, time.UnixMilli(timeMS), signature
	}
	return p, nil
}

// checkSigned checks what a device signed, where it is optional.
func checkSigned(device string, timeMS int64, signature []byte) error {
	switch {
	case !validID(device):
		return invalid("device", idRule)
	case timeMS == 0:
		return invalid("time_ms", "is required with a device")
	case len(signature) == 0:
		return invalid("signature", "is required with a device")
	}
	return nil
}

func (a *API) proved(ctx context.Context, p appliance.ProvedRecovery, err error) (*struct{ Body wire.RecoveryProof }, error) {
	checked, err := a.verification(exchangeOf(ctx), p.Verification, err)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.RecoveryProof }{wire.RecoveryProof{
		Outcome: checked.Outcome, RetryAt: checked.RetryAt, Recovery: wireRecovery(p.Recovery), Entry: checked.Entry, Replayed: checked.Replayed,
	}}, nil
}

func (a *API) claimRecovery(ctx context.Context, in *struct {
	AccountPath
	RecoveryPath
	IdempotencyKey
},
) (*struct{ Body wire.RecoveryClaim }, error) {
	e := exchangeOf(ctx)
	c, err := a.service.ClaimRecovery(ctx, e.caller, e.idempotencyKey, in.Account, in.Recovery)
	if err != nil {
		return nil, failed(ctx, err)
	}
	w := wire.RecoveryClaim{RetryAt: c.RetryAt.UTC(), Entry: c.Entry}
	switch c.Outcome {
	case account.Done:
		w.Outcome, w.Grant, w.Expires = wire.Granting, wire.NewSecret(string(c.Granted.Token.Reveal())), c.Granted.Expires.UTC()
		c.Granted.Token.Destroy()
	case account.NotYet:
		w.Outcome = wire.NotYet
	case account.NoEvidence:
		w.Outcome = wire.EvidenceNeeded
	case account.Ended:
		w.Outcome = wire.Ended
	default:
		return nil, failed(ctx, fmt.Errorf("the claim's outcome %d has no name", c.Outcome))
	}
	e.outcome = w.Outcome
	return &struct{ Body wire.RecoveryClaim }{w}, nil
}

func (a *API) completeRecovery(ctx context.Context, in *struct {
	AccountPath
	RecoveryPath
	IdempotencyKey
	Body wire.CompletionRequest
},
) (*struct{ Body wire.EnrolledDevice }, error) {
	if err := checkDevice("new_device.", in.Body.NewDevice); err != nil {
		return nil, failed(ctx, err)
	}
	e := exchangeOf(ctx)
	token := hsm.NewSecret([]byte(in.Body.Grant.Reveal()))
	defer token.Destroy()
	d, err := a.service.CompleteRecovery(ctx, e.caller, e.idempotencyKey, in.Account, in.Recovery, token, applianceDevice(in.Body.NewDevice))
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.EnrolledDevice }{wireEnrolled(d)}, nil
}

func (a *API) grantReset(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.ResetRequest
},
) (*struct{ Body wire.ResetGrant }, error) {
	e, r := exchangeOf(ctx), in.Body
	if !validID(r.SignIn) {
		return nil, failed(ctx, invalid("sign_in", idRule))
	}
	request := appliance.ResetRequest{SignIn: r.SignIn}
	if r.Device != "" {
		if err := checkSigned(r.Device, r.TimeMS, r.Signature); err != nil {
			return nil, failed(ctx, err)
		}
		request.Device, request.Present = r.Device, r.Presence == wire.Present
		request.Time, request.Signature = time.UnixMilli(r.TimeMS), r.Signature
	} else if r.Presence != "" || r.TimeMS != 0 || len(r.Signature) > 0 {
		return nil, failed(ctx, invalid("device", "is required with what it signed"))
	}
	g, err := a.service.GrantReset(ctx, e.caller, e.idempotencyKey, in.Account, request)
	if err != nil {
		return nil, failed(ctx, err)
	}
	w := wire.ResetGrant{Grant: wire.NewSecret(string(g.Token.Reveal())), Expires: g.Expires.UTC(), Entry: g.Entry}
	g.Token.Destroy()
	return &struct{ Body wire.ResetGrant }{w}, nil
}

func (a *API) redeemReset(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.RedemptionRequest
},
) (*struct{ Body wire.Redemption }, error) {
	e := exchangeOf(ctx)
	token := hsm.NewSecret([]byte(in.Body.Grant.Reveal()))
	defer token.Destroy()
	r, err := a.service.RedeemReset(ctx, e.caller, e.idempotencyKey, in.Account, token)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.Redemption }{wire.Redemption{Device: r.Device, Entry: r.Entry}}, nil
}

// explanations are what can be said of a recovery's state, by those who can do nothing about it.
var explanations = map[account.RecoveryState]string{
	account.RecoveryWaiting:   "The recovery waits until the date in ready. More evidence may bring that nearer; nobody else can, and no one who works here. Any of the account's devices or phones, or a sign-in, cancels it.",
	account.RecoveryReady:     "The wait is over: until the date in expires the person can complete the recovery with a new device. Any of the account's devices or phones, or a sign-in, still cancels it.",
	account.RecoveryCompleted: "The account was recovered and is bound to a new device. What it had of devices, browsers and app passwords no longer counts.",
	account.RecoveryCancelled: "The account's owner cancelled the recovery. Another can be started after some days only, and nobody can change that.",
	account.RecoveryWithdrawn: "The recovery was withdrawn. Another can be started.",
	account.RecoveryExpired:   "Nobody completed the recovery in time. Another can be started, and waits anew.",
}

func wireRecovery(i appliance.RecoveryInfo) wire.Recovery {
	w := wire.Recovery{
		ID: i.ID, State: i.State.String(), Explanation: explanations[i.State], Nonce: i.Nonce, Started: i.Started.UTC(), Ready: i.Ready.UTC(),
		Floor: i.Floor.UTC(), Expires: i.Expires.UTC(), Granted: i.Granted.UTC(), Ended: i.Ended.UTC(), Entry: max(i.Entry, 0),
		Evidence: make([]string, len(i.Evidence)), Helps: make([]wire.Help, len(i.Helps)), Phones: make([]wire.PhoneOption, len(i.Phones)),
	}
	for n, k := range i.Evidence {
		w.Evidence[n] = k.String()
	}
	for n, h := range i.Helps {
		w.Helps[n] = wire.Help{Kind: h.Kind.String(), Hours: int(h.Shorter / time.Hour)}
	}
	for n, p := range i.Phones {
		w.Phones[n] = wire.PhoneOption(p)
	}
	return w
}
