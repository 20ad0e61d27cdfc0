package wire_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"strongroom.internal/api/wire"
)

// secrets are the types that hold one.
var secrets = []any{
	wire.VerifyRequest{Code: wire.NewSecret("S3CRET"), Device: "d", Receipt: true},
	wire.ResyncRequest{First: wire.NewSecret("S3CRET"), Second: wire.NewSecret("S3CRET2")},
	wire.AuthenticatorRequest{URI: wire.NewSecret("S3CRET"), Issuer: "i", Label: "<&>", Params: wire.Params{Digits: 8}},
	wire.AuthenticatorRequest{Issuer: "i"},
	wire.NewAuthenticator{Authenticator: wire.Credential{ID: "a"}, URI: wire.NewSecret("S3CRET"), QR: wire.NewSecret("S3CRET2"), Entry: 4},
	wire.NewAppPassword{AppPassword: wire.AppPassword{ID: "a", Label: "<&>"}, Password: wire.NewSecret("S3CRET"), Entry: 4},
	wire.VerifyAppPasswordRequest{Password: wire.NewSecret("S3CRET"), Service: "imap", SourceIP: "192.0.2.7"},
	wire.VerifyPhoneRequest{Code: wire.NewSecret("S3CRET")},
	wire.VerifyPhoneRequest{Code: wire.NewSecret("S3CRET"), Protection: &wire.ProtectionRequest{Device: "d", EarlierSettings: wire.NewSecret("S3CRET2")}},
	wire.PhoneVerification{Outcome: wire.Wrong, Entry: 4},
	wire.PhoneVerification{Outcome: wire.Accepted, Protection: &wire.ProtectionAnswer{LinkToken: wire.NewSecret("S3CRET"), Entry: 4}},
	wire.TrustBrowserRequest{SignIn: "s1", Browser: wire.NewSecret("S3CRET"), Name: "<&>"},
	wire.TrustedBrowser{Browser: wire.Browser{ID: "b1"}, Token: wire.NewSecret("S3CRET"), Entry: 4},
	wire.VerifyBrowserRequest{Browser: wire.NewSecret("S3CRET"), Token: wire.NewSecret("S3CRET2")},
	wire.BrowserVerification{Outcome: wire.Trusted, Browser: "b1", Token: wire.NewSecret("S3CRET"), Assurance: "password", Entry: 4},
	wire.SignOutBrowserRequest{Browser: wire.NewSecret("S3CRET")},
	wire.TwoStepRequest{Number: wire.NewSecret("S3CRET"), Platform: "iOS"},
	wire.TwoStepImport{Phones: []wire.TwoStepPhone{{Number: wire.NewSecret("S3CRET"), Label: "l"}, {Number: wire.NewSecret("S3CRET2")}}},
	wire.TwoStepAttempt{Code: wire.NewSecret("S3CRET"), RecoveryKey: wire.NewSecret("S3CRET2")},
	wire.NewRecoveryKey{RecoveryKey: wire.NewSecret("S3CRET"), Entry: 4},
	wire.JoinToken{Token: wire.NewSecret("S3CRET")},
	wire.JoinRequest{Token: wire.NewSecret("S3CRET"), NodeID: "n", IdentityKey: []byte{1}, LogKey: []byte{2}, TransportKey: []byte{3}},
}

// What Encode writes decodes to the same value; a member that is left out of a reveal method would be lost here.
func TestEncodeKeepsEverything(t *testing.T) {
	for _, v := range secrets {
		b, err := wire.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(reflect.TypeOf(v))
		if err := json.Unmarshal(b, again.Interface()); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Elem().Interface(), v) {
			t.Errorf("%T came back different from %s", v, b)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	for _, v := range secrets {
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		j, _ := json.Marshal(v)
		all := fmt.Sprintf("%v %+v %#v %s %q %x %d", v, v, v, v, v, v, v) + log.String() + string(j)
		if strings.Contains(all, "S3CRET") || strings.Contains(all, "533343524554") {
			t.Errorf("%T prints its secret: %s", v, all)
		}
	}
}
