package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"strongroom.internal/api/wire"
)

// huma keeps these in package variables. Its own errors repeat the values that were sent, codes among them; ours don't.
func init() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return humaProblem(nil, status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		var e *exchange
		if ctx != nil {
			e = exchangeOf(ctx.Context())
		}
		return humaProblem(e, status, msg, errs)
	}
}

// problem is a wire.Problem that huma can write.
type problem struct {
	wire.Problem
	kind problemKind
}

func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders adds to the answer's headers.
func (p *problem) GetHeaders() http.Header {
	if p.kind.retryAfter == 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(p.kind.retryAfter)}}
}

// failed is the error that a handler returns to huma for err.
func failed(ctx context.Context, err error) error { return newProblem(exchangeOf(ctx), err) }

func newProblem(e *exchange, err error) *problem {
	p, kind := problemOf(err)
	if e != nil {
		p.RequestID = e.requestID
		e.problem, e.err = kind.name, err
	}
	return &problem{p, kind}
}

// humaProblem is the problem of what huma itself refuses, without the values.
func humaProblem(e *exchange, status int, msg string, errs []error) *problem {
	switch status {
	case http.StatusUnprocessableEntity:
		var fields fieldErrors
		for _, err := range errs {
			var d *huma.ErrorDetail
			if errors.As(err, &d) {
				fields = append(fields, wire.FieldError{Field: fieldName(d), Reason: d.Message})
			}
		}
		return newProblem(e, fields)
	case http.StatusBadRequest:
		return newProblem(e, errMalformed)
	case http.StatusRequestTimeout:
		return newProblem(e, errBodyTimeout)
	case http.StatusRequestEntityTooLarge:
		return newProblem(e, errTooLarge)
	case http.StatusUnsupportedMediaType:
		return newProblem(e, errMediaType)
	}
	return newProblem(e, errors.Join(append(errs, errors.New(msg))...))
}

// fieldName is where a value was wrong. A name that the client made up is shown only if nobody could take it for a code.
func fieldName(d *huma.ErrorDetail) string {
	name := strings.TrimPrefix(d.Location, "body.")
	plain := len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._-[]", r)
	})
	if !plain {
		kind, _, _ := strings.Cut(d.Location, ".")
		return kind
	}
	return name
}

// guardedMux is how huma's routes get their guard.
type guardedMux struct{ a *API }

func (m guardedMux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	if pattern == verifyRoute && !m.a.plain {
		return // documented by huma, served by lean.go
	}
	m.a.handle(pattern, http.HandlerFunc(h))
}

func (m guardedMux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.a.mux.ServeHTTP(w, r) }

func (a *API) newHuma() huma.API {
	format := huma.Format{
		Marshal:   wire.Encode,
		Unmarshal: unmarshal,
	}
	return humago.New(guardedMux{a}, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Strongroom",
				Version:     "1",
				Description: apiDescription,
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"mutualTLS": {
					Type:        "mutualTLS",
					Description: "A client certificate of the cluster's authority; its one URI name is the caller's SPIFFE ID.",
				}},
			},
			Tags: []*huma.Tag{
				{Name: "accounts", Description: "Accounts of the caller's tenant."},
				{Name: "credentials", Description: "Trusted devices and authenticator apps of an account."},
				{Name: "verifications", Description: "Is the person who is signing in really the owner of this account?"},
				{Name: "two-step", Description: "Two-step verification, the older scheme, for those who have it."},
				{Name: "app-passwords", Description: "Passwords of programs that can't ask for a code."},
				{Name: "sign-ins", Description: "Attempts of somebody to get in, from the first request to their end."},
				{Name: "trust", Description: "Browsers and devices that need no code, and the events after which they do again."},
				{Name: "phones", Description: "Phones to which codes may be sent."},
				{Name: "protection", Description: "Turning protection on, the two weeks of changing one's mind, and who and what is eligible."},
				{Name: "recoveries", Description: "Getting an account back: password resets from a trusted device, and recoveries that wait."},
				{Name: "notices", Description: "What leaves the appliance by itself: notices for front-ends, codes for a gateway."},
				{Name: "tenants", Description: "What a tenant's front-ends may do."},
				{Name: "log", Description: "The key-usage log."},
				{Name: "cluster", Description: "Nodes, clients and health."},
			},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",

		RejectUnknownQueryParameters: true,
	})
}

const apiDescription = `One question, asked by sign-in services: is the person who is signing in really the owner of this
account? Codes are computed in hardware, each use of a key is on the cluster's log before the answer leaves.

Every change takes an Idempotency-Key: repeat a request with its key, on any node, and it has one effect and one answer.
Errors are RFC 9457 problems; branch on type. A wrong code is no error.`

// unmarshal decodes a body whose names were checked by the guard. Its errors never quote it.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return errMalformed
	}
	return nil
}

func newBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// operation documents the route of a pattern, which must be in the access table.
func operation(pattern, id, tag, summary, description string, status int) huma.Operation {
	method, path, _ := strings.Cut(pattern, " ")
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag}, DefaultStatus: status,
		Description: strings.TrimSpace(description + "\n\n" + rolesText(access[pattern])),
	}
	if access[pattern] != nobody {
		op.Security = []map[string][]string{{"mutualTLS": {}}}
	}
	return op
}

func rolesText(s roles) string {
	if s == nobody {
		return "No certificate is asked for."
	}
	var names []string
	for _, r := range allRoles {
		if s.has(r) {
			names = append(names, r.String())
		}
	}
	return "Roles: " + strings.Join(slices.Clip(names), ", ") + "."
}
