package api

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/hsm"
)

type (
	// DevicePath names a device.
	DevicePath struct {
		Device string `path:"device" maxLength:"64" example:"mfzgk5dfon2gs3th"`
	}
	// AuthenticatorPath names an authenticator app.
	AuthenticatorPath struct {
		Authenticator string `path:"authenticator" maxLength:"64" example:"mfzgk5dfon2gs3th"`
	}
	credentialsOutput struct{ Body wire.Credentials }
)

func (a *API) registerCredentials(h huma.API) {
	huma.Register(h, operation("POST /v1/accounts/{account}/devices", "enrol-device", "credentials", "Enrol a device by its public key",
		"A seed is made inside the hardware and sealed to the device's key there. An account that has a device, or is protected, wants a sign-in that was verified of late (step-up), and its devices are told; a new device is better registered with the code itself (verify-sign-in). Repeating the request with its Idempotency-Key gives the same device again.",
		http.StatusCreated), a.enrolDevice)
	huma.Register(h, operation("GET /v1/accounts/{account}/devices", "list-devices", "credentials", "List an account's devices", "", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*credentialsOutput, error) {
			return a.listCredentials(ctx, in.Account, wire.KindDevice)
		})
	huma.Register(h, operation("DELETE /v1/accounts/{account}/devices/{device}", "remove-device", "credentials", "Remove a device",
		"Its codes are dead on every node when the answer comes.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			DevicePath
			IdempotencyKey
		},
		) (*empty, error) {
			return a.removeCredential(ctx, in.Account, in.Device)
		})

	huma.Register(h, operation("POST /v1/accounts/{account}/authenticators", "add-authenticator", "credentials", "Add an authenticator app",
		"With uri an existing seed is imported (policy: allow_import). Without it a seed is made and shown in this answer, once (policy: allow_reveal). As with a device, a verified sign-in may be asked for; repeating the request gives the authenticator without it.",
		http.StatusCreated), a.addAuthenticator)
	huma.Register(h, operation("GET /v1/accounts/{account}/authenticators", "list-authenticators", "credentials", "List an account's authenticator apps", "", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*credentialsOutput, error) {
			return a.listCredentials(ctx, in.Account, wire.KindAuthenticator)
		})
	huma.Register(h, operation("DELETE /v1/accounts/{account}/authenticators/{authenticator}", "remove-authenticator", "credentials", "Remove an authenticator app",
		"Its codes are dead on every node when the answer comes.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			AuthenticatorPath
			IdempotencyKey
		},
		) (*empty, error) {
			return a.removeCredential(ctx, in.Account, in.Authenticator)
		})
}

func (a *API) enrolDevice(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.DeviceEnrolment
},
) (*struct{ Body wire.EnrolledDevice }, error) {
	e, r := exchangeOf(ctx), in.Body
	if err := checkTexts("name", r.Name, "model", r.Model, "serial", r.Serial, "platform", r.Platform, "system_version", r.SystemVersion); err != nil {
		return nil, failed(ctx, err)
	}
	if r.SignIn != "" && !validID(r.SignIn) {
		return nil, failed(ctx, invalid("sign_in", idRule))
	}
	d, err := a.service.EnrolDevice(ctx, e.caller, e.idempotencyKey, in.Account, r.SignIn, applianceDevice(r.DeviceRequest))
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.EnrolledDevice }{wireEnrolled(d)}, nil
}

func applianceDevice(r wire.DeviceRequest) appliance.DeviceRequest {
	return appliance.DeviceRequest{
		PublicKey: r.PublicKey, Name: r.Name, Model: r.Model, Serial: r.Serial, Platform: r.Platform, SystemVersion: r.SystemVersion,
	}
}

func wireEnrolled(d appliance.EnrolledDevice) wire.EnrolledDevice {
	return wire.EnrolledDevice{
		Device:   wireCredential(d.CredentialInfo),
		Envelope: wire.Envelope{Ephemeral: d.Envelope.Ephemeral, Wrapped: d.Envelope.Wrapped},
		Binding: wire.Binding{
			Tenant: d.Binding.Tenant, Account: d.Binding.Account, Credential: d.Binding.Credential, Version: d.Binding.Version,
		},
		Entry: d.Entry,
	}
}

func (a *API) addAuthenticator(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.AuthenticatorRequest
},
) (*struct{ Body wire.NewAuthenticator }, error) {
	e := exchangeOf(ctx)
	if err := checkTexts("issuer", in.Body.Issuer, "label", in.Body.Label); err != nil {
		return nil, failed(ctx, err)
	}
	if in.Body.SignIn != "" && !validID(in.Body.SignIn) {
		return nil, failed(ctx, invalid("sign_in", idRule))
	}
	request := appliance.AuthenticatorRequest{
		Issuer: in.Body.Issuer, Label: in.Body.Label, Params: otpParams(in.Body.Params), SignIn: in.Body.SignIn,
	}
	if !in.Body.URI.IsZero() {
		if in.Body.Issuer != "" || in.Body.Label != "" || in.Body.Params != (wire.Params{}) {
			return nil, failed(ctx, invalid("uri", "goes without issuer, label and params: it has its own"))
		}
		request.URI = hsm.NewSecret([]byte(in.Body.URI.Reveal()))
		defer request.URI.Destroy()
	}
	made, err := a.service.AddAuthenticator(ctx, e.caller, e.idempotencyKey, in.Account, request)
	if err != nil {
		return nil, failed(ctx, err)
	}
	answer := wire.NewAuthenticator{Authenticator: wireCredential(made.CredentialInfo), Entry: made.Entry}
	if made.URI != nil {
		answer.URI = wire.NewSecret(string(made.URI.Reveal()))
		made.URI.Destroy()
	}
	if made.QR != nil {
		answer.QR = wire.NewSecret(base64.StdEncoding.EncodeToString(made.QR.Reveal()))
		made.QR.Destroy()
	}
	return &struct{ Body wire.NewAuthenticator }{answer}, nil
}

func (a *API) listCredentials(ctx context.Context, account, kind string) (*credentialsOutput, error) {
	info, err := a.service.Account(ctx, exchangeOf(ctx).caller, account)
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &credentialsOutput{Body: wire.Credentials{Credentials: []wire.Credential{}}}
	for _, c := range append(info.Credentials, info.Lost...) {
		if w := wireCredential(c); w.Kind == kind {
			if exchangeOf(ctx).caller.Role == appliance.Helpdesk {
				w.Serial = masked(w.Serial)
			}
			out.Body.Credentials = append(out.Body.Credentials, w)
		}
	}
	return out, nil
}

func (a *API) removeCredential(ctx context.Context, account, credential string) (*empty, error) {
	e := exchangeOf(ctx)
	if err := a.service.RemoveCredential(ctx, e.caller, e.idempotencyKey, account, credential); err != nil {
		return nil, failed(ctx, err)
	}
	return nil, nil
}
