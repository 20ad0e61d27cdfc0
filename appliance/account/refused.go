package account

// Refused is the attempts that a locked account has refused and that used no key. They come by the thousand when somebody
// guesses, so that an entry for each would let a guesser fill the log: the first has one, those that follow within
// CoalesceFor are counted, and the account's next entry has their number. Nothing is decided by them.
type Refused struct {
	Since Time   `cbor:"1,keyasint,omitempty"` // of the entry that the next ones are counted under; 0: there is none
	Entry int64  `cbor:"2,keyasint,omitempty"` // its index
	Count uint32 `cbor:"3,keyasint,omitempty"` // that have no entry yet
}

// locked is the decision on an attempt that a locked account refuses. The account's time stays: whatever was evaluated
// before is as good as it was.
func locked(s *State, c *Command, a act) Decision {
	n := *s
	r := &n.Refused
	if a.macs == 0 && r.Since != 0 && now(s, c)-r.Since < CoalesceFor {
		if r.Count < 1<<32-2 {
			r.Count++
		}
		return Decision{Result: Result{Outcome: a.outcome, RetryAt: a.retryAt, Entry: r.Entry}, Next: &n}
	}
	d := unchanged(s, c, a)
	d.Entry.Coalesced = r.Count
	*r = Refused{Since: now(s, c)}
	d.Next, d.refused = &n, true
	return d
}
