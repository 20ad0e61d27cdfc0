package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
)

type (
	// TenantPath names a tenant.
	TenantPath struct {
		Tenant string `path:"tenant" maxLength:"64" example:"acme"`
	}
	policyOutput struct{ Body wire.Policy }
)

func (a *API) registerTenants(h huma.API) {
	huma.Register(h, operation("GET /v1/tenants/{tenant}/policy", "get-policy", "tenants", "Read a tenant's policy",
		"A tenant without one has the closed policy.", http.StatusOK),
		func(ctx context.Context, in *TenantPath) (*policyOutput, error) {
			p, err := a.service.Policy(ctx, exchangeOf(ctx).caller, in.Tenant)
			if err != nil {
				return nil, failed(ctx, err)
			}
			return &policyOutput{wirePolicy(p)}, nil
		})

	huma.Register(h, operation("PUT /v1/tenants/{tenant}/policy", "put-policy", "tenants", "Replace a tenant's policy",
		"Members that are absent take their default.", http.StatusOK),
		func(ctx context.Context, in *struct {
			TenantPath
			Body wire.Policy
		},
		) (*policyOutput, error) {
			p := appliancePolicy(in.Body)
			if err := a.service.SetPolicy(ctx, exchangeOf(ctx).caller, in.Tenant, p); err != nil {
				return nil, failed(ctx, err)
			}
			return &policyOutput{wirePolicy(p)}, nil
		})
}

func wirePolicy(p appliance.Policy) wire.Policy {
	return wire.Policy{
		AllowImport: p.AllowImport, AllowReveal: p.AllowReveal, TellSpent: p.TellSpent, MaxCredentials: int(p.MaxCredentials),
		AllowAppPasswords: p.AllowAppPasswords, MaxAppPasswords: int(p.MaxAppPasswords),
		AllowTwoStepImport: p.AllowTwoStepImport,
		SignInMinutes:      int(p.SignInMinutes), CodeDomain: p.CodeDomain, SendsPerSignIn: int(p.SendsPerSignIn),
		SendsPerPhone: int(p.SendsPerPhone), SendsPerAccount: int(p.SendsPerAccount), SendCooldownSeconds: int(p.CooldownSeconds),
		StepUpMinutes: int(p.StepUpMinutes), TellPhones: p.TellPhones, BornProtected: p.BornProtected, NoWayBack: p.NoWayBack, ListedOnly: p.ListedOnly,
		ExcludedClasses: p.Excluded, Platforms: wirePlatforms(p.Platforms),
		NoBrowserTrust: p.NoBrowserTrust, BrowserDays: int(p.BrowserDays), OpenEnrolment: p.OpenEnrolment,
		Recovery: wire.RecoveryPolicy{
			Allow: p.Recovery.Allow, WaitDays: int(p.Recovery.WaitDays), FloorDays: int(p.Recovery.FloorDays), PauseDays: int(p.Recovery.PauseDays),
			Shorten: wire.EvidenceWeights{
				PhoneCode: int(p.Recovery.Shorten.PhoneCode), Device: int(p.Recovery.Shorten.Device),
				Password: int(p.Recovery.Shorten.Password), Email: int(p.Recovery.Shorten.Email),
			},
		},
		PasswordReset: wire.ResetPolicy(p.Reset),
	}
}

func appliancePolicy(p wire.Policy) appliance.Policy {
	return appliance.Policy{
		AllowImport: p.AllowImport, AllowReveal: p.AllowReveal, TellSpent: p.TellSpent, MaxCredentials: uint8(p.MaxCredentials),
		AllowAppPasswords: p.AllowAppPasswords, MaxAppPasswords: uint8(p.MaxAppPasswords),
		AllowTwoStepImport: p.AllowTwoStepImport,
		SignInPolicy: account.SignInPolicy{
			SignInMinutes: uint8(p.SignInMinutes), CodeDomain: p.CodeDomain, SendsPerSignIn: uint8(p.SendsPerSignIn),
			SendsPerPhone: uint8(p.SendsPerPhone), SendsPerAccount: uint8(p.SendsPerAccount),
			CooldownSeconds: uint16(p.SendCooldownSeconds), StepUpMinutes: uint16(p.StepUpMinutes),
			TellPhones: p.TellPhones,
		},
		BrowserPolicy: account.BrowserPolicy{
			NoBrowserTrust: p.NoBrowserTrust, BrowserDays: uint16(p.BrowserDays), OpenEnrolment: p.OpenEnrolment,
		},
		EnrolmentPolicy: account.EnrolmentPolicy{
			BornProtected: p.BornProtected, NoWayBack: p.NoWayBack, ListedOnly: p.ListedOnly, Excluded: p.ExcludedClasses,
			Platforms: accountPlatforms(p.Platforms),
		},
		Recovery: account.RecoveryPolicy{
			Allow: p.Recovery.Allow, WaitDays: uint8(p.Recovery.WaitDays), FloorDays: uint8(p.Recovery.FloorDays),
			PauseDays: uint8(p.Recovery.PauseDays),
			Shorten: account.Weights{
				PhoneCode: uint16(p.Recovery.Shorten.PhoneCode), Device: uint16(p.Recovery.Shorten.Device),
				Password: uint16(p.Recovery.Shorten.Password), Email: uint16(p.Recovery.Shorten.Email),
			},
		},
		Reset: account.ResetPolicy(p.PasswordReset),
	}
}

func wirePlatforms(list []account.Platform) (w []wire.Platform) {
	for _, p := range list {
		w = append(w, wire.Platform(p))
	}
	return w
}

func accountPlatforms(list []wire.Platform) (p []account.Platform) {
	for _, w := range list {
		p = append(p, account.Platform(w))
	}
	return p
}
