package account

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Request is the memory of one request that was answered, by its id: the same request sent again gets the same answer,
// costs nothing and writes nothing.
type Request struct {
	ID          RequestID
	Operation   uint8
	Fingerprint uint64 // of what the request was about, 0 where the operation says it all
	Outcome     Outcome
	Credential  string
	Entry       int64
	Time        Time
}

// Requests is the memory of an account, oldest first. In a state's CBOR it is one byte string, because a busy account has
// sixteen of them and every attempt reads them all: for each request ID, Operation, Outcome, then Fingerprint, Entry and
// Time as eight bytes each, high byte first, then the length of Credential in a byte, and Credential.
type Requests []Request

const requestSize = 16 + 1 + 1 + 8 + 8 + 8 + 1 // without the credential

// MarshalBinary makes the byte string. It can't fail.
func (r Requests) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, len(r)*(requestSize+16))
	for i := range r {
		q := &r[i]
		b = append(b, q.ID[:]...)
		b = append(b, q.Operation, byte(q.Outcome))
		b = binary.BigEndian.AppendUint64(b, q.Fingerprint)
		b = binary.BigEndian.AppendUint64(b, uint64(q.Entry))
		b = binary.BigEndian.AppendUint64(b, uint64(q.Time))
		b = append(b, byte(len(q.Credential)))
		b = append(b, q.Credential...)
	}
	return b, nil
}

// UnmarshalBinary accepts exactly what MarshalBinary makes of at most MaxRequests requests.
func (r *Requests) UnmarshalBinary(b []byte) error {
	*r = nil
	if len(b) == 0 {
		return nil
	}
	text := string(b) // that all credentials are parts of
	requests := make(Requests, 0, min(len(b)/requestSize, MaxRequests))
	for at := 0; at < len(b); {
		if len(b)-at < requestSize || len(requests) == MaxRequests {
			return errors.New("requests: too many or cut")
		}
		f := b[at : at+requestSize]
		q := Request{
			ID: RequestID(f[:16]), Operation: f[16], Outcome: Outcome(f[17]), Fingerprint: binary.BigEndian.Uint64(f[18:]),
			Entry: int64(binary.BigEndian.Uint64(f[26:])), Time: Time(binary.BigEndian.Uint64(f[34:])),
		}
		at += requestSize
		n := int(f[42])
		if len(b)-at < n || n > MaxID {
			return errors.New("requests: a credential is too long or cut")
		}
		q.Credential = text[at : at+n]
		at += n
		requests = append(requests, q)
	}
	*r = requests
	return nil
}

// Operations as requests are remembered by.
const (
	requestCreate uint8 = iota + 1
	requestDelete
	requestEnrol
	requestRemove
	requestVerify
	requestResync
	requestBegin
	requestDecide
	requestFetch
	requestSend
	requestEnter
	requestCancel
	requestAddPhone
	requestEditPhone
	requestSendPhone
	requestVerifyPhone

	requestCreateAppPassword uint8 = 20
	requestRevokeAppPassword uint8 = 21
	requestVerifyAppPassword uint8 = 22
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
	next := make(Requests, len(kept), len(kept)+1)
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
		if c.Create.Class != "" {
			return requestCreate, digest(c.Create.Class)
		}
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
	case c.CreateAppPassword != nil:
		return requestCreateAppPassword, c.CreateAppPassword.fingerprint()
	case c.RevokeAppPassword != nil:
		return requestRevokeAppPassword, digest(c.RevokeAppPassword.ID)
	case c.VerifyAppPassword != nil:
		return requestVerifyAppPassword, digest(c.VerifyAppPassword.Service, c.VerifyAppPassword.Source)
	}
	if c.Resync != nil {
		return requestResync, digest(c.Resync.Credential)
	}
	if operation, fingerprint = c.trustFingerprint(); operation != 0 {
		return operation, fingerprint
	}
	return c.signInFingerprint()
}

func (c *Command) signInFingerprint() (operation uint8, fingerprint uint64) {
	switch {
	case c.Begin != nil:
		return requestBegin, c.Begin.fingerprint()
	case c.Decide != nil:
		if r := c.Decide.Reason; r != NoReason {
			return requestDecide, digest(c.Decide.SignIn, c.Decide.Device, c.operation(), r.String())
		}
		return requestDecide, digest(c.Decide.SignIn, c.Decide.Device, c.operation())
	case c.Fetch != nil:
		return requestFetch, digest(c.Fetch.SignIn, c.Fetch.Device)
	case c.Send != nil:
		return requestSend, digest(c.Send.SignIn, c.Send.Phone)
	case c.Enter != nil:
		return requestEnter, digest(c.Enter.SignIn, c.operation(), eight(c.Enter.Own))
	case c.Cancel != nil:
		return requestCancel, digest(c.Cancel.SignIn)
	case c.AddPhone != nil:
		return requestAddPhone, digest(c.AddPhone.Phone.Number, c.AddPhone.Phone.Label)
	case c.EditPhone != nil:
		e := c.EditPhone
		return requestEditPhone, digest(e.Phone, c.operation(), e.Label, eight(uint64(e.Position)))
	case c.SendPhone != nil:
		return requestSendPhone, digest(c.SendPhone.Phone)
	case c.VerifyPhone != nil:
		if q := c.VerifyPhone.Protect; q != nil {
			return requestVerifyPhone, digest(c.VerifyPhone.Phone, eight(q.fingerprint()))
		}
		return requestVerifyPhone, digest(c.VerifyPhone.Phone)
	}
	return c.enrolmentFingerprint()
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
	var room [1024]byte
	sum := sha256.Sum256(appendParts(room[:0], parts...))
	return binary.BigEndian.Uint64(sum[:])
}

// appendParts appends strings, each after its length, so that no two lists of strings give the same bytes.
func appendParts(dst []byte, parts ...string) []byte {
	for _, p := range parts {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(p)))
		dst = append(dst, p...)
	}
	return dst
}
