package demo

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/demo/app"
	"strongroom.internal/api/wire"
)

// trusts says whether a device that asks to be let in without a code is one of the account's now. The device answers a
// challenge with its key; Strongroom judges the answer, and each of its nodes knows at once when trust has ended.
func (s *Site) trusts(ctx context.Context, account string, d *app.Device) (bool, error) {
	challenge := make([]byte, 32)
	_, _ = rand.Read(challenge)
	id, proof, err := d.ProveTrust(account, challenge)
	if err != nil {
		return false, nil // it doesn't say that it is trusted
	}
	v, err := s.api.VerifyDevice(ctx, account, id, proof)
	return v.Outcome == wire.Trusted, err
}

// trustCookie is the token of a browser that its visitor chose to trust. Scripts can't read it, as none of ours.
const trustCookie = "trust"

func cookie(r *http.Request, name string) wire.Secret {
	c, err := r.Cookie(name)
	if err != nil {
		return wire.Secret{}
	}
	return wire.NewSecret(c.Value)
}

// trustsBrowser says whether a visitor's browser is trusted now, and gives it its next token.
func (s *Site) trustsBrowser(w http.ResponseWriter, r *http.Request, account string) (bool, error) {
	token := cookie(r, trustCookie)
	if token.IsZero() || len(token.Reveal()) > 256 {
		return false, nil
	}
	v, err := s.api.VerifyBrowser(r.Context(), account, wire.VerifyBrowserRequest{Browser: cookie(r, browserCookie), Token: token})
	switch {
	case err != nil:
		return false, err
	case v.Outcome != wire.Trusted:
		setCookie(w, r, trustCookie, "", -1)
		return false, nil
	}
	setCookie(w, r, trustCookie, v.Token.Reveal(), int(time.Until(v.Expires).Seconds()))
	return true, nil
}

// trustBrowser keeps a browser trusted by the sign-in that was just verified in it.
func (s *Site) trustBrowser(w http.ResponseWriter, r *http.Request, account, signIn string) error {
	ctx := withoutKey(r.Context())
	if key := r.PostFormValue("key"); key != "" && len(key) <= 64 {
		ctx = client.WithIdempotencyKey(ctx, key+"-trust")
	}
	b, err := s.api.TrustBrowser(ctx, account, wire.TrustBrowserRequest{
		SignIn: signIn, Browser: cookie(r, browserCookie), Name: "A browser on the Mac",
	})
	if err == nil {
		setCookie(w, r, trustCookie, b.Token.Reveal(), int(time.Until(b.Browser.Expires).Seconds()))
	}
	return err
}
