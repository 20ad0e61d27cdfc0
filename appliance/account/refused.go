package account

// Refused is the attempts that a locked account has refused and that used no key, and texts after a password that were
// refused a moment ago. They come by the thousand when somebody guesses, or when software saved a text, so that an entry
// for each would let them fill the log: the first has one, those that follow within CoalesceFor are counted, and the
// account's next entry has their number and MACs. Nothing is decided by them.
type Refused struct {
	Since Time   `cbor:"1,keyasint,omitempty"` // of the entry that the next ones are counted under; 0: there is none
	Entry int64  `cbor:"2,keyasint,omitempty"` // its index
	Count uint32 `cbor:"3,keyasint,omitempty"` // that have no entry yet
	MACs  uint32 `cbor:"4,keyasint,omitempty"` // that were computed for those
}

// count adds an attempt that has no entry of its own.
func (r *Refused) count(macs uint32) {
	if r.Count < 1<<32-2 {
		r.Count++
	}
	r.MACs = min(r.MACs, 1<<31) + min(macs, 1<<20)
}

// again is the decision on a text that was refused a moment ago: it is refused again, and that is all.
func again(s *State, c *Command) Decision {
	n := *s
	n.Refused.count(c.Enter.MACs)
	return Decision{Result: Result{Outcome: Wrong, Entry: s.Channels.RepeatEntry}, Next: &n}
}

// locked is the decision on an attempt that a locked account refuses. The account's time stays: whatever was evaluated
// before is as good as it was.
func locked(s *State, c *Command, a act) Decision {
	n := *s
	r := &n.Refused
	if a.macs == 0 && r.Since != 0 && now(s, c)-r.Since < CoalesceFor {
		r.count(0)
		return Decision{Result: Result{Outcome: a.outcome, RetryAt: a.retryAt, Entry: r.Entry}, Next: &n}
	}
	d := unchanged(s, c, a)
	d.Entry.Coalesced = r.Count
	d.Entry.MACs += r.MACs
	*r = Refused{Since: now(s, c)}
	d.Next, d.refused = &n, true
	return d
}
