package audit

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Policy says which keys an auditor trusts and how many of them have to have signed. It is a C2SP tlog-policy file:
//
//	log <vkey>                       a key of the log; any one of them has to have signed
//	witness <name> <vkey> [<url>]    a cosigner: a node, or a witness that others run
//	group <name> <k|any|all> <name>...
//	quorum <name|none>
//
// with two things that go beyond it. A log line stands for all trees of its log: names that differ only after the last
// slash are trees of one log, signed by the same keys. And a key may be of type 0x02, ECDSA on P-256, where a node's
// hardware has no Ed25519.
type Policy struct {
	logs      []logKey
	witnesses map[string]note.Verifier
	groups    map[string]group
	quorum    string // "none", or a name of the two
}

type logKey struct {
	family string
	alg    byte
	key    []byte // after the algorithm's byte
}

type group struct {
	need    int
	members []string
}

// Bounds on a policy, from C2SP tlog-policy's advice and a little more.
const (
	maxPolicy = 1 << 20
	maxParts  = 1024
)

// ParsePolicy reads a policy. An error names the line.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > maxPolicy {
		return nil, errors.New("reading a policy: it is too long")
	}
	p := &Policy{witnesses: map[string]note.Verifier{}, groups: map[string]group{}}
	keys := map[string]bool{}   // of logs and of witnesses: each once
	member := map[string]bool{} // names that are in a group already
	for i, line := range strings.Split(string(b), "\n") {
		fail := func(format string, args ...any) (*Policy, error) {
			return nil, fmt.Errorf("reading a policy: line %d: %s", i+1, fmt.Sprintf(format, args...))
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
			return fail("it has a control character")
		}
		f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		known := func(name string) bool {
			_, w := p.witnesses[name]
			_, g := p.groups[name]
			return w || g
		}
		if len(p.logs)+len(p.witnesses)+len(p.groups) > maxParts {
			return fail("more than %d keys and groups", maxParts)
		}
		switch {
		case f[0] == "log" && (len(f) == 2 || len(f) == 3):
			v, err := NewVerifier(f[1])
			if err != nil {
				return fail("%v", err)
			}
			raw := rawKey(f[1])
			if raw[0] == algCosignature {
				return fail("a log's key must be of type 0x01 or 0x02")
			}
			k := logKey{family: family(v.Name()), alg: raw[0], key: raw[1:]}
			if k.family == "" {
				k.family = v.Name()
			}
			if keys["log "+k.family+string(k.key)] {
				return fail("the same key of a log twice")
			}
			keys["log "+k.family+string(k.key)] = true
			p.logs = append(p.logs, k)
		case f[0] == "witness" && (len(f) == 3 || len(f) == 4):
			v, err := NewVerifier(f[2])
			if err != nil {
				return fail("%v", err)
			}
			raw := string(rawKey(f[2])[1:])
			switch {
			case rawKey(f[2])[0] == algEd25519:
				return fail("a witness's key must be of type 0x04 or 0x02")
			case f[1] == "none" || known(f[1]):
				return fail("the name %s is taken", f[1])
			case keys["witness "+raw]:
				return fail("the same key of a witness twice")
			}
			keys["witness "+raw] = true
			p.witnesses[f[1]] = v
		case f[0] == "group" && len(f) >= 4:
			if f[1] == "none" || known(f[1]) {
				return fail("the name %s is taken", f[1])
			}
			g := group{members: f[3:]}
			switch f[2] {
			case "any":
				g.need = 1
			case "all":
				g.need = len(g.members)
			default:
				n, err := strconv.Atoi(f[2])
				if err != nil || n < 1 || n > len(g.members) || strconv.Itoa(n) != f[2] {
					return fail("%s of %d is no number of members", f[2], len(g.members))
				}
				g.need = n
			}
			for _, m := range g.members {
				if !known(m) {
					return fail("%s is not defined above", m)
				}
				if member[m] {
					return fail("%s is in a group already", m)
				}
				member[m] = true
			}
			p.groups[f[1]] = g
		case f[0] == "quorum" && len(f) == 2:
			if p.quorum != "" {
				return fail("a second quorum")
			}
			if f[1] != "none" && !known(f[1]) {
				return fail("%s is not defined above", f[1])
			}
			p.quorum = f[1]
		default:
			return fail("must be log, witness, group or quorum with what belongs to it")
		}
	}
	switch {
	case p.quorum == "":
		return nil, errors.New("reading a policy: it has no quorum line")
	case len(p.logs) == 0:
		return nil, errors.New("reading a policy: it has no log line")
	}
	return p, nil
}

// rawKey is the decoded last part of a vkey that NewVerifier has taken.
func rawKey(vkey string) []byte {
	_, rest, _ := strings.Cut(vkey, "+")
	_, encoded, _ := strings.Cut(rest, "+") // base64 has plus signs of its own
	raw, _ := base64.StdEncoding.DecodeString(encoded)
	return raw
}

// ErrCheckpoint: a checkpoint is not one, or not signed as the policy wants.
var ErrCheckpoint = errors.New("the checkpoint is refused")

// maxNote bounds a signed checkpoint, in bytes.
const maxNote = 64 << 10

// SignedHead is the content of a checkpoint that a policy was content with.
type SignedHead struct {
	Origin string
	Size   int64
	Root   [HashSize]byte
	Text   string   // of the checkpoint, without signatures
	Signed []string // the names of the policy's witnesses that have cosigned, sorted
}

// Tree is the name of the checkpoint's tree.
func (h SignedHead) Tree() string { return h.Origin[strings.LastIndexByte(h.Origin, '/')+1:] }

// Open checks a checkpoint against the policy, and answers ErrCheckpoint otherwise. A signature of a known key that is
// wrong refuses the whole checkpoint, with a *note.InvalidSignatureError; signatures of unknown keys are ignored (C2SP
// signed-note).
func (p *Policy) Open(checkpoint []byte) (SignedHead, error) {
	refuse := func(format string, args ...any) (SignedHead, error) {
		return SignedHead{}, fmt.Errorf("%w: %s", ErrCheckpoint, fmt.Sprintf(format, args...))
	}
	if len(checkpoint) > maxNote {
		return refuse("it has %d bytes", len(checkpoint))
	}
	origin, _, _ := bytes.Cut(checkpoint, []byte("\n"))
	verifiers, err := p.verifiers(string(origin))
	if err != nil {
		return refuse("%v", err)
	}
	n, err := note.Open(checkpoint, verifiers)
	if err != nil {
		return SignedHead{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	h := SignedHead{Text: n.Text}
	if h.Origin, h.Size, h.Root, err = ParseCheckpointText(n.Text); err != nil {
		return refuse("%v", err)
	}
	byLog := false
	for _, s := range n.Sigs {
		if s.Name == h.Origin {
			byLog = true
		}
		for name, w := range p.witnesses {
			if w.Name() == s.Name && w.KeyHash() == s.Hash {
				h.Signed = append(h.Signed, name)
			}
		}
	}
	slices.Sort(h.Signed)
	if !byLog {
		return refuse("no key of the log has signed it")
	}
	if p.quorum != "none" && !p.reached(p.quorum, h.Signed) {
		return refuse("%v have cosigned it, which is no quorum", h.Signed)
	}
	return h, nil
}

func (p *Policy) reached(name string, signed []string) bool {
	g, ok := p.groups[name]
	if !ok {
		return slices.Contains(signed, name)
	}
	n := 0
	for _, m := range g.members {
		if p.reached(m, signed) {
			n++
		}
	}
	return n >= g.need
}

// verifiers are the policy's keys as they sign checkpoints of an origin.
func (p *Policy) verifiers(origin string) (note.Verifiers, error) {
	var list []note.Verifier
	known := false
	for _, l := range p.logs {
		if l.family != family(origin) && l.family != origin {
			continue
		}
		known = true
		v, err := NewVerifier(l.vkey(origin))
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if !known {
		return nil, fmt.Errorf("its origin %q is of no log of the policy", origin)
	}
	for _, w := range p.witnesses {
		list = append(list, w)
	}
	return note.VerifierList(list...), nil
}

func (l logKey) vkey(origin string) string {
	encoded := append([]byte{l.alg}, l.key...)
	hashed := append([]byte(origin+"\n"), encoded...)
	if l.alg == algECDSA {
		hashed = l.key
	}
	return fmt.Sprintf("%s+%s+%s", origin, keyID(hashed), base64.StdEncoding.EncodeToString(encoded))
}

// Signer is a node as a policy names it.
type Signer struct {
	Node string
	Key  crypto.PublicKey
}

// Witness is a cosigner that others run.
type Witness struct {
	VKey string // of type 0x04
	URL  string // submission prefix of C2SP tlog-witness
}

// FormatPolicy writes the policy that a cluster proposes: any node's key for the log, and a majority of its nodes as
// cosigners. Witnesses are listed and not required: how many of them an auditor wants is the auditor's to say.
func FormatPolicy(trustDomain, tree string, nodes []Signer, witnesses []Witness) ([]byte, error) {
	var b bytes.Buffer
	origin := Origin(trustDomain, tree)
	fmt.Fprintf(&b, "# Keys of the key-usage log of %s, and how many have to have signed a checkpoint.\n", trustDomain)
	fmt.Fprintf(&b, "# C2SP tlog-policy. A log line stands for all trees %s*.\n\n", family(origin))
	for _, n := range nodes {
		vkey, err := LogVerifierKey(origin, n.Key)
		if err != nil {
			return nil, fmt.Errorf("the log key of %s: %w", n.Node, err)
		}
		fmt.Fprintf(&b, "log %s\n", vkey)
	}
	b.WriteByte('\n')
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.Node
		vkey, err := CosignerVerifierKey(CosignerName(trustDomain, n.Node), n.Key)
		if err != nil {
			return nil, fmt.Errorf("the log key of %s: %w", n.Node, err)
		}
		fmt.Fprintf(&b, "witness %s %s\n", n.Node, vkey)
	}
	for i, w := range witnesses {
		fmt.Fprintf(&b, "witness external-%d %s %s\n", i+1, w.VKey, w.URL)
	}
	fmt.Fprintf(&b, "\ngroup nodes %d %s\nquorum nodes\n", Majority(len(nodes)), strings.Join(names, " "))
	return b.Bytes(), nil
}

// Majority is how many of n nodes have to sign a checkpoint before it counts.
func Majority(n int) int { return n/2 + 1 }
