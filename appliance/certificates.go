package appliance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

const (
	// maxClientLifetime bounds a client certificate: there is no revocation list, so it must run out.
	maxClientLifetime     = 366 * 24 * time.Hour
	defaultClientLifetime = 90 * 24 * time.Hour
	nodeLifetime          = 10 * 365 * 24 * time.Hour
	// backdate forgives clocks that are a little behind.
	backdate = 5 * time.Minute
)

// endless is RFC 5280's date for "no well-defined expiration" (Section 4.1.2.5): a device is trusted until it is removed.
var endless = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// IssueCertificate has the authority sign a client certificate. The answer leaves only after the log has it.
func (s *Service) IssueCertificate(ctx context.Context, c Caller, r CertificateRequest) (IssuedCertificate, error) {
	estateInfo := s.estate.Load()
	if estateInfo == nil {
		return IssuedCertificate{}, s.usable()
	}
	identity, err := clientIdentity(estateInfo.TrustDomain, r)
	if err != nil {
		return IssuedCertificate{}, err
	}
	key, err := parseClientKey(r.PublicKey)
	if err != nil {
		return IssuedCertificate{}, err
	}
	lifetime := r.Lifetime
	if lifetime == 0 {
		lifetime = defaultClientLifetime
	}
	if lifetime < time.Minute || lifetime > maxClientLifetime {
		return IssuedCertificate{}, &InvalidError{Field: "lifetime", Reason: "must be from one minute to 366 days"}
	}
	now := s.now()
	der, err := s.certify(ctx, hsm.KeyAuthority, estateInfo.Authority, &x509.Certificate{
		Subject:     pkix.Name{CommonName: r.Name},
		URIs:        []*url.URL{identity},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	if err != nil {
		return IssuedCertificate{}, err
	}
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, Certify: &certify{
		Identity: identity.String(), SHA256: sha256.Sum256(der), NotAfter: account.Time(now.Add(lifetime).UnixMilli()),
	}})
	if err != nil {
		return IssuedCertificate{}, err
	}
	return IssuedCertificate{
		Identity: identity.String(), Chain: pemCertificate(der), Authority: pemCertificate(estateInfo.Authority),
		NotAfter: now.Add(lifetime).UTC(), Entry: result.Entry,
	}, refusal(result.Outcome)
}

// clientIdentity is the SPIFFE ID of a client.
func clientIdentity(trustDomain string, r CertificateRequest) (*url.URL, error) {
	if !validName(r.Name) {
		return nil, &InvalidError{Field: "name", Reason: nameRule}
	}
	tenanted := r.Role == Frontend || r.Role == Helpdesk
	switch {
	case tenanted && !validName(r.Tenant):
		return nil, &InvalidError{Field: "tenant", Reason: nameRule}
	case !tenanted && r.Tenant != "":
		return nil, &InvalidError{Field: "tenant", Reason: "goes with the roles frontend and helpdesk only"}
	case tenanted:
		return spiffe(trustDomain, "tenant", r.Tenant, r.Role.String(), r.Name), nil
	case r.Role == Operator || r.Role == Auditor:
		return spiffe(trustDomain, r.Role.String(), r.Name), nil
	}
	return nil, &InvalidError{Field: "role", Reason: "must be frontend, helpdesk, operator or auditor"}
}

func spiffe(trustDomain string, path ...string) *url.URL {
	return (&url.URL{Scheme: "spiffe", Host: trustDomain}).JoinPath(path...)
}

const nameRule = "must be 1 to 64 characters from a-z, 0-9, dot, hyphen and underscore, and begin with a letter or digit"

// validName is the rule for tenants, nodes and client names: they stand in SPIFFE IDs and in keys of the state.
func validName(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] == '.' || s[0] == '-' || s[0] == '_' {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		default:
			return false
		}
	}
	return true
}

const nodeIDRule = "must be 1 to 63 lower-case letters, digits and inner hyphens"

// validNodeID is the engine's rule for node ids.
func validNodeID(s string) bool {
	return validName(s) && len(s) <= 63 && !strings.ContainsAny(s, "._") && !strings.HasSuffix(s, "-")
}

func parseClientKey(der []byte) (crypto.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err == nil {
		switch key := parsed.(type) {
		case ed25519.PublicKey:
			return key, nil
		case *ecdsa.PublicKey:
			if key.Curve == elliptic.P256() {
				return key, nil
			}
		}
	}
	return nil, &InvalidError{Field: "public_key", Reason: "must be a P-256 or Ed25519 public key as PKIX DER"}
}

// certifyDevice signs a device's certificate. It names tenant and device and nothing of the person.
func (s *Service) certifyDevice(ctx context.Context, tenant, id string, key crypto.PublicKey) ([]byte, error) {
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "Strongroom device trust"}}
	return s.sign(ctx, hsm.KeyDeviceTrust, issuer, &x509.Certificate{
		Subject:     pkix.Name{CommonName: id},
		URIs:        []*url.URL{spiffe(s.estate.Load().TrustDomain, "tenant", tenant, "device", id)},
		NotBefore:   s.now().Add(-backdate),
		NotAfter:    endless,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
}

// certify signs a template under an authority whose certificate (DER) is given.
func (s *Service) certify(
	ctx context.Context, name hsm.KeyName, authority []byte, template *x509.Certificate, key crypto.PublicKey,
) ([]byte, error) {
	issuer, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, fmt.Errorf("parsing the authority's certificate: %w", err)
	}
	return s.sign(ctx, name, issuer, template, key)
}

func (s *Service) sign(
	ctx context.Context, name hsm.KeyName, issuer, template *x509.Certificate, key crypto.PublicKey,
) ([]byte, error) {
	signer, err := s.pool.Signer(ctx, name)
	if err != nil {
		return nil, moduleError("signing a certificate", err)
	}
	der, err := signCertificate(s.rand, signer, issuer, template, key)
	if err != nil {
		return nil, moduleError("signing a certificate", err)
	}
	return der, nil
}

func signCertificate(
	random io.Reader, signer crypto.Signer, issuer, template *x509.Certificate, key crypto.PublicKey,
) ([]byte, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	serial[0] &= 0x7f // positive (RFC 5280, Section 4.1.2.2)
	template.SerialNumber = new(big.Int).SetBytes(serial)
	template.BasicConstraintsValid = true
	return x509.CreateCertificate(random, template, issuer, key, signer)
}

// authorityTemplate is the cluster's root.
func authorityTemplate(clusterID string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:    pkix.Name{Organization: []string{"Strongroom"}, CommonName: "authority of cluster " + clusterID},
		NotBefore:  now.Add(-backdate),
		NotAfter:   now.Add(2 * nodeLifetime),
		KeyUsage:   x509.KeyUsageCertSign,
		IsCA:       true,
		MaxPathLen: 0, MaxPathLenZero: true,
	}
}

// nodeTemplate is a node's certificate, for both of its listeners and for dialling its peers.
func nodeTemplate(trustDomain, id string, now time.Time, addresses ...string) *x509.Certificate {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id},
		URIs:        []*url.URL{spiffe(trustDomain, Node.String(), id)},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(nodeLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	seen := make(map[string]bool)
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil || seen[host] {
			continue
		}
		seen[host] = true
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

func pemCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
