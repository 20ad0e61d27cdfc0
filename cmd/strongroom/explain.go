package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"strongroom.internal/api/client"
	"strongroom.internal/hsm"
)

// explain adds to an error what can be done about it.
func explain(err error) string {
	advice := advise(err)
	if advice == "" {
		return err.Error()
	}
	return fmt.Sprintf("%v\n  %s", err, advice)
}

func advise(err error) string {
	var problem *client.Problem
	var unknownAuthority x509.UnknownAuthorityError
	var coded *exitError
	switch {
	case errors.As(err, &coded):
		return "" // says itself what it means
	case errors.Is(err, hsm.ErrPIN):
		return "Nothing tries this PIN again. Correct the PIN file; a locked token is unlocked by its security officer."
	case errors.Is(err, hsm.ErrUnfit):
		return "This hardware can't keep the promises that are named; use another module or change its settings."
	case errors.Is(err, hsm.ErrGone):
		return "Is the token there, and is module.token_label or module.serial its? `pkcs11-tool --module PATH -L` lists tokens."
	case errors.As(err, &unknownAuthority):
		return "The node is of another cluster than the credentials; give those of this cluster."
	case errors.Is(err, client.ErrUnknownOutcome):
		return "It may have been done. See how things are before you do it again."
	case errors.Is(err, client.ErrUnavailable):
		return "Nothing was done. `strongroom status` shows which nodes are up; --nodes names others to ask."
	case errors.As(err, &problem):
		return adviseProblem(problem)
	case errors.Is(err, fs.ErrPermission):
		return "Run it as the user that owns the file."
	case errors.Is(err, context.Canceled):
		return "It was interrupted."
	}
	return ""
}

func adviseProblem(p *client.Problem) string {
	switch {
	case p.Named("policy"):
		return "Operators change policies: `strongroom policy set TENANT` a tenant's (--allow-import, --allow-reveal for new seeds, --allow-app-passwords, --allow-two-step-import), `strongroom log retention` the log's."
	case p.Named("step-up"):
		return "The account has a device, or is protected: name a sign-in that was verified within ten minutes (--sign-in). While accounts come over from elsewhere, operators can do without: `strongroom policy set TENANT --open-enrolment`."
	case p.Status == 401, p.Status == 403:
		return "The certificate's role does not allow it: operators run the cluster, front-ends have accounts, auditors read the log."
	}
	return ""
}
