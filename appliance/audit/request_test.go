package audit

import (
	"encoding/hex"
	"testing"
)

// The ids are in the log for ever, and clients compute them: never change one. They are what sha256sum says of
// printf 'strongroom/request/v1\0%s' 31:spiffe://td/tenant/a/frontend/wk1 and of its like.
func TestRequestID(t *testing.T) {
	for _, tc := range []struct{ actor, key, want string }{
		{"spiffe://td/tenant/a/frontend/w", "", "00000000000000000000000000000000"},
		{"spiffe://td/tenant/a/frontend/w", "k1", "5e31a7efe9d4572f2be8f3b2c01898fc"},
		{"spiffe://td/tenant/a/frontend/wk", "1", "1806c074598a8b8d6fdcfe1e3a9c3c15"},
		{"", "k1", "cae80f6947070208f526ee46fd493384"},
	} {
		id := RequestID(tc.actor, tc.key)
		if got := hex.EncodeToString(id[:]); got != tc.want {
			t.Errorf("%q, %q: %s, want %s", tc.actor, tc.key, got, tc.want)
		}
	}
}
