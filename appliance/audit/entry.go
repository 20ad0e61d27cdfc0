// Package audit is the key-usage log: entries, the RFC 6962 tree over them, and what auditors check.
//
// # An entry
//
// An entry is one line of JSON (RFC 8259) and the exact bytes of that line, without a line end, are what is hashed into
// the tree. It has these members, always all of them, always in this order, with no space between tokens:
//
//	{"v":2,"index":7,"time":1767225600000,"tenant":"acme","account":"9f86d081884c7d659a2feaa0c55ad015",
//	"actor":"spiffe://strongroom.example/tenant/acme/frontend/web","request":"0b51a5f1d0d04c5c9c1d3b8f2a6e7c44",
//	"operation":"verify","key":"totp-1","subject":"","key_version":3,"macs":3,"outcome":"accepted",
//	"node":"n1","module":"SC-0001","coalesced":0,"detail":""}
//
// (shown on several lines here; one line in fact). Members mean what the fields of [Entry] say. Numbers are decimal
// integers: v is the version of this format, index and time may not be negative. Strings are UTF-8. Within them only
// three kinds of characters are escaped: the quotation mark as \", the backslash as \\, and U+0000 to U+001F as \u00xx
// with lower-case hex digits. Everything else stands as itself. A byte that isn't UTF-8 becomes U+FFFD, and a string of
// more than [MaxField] bytes ([MaxDetail] for detail) is cut at a character's start, so that an entry is never larger
// than [MaxEntry] and making one can't fail: a log that refuses an entry would stop the cluster.
//
// There is one encoding of an entry and no other: [ParseEntry] refuses all bytes that [Entry.AppendJSON] would not have
// made. A new member is a new version. Version 1 had neither coalesced nor detail; it is still read.
//
// # What has an entry
//
// Each use of a seed or of a cluster key (wrapping, device-trust, authority, code, pepper) by a request, each act on keys,
// members, operators, clients and policy, and each refusal of one. An act that used several keys has an entry for each.
// What nodes do by themselves, without a request, has none: the signatures of TLS handshakes (identity key) and of
// checkpoints (log key), the MACs of snapshots (binding key), and the decoy that a node seals for itself. A checkpoint's
// signatures are on the checkpoint; an entry for each would make the next checkpoint necessary.
//
// Attempts on an account that is locked use no key. The first has an entry; those that follow within a while are counted,
// and the account's next entry, whatever it is of, has their number in coalesced.
//
// What a node refuses before it gets anywhere, by the role of a client's certificate or for a bad join token, is a
// "refuse-request" entry within a second; the subject is the route, or "join". Of each client the first has one; those
// that follow within ten minutes have one together, which stands for one of them and has the number of the others in
// coalesced. A node that ends takes what it has counted in these minutes along. Who shows no certificate of the cluster's
// isn't on the log, but for joins.
//
// # Trees
//
// The log is a sequence of trees, one for each year and, after a restored backup, one for each epoch. index counts over
// all trees and is never used twice; times never run backwards. Each tree is the Merkle tree of RFC 6962, Section 2.1,
// with SHA-256, and has an origin (C2SP tlog-checkpoint) of its own: the trust domain, "/log/" and the tree's name. The
// position of an entry in its tree is its index minus the index of the tree's first entry. A tree that is over ends with
// an "end-tree" entry, whose subject is the next tree's name, and the next begins with a "begin-tree" entry: its subject is
// the tree's own name, its detail the three lines of the old tree's last checkpoint. So whoever has the newest checkpoint
// has them all.
//
// [Tree] keeps only a tree's right edge, which is all that appending and the root need; it is part of the replicated state.
package audit

import (
	"strconv"
	"unicode/utf8"
)

const (
	// MaxEntry bounds the bytes of an entry: C2SP tlog-tiles gives an entry's length sixteen bits.
	MaxEntry = 1<<16 - 1
	// MaxField bounds each string of an entry but the detail, in bytes before escaping. Ten of them and the detail, each
	// byte escaped to six, stay below MaxEntry.
	MaxField = 512
	// MaxDetail bounds the detail likewise.
	MaxDetail = 2048
)

// Entry is one use of a key, or one act on keys, members, clients or policy. Its JSON bytes, made by AppendJSON, are
// the exact bytes that are hashed into the tree. It never holds a code, a seed, a phone number or a password.
type Entry struct {
	Version    uint8  // of the format; 0 when making one: the newest, which is 2
	Index      int64  // position in the log, from 0
	Time       int64  // Unix milliseconds, committed time
	Tenant     string // empty for acts of the cluster
	Account    string // pseudonym, 32 hex digits; empty for acts of the cluster
	Actor      string // SPIFFE ID of the certificate that asked; empty for the cluster itself
	Request    string // request id, 32 hex digits: see RequestID; an account's is hashed with its salt. Empty where the act had none
	Operation  string // such as "verify", "enrol-device", "join-node"
	Key        string // id of the key that was used: a credential's id, or the name of a cluster key
	Subject    string // what an act of the cluster concerns: a node's id, a tenant, a certificate's SPIFFE ID
	KeyVersion uint32 // of the wrapping key that sealed it, or of the cluster key
	MACs       uint32 // computed in the module for this act, those of abandoned evaluations included
	Outcome    string // such as "accepted", "wrong", "spent", "locked", "done", "refused-by-policy"
	Node       string // that used the key
	Module     string // serial of its module

	// Coalesced is the number of attempts on the account that were refused because it was locked, and have no entry of
	// their own, since the account's entry before this one; of a client that was refused at the door, the like.
	Coalesced uint32
	// Detail is what the other members can't say, in a form that the operation determines: what a policy is now, which
	// module a new node has.
	Detail string
}

// formatVersion is the version of the entries that are made.
const formatVersion = 2

// AppendJSON appends the entry's bytes to dst. It is written by hand because the bytes are signed: they must be the same
// on every node and in every release, whatever a JSON library comes to think.
func (e *Entry) AppendJSON(dst []byte) []byte {
	version := e.Version
	if version == 0 {
		version = formatVersion
	}
	dst = strconv.AppendUint(append(dst, `{"v":`...), uint64(version), 10)
	dst = append(dst, `,"index":`...)
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
	if version >= 2 {
		dst = strconv.AppendUint(append(dst, `,"coalesced":`...), uint64(e.Coalesced), 10)
		dst = appendBounded(append(dst, `,"detail":`...), e.Detail, MaxDetail)
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte { return appendBounded(dst, s, MaxField) }

// appendBounded appends s as a JSON string, by the rules of the package comment.
func appendBounded(dst []byte, s string, most int) []byte {
	s = cut(s, most)
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

// cut shortens s so that what is written is at most that many bytes before escaping, U+FFFD for a bad byte counted as
// its three: what was cut once is never cut again when it is parsed and written anew.
func cut(s string, most int) string {
	if len(s) <= most/3 {
		return s
	}
	written := 0
	for i, r := range s {
		n := utf8.RuneLen(r) // a bad byte ranges as U+FFFD
		if written+n > most {
			return s[:i]
		}
		written += n
	}
	return s
}
