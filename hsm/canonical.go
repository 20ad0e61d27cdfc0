package hsm

import (
	"crypto/sha256"
	"encoding/binary"
)

// Domain strings begin everything that is MACed, signed or hashed here. They are part of the format: golden files in
// testdata fix the bytes.
const (
	seedDomain     = "strongroom/seed/v1"
	keyDomain      = "strongroom/cluster-key/v1"
	envelopeDomain = "strongroom/envelope/v1"
	snapshotDomain = "strongroom/snapshot/v1"
)

// canonical builds bytes that can be read in one way only: every field has its length before it (four bytes, big
// endian).
type canonical []byte

func begin(domain string) canonical { return canonical(nil).text(domain) }

func (c canonical) bytes(b []byte) canonical {
	c = binary.BigEndian.AppendUint32(c, uint32(len(b)))
	return append(c, b...)
}

func (c canonical) text(s string) canonical {
	c = binary.BigEndian.AppendUint32(c, uint32(len(s)))
	return append(c, s...)
}

func (c canonical) number(n uint32) canonical {
	c = binary.BigEndian.AppendUint32(c, 4)
	return binary.BigEndian.AppendUint32(c, n)
}

func (c canonical) binding(b Binding) canonical {
	return c.text(b.Tenant).text(b.Account).text(b.Credential).number(b.Version)
}

// Tagged is what a sealed seed's tag is over: its place, how it is sealed, and the blob.
func (s SealedSeed) Tagged(b Binding) []byte {
	c := make(canonical, 0, 128+len(b.Tenant)+len(b.Account)+len(b.Credential)+len(s.Blob)).text(seedDomain)
	return c.binding(b).number(s.KeyVersion).number(uint32(s.Hash)).bytes(s.Blob)
}

// Tagged is what a sealed cluster key's tag is over.
func (k SealedKey) Tagged() []byte {
	return begin(keyDomain).text(string(k.Name)).number(k.Version).number(k.KeyVersion).bytes(k.Blob).bytes(k.Public)
}

// EnvelopeContext is SHA-256 over the binding and both public keys as uncompressed points: the data from which, together
// with the ECDH secret, the key is derived that wraps a seed to a device.
func EnvelopeContext(b Binding, recipient, ephemeral []byte) [sha256.Size]byte {
	return sha256.Sum256(begin(envelopeDomain).binding(b).bytes(recipient).bytes(ephemeral))
}

// snapshotMessage is what a snapshot's MAC is over. No other message of the binding key begins like it.
func snapshotMessage(message []byte) []byte { return begin(snapshotDomain).bytes(message) }
