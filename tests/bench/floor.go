package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
	"strongroom.internal/hsm/pkcs11"
)

// floor measures the parts alone.
func floor(ctx context.Context) error {
	if err := floorModule(ctx); err != nil {
		return fmt.Errorf("measuring SoftHSM: %w", err)
	}
	if err := floorRaft(ctx); err != nil {
		return fmt.Errorf("measuring Raft: %w", err)
	}
	return nil
}

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// floorModule measures three MACs with a hot seed and with a cold one, from as many callers as there are cores.
func floorModule(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "strongroom-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tokens, conf := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(tokens, 0o700),
		os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600),
		os.Setenv("SOFTHSM2_CONF", conf)); err != nil {
		return err
	}
	pin := func() (*hsm.Secret, error) { return hsm.NewSecret([]byte("1234")), nil }
	so, _ := pin()
	user, _ := pin()
	if err := pkcs11.InitToken(ctx, softHSM, "bench", so, user); err != nil {
		return err
	}
	backend, err := pkcs11.Open(ctx, pkcs11.Config{Module: softHSM, TokenLabel: "bench", PIN: pin})
	if err != nil {
		return err
	}
	pool := hsm.NewPool(backend, hsm.PoolConfig{Resident: 64})
	if err := pool.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	if err := pool.CreateWrappingKey(ctx); err != nil {
		return err
	}
	// More seeds than stay resident: going round, each is cold when its turn comes.
	evaluations := make([]hsm.Evaluation, 256)
	for i := range evaluations {
		binding := hsm.Binding{Tenant: "t", Account: fmt.Sprint(i), Credential: "c", Version: 1}
		seed, _, err := pool.GenerateSeed(ctx, binding, hsm.SHA1, nil)
		if err != nil {
			return err
		}
		evaluations[i] = hsm.Evaluation{
			Binding: binding, Seed: seed, Messages: [][]byte{make([]byte, 8), make([]byte, 8), make([]byte, 8)},
		}
	}
	section("SoftHSM alone: 3 HMAC-SHA-1 of one seed, through the pool")
	for _, kind := range []struct {
		name  string
		seeds int
	}{{"hot", 32}, {"cold", len(evaluations)}} {
		for _, callers := range []int{1, 2, 16} {
			m, err := run(ctx, callers, 1<<30, 2*time.Second, nil, func(ctx context.Context, _, request int) (string, error) {
				_, err := pool.MAC(ctx, evaluations[request%kind.seeds:][:1])
				return "", err
			})
			if err != nil {
				return err
			}
			report(kind.name, m)
		}
	}
	return nil
}

// echo is a machine that only counts: what remains is the engine's own cost.
type echo struct{}

func (echo) Apply(tx cluster.Tx, command []byte) (cluster.Applied, error) {
	return cluster.Applied{
		Entries: []*audit.Entry{{Operation: "bench", Outcome: "done"}},
		Finish: func(int64) []byte {
			tx.Set(command[:16], command)
			return command[:1]
		},
	}, nil
}

// floorRaft measures commits of 300 bytes on three nodes in this process, over mutual TLS, with fsync.
func floorRaft(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "strongroom-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	var nodes []*cluster.Raft
	defer func() {
		for i := len(nodes) - 1; i >= 0; i-- {
			_ = nodes[i].Close(context.WithoutCancel(ctx))
		}
	}()
	for i := range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		config := authority.engine(fmt.Sprintf("n%d", i+1), filepath.Join(dir, fmt.Sprint(i)), echo{})
		config.Listener = listener
		open := func() (*cluster.Raft, error) { return cluster.OpenJoining(ctx, config) }
		if i == 0 {
			open = func() (*cluster.Raft, error) { return cluster.Create(config) }
		}
		node, err := open()
		if err != nil {
			return err
		}
		nodes = append(nodes, node)
		if i > 0 {
			if err := nodes[0].AddNode(ctx, config.NodeID, listener.Addr().String()); err != nil {
				return err
			}
		} else if err := awaitLeader(ctx, node); err != nil {
			return err
		}
	}
	section("Raft alone: 300-byte commands committed, applied and logged on 3 nodes")
	for _, callers := range []int{1, 16, 64, 256} {
		m, err := run(ctx, callers, 1<<30, 3*time.Second, nil, func(ctx context.Context, caller, request int) (string, error) {
			command := make([]byte, 300)
			copy(command, fmt.Sprintf("%016d", request%10000))
			_, err := nodes[caller%3].Propose(ctx, command)
			return "", err
		})
		if err != nil {
			return err
		}
		report("any node", m)
	}
	return nil
}

func awaitLeader(ctx context.Context, node *cluster.Raft) error {
	for {
		if err := node.Sync(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// authority signs certificates for engines that this process runs itself.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

const benchDomain = "strongroom.test"

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &authority{certificate, key}, err
}

// engine configures a node of this authority's.
func (a *authority) engine(id, dir string, machine cluster.Machine) cluster.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	return cluster.Config{
		NodeID: id, DataDir: dir, TrustDomain: benchDomain, Roots: roots, Machine: machine,
		Certificate: func() (*tls.Certificate, error) { return a.issue(id) },
	}
}

func (a *authority) issue(id string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(24 * time.Hour),
		URIs:        []*url.URL{{Scheme: "spiffe", Host: benchDomain, Path: "/node/" + id}},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
