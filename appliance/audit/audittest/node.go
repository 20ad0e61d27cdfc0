package audittest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"strconv"

	"strongroom.internal/appliance/audit"
)

// Node is one of those that sign.
type Node struct {
	ID  string
	Key crypto.Signer
}

// MakeNode makes a node whose key is drawn from the seed and its id: Ed25519, or P-256.
func MakeNode(seed uint64, id string, p256 bool) (Node, error) {
	drawn := sha256.Sum256(fmt.Appendf(nil, "audittest %d %s", seed, id))
	if !p256 {
		return Node{id, ed25519.NewKeyFromSeed(drawn[:])}, nil
	}
	drawn[0] = 0 // below the group's order
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), drawn[:])
	return Node{id, key}, err
}

func makeNodes(c Config) (all []Node, err error) {
	for i := range c.Nodes {
		n, err := MakeNode(c.Seed, "n"+strconv.Itoa(i+1), i > 0 && i == c.Nodes-1)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// Checkpoint signs a checkpoint's text with the nodes, or with all of the log's when none are given.
func (l *Log) Checkpoint(text string, nodes ...Node) ([]byte, error) {
	if len(nodes) == 0 {
		nodes = l.Nodes
	}
	var logs, cosigners []string
	for _, n := range nodes {
		// Without a random source, P-256 signatures are those of RFC 6979: the same each time.
		s, err := audit.Sign(nil, text, audit.CosignerName(l.Config.TrustDomain, n.ID), l.Config.Start.Unix(), n.Key)
		if err != nil {
			return nil, err
		}
		logs, cosigners = append(logs, s.Log), append(cosigners, s.Cosigner)
	}
	return audit.Checkpoint(text, append(logs, cosigners...)...), nil
}
