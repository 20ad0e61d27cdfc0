package account

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

func (x *deed) repeated() string {
	id := x.c.Request
	if id == (RequestID{}) {
		if x.r.Replayed {
			return "it has no id"
		}
		return ""
	}
	was, is := x.book.answers[id]
	remembered := false
	if x.before != nil {
		for _, q := range x.before.Requests {
			remembered = remembered || q.ID == id && x.at-q.Time < 10*minute
		}
	}
	switch {
	case x.r.Replayed && (!is || was != answer{x.c.operation(), x.r.Credential, x.r.Outcome, x.r.Entry}):
		return fmt.Sprintf("the first answer was %+v", was)
	case remembered && !x.r.Replayed && (x.r.Outcome != Conflict || x.d.Next != nil):
		return "it had an effect again"
	case x.d.recorded || x.silent() || x.d.Next == nil || x.r.Outcome == Locked || x.d.Entry == nil:
		return ""
	}
	return "its answer is not remembered"
}

func (x *deed) unrecorded() string {
	entries := x.d.Entries()
	if x.silent() {
		if len(entries)+len(x.d.Notices) > 0 || x.d.Next != nil || x.d.Erase {
			return "an answer without an effect has one"
		}
		return ""
	}
	b := x.book
	if x.d.Entry == nil {
		switch r := x.after.Refused; {
		case x.r.Outcome != Locked && (x.r.Outcome != Wrong || x.c.Enter == nil), x.r.Outcome == Locked && x.macs() > 0:
			return "there is no entry"
		case r.Count != b.counted+1 || r.MACs != b.macs+x.macs() || x.r.Entry < 0 || x.r.Entry >= x.index:
			return fmt.Sprintf("it was counted as %+v, after %d with %d MACs", r, b.counted, b.macs)
		}
		return ""
	}
	opened := 0
	for _, e := range entries {
		if e.Outcome == Accepted.String() && !slices.Contains([]string{opSignToken, opMakeLink, opEndTwoStep}, e.Operation) {
			opened++ // the others are uses of a key, in the same step
		}
	}
	e, want, counted := entries[0], x.macs(), uint32(0)
	if x.d.Next != nil || x.d.Erase {
		want, counted = want+b.macs, b.counted
	}
	switch {
	case e.Coalesced != counted:
		return fmt.Sprintf("%d attempts were counted, the entry says %d", b.counted, e.Coalesced)
	case e.Outcome != x.r.Outcome.String() || x.r.Entry != x.index || e.Operation != x.c.operation():
		return fmt.Sprintf("the entry is %s", e.AppendJSON(nil))
	case opened > 1 || (opened == 1) != x.accepted():
		return fmt.Sprintf("%d entries say accepted", opened)
	case e.MACs != want:
		return fmt.Sprintf("the entry has %d MACs, want %d", e.MACs, want)
	}
	for _, e := range entries[1:] {
		if e.Coalesced != 0 || e.MACs > 1 {
			return fmt.Sprintf("it is told twice: %s", e.AppendJSON(nil))
		}
	}
	return ""
}

// secrets are what no entry may have: everything that the model makes at random, as text, hex or base64; numbers; names.
var secrets = []string{
	secretPrefix, hex.EncodeToString([]byte(secretPrefix)), base64.StdEncoding.EncodeToString([]byte(secretPrefix)), "14155550", "person-",
}

func (x *deed) indiscreet() string {
	for _, e := range x.d.Entries() {
		text := string(e.AppendJSON(nil))
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				return text
			}
		}
	}
	for _, n := range x.d.Notices {
		if !n.Kind.Gateway() && (n.Number != "" || n.N != 0) || len(n.Link) > 0 && n.Kind != NoticeProtectionOn {
			return fmt.Sprintf("%+v", n)
		}
	}
	return ""
}
