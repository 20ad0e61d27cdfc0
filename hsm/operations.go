package hsm

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"time"
)

// GenerateSeed is Session.GenerateSeed in a session of the pool; so are all methods of this file.
func (p *Pool) GenerateSeed(
	ctx context.Context, b Binding, h Hash, recipient *ecdh.PublicKey,
) (SealedSeed, *Envelope, error) {
	type made struct {
		sealed   SealedSeed
		envelope *Envelope
	}
	m, err := call(ctx, p, func(s Session) (m made, err error) {
		m.sealed, m.envelope, err = s.GenerateSeed(b, h, recipient)
		return m, err
	})
	return m.sealed, m.envelope, err
}

// RevealSeed passes the QR door.
func (p *Pool) RevealSeed(ctx context.Context, b Binding, h Hash) (SealedSeed, *Secret, error) {
	type made struct {
		sealed SealedSeed
		secret *Secret
	}
	m, err := call(ctx, p, func(s Session) (m made, err error) {
		m.sealed, m.secret, err = s.RevealSeed(b, h)
		return m, err
	})
	return m.sealed, m.secret, err
}

// ImportSeed passes the import door. The seed may be destroyed as soon as this returns: the module works on a copy.
func (p *Pool) ImportSeed(ctx context.Context, b Binding, h Hash, seed *Secret) (SealedSeed, error) {
	own := NewSecret(append([]byte(nil), seed.Reveal()...))
	return call(ctx, p, func(s Session) (SealedSeed, error) {
		sealed, err := s.ImportSeed(b, h, own)
		if !errors.Is(err, ErrSession) { // after which it is tried once more
			own.Destroy()
		}
		return sealed, err
	})
}

// CreateWrappingKey is the birth of a cluster.
func (p *Pool) CreateWrappingKey(ctx context.Context) error {
	return do(ctx, p, Session.CreateWrappingKey)
}

// GenerateClusterKey makes a sealed cluster key.
func (p *Pool) GenerateClusterKey(ctx context.Context, name KeyName, version uint32) (SealedKey, error) {
	return call(ctx, p, func(s Session) (SealedKey, error) { return s.GenerateClusterKey(name, version) })
}

// InstallClusterKeys installs keys now and after every recovery of the module.
func (p *Pool) InstallClusterKeys(ctx context.Context, keys []SealedKey) error {
	err := do(ctx, p, func(s Session) error {
		for _, k := range keys {
			if err := s.InstallClusterKey(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.installed = append([]SealedKey(nil), keys...)
	return nil
}

// KeyedMAC computes HMAC-SHA-256 with a cluster key.
func (p *Pool) KeyedMAC(ctx context.Context, name KeyName, messages [][]byte) ([][]byte, error) {
	return call(ctx, p, func(s Session) ([][]byte, error) { return s.KeyedMAC(name, messages) })
}

// SnapshotMAC computes the MAC of a snapshot of the state, under the binding key: a joining node can check it before it
// has any key of the replicated state.
func (p *Pool) SnapshotMAC(ctx context.Context, message []byte) ([]byte, error) {
	return call(ctx, p, func(s Session) ([]byte, error) { return s.BindingMAC(snapshotMessage(message)) })
}

// KeyChecks gives the check values of the keys on the module.
func (p *Pool) KeyChecks(ctx context.Context) ([]KeyCheck, error) {
	return call(ctx, p, Session.KeyChecks)
}

// CreateNodeKey makes a key of this node unless there is one.
func (p *Pool) CreateNodeKey(ctx context.Context, name KeyName) (crypto.PublicKey, error) {
	return call(ctx, p, func(s Session) (crypto.PublicKey, error) { return s.CreateNodeKey(name) })
}

// CreateTransportKey makes the one-use key that receives the wrapping key.
func (p *Pool) CreateTransportKey(ctx context.Context) ([]byte, error) {
	return call(ctx, p, Session.CreateTransportKey)
}

// ExportTo wraps the keys to a trusted transport key.
func (p *Pool) ExportTo(ctx context.Context, pkix []byte) (KeyPackage, error) {
	return call(ctx, p, func(s Session) (KeyPackage, error) { return s.ExportTo(pkix) })
}

// ImportFrom takes the keys in. It is not tried twice: the first try destroys the transport key.
func (p *Pool) ImportFrom(ctx context.Context, pack KeyPackage) error {
	_, err := callOnce(ctx, p, func(s Session) (struct{}, error) { return struct{}{}, s.ImportFrom(pack) })
	return err
}

func do(ctx context.Context, p *Pool, fn func(Session) error) error {
	_, err := call(ctx, p, func(s Session) (struct{}, error) { return struct{}{}, fn(s) })
	return err
}

// signTimeout bounds a signature, whose interface has no context.
const signTimeout = 5 * time.Second

// Signer gives a key of the node, or an installed cluster key, as the standard library wants it. The private half stays
// in the module. Sign waits for a session at most 5 s.
func (p *Pool) Signer(ctx context.Context, name KeyName) (crypto.Signer, error) {
	public, err := call(ctx, p, func(s Session) (crypto.PublicKey, error) { return s.PublicKey(name) })
	if err != nil {
		return nil, fmt.Errorf("reading the %s key's public half: %w", name, err)
	}
	return &signer{pool: p, name: name, public: public}, nil
}

type signer struct {
	pool   *Pool
	name   KeyName
	public crypto.PublicKey
}

func (s *signer) Public() crypto.PublicKey { return s.public }

func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	return call(ctx, s.pool, func(session Session) ([]byte, error) { return session.Sign(s.name, digest, opts) })
}
