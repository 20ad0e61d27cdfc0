package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A client's credentials are a directory of three files.
const (
	certFile = "cert.pem"
	keyFile  = "key.pem" // PKCS #8, readable by its owner only
	// authorityFile as for a node
)

// clientKey makes the key of a new client in dir, or takes the one that an interrupted run left there. It refuses a
// directory that has a certificate: credentials are never overwritten.
func clientKey(dir string) (pkix []byte, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the credentials: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, certFile)); err == nil {
		return nil, fmt.Errorf("%s has credentials already; give another directory", dir)
	}
	path := filepath.Join(dir, keyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = newKey(path)
	}
	if err != nil {
		return nil, err
	}
	pkix, err = x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	return pkix, nil
}

func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the client's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the client's key: %w", err)
	}
	defer clear(der)
	if err := writeDurably(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, fmt.Errorf("keeping the client's key: %w", err)
	}
	return key, nil
}

// readKey never quotes what it read.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the client's key: %w", err)
	}
	defer clear(raw)
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("reading the client's key: %s is not PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("reading the client's key: %s is not a PKCS #8 ECDSA key", path)
	}
	return key, nil
}

// keepCredentials adds the certificates, the client's own last: with it the directory is whole.
func keepCredentials(dir string, chain, authority []byte) error {
	for _, f := range []struct {
		name    string
		content []byte
	}{{authorityFile, authority}, {certFile, chain}} {
		if err := writeDurably(filepath.Join(dir, f.name), f.content, 0o644); err != nil {
			return fmt.Errorf("keeping the client's certificate: %w", err)
		}
	}
	return nil
}

// clientTLS reads credentials. A key that others can read is refused.
func clientTLS(dir string) (*tls.Config, error) {
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("reading the credentials: %w; --credentials names a directory with %s, %s and %s", err, certFile,
			keyFile, authorityFile)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("reading the credentials: %s can be read by others than its owner (mode %04o); run `chmod 600 %[1]s`",
			filepath.Join(dir, keyFile), mode)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("reading the credentials: %w", err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, authorityFile))
	if err != nil {
		return nil, fmt.Errorf("reading the credentials: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("reading the credentials: no certificate is in %s", filepath.Join(dir, authorityFile))
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: roots}, nil
}
