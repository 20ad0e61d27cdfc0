package account

import (
	"slices"

	"strongroom.internal/appliance/audit"
)

// Apply decides one command on an account's state, as apply does; and it is the one place through which every answer says
// what it is worth, and every notice passes on its way to devices.
func Apply(p Policy, s *State, c *Command) Decision {
	d := apply(p, s, c)
	if d.Result.Outcome == Accepted {
		d.Result.Assurance = s.worth(c)
		if d.Entry != nil && d.Result.Assurance > PasswordLevel {
			d.Entry.Detail = "assurance " + d.Result.Assurance.String()
		}
		if d.Result.Assurance != InvalidAssurance {
			d.ownerSeen(c, d.Result.Credential)
		}
	}
	for i := range d.Notices {
		if d.Notices[i].Recovery != "" {
			continue // who may see no code must hear all the same that somebody else is being let in
		}
		d.Notices[i].Devices = p.heard(d.Notices[i].Devices, s, d.Next)
	}
	return d
}

// apply decides one command on an account's state; nil is the state of a name without a record. It changes neither
// argument. The command must be valid, as every decoded one is. The order of the questions is part of what is promised:
// a request that was answered gets its answer again, whatever has become of the account; then an account that is locked
// hears nothing.
func apply(p Policy, s *State, c *Command) Decision {
	if r := s.request(c.Request, c.Time); r != nil {
		operation, fingerprint := c.fingerprint()
		if operation != r.Operation || fingerprint != r.Fingerprint {
			return unchanged(s, c, act{outcome: Conflict, macs: c.macs()})
		}
		return Decision{Result: Result{Outcome: r.Outcome, Credential: r.Credential, Replayed: true, Entry: r.Entry}}
	}
	if d, ok := trustCommand(p, s, c); ok {
		return d
	}
	switch {
	case c.Verify != nil:
		return verify(s, c)
	case c.VerifyAppPassword != nil:
		return verifyAppPassword(p, s, c)
	case c.Create != nil:
		return create(p, s, c)
	case c.Begin != nil:
		return begin(p, s, c)
	case c.Enter != nil:
		return enter(p, s, c)
	case c.Send != nil:
		return send(p, s, c)
	case c.Cancel != nil:
		return cancel(s, c)
	case c.SendTwoStep != nil:
		return sendTwoStep(p, s, c)
	case c.VerifyTwoStep != nil:
		return verifyTwoStep(s, c)
	}
	if d, ok := accessCommand(p, s, c); ok {
		return d
	}
	switch {
	case s == nil || s.Phantom:
		return unchanged(s, c, act{outcome: NotFound, macs: c.macs()})
	case c.Decide != nil:
		return decide(p, s, c)
	case c.Fetch != nil:
		return fetch(p, s, c)
	case c.AddPhone != nil:
		return addPhone(p, s, c)
	case c.EditPhone != nil:
		return editPhone(p, s, c)
	case c.SendPhone != nil:
		return sendPhone(p, s, c)
	case c.VerifyPhone != nil:
		return verifyPhone(p, s, c)
	case c.Resync != nil:
		return resync(s, c)
	case c.Enrol != nil:
		return enrol(p, s, c)
	case c.Remove != nil:
		return remove(s, c)
	case c.CreateAppPassword != nil:
		return createAppPassword(p, s, c)
	case c.RevokeAppPassword != nil:
		return revokeAppPassword(s, c)
	case c.Delete != nil:
		d := unchanged(s, c, act{outcome: Done})
		d.Entry.Coalesced = s.Refused.Count
		d.Entry.MACs += s.Refused.MACs
		d.Erase = true
		return d
	}
	if d, ok := enrolmentCommand(p, s, c); ok {
		return d
	}
	if d, ok := twoStepCommand(p, s, c); ok {
		return d
	}
	panic("applying an account command that is of no kind") // Validate refuses it
}

// act is what there is to say of a command once it is decided.
type act struct {
	outcome Outcome
	retryAt Time
	// credential is what the result names; key is what the entry names, which may say more.
	credential string
	key        *Credential
	named      string // a key of the cluster, in the place of key
	subject    string // what the act is about, where the operation does not say it
	macs       uint32
}

var stale = Decision{Result: Result{Outcome: Stale}}

// now is the committed time: it never goes backwards.
func now(s *State, c *Command) Time {
	if s == nil {
		return c.Time
	}
	return max(s.Time, c.Time)
}

// next starts the new state: the old one at the command's time. Credentials and Requests are still the old one's.
func next(s *State, c *Command) *State {
	n := *s
	n.Time = now(s, c)
	return &n
}

// ownCredentials gives the new state credentials of its own to write to.
func (s *State) ownCredentials() { s.Credentials = slices.Clone(s.Credentials) }

// changed is the decision to replace the state, the request remembered.
func changed(n *State, c *Command, a act) Decision {
	d := unchanged(n, c, a)
	if d.Entry != nil {
		d.Entry.Coalesced = n.Refused.Count
		d.Entry.MACs += n.Refused.MACs
		n.Refused = Refused{}
	}
	d.Next = n
	if c.Request != (RequestID{}) {
		n.remember(c, d.Result)
		d.recorded = true
	}
	return d
}

// unchanged is a decision that leaves the state as it is, but for its entry. A name without a record gets a pseudonym
// that is used this once.
func unchanged(s *State, c *Command, a act) Decision {
	salt := c.Salt
	if s != nil {
		salt = s.Salt
	}
	if len(salt) != SaltSize {
		return stale
	}
	e := &audit.Entry{
		Time: int64(now(s, c)), Tenant: c.Tenant, Account: Pseudonym(salt, c.Tenant, c.Account), Actor: c.Actor,
		Request: LogRequest(salt, c.Request), Operation: c.operation(), MACs: a.macs, Outcome: a.outcome.String(),
		Node: c.Node, Module: c.Module,
	}
	if a.key != nil {
		e.Key, e.KeyVersion = a.key.ID, a.key.KeyVersion
	} else if a.named != "" {
		e.Key, e.KeyVersion = a.named, 1
	}
	e.Subject = a.subject
	return Decision{
		Result: Result{Outcome: a.outcome, RetryAt: a.retryAt, Credential: a.credential},
		Entry:  e,
	}
}
