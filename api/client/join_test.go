package client_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

func token(authority []byte) wire.Secret {
	pin := sha256.Sum256(authority)
	return wire.NewSecret("srjoin1_" + base64.RawURLEncoding.EncodeToString(append(pin[:], make([]byte, 16)...)))
}

// Join talks to the authority of its token and sends the token to nobody else.
func TestJoinIsPinned(t *testing.T) {
	n := newNode(t, says(201, wire.JoinResponse{ClusterID: "c1", Keys: []byte{1}}))
	own := n.Certificate() // httptest's is its own authority
	answer, err := client.Join(t.Context(), []string{n.addr()}, wire.JoinRequest{Token: token(own.Raw), NodeID: "n2"})
	if err != nil || answer.ClusterID != "c1" {
		t.Fatalf("got %+v, %v", answer, err)
	}
	if !strings.Contains(n.bodies[0], `"token":"srjoin1_`) || !strings.Contains(n.bodies[0], `"node_id":"n2"`) {
		t.Errorf("body %s", n.bodies[0])
	}

	stranger := newNode(t, says(201, wire.JoinResponse{}))
	_, err = client.Join(t.Context(), []string{stranger.addr()}, wire.JoinRequest{Token: token([]byte("another authority"))})
	if !errors.Is(err, client.ErrUnavailable) || stranger.requests() != 0 {
		t.Errorf("a stranger got %d requests: %v", stranger.requests(), err)
	}
	for _, bad := range []string{"", "srjoin1_", "srjoin1_AAAA", "other"} {
		if _, err := client.Join(t.Context(), []string{n.addr()}, wire.JoinRequest{Token: wire.NewSecret(bad)}); err == nil {
			t.Errorf("token %q was taken", bad)
		}
	}
}
