package api

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// ServerTLS is the API's side of mutual TLS: 1.3 only, client certificates of the authority only. A client may come
// without one, for the few routes that say so; a certificate that does not verify ends the handshake.
//
// certificate gives the node's own certificate for each handshake, so that a renewed one is used without a restart.
// authority is the cluster's root; it is sent along, because a node that joins knows it by its hash alone.
func ServerTLS(certificate func() (*tls.Certificate, error), authority *x509.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  pool,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, err := certificate()
			if err != nil {
				return nil, fmt.Errorf("getting the node's certificate: %w", err)
			}
			if n := len(c.Certificate); n > 0 && bytes.Equal(c.Certificate[n-1], authority.Raw) {
				return c, nil
			}
			whole := *c
			whole.Certificate = append(c.Certificate[:len(c.Certificate):len(c.Certificate)], authority.Raw)
			return &whole, nil
		},
	}
}
