package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"strongroom.internal/api/wire"
)

// A join token is this scheme, then base64url of 32 bytes SHA-256 over the authority's certificate and 16 random bytes.
const (
	tokenScheme = "srjoin1_"
	tokenSize   = sha256.Size + 16
)

// joinTimeout is longer than a call's: the hardware marks, wraps and signs.
const joinTimeout = 60 * time.Second

// Join asks one of the nodes, in turn, to let a new node in. It trusts no authority but the one that r.Token names by
// hash, and sends the token to nobody else. A token is for once: when the outcome is unknown (ErrUnknownOutcome), make
// another.
func Join(ctx context.Context, nodes []string, r wire.JoinRequest) (wire.JoinResponse, error) {
	pin, err := authorityOf(r.Token)
	if err != nil {
		return wire.JoinResponse{}, fmt.Errorf("joining: %w", err)
	}
	c, err := New(Config{
		Nodes: nodes, TLS: pinned(pin), Timeout: joinTimeout, AttemptTimeout: joinTimeout,
	})
	if err != nil {
		return wire.JoinResponse{}, fmt.Errorf("joining: %w", err)
	}
	defer c.Close()
	var answer wire.JoinResponse
	return answer, c.do(ctx, call{method: http.MethodPost, path: "/v1/join", body: r, answer: &answer})
}

func authorityOf(token Secret) (pin [sha256.Size]byte, err error) {
	invalid := errors.New("this is not a join token")
	encoded, ok := strings.CutPrefix(strings.TrimSpace(token.Reveal()), tokenScheme)
	if !ok {
		return pin, invalid
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != tokenSize {
		return pin, invalid
	}
	copy(pin[:], raw)
	return pin, nil
}

var errStranger = errors.New("the node is not of the cluster that the join token is for")

// pinned trusts the authority with this hash, which the node sends along. The node's name is not compared: any node of
// that authority may answer, and the operator may reach it by another address than its own.
func pinned(pin [sha256.Size]byte) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			roots := x509.NewCertPool()
			found := false
			for _, c := range s.PeerCertificates {
				if sha256.Sum256(c.Raw) == pin && c.IsCA {
					roots.AddCert(c)
					found = true
				}
			}
			if !found {
				return errStranger
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			if err != nil {
				return fmt.Errorf("%w: %w", errStranger, err)
			}
			return nil
		},
	}
}
