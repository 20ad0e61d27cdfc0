// Package bulk imports the tokens of a file into a cluster, thousands at a time, each once.
//
// An import is planned before it is begun: [Plan] gives every token its account and puts what can't be used aside, and
// [Import.Check] asks the cluster whether the accounts are there. Then [Import.Run] adds the tokens, accounts side by side
// and the tokens of one account one after the other.
//
// # Never twice
//
// Two credentials with one seed would accept one code twice. Four things keep a token from being added twice, however often
// an import is interrupted and run again:
//
//   - A [Journal] on disk says of each token that it is about to be sent, before it is, and that it was added, after it
//     was. Both are durable when the next step is taken.
//   - Each token has its own Idempotency-Key, made of the file, the place in it, the account, the cluster, and which try it
//     is. The cluster remembers the last requests of an account for ten minutes; within eight of them a token that was
//     sent and not answered is sent again, by the same identity and with the same key, and is answered as it was. A token
//     whose fate is known is a new try: its old key would bring the old answer, a refusal that no longer holds for one.
//   - After that the account is looked at. If it has an authenticator of these parameters that nobody accounts for and
//     that was added since the token was sent, the token is left alone and said to be unknown: a person has to say.
//   - The journal is of one file. Where another file, or another machine, brought the token, [Import.Check] finds an
//     authenticator of the same parameters in the account, and refuses the token unless told otherwise.
package bulk

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"

	"strongroom.internal/appliance/otp"
)

// Outcome is what became of a token.
type Outcome string

// The outcomes.
const (
	Imported Outcome = "imported"        // added in this run
	Before   Outcome = "imported-before" // added by an earlier run of the same import
	Ready    Outcome = "ready"           // dry run: nothing speaks against it
	Bad      Outcome = "bad"             // it can't be used, or is nobody's
	Refused  Outcome = "refused"         // the cluster doesn't take it
	Unknown  Outcome = "unknown"         // it may have been added: run the import again soon, or look
	Left     Outcome = "left"            // nothing was done about it
)

// Row is one token on its way, and a line of the report.
type Row struct {
	Row        int      `json:"row"`  // its place in the file, from 1
	Line       int      `json:"line"` // where it begins there
	Account    string   `json:"account,omitempty"`
	Label      string   `json:"label,omitempty"`
	Serial     string   `json:"serial,omitempty"`
	Outcome    Outcome  `json:"outcome"`
	Credential string   `json:"credential,omitempty"` // the authenticator's id
	Entry      int64    `json:"entry,omitempty"`      // of the key-usage log
	Reason     string   `json:"reason,omitempty"`
	Notes      []string `json:"notes,omitempty"`

	record otp.Record
}

// settled says that nothing is left to be done about the row.
func (r *Row) settled() bool { return r.Outcome != "" }

func (r *Row) settle(o Outcome, reason string) {
	r.Outcome, r.Reason = o, reason
	r.record.Destroy()
}

// Counts counts rows by outcome.
func Counts(rows []*Row) map[Outcome]int {
	n := make(map[Outcome]int)
	for _, r := range rows {
		n[r.Outcome]++
	}
	return n
}

// Leave settles what isn't.
func Leave(rows []*Row, reason string) {
	for _, r := range rows {
		if !r.settled() {
			r.settle(Left, reason)
		}
	}
}

// FileID names a file by what is in it.
func FileID(content []byte) string {
	sum := sha256.Sum256(content)
	return digest("file", string(sum[:]))
}

// Target names what a file is imported into: a cluster, by its authority's key id, and the path of its tenant.
func Target(authorityKeyID []byte, tenant string) string {
	return digest("target", string(authorityKeyID), tenant)
}

// key is the Idempotency-Key of a try to add a row's token; the first try is 1.
func key(file, target string, row int, account string, try int) string {
	return "import-" + digest("add", file, target, strconv.Itoa(row), account, strconv.Itoa(try))
}

// digest is a domain-separated name of 128 bits: each part goes after its length.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range append([]string{"strongroom account import v1"}, parts...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:16]))
}
