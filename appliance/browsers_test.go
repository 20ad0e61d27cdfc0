package appliance_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// surfer is an account with a device, and a sign-in in a browser that its code has verified.
func surfer(t *testing.T, n *node, c appliance.Caller, name string) (device string, key *ecdsa.PrivateKey, signIn string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	agree, err := key.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.PutAccount(t.Context(), c, "", name, ""); err != nil {
		t.Fatal(err)
	}
	enrolled, err := n.EnrolDevice(t.Context(), c, "", name, "", appliance.DeviceRequest{PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	seed, err := hsm.OpenEnvelope(agree, enrolled.Binding, enrolled.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	in, err := n.BeginSignIn(t.Context(), c, "", name, appliance.BeginRequest{Purpose: account.ForBrowser})
	if err != nil {
		t.Fatal(err)
	}
	v, err := n.VerifySignIn(t.Context(), c, "", name, appliance.EnterRequest{SignIn: in.ID, Code: code(t, seed.Reveal(), time.Now())})
	if err != nil || v.Outcome != account.Accepted {
		t.Fatalf("the code: %+v, %v", v, err)
	}
	return enrolled.ID, key, in.ID
}

// On a real module: signed, rotated, refused to whom it doesn't belong, and given again to who repeats the request.
func TestBrowserTokens(t *testing.T) {
	n, c := newNode(t), tenant(t)
	_, _, signIn := surfer(t, n, c, "ann")
	request := appliance.BrowserRequest{SignIn: signIn, Browser: "cookie", Name: "Safari"}
	made, err := n.TrustBrowser(t.Context(), c, "once", "ann", request)
	if err != nil || made.Name != "Safari" || made.Expires.Sub(made.Added) != 30*24*time.Hour {
		t.Fatalf("%+v, %v", made, err)
	}
	again, err := n.TrustBrowser(t.Context(), c, "once", "ann", request)
	if err != nil || again.ID != made.ID || again.Entry != made.Entry {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	check := func(caller appliance.Caller, key, name, browser string, token []byte) appliance.BrowserTrust {
		t.Helper()
		got, err := n.CheckBrowser(t.Context(), caller, key, name, appliance.BrowserCheck{Browser: browser, Token: hsm.NewSecret(token)})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	// The two tokens are signatures of their own over the same: either is right.
	first := check(c, "first", "ann", "cookie", again.Token.Reveal())
	if !first.Trusted || first.ID != made.ID || !first.Expires.Equal(made.Expires) || bytes.Equal(first.Token.Reveal(), made.Token.Reveal()) {
		t.Fatalf("%+v", first)
	}
	if repeated := check(c, "first", "ann", "cookie", made.Token.Reveal()); !repeated.Trusted || !repeated.Replayed || repeated.Entry != first.Entry {
		t.Errorf("the same request again: %+v", repeated)
	}
	stranger := tenant(t)
	surfer(t, n, stranger, "ann")
	surfer(t, n, c, "bob")
	spoilt := func(at int) []byte {
		b := bytes.Clone(first.Token.Reveal())
		if b[at] == 'A' {
			b[at] = 'B'
		} else {
			b[at] = 'A'
		}
		return b
	}
	for what, got := range map[string]appliance.BrowserTrust{
		"another browser":  check(c, "", "ann", "other", first.Token.Reveal()),
		"another account":  check(c, "", "bob", "cookie", first.Token.Reveal()),
		"no account":       check(c, "", "nobody", "cookie", first.Token.Reveal()),
		"another tenant":   check(stranger, "", "ann", "cookie", first.Token.Reveal()),
		"a changed number": check(c, "", "ann", "cookie", spoilt(18)),
		"a changed id":     check(c, "", "ann", "cookie", spoilt(5)),
		"a signature":      check(c, "", "ann", "cookie", spoilt(40)),
		"rubbish":          check(c, "", "ann", "cookie", []byte("rubbish")),
		"nothing":          check(c, "", "ann", "cookie", nil),
	} {
		if got.Trusted || got.Token != nil || got.ID != "" || got.Entry == 0 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if list, err := n.Browsers(t.Context(), c, "ann"); err != nil || len(list) != 1 || list[0].ID != made.ID || list[0].LastUsed.IsZero() {
		t.Errorf("listed: %+v, %v", list, err)
	}
	second := check(c, "second", "ann", "cookie", first.Token.Reveal())
	if third := check(c, "", "ann", "cookie", made.Token.Reveal()); !second.Trusted || third.Trusted {
		t.Errorf("the next one: %+v, the one before the last: %+v", second, third)
	}
	if got := check(c, "", "ann", "cookie", second.Token.Reveal()); got.Trusted {
		t.Errorf("after a token was used twice: %+v", got)
	}
	if got := check(c, "second", "ann", "cookie", first.Token.Reveal()); got.Trusted || !got.Replayed {
		t.Errorf("a request that was answered before it: %+v", got)
	}
	if _, err := n.TrustBrowser(t.Context(), c, "once", "ann", request); !errors.Is(err, appliance.ErrNotFound) {
		t.Errorf("the first request again: %v", err)
	}
	if _, err := n.TrustBrowser(t.Context(), c, "", "nobody", request); !errors.Is(err, appliance.ErrStepUp) {
		t.Errorf("of nobody: %v, want ErrStepUp", err)
	}
}

func TestDevicesShowThatTheyAreTrusted(t *testing.T) {
	n, c := newNode(t), tenant(t)
	device, key, _ := surfer(t, n, c, "ann")
	q := &account.CheckDevice{Device: device, Challenge: []byte("0123456789abcdef"), Time: account.Time(time.Now().UnixMilli())}
	sum := sha256.Sum256(account.TrustMessage(c.Tenant, "ann", q))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	proof := appliance.DeviceProof{Device: device, Challenge: q.Challenge, Time: time.UnixMilli(int64(q.Time)), Signature: signature}
	check := func(key, name string) appliance.DeviceTrust {
		t.Helper()
		got, err := n.CheckDevice(t.Context(), c, key, name, proof)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := check("k", "ann"); !got.Trusted || got.Assurance != account.PasswordLevel {
		t.Errorf("%+v", got)
	}
	if got := check("", "nobody"); got.Trusted || got.Entry == 0 {
		t.Errorf("of nobody: %+v", got)
	}
	if _, err := n.EnrolDevice(t.Context(), c, "", "ann", "", appliance.DeviceRequest{PublicKey: mustPublic(t)}); !errors.Is(err, appliance.ErrStepUp) {
		t.Errorf("another device: %v, want ErrStepUp", err)
	}
	if err := n.SignOutDevice(t.Context(), c, "", "ann", device); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k", ""} { // the first is a request that was answered before
		if got := check(key, "ann"); got.Trusted {
			t.Errorf("signed out: %+v", got)
		}
	}
}

func mustPublic(t *testing.T) []byte {
	t.Helper()
	_, public := newDeviceKey(t)
	return public
}

// TestS7_TrustRunsOut on the day, with a clock that is set, whether or not the browser was used meanwhile.
func TestS7_TrustRunsOut(t *testing.T) {
	var clock clock
	n, c := newNodeAt(t, clock.now), tenant(t)
	if err := n.SetPolicy(t.Context(), operator, c.Tenant, appliance.Policy{BrowserPolicy: account.BrowserPolicy{BrowserDays: 7}}); err != nil {
		t.Fatal(err)
	}
	_, _, signIn := surfer(t, n, c, "ann")
	made, err := n.TrustBrowser(t.Context(), c, "", "ann", appliance.BrowserRequest{SignIn: signIn, Browser: "cookie"})
	if err != nil {
		t.Fatal(err)
	}
	token := made.Token
	for day, want := range []bool{true, true, false, false} {
		clock.move([]time.Duration{0, 7*24*time.Hour - time.Minute, time.Minute, 0}[day])
		got, err := n.CheckBrowser(t.Context(), c, "", "ann", appliance.BrowserCheck{Browser: "cookie", Token: token})
		if err != nil || got.Trusted != want {
			t.Fatalf("check %d: %+v, %v", day, got, err)
		}
		if got.Trusted {
			token = got.Token
		}
		if list, err := n.Browsers(t.Context(), c, "ann"); err != nil || len(list) == 1 != want {
			t.Errorf("check %d: listed %+v, %v", day, list, err)
		}
	}
}
