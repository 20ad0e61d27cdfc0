package radius

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	layeh "layeh.com/radius"
)

const (
	// remember is for how long a retransmission is known as one. Clients give up sooner.
	remember = 30 * time.Second
	// maxRecent bounds what is remembered: 2,000 requests a second for as long, about 10 MB.
	maxRecent = 1 << 16
)

// identity names a request: the same from a retransmission, also for a server that was started again in between. It is
// computed over the whole packet, identifier and authenticator included: a client whose authenticators repeat, against RFC
// 2865, Section 3, must not have one person's answer for another.
type identity [sha256.Size]byte

func identify(secret []byte, source netip.AddrPort, packet []byte) (id identity) {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("strongroom radius request v1\x00" + source.String() + "\x00"))
	mac.Write(packet)
	mac.Sum(id[:0])
	return id
}

// key is the Idempotency-Key.
func (id identity) key() string { return "radius-" + hex.EncodeToString(id[:]) }

// recent is what was asked lately.
type recent struct {
	mu    sync.Mutex
	seen  map[identity]*asked
	order []*asked // oldest first, forgotten ones among them
}

// asked is a request; code is 0 until it is answered.
type asked struct {
	id   identity
	at   time.Time
	code layeh.Code
}

// begin notes a request. fresh: the cluster is to be asked. Else code is what was answered, or 0: drop it, because the
// answer is on its way or no more can be remembered.
func (r *recent) begin(id identity, now time.Time) (code layeh.Code, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && now.Sub(r.order[0].at) >= remember {
		if old := r.order[0]; r.seen[old.id] == old {
			delete(r.seen, old.id)
		}
		r.order[0], r.order = nil, r.order[1:]
	}
	if a := r.seen[id]; a != nil {
		return a.code, false
	}
	if len(r.order) >= maxRecent {
		return 0, false
	}
	if r.seen == nil {
		r.seen = make(map[identity]*asked)
	}
	a := &asked{id: id, at: now}
	r.seen[id], r.order = a, append(r.order, a)
	return 0, true
}

// end notes the answer. 0: there was none, and a retransmission asks again.
func (r *recent) end(id identity, code layeh.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.seen[id]
	switch {
	case a == nil:
	case code == 0:
		delete(r.seen, id)
	default:
		a.code = code
	}
}
