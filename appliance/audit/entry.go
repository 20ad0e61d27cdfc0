// Package audit is the key-usage log: entries, the RFC 6962 tree over them, and what auditors check.
//
// # An entry
//
// An entry is one line of JSON (RFC 8259) and the exact bytes of that line, without a line end, are what is hashed into
// the tree. It has these members, always all of them, always in this order, with no space between tokens:
//
//	{"v":1,"index":7,"time":1767225600000,"tenant":"acme","account":"9f86d081884c7d659a2feaa0c55ad015",
//	"actor":"spiffe://strongroom.example/frontend/acme/web","request":"0b51a5f1d0d04c5c9c1d3b8f2a6e7c44",
//	"operation":"verify","key":"totp-1","subject":"","key_version":3,"macs":3,"outcome":"accepted",
//	"node":"n1","module":"SC-0001"}
//
// (shown on several lines here; one line in fact). Members mean what the fields of [Entry] say. Numbers are decimal
// integers: v is the version of this format, index and time may not be negative. Strings are UTF-8. Within them only
// three kinds of characters are escaped: the quotation mark as \", the backslash as \\, and U+0000 to U+001F as \u00xx
// with lower-case hex digits. Everything else stands as itself. A byte that isn't UTF-8 becomes U+FFFD, and a string of
// more than [MaxField] bytes is cut at a character's start, so that an entry is never larger than [MaxEntry] and making
// one can't fail: a log that refuses an entry would stop the cluster.
//
// There is one encoding of an entry and no other: [ParseEntry] refuses all bytes that [Entry.AppendJSON] would not have
// made. A new member is a new version.
//
// # The tree
//
// The tree is the Merkle tree of RFC 6962, Section 2.1, with SHA-256. [Tree] keeps only its right edge, which is all
// that appending and the root need; it is part of the replicated state.
package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

const (
	// MaxEntry bounds the bytes of an entry: C2SP tlog-tiles gives an entry's length sixteen bits.
	MaxEntry = 1<<16 - 1
	// MaxField bounds each string of an entry, in bytes before escaping. Ten strings, each byte escaped to six, stay
	// below MaxEntry.
	MaxField = 512
)

// Entry is one use of a key, or one act on keys, members, clients or policy. Its JSON bytes, made by AppendJSON, are
// the exact bytes that are hashed into the tree. It never holds a code, a seed, a phone number or a password.
type Entry struct {
	Index      int64  // position in the log, from 0
	Time       int64  // Unix milliseconds, committed time
	Tenant     string // empty for acts of the cluster
	Account    string // pseudonym, 32 hex digits; empty for acts of the cluster
	Actor      string // SPIFFE ID of the certificate that asked; empty for the cluster itself
	Request    string // request id, 32 hex digits; empty where the act had none
	Operation  string // such as "verify", "enrol-device", "join-node"
	Key        string // id of the key that was used: a credential's id, or the name of a cluster key
	Subject    string // what an act of the cluster concerns: a node's id, a tenant, a certificate's SPIFFE ID
	KeyVersion uint32 // of the wrapping key that sealed it, or of the cluster key
	MACs       uint32 // computed in the module for this act, those of abandoned evaluations included
	Outcome    string // such as "accepted", "wrong", "spent", "locked", "done", "refused-by-policy"
	Node       string // that used the key
	Module     string // serial of its module
}

// AppendJSON appends the entry's bytes to dst. It is written by hand because the bytes are signed: they must be the same
// on every node and in every release, whatever a JSON library comes to think.
func (e *Entry) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"v":1,"index":`...)
	dst = strconv.AppendInt(dst, e.Index, 10)
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendInt(dst, e.Time, 10)
	dst = appendString(append(dst, `,"tenant":`...), e.Tenant)
	dst = appendString(append(dst, `,"account":`...), e.Account)
	dst = appendString(append(dst, `,"actor":`...), e.Actor)
	dst = appendString(append(dst, `,"request":`...), e.Request)
	dst = appendString(append(dst, `,"operation":`...), e.Operation)
	dst = appendString(append(dst, `,"key":`...), e.Key)
	dst = appendString(append(dst, `,"subject":`...), e.Subject)
	dst = append(dst, `,"key_version":`...)
	dst = strconv.AppendUint(dst, uint64(e.KeyVersion), 10)
	dst = append(dst, `,"macs":`...)
	dst = strconv.AppendUint(dst, uint64(e.MACs), 10)
	dst = appendString(append(dst, `,"outcome":`...), e.Outcome)
	dst = appendString(append(dst, `,"node":`...), e.Node)
	dst = appendString(append(dst, `,"module":`...), e.Module)
	return append(dst, '}')
}

// appendString appends s as a JSON string, by the rules of the package comment.
func appendString(dst []byte, s string) []byte {
	s = cut(s)
	dst = append(dst, '"')
	start := 0 // of the run that needs no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[start:i]...)
				dst = utf8.AppendRune(dst, utf8.RuneError)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		if c < 0x20 {
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// cut shortens s so that what is written is at most MaxField bytes before escaping, U+FFFD for a bad byte counted as
// its three: what was cut once is never cut again when it is parsed and written anew.
func cut(s string) string {
	if len(s) <= MaxField/3 {
		return s
	}
	written := 0
	for i, r := range s {
		n := utf8.RuneLen(r) // a bad byte ranges as U+FFFD
		if written+n > MaxField {
			return s[:i]
		}
		written += n
	}
	return s
}

// ErrEntry: the bytes are not those of an entry.
var ErrEntry = errors.New("not a log entry")

// ParseEntry reads the bytes of an entry. It accepts exactly what AppendJSON makes of some entry with an index and a
// time that are not negative, and answers ErrEntry otherwise.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("%w: %d bytes are too many", ErrEntry, len(b))
	}
	var w struct {
		V          int    `json:"v"`
		Index      int64  `json:"index"`
		Time       int64  `json:"time"`
		Tenant     string `json:"tenant"`
		Account    string `json:"account"`
		Actor      string `json:"actor"`
		Request    string `json:"request"`
		Operation  string `json:"operation"`
		Key        string `json:"key"`
		Subject    string `json:"subject"`
		KeyVersion uint32 `json:"key_version"`
		MACs       uint32 `json:"macs"`
		Outcome    string `json:"outcome"`
		Node       string `json:"node"`
		Module     string `json:"module"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEntry, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more follows it", ErrEntry)
	}
	if w.V != 1 {
		return nil, fmt.Errorf("%w: version %d is not known", ErrEntry, w.V)
	}
	if w.Index < 0 || w.Time < 0 {
		return nil, fmt.Errorf("%w: a negative index or time", ErrEntry)
	}
	e := &Entry{
		Index: w.Index, Time: w.Time, Tenant: w.Tenant, Account: w.Account, Actor: w.Actor, Request: w.Request,
		Operation: w.Operation, Key: w.Key, Subject: w.Subject, KeyVersion: w.KeyVersion, MACs: w.MACs, Outcome: w.Outcome, Node: w.Node,
		Module: w.Module,
	}
	// The JSON package is lenient about order, case, space, escapes and repeats; one comparison refuses all of that.
	if !bytes.Equal(b, e.AppendJSON(make([]byte, 0, len(b)))) {
		return nil, fmt.Errorf("%w: it isn't written the one way", ErrEntry)
	}
	return e, nil
}
