package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// A receipt is a C2SP tlog-proof: one text file that has an entry (in its extra line), the entry's position in its tree,
// the inclusion proof (RFC 6962, Section 2.1.1), and a checkpoint. It verifies offline with a Policy and nothing else.

// FormatReceipt writes a receipt.
func FormatReceipt(position int64, entry []byte, proof tlog.RecordProof, checkpoint []byte) []byte {
	return torchwood.FormatProofWithExtraData(position, entry, proof, checkpoint)
}

// Receipt is what a receipt proves.
type Receipt struct {
	Entry    *Entry
	Position int64 // in the tree
	Head     SignedHead
}

// ErrReceipt: the bytes are no receipt, or prove nothing.
var ErrReceipt = errors.New("the receipt is refused")

const (
	maxReceipt  = maxNote + 4*MaxEntry
	proofHeader = "c2sp.org/tlog-proof@v1"
)

// VerifyReceipt checks a receipt: its checkpoint satisfies the policy, and its entry is in that tree at that place. It
// answers ErrReceipt otherwise, or ErrCheckpoint.
func VerifyReceipt(p *Policy, receipt []byte) (*Receipt, error) {
	refuse := func(format string, args ...any) (*Receipt, error) {
		return nil, fmt.Errorf("%w: %s", ErrReceipt, fmt.Sprintf(format, args...))
	}
	if len(receipt) > maxReceipt {
		return refuse("it has %d bytes", len(receipt))
	}
	head, checkpoint, ok := strings.Cut(string(receipt), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofHeader {
		return refuse("it is no C2SP tlog-proof")
	}
	encoded, ok := strings.CutPrefix(lines[1], "extra ")
	if !ok {
		return refuse("it has no entry in an extra line")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return refuse("its extra line is not base64")
	}
	number, ok := strings.CutPrefix(lines[2], "index ")
	r := &Receipt{}
	if r.Position, err = strconv.ParseInt(number, 10, 64); !ok || err != nil || r.Position < 0 || number != strconv.FormatInt(r.Position, 10) {
		return refuse("its index line is not one")
	}
	proof := make(tlog.RecordProof, 0, len(lines)-3)
	for _, line := range lines[3:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != HashSize {
			return refuse("a line of its proof is no hash")
		}
		proof = append(proof, tlog.Hash(h))
	}
	if r.Head, err = p.Open([]byte(checkpoint)); err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(proof, r.Head.Size, tlog.Hash(r.Head.Root), r.Position, tlog.RecordHash(raw)); err != nil {
		return refuse("the entry is not in the tree: %v", err)
	}
	if r.Entry, err = ParseEntry(raw); err != nil {
		return nil, err
	}
	return r, nil
}
