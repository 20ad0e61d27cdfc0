package api

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"strongroom.internal/appliance"
)

// maxIdentity bounds a SPIFFE ID in bytes; the SPIFFE ID specification, Section 2.3, allows 2048.
const maxIdentity = 512

var errIdentity = errors.New("not an identity of this cluster")

// CallerFromIdentity reads a SPIFFE ID of the trust domain td. The forms are
//
//	spiffe://td/tenant/<tenant>/frontend/<name>
//	spiffe://td/tenant/<tenant>/helpdesk/<name>
//	spiffe://td/operator/<name>
//	spiffe://td/auditor/<name>
//	spiffe://td/node/<id>
//
// where tenant, name and id are 1 to 64 characters from a-z, 0-9, dot, hyphen and underscore and begin with a letter or
// digit. There is no other spelling of an identity: nothing is decoded, folded or cut off before it is compared.
func CallerFromIdentity(td, uri string) (appliance.Caller, error) {
	if len(uri) > maxIdentity {
		return appliance.Caller{}, fmt.Errorf("reading an identity of %d bytes: %w", len(uri), errIdentity)
	}
	path, ok := strings.CutPrefix(uri, "spiffe://"+td+"/")
	if !ok || td == "" {
		return appliance.Caller{}, fmt.Errorf("reading identity %q: %w", uri, errIdentity)
	}
	parts := strings.Split(path, "/")
	c := appliance.Caller{Identity: uri}
	switch {
	case len(parts) == 4 && parts[0] == "tenant" && validName(parts[1]) && validName(parts[3]):
		c.Tenant = parts[1]
		switch parts[2] {
		case "frontend":
			c.Role = appliance.Frontend
		case "helpdesk":
			c.Role = appliance.Helpdesk
		}
	case len(parts) == 2 && validName(parts[1]):
		switch parts[0] {
		case "operator":
			c.Role = appliance.Operator
		case "auditor":
			c.Role = appliance.Auditor
		case "node":
			c.Role = appliance.Node
		}
	}
	if c.Role == appliance.InvalidRole {
		return appliance.Caller{}, fmt.Errorf("reading identity %q: %w", uri, errIdentity)
	}
	return c, nil
}

// validName is the rule for tenants, nodes and names in SPIFFE IDs.
func validName(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] == '.' || s[0] == '-' || s[0] == '_' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// callerFromCertificate reads the identity of a verified certificate: exactly one URI name (X.509-SVID, Section 2).
func callerFromCertificate(td string, leaf *x509.Certificate) (appliance.Caller, error) {
	if len(leaf.URIs) != 1 {
		return appliance.Caller{}, fmt.Errorf("a certificate with %d URI names: %w", len(leaf.URIs), errIdentity)
	}
	return CallerFromIdentity(td, leaf.URIs[0].String())
}

// peer is who is at the other end of a connection. The certificate is read once and not for every request on it.
type peer struct {
	once   sync.Once
	caller appliance.Caller
	err    error
}

type peerKey struct{}

// withPeer is the http.Server's ConnContext: the handshake has not happened yet, so there is nothing to read here.
func withPeer(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, &peer{})
}

// caller is who sends r: errNoCertificate, errForbidden for a certificate that is not of this cluster, or a Caller.
func (a *API) caller(r *http.Request) (appliance.Caller, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return appliance.Caller{}, errNoCertificate
	}
	p, ok := r.Context().Value(peerKey{}).(*peer)
	if !ok {
		p = &peer{}
	}
	p.once.Do(func() {
		if p.caller, p.err = callerFromCertificate(a.trustDomain, r.TLS.PeerCertificates[0]); p.err != nil {
			p.err = fmt.Errorf("%w: %w", errForbidden, p.err)
		}
	})
	return p.caller, p.err
}
