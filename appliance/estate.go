package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
	"strongroom.internal/hsm"
)

// estate is the core's other half: what belongs to the cluster and not to one account. Its transitions are as pure as
// those of package account. Exactly one pointer is set.
type estate struct {
	Time   account.Time `cbor:"1,keyasint"`
	Actor  string       `cbor:"2,keyasint"`
	Node   string       `cbor:"3,keyasint"`
	Module string       `cbor:"4,keyasint"`

	Found     *found     `cbor:"10,keyasint,omitempty"`
	SetPolicy *setPolicy `cbor:"11,keyasint,omitempty"`
	AddToken  *addToken  `cbor:"12,keyasint,omitempty"`
	Admit     *admit     `cbor:"13,keyasint,omitempty"`
	Joined    *joined    `cbor:"14,keyasint,omitempty"`
	Retire    *retire    `cbor:"15,keyasint,omitempty"`
	Certify   *certify   `cbor:"16,keyasint,omitempty"`
}

// found is the first command of a cluster's life.
type found struct {
	Cluster clusterInfo     `cbor:"1,keyasint"`
	Keys    []hsm.SealedKey `cbor:"2,keyasint"`
	Member  member          `cbor:"3,keyasint"`
}

// clusterInfo is what every node agrees on for ever.
type clusterInfo struct {
	ID          string `cbor:"1,keyasint"`
	TrustDomain string `cbor:"2,keyasint"`
	Authority   []byte `cbor:"3,keyasint"` // certificate, DER
}

type setPolicy struct {
	Tenant string `cbor:"1,keyasint"`
	Policy Policy `cbor:"2,keyasint"`
}

// addToken lets one node join once, until Expires.
type addToken struct {
	Hash    [sha256.Size]byte `cbor:"1,keyasint"` // of the token's secret
	Expires account.Time      `cbor:"2,keyasint"`
}

// admit spends a token and makes its bearer a member. The leader adds members to Raft.
type admit struct {
	Token  [sha256.Size]byte `cbor:"1,keyasint"`
	Member member            `cbor:"2,keyasint"`
}

// joined says that a member is in Raft's configuration; from then on its id is never given again.
type joined struct {
	ID string `cbor:"1,keyasint"`
}

// retire ends a membership.
type retire struct {
	ID string `cbor:"1,keyasint"`
}

// certify records that the authority signed a certificate.
type certify struct {
	Identity string `cbor:"1,keyasint"`
}

// member is a node as the cluster knows it.
type member struct {
	ID          string `cbor:"1,keyasint"`
	ClusterAddr string `cbor:"2,keyasint"`
	APIAddr     string `cbor:"3,keyasint"`
	IdentityKey []byte `cbor:"4,keyasint"` // PKIX DER
	LogKey      []byte `cbor:"5,keyasint"` // PKIX DER
	Serial      string `cbor:"6,keyasint"` // of its module
	Module      string `cbor:"7,keyasint"`
	Joined      bool   `cbor:"8,keyasint"`
	Retired     bool   `cbor:"9,keyasint"`
}

type token struct {
	Expires account.Time `cbor:"1,keyasint"`
}

// estateResult answers an estate command.
type estateResult struct {
	Outcome account.Outcome `cbor:"1,keyasint"`
	Entry   int64           `cbor:"2,keyasint"`
}

// estateDecision is what one estate command does.
type estateDecision struct {
	operation string
	key       hsm.KeyName // that was used, if one was
	subject   string      // whom it concerns
	outcome   account.Outcome
	write     func() // nil: nothing
}

func applyEstate(tx cluster.Tx, encoded []byte) (cluster.Applied, error) {
	var cmd estate
	if err := decode(encoded, &cmd); err != nil {
		return cluster.Applied{}, fmt.Errorf("decoding an estate command: %w", err)
	}
	decision, err := cmd.decide(tx)
	if err != nil {
		return cluster.Applied{}, err
	}
	entry := &audit.Entry{
		Time: int64(cmd.Time), Actor: cmd.Actor, Operation: decision.operation, Outcome: decision.outcome.String(),
		Key: string(decision.key), Subject: decision.subject, Node: cmd.Node, Module: cmd.Module,
	}
	if decision.key != "" {
		entry.KeyVersion = 1
	}
	return cluster.Applied{Entry: entry, Finish: func(index int64) []byte {
		if decision.write != nil {
			decision.write()
		}
		return mustEncode(estateResult{Outcome: decision.outcome, Entry: index})
	}}, nil
}

func (c *estate) decide(tx cluster.Tx) (estateDecision, error) {
	switch {
	case c.Found != nil:
		return c.Found.decide(tx)
	case c.SetPolicy != nil:
		p := c.SetPolicy
		return estateDecision{operation: "set-policy", subject: p.Tenant, outcome: account.Done, write: func() {
			tx.Set([]byte(policyPrefix+p.Tenant), mustEncode(p.Policy))
		}}, nil
	case c.AddToken != nil:
		t := c.AddToken
		return estateDecision{operation: "create-join-token", outcome: account.Done, write: func() {
			tx.Set(tokenKey(t.Hash), mustEncode(token{Expires: t.Expires}))
		}}, nil
	case c.Admit != nil:
		return c.Admit.decide(tx, c.Time)
	case c.Joined != nil:
		return changeMember(tx, "join-node", c.Joined.ID, func(m *member) { m.Joined = true })
	case c.Retire != nil:
		return changeMember(tx, "remove-node", c.Retire.ID, func(m *member) { m.Retired = true })
	case c.Certify != nil:
		return estateDecision{
			operation: "issue-certificate", key: hsm.KeyAuthority, subject: c.Certify.Identity, outcome: account.Done,
		}, nil
	}
	return estateDecision{}, fmt.Errorf("applying an estate command of an unknown kind")
}

func (f *found) decide(tx cluster.Tx) (estateDecision, error) {
	d := estateDecision{operation: "found-cluster", key: hsm.KeyWrapping, subject: f.Cluster.ID, outcome: account.Exists}
	existing, err := tx.Get([]byte(clusterRecord))
	if err != nil || existing != nil {
		return d, err
	}
	d.outcome = account.Done
	d.write = func() {
		tx.Set([]byte(clusterRecord), mustEncode(f.Cluster))
		for _, k := range f.Keys {
			tx.Set(fmt.Appendf(nil, "%s%s/%d", sealedPrefix, k.Name, k.Version), mustEncode(k))
		}
		tx.Set([]byte(memberPrefix+f.Member.ID), mustEncode(f.Member))
	}
	return d, nil
}

func (a *admit) decide(tx cluster.Tx, now account.Time) (estateDecision, error) {
	// The wrapping key is what leaves a module here, whether or not the token turns out good.
	d := estateDecision{operation: "admit-node", key: hsm.KeyWrapping, subject: a.Member.ID, outcome: account.NotFound}
	t, found, err := readRecord[token](tx, string(tokenKey(a.Token)))
	if err != nil {
		return d, err
	}
	if !found || now > t.Expires {
		return d, nil
	}
	// An id belongs to one incarnation of one disk: a node that was ever in Raft's configuration under it has voted, and
	// another with an empty memory could vote again.
	old, found, err := readRecord[member](tx, memberPrefix+a.Member.ID)
	if err != nil {
		return d, err
	}
	if found && (old.Joined || old.Retired) {
		d.outcome = account.Exists
		return d, nil
	}
	d.outcome = account.Done
	d.write = func() {
		tx.Delete(tokenKey(a.Token))
		tx.Set([]byte(memberPrefix+a.Member.ID), mustEncode(a.Member))
	}
	return d, nil
}

func changeMember(tx cluster.Tx, operation, id string, change func(*member)) (estateDecision, error) {
	d := estateDecision{operation: operation, subject: id, outcome: account.NotFound}
	m, found, err := readRecord[member](tx, memberPrefix+id)
	if err != nil || !found || m.Retired {
		return d, err
	}
	change(&m)
	d.outcome = account.Done
	d.write = func() { tx.Set([]byte(memberPrefix+id), mustEncode(m)) }
	return d, nil
}

func tokenKey(hash [sha256.Size]byte) []byte {
	return []byte(tokenPrefix + hex.EncodeToString(hash[:]))
}

func (s *Service) proposeEstate(ctx context.Context, cmd estate) (estateResult, uint64, error) {
	cmd.Time, cmd.Node, cmd.Module = account.Time(s.now().UnixMilli()), s.nodeID, s.pool.Info().Serial
	committed, err := s.engine.Propose(ctx, append([]byte{estateCommand}, mustEncode(cmd)...))
	if err != nil {
		return estateResult{}, 0, engineError(err)
	}
	var result estateResult
	if err := decode(committed.Data, &result); err != nil {
		return estateResult{}, 0, fmt.Errorf("reading the decision: %w", err)
	}
	return result, committed.Position, nil
}
