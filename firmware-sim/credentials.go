package firmwaresim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// Roles of certificates.
const (
	Frontend = "frontend"
	Helpdesk = "helpdesk"
	Operator = "operator"
	Auditor  = "auditor"
)

// Credentials are a client's certificate, its key, and the authority that it trusts: a directory with cert.pem, key.pem
// and authority.pem, as `strongroom --credentials` wants it.
type Credentials struct{ Dir string }

// CertFile is the client's certificate chain, PEM.
func (c Credentials) CertFile() string { return filepath.Join(c.Dir, "cert.pem") }

// KeyFile is its key, PEM.
func (c Credentials) KeyFile() string { return filepath.Join(c.Dir, "key.pem") }

// AuthorityFile is the cluster's root, PEM.
func (c Credentials) AuthorityFile() string { return filepath.Join(c.Dir, "authority.pem") }

// TLS is a client's configuration.
func (c Credentials) TLS() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile(), c.KeyFile())
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	authority, err := os.ReadFile(c.AuthorityFile())
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("reading credentials: no certificate in %s", c.AuthorityFile())
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS13}, nil
}

// renewBefore is how long credentials have to be valid still to be of use.
const renewBefore = 24 * time.Hour

// complete says whether all three files are there and the certificate is valid for a while.
func (c Credentials) complete() bool {
	if _, err := os.Stat(c.AuthorityFile()); err != nil {
		return false
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile(), c.KeyFile())
	return err == nil && time.Until(pair.Leaf.NotAfter) > renewBefore
}

// present says whether they were ever issued.
func (c Credentials) present() bool {
	_, err := os.Stat(c.CertFile())
	return err == nil
}

// Operator is the credentials that came with the cluster.
func (r *Rack) Operator() Credentials { return Credentials{r.path(credentialsDir, Operator)} }

// IssueClient has the cluster issue a certificate for a new key and keeps both in the rack. Tenant is empty for
// operators and auditors. Credentials that were issued before are answered again.
func (r *Rack) IssueClient(ctx context.Context, role, tenant, name string) (Credentials, error) {
	issued := Credentials{r.path(credentialsDir, filepath.Join(role, tenant, name))}
	if role == Operator || role == Auditor {
		issued.Dir = r.path(credentialsDir, role+"-"+name)
	}
	if issued.complete() {
		return issued, nil
	}
	if err := r.issue(ctx, issued, wire.CertificateRequest{Role: role, Tenant: tenant, Name: name}); err != nil {
		return Credentials{}, fmt.Errorf("issuing a certificate for %s %s: %w", role, name, err)
	}
	return issued, nil
}

func (r *Rack) issue(ctx context.Context, to Credentials, request wire.CertificateRequest) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	if request.PublicKey, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	operator, err := r.Client(r.Operator())
	if err != nil {
		return err
	}
	defer operator.Close()
	answer, err := operator.IssueCertificate(ctx, request)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to.Dir, 0o700); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(to.KeyFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		os.WriteFile(to.CertFile(), []byte(answer.Certificate), 0o644),
		os.WriteFile(to.AuthorityFile(), []byte(answer.Authority), 0o644),
	)
}

// Client makes an API client that knows the chassis given, or all. The caller closes it.
func (r *Rack) Client(c Credentials, chassis ...*Chassis) (*client.Client, error) {
	if len(chassis) == 0 {
		chassis = r.Chassis
	}
	config, err := c.TLS()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Nodes: addresses(chassis), TLS: config})
}

func addresses(chassis []*Chassis) []string {
	var all []string
	for _, c := range chassis {
		all = append(all, c.APIAddr())
	}
	return all
}
