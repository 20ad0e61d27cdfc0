package appliance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"strongroom.internal/appliance/account"
)

// opRefuse is the operation of entries of what was refused at the door. It is signed: never change it.
const opRefuse = "refuse-request"

const (
	// refusedActors bounds for how many clients at once a node tells refusals apart; those of others are one client's.
	refusedActors = 1024
	// subjectOthers is the subject of theirs, and subjectJoin that of joins without a good token, whose senders have no name.
	subjectOthers = "others"
	subjectJoin   = "join"
)

// refusals are requests that a node refused before they got anywhere: by the role of a client's certificate, or for a bad
// join token. Nothing was done for them, so they don't wait for their entry, and no client may fill the log with them: of
// each client the first has an entry, those within account.CoalesceFor of it are counted, and then have one together. A
// node that ends takes its counts along.
type refusals struct {
	mu      sync.Mutex // guards byActor
	byActor map[string]*refused
}

// refused is what a client was refused since its last entry.
type refused struct {
	subject string // of the first
	outcome account.Outcome
	count   uint32
	written time.Time // of the last entry
}

// NoteRefusal notes for the log that a request was refused by its client's role. It doesn't wait.
func (s *Service) NoteRefusal(c Caller, route string) {
	s.refusals.note(c.Identity, route, account.RefusedByPolicy)
}

func (r *refusals) note(actor, subject string, outcome account.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.byActor[actor]
	if x == nil && len(r.byActor) >= refusedActors {
		actor, subject = subjectOthers, subjectOthers
		x = r.byActor[actor]
	}
	if x == nil {
		x = &refused{}
		if r.byActor == nil {
			r.byActor = make(map[string]*refused)
		}
		r.byActor[actor] = x
	}
	if x.count == 0 {
		x.subject, x.outcome = subject, outcome
	}
	if x.count < 1<<32-1 {
		x.count++
	}
}

// due takes out what is to be written now: by actor, and again counted from nothing. Who wasn't refused for a while is
// forgotten.
func (r *refusals) due(now time.Time) map[string]refused {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := make(map[string]refused)
	for actor, x := range r.byActor {
		switch {
		case now.Sub(x.written) < coalesceFor:
		case x.count == 0:
			delete(r.byActor, actor)
		default:
			due[actor] = *x
			x.count, x.written = 0, now
		}
	}
	return due
}

// putBack puts back what couldn't be written.
func (r *refusals) putBack(actor string, x refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.byActor[actor]; now != nil {
		x.count += min(now.count, 1<<32-1-x.count)
	}
	r.byActor[actor] = &x
}

const coalesceFor = time.Duration(account.CoalesceFor) * time.Millisecond

// recordRefusals writes entries of what this node refused.
func (s *Service) recordRefusals(ctx context.Context) error {
	var errs []error
	due := s.refusals.due(s.now())
	for _, actor := range slices.Sorted(maps.Keys(due)) {
		x := due[actor]
		name := actor
		if x.subject == subjectOthers {
			name = ""
		}
		_, _, err := s.proposeEstate(ctx, estate{Actor: name, Refuse: &refuse{Subject: x.subject, Outcome: x.outcome, Coalesced: x.count - 1}})
		if err != nil {
			s.refusals.putBack(actor, x)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// refuse records that a node refused requests of a client.
type refuse struct {
	Subject   string          `cbor:"1,keyasint"` // the route of the first
	Outcome   account.Outcome `cbor:"2,keyasint"`
	Coalesced uint32          `cbor:"3,keyasint,omitempty"` // others since the client's entry before
}

func (q *refuse) decide() estateDecision {
	return estateDecision{operation: opRefuse, subject: q.Subject, outcome: q.Outcome, coalesced: q.Coalesced}
}
