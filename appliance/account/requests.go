package account

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Request is the memory of one request that was answered, by its id: the same request sent again gets the same answer,
// costs nothing and writes nothing.
type Request struct {
	_           struct{} `cbor:",toarray"`
	ID          RequestID
	Operation   uint8
	Fingerprint uint64 // of what the request was about, 0 where the operation says it all
	Outcome     Outcome
	Credential  string
	Entry       int64
	Time        Time
}

// Operations as requests are remembered by.
const (
	requestCreate uint8 = iota + 1
	requestDelete
	requestEnrol
	requestRemove
	requestVerify
	requestResync
)

// Answered says whether the id was used for this account of late: no module need be asked then. The zero id never was.
func (s *State) Answered(id RequestID, now Time) bool { return s.request(id, now) != nil }

// request finds what is remembered of a request.
func (s *State) request(id RequestID, now Time) *Request {
	if s == nil || id == (RequestID{}) {
		return nil
	}
	now = max(now, s.Time)
	for i := range s.Requests {
		if r := &s.Requests[i]; r.ID == id && r.live(now) {
			return r
		}
	}
	return nil
}

func (r *Request) live(now Time) bool { return now-r.Time < RequestLife }

// remember appends an answer, and drops what has expired and what is too much. s is the new state that is being made;
// the slice that it shares with the old one is left alone.
func (s *State) remember(c *Command, result Result) {
	kept := s.Requests
	for len(kept) > 0 && (!kept[0].live(s.Time) || len(kept) == MaxRequests) {
		kept = kept[1:]
	}
	operation, fingerprint := c.fingerprint()
	next := make([]Request, len(kept), len(kept)+1)
	copy(next, kept)
	s.Requests = append(next, Request{
		ID: c.Request, Operation: operation, Fingerprint: fingerprint, Outcome: result.Outcome,
		Credential: result.Credential, Time: s.Time,
	})
}

// fingerprint tells requests apart that must not share an id. What a retry makes anew (ids, seeds, certificates, matches)
// is not part of it.
func (c *Command) fingerprint() (operation uint8, fingerprint uint64) {
	switch {
	case c.Create != nil:
		return requestCreate, 0
	case c.Delete != nil:
		return requestDelete, 0
	case c.Enrol != nil:
		return requestEnrol, c.Enrol.fingerprint()
	case c.Remove != nil:
		return requestRemove, digest(c.Remove.Credential)
	case c.Verify != nil:
		if c.Verify.Device == "" {
			return requestVerify, 0
		}
		return requestVerify, digest(c.Verify.Device)
	}
	return requestResync, digest(c.Resync.Credential)
}

func (e *Enrol) fingerprint() uint64 {
	c := &e.Credential
	params := []byte{byte(e.Door), byte(c.Kind), byte(c.Params.Mode), byte(c.Params.Hash), c.Params.Digits}
	params = binary.BigEndian.AppendUint16(params, c.Params.Period)
	params = binary.BigEndian.AppendUint64(params, uint64(c.Counter))
	return digest(string(params), string(c.PublicKey), c.Name, c.Model, c.Serial, c.Platform, c.SystemVersion,
		c.Issuer, c.Label)
}

// digest is 64 bits of SHA-256 over the parts: enough for a client not to meet itself by accident.
func digest(parts ...string) uint64 {
	h := sha256.New()
	for _, p := range parts {
		writePart(h, p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// writePart writes a string so that no two lists of strings write the same bytes.
func writePart(h hash.Hash, s string) {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(s)))
	h.Write(length[:])
	h.Write([]byte(s))
}
