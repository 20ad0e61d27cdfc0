package demo

import (
	"context"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// relay carries what devices sign to the API, and what is sealed to them back. It can read and forge none of it.
type relay struct{ api *client.Client }

func (r relay) Decide(ctx context.Context, account, signIn string, q wire.DecisionRequest) (wire.Decision, error) {
	return r.api.DecideSignIn(ctx, account, signIn, q)
}

func (r relay) FetchCode(ctx context.Context, account, signIn, device string, q wire.FetchCodeRequest) (wire.SealedCode, error) {
	return r.api.FetchCode(ctx, account, signIn, device, q)
}

func (r relay) CancelRecovery(ctx context.Context, account, recovery string, q wire.CancellationRequest) error {
	_, err := r.api.CancelRecovery(ctx, account, recovery, q)
	return err
}
