package appliance

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

// Identity is what a node keeps on its own disk to know who it is. Nothing of it is secret: the key is in the module.
type Identity struct {
	ClusterID   string
	NodeID      string
	TrustDomain string
	Chain       []byte // PEM, the node's certificate
	Authority   []byte // PEM, the cluster's root
}

// FoundConfig is what the first node of a cluster is made of.
type FoundConfig struct {
	Pool        *hsm.Pool
	NodeID      string
	TrustDomain string
	ClusterAddr string
	APIAddr     string
	Now         func() time.Time // nil: time.Now
	Rand        io.Reader        // nil: crypto/rand.Reader
}

// clusterKeys are made at a cluster's birth, sealed and replicated.
var clusterKeys = []hsm.KeyName{hsm.KeyDeviceTrust, hsm.KeyAuthority, hsm.KeyCode, hsm.KeyPepper}

// Found makes all keys of a new cluster in the module of its first node, and the command that has to be the first in
// the new engine. It refuses a module that holds a wrapping key: that one belongs to a cluster already.
func Found(ctx context.Context, c FoundConfig) (Identity, []byte, error) {
	now, random := time.Now(), rand.Reader
	if c.Now != nil {
		now = c.Now()
	}
	if c.Rand != nil {
		random = c.Rand
	}
	if !validNodeID(c.NodeID) {
		return Identity{}, nil, &InvalidError{Field: "node id", Reason: nodeIDRule}
	}
	if !validName(c.TrustDomain) {
		return Identity{}, nil, &InvalidError{Field: "trust domain", Reason: nameRule}
	}
	var id [16]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return Identity{}, nil, fmt.Errorf("drawing the cluster's id: %w", err)
	}
	clusterID := hex.EncodeToString(id[:])
	if err := c.Pool.CreateWrappingKey(ctx); err != nil {
		return Identity{}, nil, moduleError("making the wrapping key", err)
	}
	keys := make([]hsm.SealedKey, len(clusterKeys))
	for i, name := range clusterKeys {
		var err error
		if keys[i], err = c.Pool.GenerateClusterKey(ctx, name, 1); err != nil {
			return Identity{}, nil, moduleError("making the "+string(name)+" key", err)
		}
	}
	if err := c.Pool.InstallClusterKeys(ctx, keys); err != nil {
		return Identity{}, nil, moduleError("installing the cluster's keys", err)
	}
	node, err := nodeKeys(ctx, c.Pool)
	if err != nil {
		return Identity{}, nil, err
	}
	authority, err := c.Pool.Signer(ctx, hsm.KeyAuthority)
	if err != nil {
		return Identity{}, nil, moduleError("signing with the authority key", err)
	}
	root := authorityTemplate(clusterID, now)
	rootDER, err := signCertificate(random, authority, root, root, authority.Public())
	if err != nil {
		return Identity{}, nil, moduleError("signing the authority's certificate", err)
	}
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return Identity{}, nil, fmt.Errorf("parsing the authority's certificate: %w", err)
	}
	leaf, err := signCertificate(random, authority, root,
		nodeTemplate(c.TrustDomain, c.NodeID, now, c.ClusterAddr, c.APIAddr), node.identity)
	if err != nil {
		return Identity{}, nil, moduleError("signing the node's certificate", err)
	}
	info := c.Pool.Info()
	command := estate{
		Time: account.Time(now.UnixMilli()), Node: c.NodeID, Module: info.Serial,
		Found: &found{
			Cluster: clusterInfo{ID: clusterID, TrustDomain: c.TrustDomain, Authority: rootDER},
			Keys:    keys,
			Member: member{
				ID: c.NodeID, ClusterAddr: c.ClusterAddr, APIAddr: c.APIAddr, IdentityKey: node.identityDER,
				LogKey: node.logDER, Serial: info.Serial, Module: moduleDetails(info), Joined: true,
			},
		},
	}
	return Identity{
		ClusterID: clusterID, NodeID: c.NodeID, TrustDomain: c.TrustDomain,
		Chain: pemCertificate(leaf), Authority: pemCertificate(rootDER),
	}, append([]byte{estateCommand}, mustEncode(command)...), nil
}

// ownKeys are the keys that never leave a node's module.
type ownKeys struct {
	identity            crypto.PublicKey
	identityDER, logDER []byte
}

func nodeKeys(ctx context.Context, pool *hsm.Pool) (k ownKeys, err error) {
	if k.identity, err = pool.CreateNodeKey(ctx, hsm.KeyIdentity); err != nil {
		return k, moduleError("making the identity key", err)
	}
	if k.identityDER, err = x509.MarshalPKIXPublicKey(k.identity); err != nil {
		return k, fmt.Errorf("encoding the identity key: %w", err)
	}
	logKey, err := pool.CreateNodeKey(ctx, hsm.KeyLog)
	if err != nil {
		return k, moduleError("making the log key", err)
	}
	if k.logDER, err = x509.MarshalPKIXPublicKey(logKey); err != nil {
		return k, fmt.Errorf("encoding the log key: %w", err)
	}
	return k, nil
}

func moduleDetails(i hsm.Info) string {
	return fmt.Sprintf("%s %s %s, firmware %s", i.Kind, i.Manufacturer, i.Model, i.Firmware)
}
