package audit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Head is what there is to say of a tree at one size.
type Head struct {
	Tree  string         // its name
	First int64          // index of its first entry in the whole log
	Size  int64          // number of its entries
	Root  [HashSize]byte // RFC 6962 Merkle tree hash of them
}

// Origin is the C2SP origin of a tree of a log: "<trust domain>/log/<tree>".
func Origin(trustDomain, tree string) string { return trustDomain + "/log/" + tree }

// CosignerName is the key name under which a node cosigns: "<trust domain>/node/<id>".
func CosignerName(trustDomain, node string) string { return trustDomain + "/node/" + node }

// family is what the origins of all trees of one log have in common: all up to the last slash, that included.
func family(origin string) string { return origin[:strings.LastIndexByte(origin, '/')+1] }

// CheckpointText is the text of a C2SP tlog-checkpoint: origin, size and root, a line each.
func CheckpointText(origin string, size int64, root [HashSize]byte) string {
	return torchwood.Checkpoint{Origin: origin, Tree: tlog.Tree{N: size, Hash: root}}.String()
}

// ParseCheckpointText reads what CheckpointText made; extension lines are refused, for nobody here signs any.
func ParseCheckpointText(text string) (origin string, size int64, root [HashSize]byte, err error) {
	c, err := torchwood.ParseCheckpoint(text)
	if err != nil || c.Extension != "" {
		return "", 0, root, errors.New("not the three lines of a checkpoint")
	}
	return c.Origin, c.N, c.Hash, nil
}

// The algorithm bytes of C2SP signed-note that are used here.
const (
	algEd25519     = 0x01
	algECDSA       = 0x02
	algCosignature = 0x04
)

// A node has one log key, in its module, and signs a checkpoint with it in two ways:
//
//   - as the log, under the origin: a plain signature (0x01 for Ed25519, 0x02 for P-256) over the text. So each node's key
//     is a key of the log to any tool that knows C2SP checkpoints.
//   - as itself, under its [CosignerName]: a C2SP tlog-cosignature (0x04), which has the time in it. For a P-256 key, for
//     which there is no such thing, it is a plain signature (0x02) again. A majority of these is what counts.
//
// The two messages can't be taken for one another: one begins with the origin, the other with the line "cosignature/v1",
// which is no origin.

// LogVerifierKey is the vkey (C2SP signed-note) of a node's key as a key of the log.
func LogVerifierKey(origin string, key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return note.NewEd25519VerifierKey(origin, k)
	case *ecdsa.PublicKey:
		return ecdsaVerifierKey(origin, k)
	}
	return "", fmt.Errorf("a log key can't be a %T", key)
}

// CosignerVerifierKey is the vkey of a node's key as that of a cosigner.
func CosignerVerifierKey(name string, key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		encoded := append([]byte{algCosignature}, k...)
		return fmt.Sprintf("%s+%s+%s", name, keyID(append([]byte(name+"\n"), encoded...)),
			base64.StdEncoding.EncodeToString(encoded)), nil
	case *ecdsa.PublicKey:
		return ecdsaVerifierKey(name, k)
	}
	return "", fmt.Errorf("a log key can't be a %T", key)
}

func ecdsaVerifierKey(name string, k *ecdsa.PublicKey) (string, error) {
	if k.Curve != elliptic.P256() {
		return "", errors.New("a log key must be on P-256 or Ed25519")
	}
	spki, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s+%s+%s", name, keyID(spki), base64.StdEncoding.EncodeToString(append([]byte{algECDSA}, spki...))), nil
}

// keyID is the first four bytes of SHA-256 in hex.
func keyID(hashed []byte) string {
	h := sha256.Sum256(hashed)
	return fmt.Sprintf("%x", h[:4])
}

// NewVerifier makes a verifier of a vkey of any of the three kinds that are used here.
func NewVerifier(vkey string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New("not a vkey: name+id+base64 is needed")
	}
	switch key[0] {
	case algEd25519:
		return note.NewVerifier(vkey)
	case algCosignature:
		return torchwood.NewCosignatureVerifier(vkey)
	case algECDSA:
		v := &ecdsaVerifier{name: name}
		parsed, err := x509.ParsePKIXPublicKey(key[1:])
		if err != nil {
			return nil, fmt.Errorf("not a vkey: %w", err)
		}
		var ok bool
		if v.key, ok = parsed.(*ecdsa.PublicKey); !ok || v.key.Curve != elliptic.P256() {
			return nil, errors.New("not a vkey of P-256")
		}
		h := sha256.Sum256(key[1:])
		v.id = binary.BigEndian.Uint32(h[:])
		if name == "" || strings.ContainsFunc(name, unicode.IsSpace) || id != keyID(key[1:]) {
			return nil, errors.New("not a vkey: its id is not its key's")
		}
		return v, nil
	}
	return nil, fmt.Errorf("a vkey of algorithm %#x is not known", key[0])
}

// ecdsaVerifier is C2SP signed-note's type 0x02.
type ecdsaVerifier struct {
	name string
	id   uint32
	key  *ecdsa.PublicKey
}

func (v *ecdsaVerifier) Name() string    { return v.name }
func (v *ecdsaVerifier) KeyHash() uint32 { return v.id }
func (v *ecdsaVerifier) Verify(msg, sig []byte) bool {
	digest := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.key, digest[:], sig)
}

// Signatures are one node's two signature lines on a checkpoint, each with its line end.
type Signatures struct {
	Log      string // under the origin
	Cosigner string // under the node's own name
}

// maxSignatures bounds both lines of Signatures together.
const maxSignatures = 1024

// Sign signs a checkpoint's text with a node's log key. seconds is the Unix time that the cosignature states.
func Sign(random io.Reader, text, cosigner string, seconds int64, key crypto.Signer) (Signatures, error) {
	origin, _, _, err := ParseCheckpointText(text)
	if err != nil {
		return Signatures{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	logKey, err := LogVerifierKey(origin, key.Public())
	if err != nil {
		return Signatures{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	cosignerKey, err := CosignerVerifierKey(cosigner, key.Public())
	if err != nil {
		return Signatures{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	var plain, timed []byte
	if _, ed := key.Public().(ed25519.PublicKey); ed {
		if plain, err = key.Sign(random, []byte(text), crypto.Hash(0)); err == nil {
			timed, err = key.Sign(random, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text), crypto.Hash(0))
			timed = append(binary.BigEndian.AppendUint64(nil, uint64(seconds)), timed...)
		}
	} else {
		digest := sha256.Sum256([]byte(text))
		plain, err = key.Sign(random, digest[:], crypto.SHA256)
		timed = plain
	}
	if err != nil {
		return Signatures{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	return Signatures{Log: signatureLine(logKey, plain), Cosigner: signatureLine(cosignerKey, timed)}, nil
}

// signatureLine is "— name base64(id || signature)\n" for the key of a vkey.
func signatureLine(vkey string, signature []byte) string {
	name, rest, _ := strings.Cut(vkey, "+")
	id, _, _ := strings.Cut(rest, "+")
	b, _ := hex.DecodeString(id) // a vkey of ours
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(append(b, signature...)))
}

// Check says whether s are signatures of a node with that key on a checkpoint's text.
func (s Signatures) Check(text, cosigner string, key crypto.PublicKey) error {
	if len(s.Log)+len(s.Cosigner) > maxSignatures {
		return errors.New("checking a node's signatures: they are too long")
	}
	origin, _, _, err := ParseCheckpointText(text)
	if err != nil {
		return fmt.Errorf("checking a node's signatures: %w", err)
	}
	logKey, err1 := LogVerifierKey(origin, key)
	cosignerKey, err2 := CosignerVerifierKey(cosigner, key)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("checking a node's signatures: %w", err)
	}
	for vkey, line := range map[string]string{logKey: s.Log, cosignerKey: s.Cosigner} {
		if err := CheckLine(text, line, vkey); err != nil {
			return fmt.Errorf("checking a node's signatures: %w", err)
		}
	}
	return nil
}

// CheckLine says whether a line is one signature of a vkey's key on a checkpoint's text. Nodes and witnesses alike.
func CheckLine(text, line, vkey string) error {
	v, err := NewVerifier(vkey)
	if err != nil {
		return err
	}
	n, err := note.Open([]byte(text+"\n"+line), note.VerifierList(v))
	if err != nil {
		return err
	}
	// Note.Open is content with one good signature among several lines.
	if strings.Count(line, "\n") != 1 || n.Text != text {
		return errors.New("more than one signature in a line")
	}
	return nil
}

// Checkpoint is a signed one, as C2SP tlog-checkpoint writes it.
func Checkpoint(text string, lines ...string) []byte {
	return []byte(text + "\n" + strings.Join(lines, ""))
}
