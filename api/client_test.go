package api

import (
	"context"
	"net/http"
	"testing"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// Each call of the client about sign-ins, phones and notices arrives at its use case and reads the answer.
func TestClientCallsArrive(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	of := func(identity string) *client.Client {
		c, err := client.New(client.Config{
			Nodes: []string{s.addr}, TLS: s.client(t, identity).Transport.(*http.Transport).TLSClientConfig,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	f, o := of(asFrontend), of(asOperator)
	code := wire.NewSecret("123456")
	one := func(x wire.SignIn, err error) (bool, error) { return x.ID == "s1" && x.State == "begun", err }
	for method, call := range map[string]func(ctx context.Context) (bool, error){
		"BeginSignIn": func(ctx context.Context) (bool, error) {
			return one(f.BeginSignIn(ctx, "al/ice", wire.SignInRequest{}))
		},
		"SignIn":       func(ctx context.Context) (bool, error) { return one(f.SignIn(ctx, "al/ice", "s1")) },
		"AwaitSignIn":  func(ctx context.Context) (bool, error) { return one(f.AwaitSignIn(ctx, "al/ice", "s1", "allowed")) },
		"SignIns":      func(ctx context.Context) (bool, error) { l, err := f.SignIns(ctx, "al/ice"); return len(l) == 1, err },
		"CancelSignIn": func(ctx context.Context) (bool, error) { return true, f.CancelSignIn(ctx, "al/ice", "s1") },
		"DecideSignIn": func(ctx context.Context) (bool, error) {
			d, err := f.DecideSignIn(ctx, "al/ice", "s1", wire.DecisionRequest{Device: "d1", Decision: "allow", TimeMS: 1, Signature: []byte{1}})
			return d.Code != nil && d.Code.Device == "d1" && d.SignIn.ID == "s1", err
		},
		"SendCode": func(ctx context.Context) (bool, error) {
			x, err := f.SendCode(ctx, "al/ice", "s1", wire.SendCodeRequest{Phone: "p1", Channel: "text"})
			return x.Outcome == wire.Sent, err
		},
		"FetchCode": func(ctx context.Context) (bool, error) {
			x, err := f.FetchCode(ctx, "al/ice", "s1", "d1", wire.FetchCodeRequest{TimeMS: 1, Signature: []byte{1}})
			return x.Device == "d1", err
		},
		"VerifySignIn": func(ctx context.Context) (bool, error) {
			x, err := f.VerifySignIn(ctx, "al/ice", "s1", wire.EnterRequest{Code: code})
			return x.Outcome == wire.Accepted, err
		},
		"VerifyCombined": func(ctx context.Context) (bool, error) {
			x, err := f.VerifyCombined(ctx, "al/ice", wire.NewSecret("password123456"))
			return x.Remainder == 8, err
		},
		"AddPhone": func(ctx context.Context) (bool, error) {
			p, err := f.AddPhone(ctx, "al/ice", wire.PhoneRequest{Number: wire.NewSecret("+14155550101")})
			return p.ID == "p1", err
		},
		"Phones": func(ctx context.Context) (bool, error) { l, err := f.Phones(ctx, "al/ice"); return len(l) == 1, err },
		"ChangePhone": func(ctx context.Context) (bool, error) {
			p, err := f.ChangePhone(ctx, "al/ice", "p1", wire.PhoneChange{Label: "x"})
			return p.ID == "p1", err
		},
		"RemovePhone": func(ctx context.Context) (bool, error) {
			return true, f.RemovePhone(ctx, "al/ice", "p1", "s 1")
		},
		"SendPhoneCode": func(ctx context.Context) (bool, error) {
			x, err := f.SendPhoneCode(ctx, "al/ice", "p1", "voice")
			return x.Outcome == wire.Sent, err
		},
		"VerifyPhone": func(ctx context.Context) (bool, error) {
			x, err := f.VerifyPhone(ctx, "al/ice", "p1", code)
			return x.Outcome == wire.Accepted, err
		},
		"Webhooks": func(ctx context.Context) (bool, error) { l, err := o.Webhooks(ctx, "acme"); return len(l) == 1, err },
		"SetWebhook": func(ctx context.Context) (bool, error) {
			w, err := o.SetWebhook(ctx, "acme", "gateway", wire.WebhookRequest{URL: "https://sms.example"})
			return !w.Secret.IsZero(), err
		},
		"RemoveWebhook": func(ctx context.Context) (bool, error) { return true, o.RemoveWebhook(ctx, "acme", "gateway") },
		"Outboxes":      func(ctx context.Context) (bool, error) { b, err := o.Outbox(ctx, "acme"); return b.Lost == 1, err },
	} {
		service.asked = ""
		good, err := call(t.Context())
		if err != nil || !good || service.asked != method {
			t.Errorf("%s: %q was asked, read well: %v, %v", method, service.asked, good, err)
		}
	}
}
