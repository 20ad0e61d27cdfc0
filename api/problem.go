package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
)

// Errors of the HTTP layer itself.
var (
	errNoCertificate = errors.New("no client certificate was shown")
	errForbidden     = errors.New("the certificate's role does not allow it")
	errNoRoute       = errors.New("no such resource")
	errMethod        = errors.New("the resource does not have this method")
	errTooLarge      = errors.New("the body is larger than 64 KiB")
	errMediaType     = errors.New("the body is not application/json")
	errMalformed     = errors.New("the body is not a JSON object of the expected shape")
	errBodyTimeout   = errors.New("the body did not arrive in time")
	errOverloaded    = errors.New("too many requests are under way on this node")
)

// problemKind is a row of the table.
type problemKind struct {
	err        error
	name       string // after wire.ProblemPrefix; never changed once published
	status     int
	title      string
	effect     string
	retryAfter int  // seconds; 0: no Retry-After
	detail     bool // the error's own text may be shown: it is a constant of this file
}

// problems is the one table that turns errors into problems. The first row that matches counts: an outcome that is
// unknown is never called harmless because something else is wrong too. What matches no row is internal: status 500
// outside, full detail with the request id in the log.
var problems = []problemKind{
	{err: appliance.ErrUnknown, name: "unknown", status: 504, title: "The outcome is unknown", effect: wire.EffectUnknown, retryAfter: 1},
	{err: appliance.ErrUnavailable, name: "unavailable", status: 503, title: "This node can't do it now", effect: wire.EffectNone, retryAfter: 1},
	{err: errOverloaded, name: "overloaded", status: 503, title: "This node has too much to do", effect: wire.EffectNone, retryAfter: 1},
	{err: appliance.ErrNotFound, name: "not-found", status: 404, title: "There is no such thing"},
	{err: appliance.ErrPruned, name: "pruned", status: 410, title: "The nodes no longer have it; an archive does"},
	{err: appliance.ErrExists, name: "exists", status: 409, title: "It exists already"},
	{err: appliance.ErrTooMany, name: "limit", status: 409, title: "A limit is reached"},
	{err: appliance.ErrPolicy, name: "policy", status: 403, title: "A policy forbids it"},
	{err: appliance.ErrConflict, name: "idempotency-key-reused", status: 422, title: "This Idempotency-Key was used for another request"},
	{err: appliance.ErrNoticesFull, name: "notices-full", status: 503, title: "Too many notices wait to be delivered", effect: wire.EffectNone, retryAfter: 10},
	{err: appliance.ErrEnded, name: "ended", status: 409, title: "The sign-in or recovery is over"},
	{err: appliance.ErrSignature, name: "signature", status: 403, title: "The signature is not the device's"},
	{err: appliance.ErrNotEligible, name: "not-eligible", status: 403, title: "This device may not do that"},
	{err: appliance.ErrLastPhone, name: "last-phone", status: 409, title: "One verified phone must remain"},
	{err: appliance.ErrStepUp, name: "step-up", status: 403, title: "A second factor has to be proved first"},
	{err: appliance.ErrPhoneNeeded, name: "phone-needed", status: 409, title: "A phone has to be verified first"},
	{err: appliance.ErrPermanent, name: "permanent", status: 403, title: "Protection can't be turned off any more"},
	{err: appliance.ErrProtected, name: "protection-on", status: 409, title: "Protection is on already"},
	{err: appliance.ErrIneligible, name: "account-not-eligible", status: 403, title: "Accounts of this class can't have protection"},
	{err: appliance.ErrTwoStepOn, name: "two-step-on", status: 409, title: "Two-step verification has to be turned off first, or moved"},
	{err: appliance.ErrTwoFactorFirst, name: "two-factor-eligible", status: 409, title: "The account has two factors, or is eligible for them: two-step verification is for others"},
	{err: appliance.ErrLink, name: "link", status: 403, title: "The link is unknown or was used"},
	{err: appliance.ErrGrant, name: "grant", status: 403, title: "The grant is unknown, was used, or is too old"},
	{err: appliance.ErrToken, name: "join-token", status: 403, title: "The join token is unknown, used or expired"},
	{err: errNoCertificate, name: "certificate-required", status: 403, title: "A client certificate is required"},
	{err: errForbidden, name: "forbidden", status: 403, title: "The certificate does not allow it"},
	{err: errNoRoute, name: "no-route", status: 404, title: "There is no such resource"},
	{err: errMethod, name: "method", status: 405, title: "The resource does not have this method"},
	{err: errTooLarge, name: "too-large", status: 413, title: "The request is too large", detail: true},
	{err: errMediaType, name: "media-type", status: 415, title: "The body must be application/json"},
	{err: errMalformed, name: "malformed", status: 400, title: "The body can't be read", detail: true},
	{err: errBodyTimeout, name: "body-timeout", status: 408, title: "The body did not arrive in time"},
	{err: context.DeadlineExceeded, name: "unknown", status: 504, title: "The outcome is unknown", effect: wire.EffectUnknown, retryAfter: 1},
	{err: context.Canceled, name: "unknown", status: 504, title: "The outcome is unknown", effect: wire.EffectUnknown, retryAfter: 1},
}

var (
	invalidKind  = problemKind{name: "invalid", status: 422, title: "The request is not valid"}
	internalKind = problemKind{name: "internal", status: 500, title: "A defect; the node's log has it", effect: wire.EffectUnknown}
)

// fieldErrors are inputs that are wrong. It never holds a value that was sent.
type fieldErrors []wire.FieldError

func (e fieldErrors) Error() string {
	if len(e) == 0 {
		return "invalid input"
	}
	return e[0].Field + ": " + e[0].Reason
}

func invalid(field, reason string) error { return fieldErrors{{Field: field, Reason: reason}} }

// problemOf is the problem of an error and the row that it came from.
func problemOf(err error) (wire.Problem, problemKind) {
	var fields fieldErrors
	var field *appliance.InvalidError
	kind := internalKind
	switch {
	case errors.As(err, &fields):
		kind = invalidKind
	case errors.As(err, &field):
		kind, fields = invalidKind, fieldErrors{{Field: field.Field, Reason: field.Reason}}
	default:
		for _, k := range problems {
			if errors.Is(err, k.err) {
				kind = k
				break
			}
		}
	}
	p := wire.Problem{
		Type: wire.ProblemPrefix + kind.name, Title: kind.title, Status: kind.status, Effect: kind.effect, Errors: fields,
	}
	if kind.detail {
		p.Detail = kind.err.Error()
	}
	return p, kind
}

// fail answers with the problem of err and logs what the answer does not say.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, kind := problemOf(err)
	if e := exchangeOf(r.Context()); e != nil {
		p.RequestID = e.requestID
		e.problem, e.err = kind.name, err
	}
	writeProblem(w, p, kind)
}

func writeProblem(w http.ResponseWriter, p wire.Problem, kind problemKind) {
	body, err := wire.Marshal(p)
	if err != nil { // a struct of strings: can't be
		http.Error(w, p.Title, p.Status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if kind.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(kind.retryAfter))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client has gone: nobody is left to tell
}
