package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom.internal/appliance"
)

// A node's identity on its own disk. Nothing of it is secret: the key is in the module.
const (
	identityFile  = "identity.json"
	chainFile     = "chain.pem"
	authorityFile = "authority.pem"
	// foundingFile holds the first command of a new cluster while init has not finished.
	foundingFile = "founding.json"
	clusterDir   = "cluster" // the engine's own
)

// errNoIdentity: this node is in no cluster yet.
var errNoIdentity = errors.New("this node is in no cluster yet")

// identity is what the data directory says of the node.
type identity struct {
	appliance.Identity
	// Started is set once the engine has a directory of its own: from then on a missing one is a lost disk, and never
	// again a new node.
	Started bool
}

type identityRecord struct {
	Format      int    `json:"format"`
	ClusterID   string `json:"cluster_id"`
	NodeID      string `json:"node_id"`
	TrustDomain string `json:"trust_domain"`
	Started     bool   `json:"started"`
}

// readIdentity answers errNoIdentity when there is none.
func readIdentity(dir string) (*identity, error) {
	raw, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoIdentity
	}
	if err != nil {
		return nil, fmt.Errorf("reading the node's identity: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var r identityRecord
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("reading the node's identity %s: %w", identityFile, err)
	}
	if r.Format != 1 {
		return nil, fmt.Errorf("reading the node's identity %s: format %d is not known", identityFile, r.Format)
	}
	id := &identity{appliance.Identity{ClusterID: r.ClusterID, NodeID: r.NodeID, TrustDomain: r.TrustDomain}, r.Started}
	if id.Chain, err = os.ReadFile(filepath.Join(dir, chainFile)); err != nil {
		return nil, fmt.Errorf("reading the node's certificate: %w", err)
	}
	if id.Authority, err = os.ReadFile(filepath.Join(dir, authorityFile)); err != nil {
		return nil, fmt.Errorf("reading the cluster's authority: %w", err)
	}
	return id, nil
}

// write makes the identity durable. The record goes last: without it there is no identity.
func (id *identity) write(dir string) error {
	record, err := json.MarshalIndent(identityRecord{1, id.ClusterID, id.NodeID, id.TrustDomain, id.Started}, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding the node's identity: %w", err)
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{{chainFile, id.Chain}, {authorityFile, id.Authority}, {identityFile, append(record, '\n')}} {
		if err := writeDurably(filepath.Join(dir, f.name), f.content, 0o644); err != nil {
			return fmt.Errorf("keeping the node's identity: %w", err)
		}
	}
	return nil
}

// certificates parses the chain, leaf first, and the cluster's root.
func (id *identity) certificates() (chain [][]byte, authority *x509.Certificate, err error) {
	for rest := id.Chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		chain = append(chain, block.Bytes)
	}
	if len(chain) == 0 {
		return nil, nil, fmt.Errorf("reading %s: no certificate is in it", chainFile)
	}
	block, _ := pem.Decode(id.Authority)
	if block == nil {
		return nil, nil, fmt.Errorf("reading %s: no certificate is in it", authorityFile)
	}
	if authority, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", authorityFile, err)
	}
	return chain, authority, nil
}
