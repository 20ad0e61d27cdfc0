// Package audit is the key-usage log: entries, the RFC 6962 tree over them, and what auditors check.
package audit

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
