package appliance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

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

	Installed *installed    `cbor:"17,keyasint,omitempty"`
	Witnesses *setWitnesses `cbor:"18,keyasint,omitempty"`
	Retention *setRetention `cbor:"19,keyasint,omitempty"`
	Archived  *setArchived  `cbor:"20,keyasint,omitempty"`
	Prune     *prune        `cbor:"21,keyasint,omitempty"`

	SetWebhook *setWebhook `cbor:"30,keyasint,omitempty"`

	PublishDay *publishDay  `cbor:"37,keyasint,omitempty"`
	DestroyDay *destroyDay  `cbor:"38,keyasint,omitempty"`
	Reseal     *resealPrior `cbor:"39,keyasint,omitempty"`

	Refuse *refuse `cbor:"42,keyasint,omitempty"`
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
	Identity string            `cbor:"1,keyasint"`
	SHA256   [sha256.Size]byte `cbor:"2,keyasint"` // of the certificate's DER
	NotAfter account.Time      `cbor:"3,keyasint"`
}

// installed records that a node has unsealed the cluster's keys into its module, as it does when it starts.
type installed struct {
	Node string `cbor:"1,keyasint"`
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
	detail    string
	outcome   account.Outcome
	coalesced uint32   // of the first entry
	write     func()   // nil: nothing
	also      []keyUse // entries that follow, of the same outcome
	tree      string   // that this command begins; empty: none
}

// keyUse is one more key that an act used, or made.
type keyUse struct {
	operation string
	key       hsm.KeyName
	subject   string
	detail    string
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
	applied := cluster.Applied{Finish: func(index int64) []byte {
		if decision.write != nil {
			decision.write()
		}
		return mustEncode(estateResult{Outcome: decision.outcome, Entry: index})
	}}
	for _, use := range append([]keyUse{{decision.operation, decision.key, decision.subject, decision.detail}}, decision.also...) {
		entry := &audit.Entry{
			Time: int64(cmd.Time), Actor: cmd.Actor, Operation: use.operation, Outcome: decision.outcome.String(),
			Key: string(use.key), Subject: use.subject, Node: cmd.Node, Module: cmd.Module, Detail: use.detail,
		}
		if use.key != "" {
			entry.KeyVersion = 1
		}
		applied.Entries = append(applied.Entries, entry)
	}
	applied.Entries[0].Coalesced = decision.coalesced
	if decision.tree != "" {
		applied.NewTree = &cluster.NewTree{Name: decision.tree}
	}
	return applied, nil
}

func (c *estate) decide(tx cluster.Tx) (estateDecision, error) {
	switch {
	case c.Found != nil:
		return c.Found.decide(tx, c.Time)
	case c.SetPolicy != nil:
		p := c.SetPolicy
		return estateDecision{operation: "set-policy", subject: p.Tenant, detail: inJSON(p.Policy), outcome: account.Done, write: func() {
			tx.Set([]byte(policyPrefix+p.Tenant), mustEncode(p.Policy))
		}}, nil
	case c.AddToken != nil:
		t := c.AddToken
		until := moment(t.Expires).Format(time.RFC3339)
		return estateDecision{operation: "create-join-token", detail: "expires " + until, outcome: account.Done, write: func() {
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
			operation: opCertify, key: hsm.KeyAuthority, subject: c.Certify.Identity, outcome: account.Done,
			detail: fmt.Sprintf("sha256 %x, not after %s", c.Certify.SHA256, moment(c.Certify.NotAfter).Format(time.RFC3339)),
		}, nil
	case c.Installed != nil:
		return estateDecision{
			operation: "install-keys", key: hsm.KeyWrapping, subject: c.Installed.Node, outcome: account.Done,
		}, nil
	case c.Witnesses != nil:
		return c.Witnesses.decide(tx)
	case c.Retention != nil:
		return c.Retention.decide(tx)
	case c.Archived != nil:
		return c.Archived.decide(tx, c.Time)
	case c.Prune != nil:
		return c.Prune.decide(tx, c.Time)
	case c.SetWebhook != nil:
		return c.SetWebhook.decide(tx)
	case c.PublishDay != nil:
		return c.PublishDay.decide(tx, c.Time)
	case c.DestroyDay != nil:
		return c.DestroyDay.decide(tx, c.Time)
	case c.Reseal != nil:
		return c.Reseal.decide(tx, c.Time)
	case c.Refuse != nil:
		return c.Refuse.decide(), nil
	}
	return estateDecision{}, fmt.Errorf("applying an estate command of an unknown kind")
}

// Operations of more than one command. They are signed: never change one.
const (
	opCertify = "issue-certificate"
	opMake    = "create-key"
	opOwnKey  = "create-node-key"
)

// inJSON is a record as the detail of an entry.
func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

func (f *found) decide(tx cluster.Tx, at account.Time) (estateDecision, error) {
	d := estateDecision{operation: "found-cluster", subject: f.Cluster.ID, detail: "trust domain " + f.Cluster.TrustDomain, outcome: account.Exists}
	existing, err := tx.Get([]byte(clusterRecord))
	if err != nil || existing != nil {
		return d, err
	}
	d.outcome = account.Done
	d.tree = treeOf(moment(at))
	d.also = []keyUse{{operation: opMake, key: hsm.KeyWrapping}, {operation: opMake, key: hsm.KeyBinding}}
	for _, k := range f.Keys {
		d.also = append(d.also, keyUse{operation: opMake, key: k.Name})
	}
	d.also = append(d.also, f.Member.enters(f.Cluster.TrustDomain)...)
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
	d := estateDecision{
		operation: "admit-node", key: hsm.KeyWrapping, subject: a.Member.ID, detail: a.Member.describe(), outcome: account.NotFound,
	}
	info, _, err := readRecord[clusterInfo](tx, clusterRecord)
	if err != nil {
		return d, err
	}
	d.also = a.Member.enters(info.TrustDomain)
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

// describe is a member as an entry's detail tells of it.
func (m member) describe() string {
	return fmt.Sprintf("module %s %s, cluster %s, api %s", m.Serial, m.Module, m.ClusterAddr, m.APIAddr)
}

// enters is the keys that a node made before it became a member, and the certificate that it got.
func (m member) enters(trustDomain string) []keyUse {
	vkey := "unreadable"
	if key, err := x509.ParsePKIXPublicKey(m.LogKey); err == nil {
		if v, err := audit.CosignerVerifierKey(audit.CosignerName(trustDomain, m.ID), key); err == nil {
			vkey = v
		}
	}
	return []keyUse{
		{operation: opOwnKey, key: hsm.KeyIdentity, subject: m.ID, detail: fmt.Sprintf("sha256 %x", sha256.Sum256(m.IdentityKey))},
		{operation: opOwnKey, key: hsm.KeyLog, subject: m.ID, detail: vkey},
		{operation: opCertify, key: hsm.KeyAuthority, subject: spiffe(trustDomain, Node.String(), m.ID).String()},
	}
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
	if err := s.onTime(); err != nil {
		return estateResult{}, 0, err
	}
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
