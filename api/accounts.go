package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

// Inputs that many routes share. The guard has checked them; the tags are for the document.
type (
	// AccountPath is exported because huma looks into embedded structs only if they are; so are the others like it.
	AccountPath struct {
		Account string `path:"account" minLength:"1" maxLength:"128" doc:"The front-end's name of the account, percent-encoded: 1 to 128 bytes of UTF-8 without control characters." example:"alice"`
	}
	// IdempotencyKey is the header of every change.
	IdempotencyKey struct {
		Key string `header:"Idempotency-Key" maxLength:"128" doc:"1 to 128 visible ASCII characters, new for each logical request and the same for its repetitions." example:"8e03978e-40d5-43dd-bc93-6894a57f9324"`
	}
	accountOutput struct {
		Status int
		Body   wire.Account
	}
	empty struct{}
)

func (a *API) registerAccounts(h huma.API) {
	huma.Register(h, operation("PUT /v1/accounts/{account}", "put-account", "accounts", "Make sure that an account exists",
		"201 when it was made, 200 when it existed.", http.StatusOK),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
			Body *wire.AccountRequest
		},
		) (*accountOutput, error) {
			e := exchangeOf(ctx)
			var r wire.AccountRequest
			if in.Body != nil {
				r = *in.Body
			}
			info, created, err := a.service.PutAccount(ctx, e.caller, e.idempotencyKey, in.Account, r.Class)
			if err != nil {
				return nil, failed(ctx, err)
			}
			out := &accountOutput{Status: http.StatusOK, Body: wireAccount(info)}
			if created {
				out.Status = http.StatusCreated
			}
			return out, nil
		})

	huma.Register(h, operation("GET /v1/accounts/{account}", "get-account", "accounts", "Read an account", "", http.StatusOK),
		func(ctx context.Context, in *AccountPath) (*accountOutput, error) {
			info, err := a.service.Account(ctx, exchangeOf(ctx).caller, in.Account)
			if err != nil {
				return nil, failed(ctx, err)
			}
			out := &accountOutput{Status: http.StatusOK, Body: wireAccount(info)}
			if exchangeOf(ctx).caller.Role == appliance.Helpdesk {
				for i := range out.Body.Credentials {
					out.Body.Credentials[i].Serial = masked(out.Body.Credentials[i].Serial)
				}
			}
			return out, nil
		})

	huma.Register(h, operation("DELETE /v1/accounts/{account}", "delete-account", "accounts", "Delete an account",
		"Its credentials go with it. What the log says of it stays and can no longer be linked to the person.", http.StatusNoContent),
		func(ctx context.Context, in *struct {
			AccountPath
			IdempotencyKey
		},
		) (*empty, error) {
			e := exchangeOf(ctx)
			if err := a.service.DeleteAccount(ctx, e.caller, e.idempotencyKey, in.Account); err != nil {
				return nil, failed(ctx, err)
			}
			return nil, nil
		})
}

func wireAccount(i appliance.AccountInfo) wire.Account {
	w := wire.Account{
		Account: i.Account, Created: i.Created.UTC(), Locked: i.Locked, RetryAt: i.RetryAt.UTC(), Failures: i.Failures,
		Credentials: make([]wire.Credential, len(i.Credentials)), Protection: wireProtection(i.Protection),
	}
	for n, c := range i.Credentials {
		w.Credentials[n] = wireCredential(c)
	}
	return w
}
