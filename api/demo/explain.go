package demo

import (
	"context"
	"errors"

	"strongroom.internal/api/client"
	"strongroom.internal/api/demo/app"
)

// inWords is what people read of a problem that a node decided on, by its name.
var inWords = map[string]string{
	"not-found":    "That is no longer there.",
	"exists":       "That is there already.",
	"ended":        "That sign-in is over.",
	"grant":        "That took too long. Please begin again.",
	"limit":        "There are as many as there may be.",
	"notices-full": "That can't be done right now. Please try again in a moment.",
	"last-phone":   "One verified phone number must remain. Add another one first.",
	"not-eligible": "This device may not do that.",
	"invalid":      "That is not of the right form. Please check it.",
	"policy":       "That is not allowed here.",
	"step-up":      "Sign in again with a code first.",
	"phone-needed": "It needs a phone number that is verified first.",
	"permanent":    "It can't be turned off any more.",
	"link":         "This link does nothing any more.",

	"account-not-eligible": "This account can't have it.",
}

// explain says in plain words what went wrong. What isn't for people is for the log.
func (s *Site) explain(doing string, err error) string {
	var p *client.Problem
	switch {
	case errors.Is(err, client.ErrUnknownOutcome):
		return "We could not find out whether that worked. Please look, and try again."
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return "That can't be done right now. Please try again in a moment."
	case errors.Is(err, errTooMany):
		return "There are as many people in this demo as there may be."
	case errors.Is(err, app.ErrUnknownSignIn):
		return "This device knows no such sign-in."
	case errors.Is(err, app.ErrNoRecovery):
		return "That recovery is over."
	case errors.Is(err, app.ErrNotTrusted):
		return "This device is not trusted."
	case errors.As(err, &p):
		for name, words := range inWords {
			if p.Named(name) {
				return words
			}
		}
	}
	s.log.Error(doing, "error", err)
	return "That did not work."
}
