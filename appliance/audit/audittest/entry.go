package audittest

import (
	"fmt"
	"math/rand/v2"

	"strongroom.internal/appliance/audit"
)

// entry is the entry at an index of the whole log. It depends on nothing but the seed and the index.
func (l *Log) entry(index int64) audit.Entry {
	r := rand.New(rand.NewPCG(l.Config.Seed, uint64(index)))
	account := r.IntN(500)
	e := audit.Entry{
		Index: index, Time: l.Config.Start.UnixMilli() + index/3*l.Config.Interval.Milliseconds(),
		Tenant: "acme", Account: fmt.Sprintf("%032x", account*0x9e3779b9), Actor: "spiffe://" + l.Config.TrustDomain + "/frontend/acme/web",
		Request: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), Operation: "verify", Key: fmt.Sprintf("totp-%d", account),
		KeyVersion: 1, MACs: 1 + uint32(r.IntN(3)), Outcome: "accepted", Node: l.Nodes[r.IntN(len(l.Nodes))].ID, Module: "SC-0001",
	}
	switch r.IntN(16) {
	case 0:
		e.Outcome = "wrong"
	case 1:
		e.Outcome = "spent"
	case 2:
		e.Outcome, e.MACs, e.Coalesced = "locked", 0, uint32(r.IntN(50))
	case 3:
		e.Operation, e.Outcome, e.Subject = "enrol-device", "done", "phone “"+e.Request[:4]+"”"
	case 4:
		e = audit.Entry{
			Index: e.Index, Time: e.Time, Actor: "spiffe://" + l.Config.TrustDomain + "/operator/jo", Request: e.Request,
			Operation: "issue-certificate", Key: "authority", KeyVersion: 1, MACs: 1, Outcome: "done", Node: e.Node, Module: e.Module,
			Detail: `{"days":90}`,
		}
	}
	return e
}

// special makes an entry one of those that a tree begins or ends with.
func special(e *audit.Entry, operation, subject, detail string) {
	*e = audit.Entry{
		Index: e.Index, Time: e.Time, Operation: operation, Subject: subject, Outcome: "done", Node: e.Node, Module: e.Module, Detail: detail,
	}
}
