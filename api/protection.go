package api

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

func (a *API) registerProtection(h huma.API) {
	huma.Register(h, operation("POST /v1/accounts/{account}/protection", "turn-on-protection", "protection", "Turn protection on",
		"It needs a verified phone, and becomes permanent after 14 days: until then the answer's link turns it off again. The device on which it is turned on becomes trusted in the same step. 201 when it was turned on, 200 when it was on. Repeating the request with its Idempotency-Key gives the same answer.",
		http.StatusCreated), a.protect)
	huma.Register(h, operation("GET /v1/accounts/{account}/protection", "get-protection", "protection", "How an account is protected", "", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*struct{ Body wire.Protection }, error) {
			return protectionOf(a.service.Protection(ctx, exchangeOf(ctx).caller, in.Account))(ctx)
		})
	huma.Register(h, operation("POST /v1/accounts/{account}/protection/undo", "undo-protection", "protection", "Turn protection off by the link",
		"Within 14 days, once. After that, for accounts that were born protected, and where the tenant's policy forbids it, no call turns protection off.",
		http.StatusOK), a.undoProtection)
	huma.Register(h, operation("PUT /v1/accounts/{account}/class", "set-class", "protection", "Say which class of accounts one is of",
		"Protection that is on stays on.", http.StatusOK),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
			Body wire.ClassRequest
		},
		) (*struct{ Body wire.Protection }, error) {
			e := exchangeOf(ctx)
			return protectionOf(a.service.SetClass(ctx, e.caller, e.idempotencyKey, in.Account, in.Body.Class))(ctx)
		})
	huma.Register(h, operation("GET /v1/eligibility", "get-eligibility", "protection", "May a device and an account have protection?",
		"Ask about a platform and version, an account, or both; an account alone is judged with the devices that it has.", http.StatusOK),
		a.eligibility)
	huma.Register(h, operation("GET /v1/accounts/{account}/devices/{device}", "get-device", "credentials", "Read a device", "", http.StatusOK), a.getDevice)
	huma.Register(h, operation("PUT /v1/accounts/{account}/devices/{device}", "change-device", "credentials", "Note a device's new name or system version",
		"The answer has its seed again if the device may show codes: so one that was below the minimum gets it.", http.StatusOK), a.changeDevice)
	huma.Register(h, operation("POST /v1/accounts/{account}/devices/{device}/reports", "report-device", "credentials", "Report a device lost or erased",
		"Its trust and its codes are dead on every node when the answer comes. It is listed until it is removed.", http.StatusOK), a.reportDevice)
	huma.Register(h, operation("PUT /v1/accounts/{account}/devices/{device}/presence", "report-presence", "credentials", "Say whether a device is signed in",
		"For the list of devices; nothing is decided by it, and trust is ended by other calls. It may come with each of the device's requests: what is no news, or within an hour of the last, is answered without being written or logged.", http.StatusOK), a.reportPresence)
}

func (a *API) protect(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.ProtectionRequest
},
) (*struct {
	Status int
	Body   wire.ProtectionAnswer
}, error,
) {
	return a.protectAccount(ctx, in.Account, in.Body, false)
}

// protectAccount turns protection on; with move, two-step verification off in the same step.
func (a *API) protectAccount(ctx context.Context, name string, r wire.ProtectionRequest, move bool) (*struct {
	Status int
	Body   wire.ProtectionAnswer
}, error,
) {
	e := exchangeOf(ctx)
	request, err := protectRequest("", r)
	if err != nil {
		return nil, failed(ctx, err)
	}
	request.Move = move
	if request.Settings != nil {
		defer request.Settings.Destroy()
	}
	p, err := a.service.Protect(ctx, e.caller, e.idempotencyKey, name, request)
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &struct {
		Status int
		Body   wire.ProtectionAnswer
	}{http.StatusOK, protectionAnswer(p)}
	if p.Outcome == account.Done {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// protectRequest checks a request; prefix is where it stands in the body. The caller destroys its settings.
func protectRequest(prefix string, r wire.ProtectionRequest) (appliance.ProtectRequest, error) {
	if (r.Device == "") == (r.NewDevice == nil) {
		return appliance.ProtectRequest{}, invalid(prefix+"device", "or new_device is required, and not both")
	}
	if r.Device != "" && !validID(r.Device) {
		return appliance.ProtectRequest{}, invalid(prefix+"device", idRule)
	}
	request := appliance.ProtectRequest{Own: r.Device, SignIn: r.SignIn, Checked: r.Checked}
	if d := r.NewDevice; d != nil {
		if err := checkDevice(prefix+"new_device.", *d); err != nil {
			return appliance.ProtectRequest{}, err
		}
		device := applianceDevice(*d)
		request.Register = &device
	}
	if text := r.EarlierSettings.Reveal(); text != "" {
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(raw) > account.MaxSettings {
			return appliance.ProtectRequest{}, invalid(prefix+"earlier_settings", "must be at most 16 KiB in base64")
		}
		request.Settings = hsm.NewSecret(raw)
	}
	return request, nil
}

// protectionAnswer is the answer on the wire; the token goes into it.
func protectionAnswer(p appliance.Protected) wire.ProtectionAnswer {
	w := wire.ProtectionAnswer{Protection: wireProtection(p.ProtectionInfo), Entry: p.Entry}
	if p.Device != nil {
		device := wireEnrolled(*p.Device)
		w.NewDevice = &device
	}
	if p.Link != nil {
		w.LinkToken = wire.NewSecret(string(p.Link.Token.Reveal()))
		p.Link.Token.Destroy()
	}
	return w
}

func (a *API) undoProtection(ctx context.Context, in *struct {
	AccountPath
	IdempotencyKey
	Body wire.UndoRequest
},
) (*struct{ Body wire.UndoAnswer }, error) {
	e := exchangeOf(ctx)
	token := hsm.NewSecret([]byte(in.Body.Token.Reveal()))
	defer token.Destroy()
	u, err := a.service.Unprotect(ctx, e.caller, e.idempotencyKey, in.Account, token)
	if err != nil {
		return nil, failed(ctx, err)
	}
	out := &struct{ Body wire.UndoAnswer }{wire.UndoAnswer{Protection: wireProtection(u.ProtectionInfo), Lost: u.Lost, Entry: u.Entry}}
	if u.Settings != nil {
		out.Body.EarlierSettings = wire.NewSecret(base64.StdEncoding.EncodeToString(u.Settings.Reveal()))
		u.Settings.Destroy()
	}
	return out, nil
}

func (a *API) eligibility(ctx context.Context, in *struct {
	Platform string `query:"platform" maxLength:"128" example:"iOS"`
	Version  string `query:"version" maxLength:"128" example:"9.3"`
	Account  string `query:"account" maxLength:"128" example:"alice"`
},
) (*struct{ Body wire.Eligibility }, error) {
	if in.Platform == "" && in.Account == "" {
		return nil, failed(ctx, invalid("platform", "or account is required"))
	}
	if in.Version != "" && in.Platform == "" {
		return nil, failed(ctx, invalid("version", "goes with a platform"))
	}
	if err := checkTexts("platform", in.Platform, "version", in.Version); err != nil {
		return nil, failed(ctx, err)
	}
	if in.Account != "" && !validAccount(in.Account) {
		return nil, failed(ctx, invalid("account", accountRule))
	}
	v, err := a.service.Eligibility(ctx, exchangeOf(ctx).caller, appliance.EligibilityRequest{
		Platform: in.Platform, Version: in.Version, Account: in.Account,
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	w := wire.Eligibility{Eligible: v.Eligible, Reasons: v.Reasons, ShowsCodes: v.Codes, Minimum: v.Minimum}
	if v.Account != nil {
		p := wireProtection(*v.Account)
		w.Protection = &p
	}
	return &struct{ Body wire.Eligibility }{w}, nil
}

func (a *API) getDevice(ctx context.Context, in *struct {
	AccountPath
	DevicePath
},
) (*struct{ Body wire.Credential }, error) {
	list, err := a.listCredentials(ctx, in.Account, wire.KindDevice)
	if err != nil {
		return nil, err
	}
	for _, d := range list.Body.Credentials {
		if d.ID == in.Device {
			return &struct{ Body wire.Credential }{d}, nil
		}
	}
	return nil, failed(ctx, appliance.ErrNotFound)
}

func (a *API) changeDevice(ctx context.Context, in *struct {
	AccountPath
	DevicePath
	IdempotencyKey
	Body wire.DeviceChange
},
) (*struct{ Body wire.EnrolledDevice }, error) {
	if err := checkTexts("name", in.Body.Name, "system_version", in.Body.SystemVersion); err != nil {
		return nil, failed(ctx, err)
	}
	e := exchangeOf(ctx)
	d, err := a.service.ChangeDevice(ctx, e.caller, e.idempotencyKey, in.Account, in.Device, appliance.DeviceChange(in.Body))
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.EnrolledDevice }{wireEnrolled(d)}, nil
}

func (a *API) reportDevice(ctx context.Context, in *struct {
	AccountPath
	DevicePath
	IdempotencyKey
	Body wire.DeviceReport
},
) (*struct{ Body wire.Credential }, error) {
	e := exchangeOf(ctx)
	d, err := a.service.ReportDevice(ctx, e.caller, e.idempotencyKey, in.Account, in.Device, in.Body.State == "erased")
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.Credential }{wireCredential(d)}, nil
}

func (a *API) reportPresence(ctx context.Context, in *struct {
	AccountPath
	DevicePath
	IdempotencyKey
	Body wire.PresenceReport
},
) (*struct{ Body wire.Credential }, error) {
	e := exchangeOf(ctx)
	d, err := a.service.ReportPresence(ctx, e.caller, e.idempotencyKey, in.Account, in.Device, in.Body.SignedIn)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &struct{ Body wire.Credential }{wireCredential(d)}, nil
}

// checkDevice checks what a device says of itself.
func checkDevice(prefix string, d wire.DeviceRequest) error {
	return checkTexts(prefix+"name", d.Name, prefix+"model", d.Model, prefix+"serial", d.Serial,
		prefix+"platform", d.Platform, prefix+"system_version", d.SystemVersion)
}

// masked is a serial number as the help desk sees it.
func masked(serial string) string {
	r := []rune(serial)
	if len(r) <= 4 {
		return ""
	}
	return "…" + string(r[len(r)-4:])
}

func protectionOf(p appliance.ProtectionInfo, err error) func(context.Context) (*struct{ Body wire.Protection }, error) {
	return func(ctx context.Context) (*struct{ Body wire.Protection }, error) {
		if err != nil {
			return nil, failed(ctx, err)
		}
		return &struct{ Body wire.Protection }{wireProtection(p)}, nil
	}
}

func wireProtection(p appliance.ProtectionInfo) wire.Protection {
	w := wire.Protection{
		Mode: p.Mode.String(), Assurance: p.Assurance.String(), Since: p.Since.UTC(), Born: p.Born, UndoUntil: p.UndoUntil.UTC(),
		Missing: p.Missing, Class: p.Class,
	}
	if w.Missing == nil {
		w.Missing = []string{}
	}
	return w
}

// assuranceName is empty where an answer says nothing of it.
func assuranceName(a account.Assurance) string {
	if a == account.InvalidAssurance {
		return ""
	}
	return a.String()
}
